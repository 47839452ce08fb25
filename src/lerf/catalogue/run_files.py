"""What a run's answers follow from: its checkpoints and index, and whether they are still what they were."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from lerf.catalogue.store import is_address
from lerf.documents import parse_document
from lerf.errors import CatalogueError
from lerf.files import is_file, resolved, sha256_of
from lerf.language.cells import FILE

NAMES = ("config.json", "scene.json", "radiance.safetensors", "language.safetensors", FILE)
"""Files of a run that decide its answers; the last one only where there is a baked index."""
State = Literal["fresh", "stale", "gone", "elsewhere"]
"""Of a run beside what a catalogue has of it: the same, changed since, not there any more, or not on this machine."""


class FileState(msgspec.Struct, frozen=True):
    """A file's content, and by what it is recognised without reading it."""

    size: Annotated[int, msgspec.Meta(ge=0)]
    mtime_ns: int
    sha256: Annotated[str, msgspec.Meta(max_length=64)]


Files = dict[str, FileState]


def name_of(run: str) -> str:
    """By which a run is known in a catalogue: its address, or its absolute path."""
    return run.rstrip("/") if is_address(run) else str(resolved(Path(run)))


def files_of(run: Path) -> Files:
    """The state of a run's files now."""
    found = {}
    for name in NAMES:
        if is_file(run / name):
            status = os.stat(run / name)
            found[name] = FileState(status.st_size, status.st_mtime_ns, sha256_of(run / name))
    return found


def key_of(files: Files, layout: int) -> str:
    """One hash of the content of a run's files."""
    content = {name: file.sha256 for name, file in files.items()}
    return hashlib.sha256(json.dumps([content, layout], sort_keys=True).encode()).hexdigest()[:24]


def files_text(files: Files) -> str:
    """Files as JSON."""
    return msgspec.json.encode(files).decode()


def parsed_files(text: str, where: str) -> Files:
    """Inverse of `files_text`."""
    remedy = "remove the run with 'lerf catalogue rm' and add it again"
    return parse_document(text, dict[str, FileState], where, error=CatalogueError, remedy=remedy)


def state_of(name: str, files: Files) -> State:
    """Whether a run is still what its files say; a file of the same size that was not touched is not read."""
    if is_address(name):
        return "elsewhere"
    run = Path(name)
    if not is_file(run / "config.json"):
        return "gone"
    for entry in NAMES:
        before = files.get(entry)
        if (before is None) != (not is_file(run / entry)):
            return "stale"
        if before is None:
            continue
        status = os.stat(run / entry)
        untouched = (status.st_size, status.st_mtime_ns) == (before.size, before.mtime_ns)
        if not untouched and (status.st_size != before.size or sha256_of(run / entry) != before.sha256):
            return "stale"
    return "fresh"


@contextlib.contextmanager
def fetched(run: str) -> Iterator[Path]:
    """The folder of a run; that of an object store is copied to this machine for as long as it is needed.

    Raises:
        CatalogueError: fsspec or what it needs for such an address is not installed, or it cannot be read.
    """
    if not is_address(run):
        yield Path(run)
        return
    with tempfile.TemporaryDirectory(prefix="lerf-run-") as folder:
        fetch(run, Path(folder))
        yield Path(folder)


def fetch(address: str, folder: Path) -> None:
    """Copy the files of a run from an object store.

    Raises:
        CatalogueError: they cannot be read.
    """
    try:
        import fsspec

        system, path = fsspec.url_to_fs(address, **_options(address))
        for name in (*NAMES, "surface.safetensors", "surface_cells.safetensors"):
            if system.isfile(f"{path.rstrip('/')}/{name}"):
                system.get_file(f"{path.rstrip('/')}/{name}", str(folder / name))
    except ImportError as problem:
        raise CatalogueError(
            f"{address} cannot be read ({problem}); install fsspec and what it needs for such an address, as s3fs."
        ) from None
    except (OSError, ValueError) as problem:
        said = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise CatalogueError(f"{address} cannot be read ({said}); check the address and its keys.") from None


def _options(address: str) -> dict[str, Any]:
    """Where the store is, as LanceDB reads it from the environment too."""
    endpoint = os.environ.get("AWS_ENDPOINT") or os.environ.get("AWS_ENDPOINT_URL")
    return {"endpoint_url": endpoint} if endpoint and address.startswith(("s3://", "s3a://")) else {}
