"""What a reader of poses is, and what all of them need to find their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lerf.files import is_file
from lerf.scenes.listing import Listing
from lerf.scenes.sparse_points import SparsePoints


@dataclass(frozen=True)
class Reader:
    """One format of pose files."""

    name: str
    """As `Scene.metadata["format"]` and `lerf info` call it."""
    what: str
    """What is looked for, in words that a message can list."""
    find: Callable[[Path], Path | None]
    """The pose file, or folder of pose files, that a path leads to: the path itself, or something in a folder.

    None where there is none; it looks at names, and at the beginning of a file where names do not tell.
    """
    read: Callable[[Path, Path], Listing]
    """(found, root): what `find` found, and the capture's folder -> its content; raises `SceneError`."""
    points: Callable[[Path], SparsePoints] | None = None
    """The 3D points in a file that `read` gave as `points_path`; raises `SceneError`."""
    is_copy: bool = False
    """Whether such files are made from other pose files of the same capture: beside these they are no news."""


def found_in(
    path: Path, names: Sequence[str], is_one: Callable[[Path], bool], folders: Sequence[str] = (".",)
) -> Path | None:
    """The first file of a format at a path.

    Args:
        path: a file, which may bear any name; or a folder.
        names: of files, as patterns with *; in one folder the first pattern wins, and then the alphabet.
        is_one: whether a file is one of the format.
        folders: under the path, in which files are looked for.
    """
    if is_file(path):
        return path if is_one(path) else None
    for folder in folders:
        for name in names:
            place = path / folder
            files = sorted(place.glob(name)) if "*" in name else [place / name]
            for file in files:
                if is_file(file) and is_one(file):
                    return file
    return None


def rivals_of(path: Path, names: Sequence[str], is_one: Callable[[Path], bool]) -> list[str]:
    """What to tell of further files of a format beside one that is used; arguments as of `found_in`."""
    beside = sorted({file for name in names for file in path.parent.glob(name) if is_file(file)} - {path})
    others = [file.name for file in beside if is_one(file)]
    if not others:
        return []
    shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return [f"{path.name} is used; of the same kind and not used: {shown} beside it. Give one of these to use it."]


def beginning_of(path: Path, size: int = 65_536) -> bytes:
    """The first bytes of a file, without a byte order mark; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(size).removeprefix(b"\xef\xbb\xbf")
    except (OSError, ValueError):
        return b""
