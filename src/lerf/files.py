"""Files: whether a path is one, bounded reads, atomic writes that leave them whole or absent, content hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from lerf.errors import LerfError, StorageError

LONGEST_NAME = 255
"""Bytes that file systems let a name have."""
_UMASK = os.umask(0)
os.umask(_UMASK)


def is_file(path: Path) -> bool:
    """Whether a path leads to a regular file: no pipe, no device.

    False for whatever cannot be one: a name that is too long or holds a NUL, a loop of links, a folder without access.
    """
    return _is(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; see `is_file`."""
    return _is(path, stat.S_ISDIR)


def is_absent(path: Path) -> bool:
    """Whether there is nothing at a path, as opposed to something that cannot be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def size_of(path: Path) -> int:
    """Bytes of a file, of a link those of its name; none of what has gone or cannot be looked at."""
    try:
        return os.lstat(path).st_size
    except (OSError, ValueError):
        return 0


def bytes_in(folder: Path) -> int:
    """Bytes of the regular files in a folder, without those in folders in it; 0 where it cannot be listed.

    Of a link the bytes of the file that it leads to, as the hub's cache has them.
    """
    try:
        names = os.listdir(folder)
    except (OSError, ValueError):
        return 0
    return sum(size_of(resolved(folder / name)) for name in names if is_file(folder / name))


def is_still_at(path: Path, descriptor: int) -> bool:
    """Whether the open file of a descriptor is the one that a path leads to, and was not deleted or replaced since."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except (OSError, ValueError):
        return False


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file or folder; False where one leads nowhere."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; none where it cannot be listed."""
    try:
        names = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []
    return [folder / name for name in names if is_folder(folder / name)]


def resolved(path: Path) -> Path:
    """The absolute path without links; with them where they cannot be followed, for example in a loop."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return Path(os.path.abspath(str(path).replace("\0", "")))


def resolver() -> Callable[[Path], Path]:
    """`resolved` for many paths in few folders, each of which is followed once."""
    folder = lru_cache(maxsize=None)(resolved)

    def follow(path: Path) -> Path:
        try:
            plain = path.name not in ("", os.pardir) and not stat.S_ISLNK(os.lstat(path).st_mode)
        except (OSError, ValueError):
            plain = False
        return folder(path.parent) / path.name if plain else resolved(path)

    return follow


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_bytes(path: Path, *, error: type[LerfError], remedy: str, largest: int) -> bytes:
    """All bytes of a regular file.

    Args:
        path: the file.
        error: raised when it cannot be read.
        remedy: what to do then, in the imperative and without a full stop.
        largest: bytes that it may have; its size is looked at before memory is taken.

    Raises:
        LerfError: of the class `error`: missing, not a regular file, without permission, or larger.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path} is not a regular file: {remedy}.")
        if status.st_size > largest:
            raise error(f"{path} has {status.st_size} bytes where {largest} are the most that can be: {remedy}.")
        with open(path, "rb") as file:
            # No further than it may be long: a buffer of that size is taken before a byte is read.
            data = file.read(min(largest, status.st_size) + 1)
    except (OSError, ValueError) as problem:
        said = (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)
        raise error(f"{path} cannot be read ({said.lower()}): {remedy}.") from None
    if len(data) > largest:
        raise error(f"{path} has more than the {largest} bytes that can be: {remedy}.")
    return data


def require_writable(folder: Path, remedy: str = "choose another folder") -> None:
    """Make sure that files can be written into a folder, which is made when the first is; nothing is left behind.

    Args:
        folder: may be missing, with folders above it.
        remedy: what to do where it cannot, in the imperative and without a full stop.

    Raises:
        StorageError: it, or a part of its path, is a file, a broken link, too long a name, or may not be written.
    """
    place, missing = Path(os.path.abspath(str(folder))), [""]
    try:
        while not os.path.lexists(place):
            missing.append(place.name)
            place = place.parent
        if any("\0" in name or len(os.fsencode(name)) > LONGEST_NAME for name in missing):
            raise OSError(errno.ENAMETOOLONG, "its name is too long or has a NUL in it")
        # Access bits do not tell what a read-only or full disk allows.
        with tempfile.TemporaryFile(dir=place):
            pass
    except (OSError, ValueError) as problem:
        said = (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)
        raise StorageError(f"Cannot write into {folder} ({said.lower()}): {remedy}.") from None


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a temporary file beside `path`, then move it into place.

    A reader sees the old file or the new one, never a part. The data is flushed to disk before the move, so that a
    power cut cannot leave an empty file under the final name.

    Raises:
        StorageError: when the disk is full or the folder cannot be written; the old file is kept.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
            # Temporary files are private; the result is as readable as any file that the user makes.
            os.chmod(file.name, 0o666 & ~_UMASK)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}. Free space or choose another folder."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused because other readers cannot parse it."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
