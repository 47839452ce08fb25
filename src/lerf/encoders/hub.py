"""Where the files of a published model are: a given path, the local cache of the Hugging Face hub, or a download.

A model is named `ORGANISATION/NAME`, or `ORGANISATION/NAME@REVISION` to pin a branch, a tag or a commit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec

from lerf.documents import parse_document
from lerf.errors import EncoderError
from lerf.files import is_file, is_folder, read_bytes

SINGLE_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
"""Names that weights have on the hub, best first."""
INDEX = ".index.json"
"""Beside weights that are cut into several files: which tensor is in which."""
SMALL_FILES = (".json", ".txt", ".model", "README.md")
"""Endings of what is fetched beside the weights: settings, vocabularies and the licence."""
SMALL = 64_000_000
"""Bytes of such a file."""


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


@dataclass(frozen=True)
class Files:
    """A folder with a model's settings and vocabulary, and the files of its weights."""

    folder: Path
    weights: tuple[Path, ...]

    @property
    def licence(self) -> str:
        """What the model card says, as an SPDX-like word; `not stated` without a card."""
        path = self.folder / "README.md"
        if not is_file(path):
            return "not stated"
        card = _text(path)
        front = card.split("---")[1] if card.startswith("---") else ""
        stated = [line.partition(":")[2].strip() for line in front.splitlines() if line.startswith("license:")]
        return stated[0] if stated and stated[0] else "not stated"


def find_files(model: str, weights: Path | None = None, offline: bool = False) -> Files:
    """Files of a model, in this order: `weights`, `model` if it is a folder, the hub's local cache, a download.

    Args:
        model: id on the hub with an optional `@REVISION`, or a local folder.
        weights: folder in the hub's layout, or one file of weights in such a folder.
        offline: forbid the download; so does the environment's `HF_HUB_OFFLINE=1`.

    Raises:
        EncoderError: nothing was found, or it holds no weights.
    """
    if weights is not None:
        return _given(weights)
    if model and is_folder(Path(model).expanduser()):
        return _given(Path(model).expanduser())
    name, _, revision = model.partition("@")
    if name.count("/") != 1 or not all(name.split("/")) or name.startswith((".", "~")):
        raise EncoderError(f"'{model}' is neither a folder nor an id of the hub (ORGANISATION/NAME[@REVISION]).")
    cached = _cached(name, revision or "main")
    if cached is not None:
        return cached
    if offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise EncoderError(
            f"The weights of {model} are not on this machine and nothing may be downloaded; {_hint(name, revision)}"
        )
    return _downloaded(name, revision)


def cache_folder() -> Path:
    """The hub's local cache, as its own tools find it."""
    environment = os.environ
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser()
    home = environment.get("HF_HOME") or os.path.join(environment.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def choose_weights(names: Collection[str], read: Callable[[str], str]) -> tuple[str, ...]:
    """Names of the best files of weights among `names`, empty if there are none; safetensors come first.

    Args:
        names: files of a folder or a repository, without folders.
        read: text of a file of it by name; asked for the index of weights in several files.
    """
    for single in SINGLE_FILES:
        if single in names:
            return (single,)
        if single + INDEX in names:
            index = parse_document(
                read(single + INDEX), _Index, single + INDEX, error=EncoderError, remedy="fetch it again"
            )
            shards = tuple(sorted(set(index.weight_map.values())))
            return shards if set(shards) <= set(names) else ()
    return ()


def _given(path: Path) -> Files:
    path = Path(path).expanduser()
    if is_file(path):
        return Files(path.parent, (path,))
    found = _inside(path)
    if found is None:
        raise EncoderError(
            f"{path} holds no weights in the hub's layout (one of {', '.join(SINGLE_FILES)}, beside config.json or "
            "open_clip_config.json); give the folder that `hf download ID --local-dir FOLDER` wrote."
        )
    return found


def _inside(folder: Path) -> Files | None:
    if not is_folder(folder):
        return None
    try:
        names = {path.name for path in folder.iterdir() if is_file(path)}
    except OSError as error:
        raise EncoderError(f"{folder} cannot be listed ({error.strerror}); change its permissions.") from None
    chosen = choose_weights(names, lambda name: _text(folder / name))
    return Files(folder, tuple(folder / name for name in chosen)) if chosen else None


def _cached(name: str, revision: str) -> Files | None:
    """The snapshot of a revision: `models--ORG--NAME/snapshots/COMMIT`, the commit named by `refs/REVISION`."""
    root = cache_folder() / f"models--{name.replace('/', '--')}"
    reference = root / "refs" / revision
    commit = _text(reference).strip() if is_file(reference) else revision
    if not commit or PurePath(commit).is_absolute() or ".." in PurePath(commit).parts:
        raise EncoderError(f"{reference} names no snapshot; delete it, and the model is fetched again.")
    return _inside(root / "snapshots" / commit)


def _downloaded(name: str, revision: str) -> Files:
    try:
        from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    except ImportError as error:
        raise EncoderError(
            f"Downloading {name} needs the package huggingface_hub; run: pip install huggingface_hub, or: "
            f"{_hint(name, revision)}"
        ) from error
    cache = str(cache_folder())
    wanted = revision or "main"
    _say(f"{name} is not on this machine: asking huggingface.co for it (--offline forbids this).")
    try:
        about = HfApi().model_info(name, revision=wanted, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in about.siblings or []}
        weights = choose_weights(
            sizes, lambda index: Path(hf_hub_download(name, index, revision=wanted, cache_dir=cache)).read_text()
        )
        chosen = [*weights, *(file for file in sizes if "/" not in file and file.endswith(SMALL_FILES))]
        megabytes = sum(sizes[file] for file in chosen) / 1e6
        _say(f"Downloading {name} (commit {(about.sha or wanted)[:12]}), {megabytes:.0f} MB, to {cache}.")
        snapshot_download(name, revision=wanted, cache_dir=cache, allow_patterns=chosen)
    except Exception as error:  # the hub's client raises its own, those of its HTTP library and those of the disk
        reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise EncoderError(f"{name} cannot be downloaded ({reason}); {_hint(name, revision)}") from error
    found = _cached(name, wanted)
    if found is None:
        raise EncoderError(
            f"{name} holds no weights that can be read ({', '.join(SINGLE_FILES)}); choose another model."
        )
    return found


def _text(path: Path) -> str:
    """A small file as text; bytes that are no UTF-8 are replaced.

    Raises:
        EncoderError: it cannot be read or is not small.
    """
    data = read_bytes(path, error=EncoderError, remedy="fetch the whole folder of the model", largest=SMALL)
    return data.decode(errors="replace")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _hint(name: str, revision: str) -> str:
    folder = name.split("/")[1]
    pinned = f" --revision {revision}" if revision else ""
    return (
        f"on a machine with access run `hf download {name}{pinned} --local-dir {folder}`, copy the folder here and "
        f"give `--weights {folder}`."
    )
