"""Where the photos and masks are that a pose file names.

Pose files are written on other machines, by other programs, in other folders: names come with backslashes, absolute,
in another case or Unicode form, without their extension. `PhotoFinder` takes a file where its path says, else in the
same folder under the same name but for case and extension, else elsewhere in the capture: the file whose path ends as
the stated one does, the longest such end first, and a file with another extension, or with one more or less of them,
last. Two files that fit equally well are refused by name, and files found elsewhere are told in a note.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lerf.errors import SceneError
from lerf.files import is_file, resolved

EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".jp2", ".bmp",
    ".heic", ".heif", ".hif", ".mpo", ".jpe", ".jfif", ".j2k", ".gif",
)  # fmt: skip
"""Of photos and masks; the first wins where a name comes without one."""
MOST_FILES = 2_000_000
"""Files that a capture's folder may hold when it has to be searched."""
NAMED = 3
"""Photos that a message names."""

_KINDS = (
    ("mask", re.compile(r"(.*_)?masks?(_\d+)?")),
    ("reduction", re.compile(r"images?_\d+")),
    ("depth", re.compile(r"(.*_)?(depths?|normals?|labels?|semantics?|segmentations?)(_.*)?")),
)
"""Folders of files that stand beside photos and bear their names: one is never taken for another."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class FoundFile:
    """A picture in a folder."""

    path: Path
    parts: Key
    """Of its path under the capture, spelled as there."""
    key: Key
    """The same for comparisons."""


class Misplaced(str):
    """A note of a file found elsewhere in place of one that is missing among others that are in place.

    It is likely to be another file of that name: see `lerf.scenes.selection.usable`.
    """

    stated: str
    found: Path

    def __new__(cls, stated: str, taken: str, found: Path) -> Misplaced:
        """
        Args:
            stated: where the capture says that the file is, for the note.
            taken: where a file of the name is.
            found: the same as a path.
        """
        note = super().__new__(
            cls,
            f"{stated} is missing while others of its folder are there: restore it or remove its entry, or put {taken} "
            "in its place if that is it.",
        )
        note.stated, note.found = stated, found
        return note


class PhotoFinder:
    """Finds files by stated path; the tree under the capture's folder is listed once, when it is first needed."""

    def __init__(self, root: Path | None = None) -> None:
        """
        Args:
            root: the capture's folder; None: files are looked for in the stated folders only.
        """
        self._root = root
        self._folders: dict[Path, list[FoundFile]] = {}
        self._names: dict[str, list[FoundFile]] | None = None
        self._stems: dict[str, list[FoundFile]] = {}
        self._in_place: set[Path] = set()
        self._taken: set[Path] = set()
        self._elsewhere: dict[Path, Path] = {}

    def find(self, path: Path, others: Sequence[Path] = ()) -> Path:
        """The file meant by `path`, or `path` itself when there is none, so that the error can name it.

        Args:
            path: the stated path, joined to the folder of the file that states it.
            others: further places that it may mean, equally good, in order.

        Raises:
            SceneError: several files fit equally well, or the capture's folder holds too many to be searched.
        """
        for place in (path, *others):
            if (found := self._beside(place)) is not None:
                self._in_place.add(path.parent)
                self._taken.add(found)
                return _encodable(found)
        found = self._under_root(path)
        if found is None:
            return path
        self._elsewhere[path] = found
        return _encodable(found)

    def find_reduced(self, path: Path) -> Path | None:
        """A file of the same stem as `path`, in any format; None when there is none."""
        if is_file(path):
            return path
        key = stem_of(normal_name(path.name))
        return next((file.path for file in self._listing(path.parent) if stem_of(file.key[-1]) == key), None)

    def notes(self) -> tuple[str, ...]:
        """What there is to tell of the files found so far, each that is `Misplaced` in a note of its own."""
        if self._root is None:
            return ()
        doubtful = {
            path: found
            for path, found in self._elsewhere.items()
            if path.parent in self._in_place and found.parent != path.parent
        }
        notes: list[str] = [
            Misplaced(name_in(self._root, path), name_in(self._root, found), found) for path, found in doubtful.items()
        ]
        moved = [(path, found) for path, found in self._elsewhere.items() if path not in doubtful]
        if moved:
            files = "One file is" if len(moved) == 1 else f"{len(moved)} files are"
            stated, taken = (name_in(self._root, path) for path in moved[0])
            notes.append(f"{files} not where the capture says but elsewhere in it: {taken} is taken for {stated}.")
        return tuple(notes)

    def _beside(self, path: Path) -> Path | None:
        """The file at a path, or in its folder under the same name but for case, Unicode form and a missing suffix."""
        if is_file(path):
            return path
        name = normal_name(path.name)
        files = self._listing(path.parent)
        same = [file.path for file in files if file.key[-1] == name]
        if not same and _suffix(name) not in EXTENSIONS:
            same = [file.path for file in files if file.key[-1] == name + _suffix(file.key[-1])]
            return same[0] if same else None
        if len(same) > 1:
            raise _ambiguous(path, same)
        return same[0] if same else None

    def _under_root(self, path: Path) -> Path | None:
        if self._root is None or not self._relative(path):
            return None
        if self._names is None:
            self._names = {}
            for file in pictures_under(self._root):
                self._names.setdefault(file.key[-1], []).append(file)
                self._stems.setdefault(_bare(file.key[-1]), []).append(file)
        stated = self._relative(path)
        key = tuple(normal_name(part) for part in stated)
        for candidates in (self._names.get(key[-1], []), self._stems.get(_bare(key[-1]), [])):
            # A file that lies where another entry says is that entry's.
            alike = [file for file in candidates if _kind(file.key) == _kind(key) and file.path not in self._taken]
            if not alike:
                continue
            lengths = [_common_tail(file.key[:-1], key[:-1]) for file in alike]
            best = [file for file, length in zip(alike, lengths, strict=True) if length == max(lengths)]
            exact = [file for file in best if file.parts[-1] == stated[-1]] or best
            if len(exact) > 1:
                raise _ambiguous(path, [file.path for file in exact])
            return exact[0].path
        return None

    def _relative(self, path: Path) -> Key:
        assert self._root is not None
        inside = path.relative_to(self._root) if path.is_relative_to(self._root) else path
        return tuple(part for part in inside.parts if part not in (".", "..", "/"))

    def _listing(self, folder: Path) -> list[FoundFile]:
        """Pictures in a folder, those with the preferred extensions first."""
        if folder not in self._folders:
            names = sorted(name for name in _entries(folder)[0] if _suffix(name) in EXTENSIONS)
            names.sort(key=lambda name: EXTENSIONS.index(_suffix(name)))
            self._folders[folder] = [FoundFile(folder / name, (name,), (normal_name(name),)) for name in names]
        return self._folders[folder]


