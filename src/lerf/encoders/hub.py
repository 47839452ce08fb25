"""Where the files of a published model are: a given path, the local cache of the Hugging Face hub, or a download.

A model is named `ORGANISATION/NAME`, or `ORGANISATION/NAME@REVISION` to pin a branch, a tag or a commit.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec

from lerf.documents import parse_document
from lerf.encoders.download import FetchError, Progress, fetch_files, hub_name, list_model, model_folder
from lerf.encoders.missing import MissingWeightsError
from lerf.errors import EncoderError
from lerf.files import is_file, is_folder, read_bytes
from lerf.locks import BusyError, locked_folder

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
"""Bytes of such a file at most; what is larger is no settings."""
WAIT = 1.0
"""Seconds until it is looked again whether another process has fetched a model."""
SAID_EVERY = 5.0
"""Seconds between two lines about a download."""


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


def find_files(
    model: str, weights: Path | None = None, offline: bool = False, wanted: Sequence[str] = SINGLE_FILES
) -> Files:
    """Files of a model, in this order: `weights`, `model` if it is a folder, the hub's local cache, a download.

    Args:
        model: id on the hub with an optional `@REVISION`, or a local folder.
        weights: folder in the hub's layout, or one file of weights in such a folder.
        offline: forbid the download; so does the environment's `HF_HUB_OFFLINE=1`.
        wanted: names that the weights may have, best first.

    Raises:
        MissingWeightsError: they are not on this machine and cannot be fetched.
        EncoderError: nothing was found, or it holds no weights.
    """
    found = find_local(model, weights, wanted)
    if found is None and (why := why_not(offline)):
        raise MissingWeightsError([model], why)
    return found or fetch(model, wanted=wanted)


def find_local(
    model: str, weights: Path | None = None, wanted: Sequence[str] = SINGLE_FILES, cache: Path | None = None
) -> Files | None:
    """What `find_files` finds without the network; None where that is nothing. `cache` stands for the hub's own.

    Raises:
        EncoderError: `weights` holds no weights, or `model` can be no model.
    """
    if weights is not None:
        return _given(weights, wanted)
    if model and is_folder(Path(model).expanduser()):
        return _given(Path(model).expanduser(), wanted)
    return _cached(*split_model(model), cache or cache_folder(), wanted)


def fetch(
    model: str,
    progress: Progress | None = None,
    wanted: Sequence[str] = SINGLE_FILES,
    cache: Path | None = None,
) -> Files:
    """Fetch a model into the hub's local cache. What and how much is said on standard error before it starts.

    Args:
        model: id with an optional `@REVISION`.
        progress: hears how far it is; without it that is said on standard error as well.
        wanted: names that the weights may have, best first.
        cache: folder to fetch into instead of the hub's local cache.

    Raises:
        MissingWeightsError: it cannot be fetched.
        EncoderError: it holds no weights that can be read.
        StorageError: the cache cannot be written.
    """
    (name, revision), cache = split_model(model), cache or cache_folder()
    folder = model_folder(cache, name)
    told_to_wait = False
    while True:
        try:
            with locked_folder(folder, "set HF_HUB_CACHE to another folder"):
                _fetch(name, revision, cache, progress or _Spoken(name), wanted)
        except FetchError as problem:
            raise MissingWeightsError([model], f"cannot be fetched ({problem})") from problem
        except BusyError:
            if not told_to_wait:
                say(f"Another process fetches {name}; waiting for it.")
                told_to_wait = True
            time.sleep(WAIT)
            continue
        found = _cached(name, revision, cache, wanted)
        if found is None:
            raise EncoderError(f"{name} holds no weights that can be read ({', '.join(wanted)}); choose another model.")
        return found


def split_model(model: str) -> tuple[str, str]:
    """The id and the revision of a model.

    Raises:
        EncoderError: it has not the form of one.
    """
    name, _, revision = model.partition("@")
    parts = [*name.split("/"), *(revision or "main").split("/")]
    if name.count("/") != 1 or name.startswith("~") or not all(map(_plain, parts)):
        raise EncoderError(f"'{model}' is neither a folder nor an id of the hub (ORGANISATION/NAME[@REVISION]).")
    return name, revision or "main"


def why_not(offline: bool) -> str | None:
    """Why nothing may be fetched, in words that follow "the weights"; None where it may."""
    if offline:
        return "may not be fetched (--offline)"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "may not be fetched (HF_HUB_OFFLINE is set)"
    return None


def cache_folder() -> Path:
    """The hub's local cache, as its own tools find it."""
    environment = os.environ
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser()
    home = environment.get("HF_HOME") or os.path.join(environment.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def choose_weights(
    names: Collection[str], read: Callable[[str], str], wanted: Sequence[str] = SINGLE_FILES
) -> tuple[str, ...]:
    """Names of the best files of weights among `names`, empty if there are none.

    Args:
        names: files of a folder or a repository, without folders.
        read: text of a file of it by name; asked for the index of weights in several files.
        wanted: names that weights may have, best first.
    """
    for single in wanted:
        if single in names:
            return (single,)
        if single + INDEX in names:
            index = parse_document(
                read(single + INDEX), _Index, single + INDEX, error=EncoderError, remedy="fetch it again"
            )
            shards = tuple(sorted(set(index.weight_map.values())))
            return shards if set(shards) <= set(names) else ()
    return ()


def say(message: str) -> None:
    """A line on standard error."""
    print(message, file=sys.stderr, flush=True)


class _Spoken:
    """Says on standard error how far a download is, every `SAID_EVERY` seconds."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._last >= SAID_EVERY:
            self._last = time.monotonic()
            say(f"{self._name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def _plain(part: str) -> bool:
    """Whether a part of a name can be that of a file or folder, and leads nowhere else."""
    return bool(part) and not part.startswith(".") and part == os.path.basename(part) and "\\" not in part


def _given(path: Path, wanted: Sequence[str]) -> Files:
    path = Path(path).expanduser()
    if is_file(path):
        return Files(path.parent, (path,))
    found = _inside(path, wanted)
    if found is None:
        raise EncoderError(
            f"{path} holds no weights in the hub's layout (one of {', '.join(wanted)}, beside config.json or "
            "open_clip_config.json); give the whole folder of a model."
        )
    return found


def _inside(folder: Path, wanted: Sequence[str]) -> Files | None:
    if not is_folder(folder):
        return None
    try:
        names = {path.name for path in folder.iterdir() if is_file(path)}
    except OSError as error:
        raise EncoderError(f"{folder} cannot be listed ({error.strerror}); change its permissions.") from None
    chosen = choose_weights(names, lambda name: _text(folder / name), wanted)
    return Files(folder, tuple(folder / name for name in chosen)) if chosen else None


def _cached(name: str, revision: str, cache: Path, wanted: Sequence[str]) -> Files | None:
    """The snapshot of a revision: `models--ORG--NAME/snapshots/COMMIT`, the commit named by `refs/REVISION`."""
    root = model_folder(cache, name)
    reference = root / "refs" / revision
    commit = _text(reference).strip() if is_file(reference) else revision
    if not commit or PurePath(commit).is_absolute() or ".." in PurePath(commit).parts:
        raise EncoderError(f"{reference} names no snapshot; delete it, and the model is fetched again.")
    return _inside(root / "snapshots" / commit, wanted)


def _fetch(name: str, revision: str, cache: Path, progress: Progress, wanted: Sequence[str]) -> None:
    """List a model, choose its files, say what they are, and bring them; small ones first, so that weights are the
    last to appear."""
    say(f"Asking {hub_name()} for {name}.")
    listing = list_model(name, revision)

    def read(index: str) -> str:
        fetch_files(listing, [index], cache, listing.commit)
        return _text(model_folder(cache, name) / "snapshots" / listing.commit / index)

    weights = choose_weights(listing.files, read, wanted)
    if not weights:
        raise EncoderError(f"{name} holds no weights that can be read ({', '.join(wanted)}); choose another model.")
    chosen = [file for file in listing.files if file.endswith(SMALL_FILES) and listing.files[file].size <= SMALL]
    chosen = [*(file for file in chosen if file not in weights), *weights]
    megabytes = sum(listing.files[file].size for file in chosen) / 1e6
    say(f"Fetching {name} (commit {listing.commit[:12]}), {megabytes:.0f} MB, into {cache}.")
    fetch_files(listing, chosen, cache, revision, progress)


def _text(path: Path) -> str:
    """A small file as text; bytes that are no UTF-8 are replaced.

    Raises:
        EncoderError: it cannot be read or is not small.
    """
    data = read_bytes(path, error=EncoderError, remedy="fetch the whole folder of the model", largest=SMALL)
    return data.decode(errors="replace")