def as_written(path: str) -> PurePosixPath:
    """A path from a file that may have been written on Windows."""
    return PurePosixPath(path.replace("\\", "/"))


def name_in(root: Path, path: Path) -> str:
    """The name of a photo: its path under the capture's folder with forward slashes, or its whole path."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def some_of(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def pictures_under(root: Path) -> Iterator[FoundFile]:
    """Pictures at or under a folder. Links to folders are followed, each folder is visited once."""
    waiting: list[tuple[Path, Key]] = [(root, ())]
    visited, count = {resolved(root)}, 0
    while waiting:
        folder, parts = waiting.pop()
        files, folders = _entries(folder)
        count += len(files)
        if count > MOST_FILES:
            raise SceneError(f"{root} holds more than {MOST_FILES} files: give the folder of the capture alone.")
        for name in sorted(files):
            if _suffix(name) in EXTENSIONS:
                yield FoundFile(folder / name, (*parts, name), tuple(normal_name(part) for part in (*parts, name)))
        for name, is_link in sorted(folders.items()):
            inner = folder / name
            real = resolved(inner) if is_link else inner
            if not name.startswith(".") and real not in visited:
                visited.add(real)
                waiting.append((inner, (*parts, name)))


def _entries(folder: Path) -> tuple[list[str], dict[str, bool]]:
    """Names of a folder's files, and of its folders with whether each is a link; none where it cannot be listed."""
    files: list[str] = []
    folders: dict[str, bool] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir():
                        folders[entry.name] = entry.is_symlink()
                    elif entry.is_file():
                        files.append(entry.name)
                except OSError:  # a loop of links
                    continue
    except (OSError, ValueError):
        return [], {}
    return files, folders


def normal_name(name: str) -> str:
    """A name without what file systems and programs change about it: case, Unicode form, undecodable bytes."""
    with contextlib.suppress(UnicodeEncodeError):
        raw = name.encode("utf-8", "surrogateescape")
        name = raw.decode("utf-8" if raw == name.encode("utf-8", "ignore") else "latin-1")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def stem_of(name: str) -> str:
    """A name without the extension of a picture."""
    return os.path.splitext(name)[0] if _suffix(name) in EXTENSIONS else name


def _bare(name: str) -> str:
    """A name without any extension of a picture: 0001 of 0001.jpg.png."""
    while (stem := stem_of(name)) != name:
        name = stem
    return name


def is_photo_key(key: Key) -> bool:
    """Whether a picture under such a path is a photo, as opposed to a mask, a reduction or a depth of one."""
    return _kind(key) == "photo"


def _kind(key: Key) -> str:
    """Which kind of file stands under such a path: a photo, or something beside photos."""
    for folder in key[-4:-1]:
        for kind, pattern in _KINDS:
            if pattern.fullmatch(folder):
                return kind
    return "photo"


def _common_tail(parts: Key, others: Key) -> int:
    count = 0
    for part, other in zip(reversed(parts), reversed(others), strict=False):
        if part != other:
            break
        count += 1
    return count


def _encodable(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise SceneError(f"The name of {path} is not valid Unicode: rename the file and its entry.") from None
    return path


def _ambiguous(path: Path, candidates: Sequence[Path]) -> SceneError:
    first, second = sorted(candidates)[:2]
    return SceneError(f"{path} may be {first} or {second}: keep one of them, or state its path in full.")
