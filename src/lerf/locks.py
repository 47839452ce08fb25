"""One process at a time writes a run, a folder of pictures or a file; whoever only reads is never kept waiting.

The lock is the operating system's, on a file of its own that goes when the work is done. A process that dies leaves the
file and not the lock, so that nobody need clear anything away.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from lerf.errors import LerfWarning, StorageError
from lerf.files import is_folder, is_still_at

LOCK = ".lock"
"""Name of the file in a locked folder."""
UNFINISHED = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}")
"""Names of the temporary files of `files.write_atomically`."""
_LOCKED_BYTE = 1 << 30
"""Where Windows locks: beyond the process's number, which others are to read."""


class BusyError(StorageError):
    """Another process holds what is to be written."""


@contextlib.contextmanager
def locked_folder(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder, which is made if it is not there; see `locked_file`.

    Raises:
        BusyError: another process writes it.
        StorageError: it cannot be written.
    """
    with _held(folder / LOCK, folder, otherwise):
        yield


@contextlib.contextmanager
def locked_file(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a file that is going to be written; it need not be there.

    Args:
        path: the file.
        otherwise: what can be done instead of waiting, in the imperative: "choose another --output".

    Raises:
        BusyError: another process writes it.
        StorageError: its folder cannot be written.
    """
    with _held(path.with_name(f".{path.name}{LOCK}"), path, otherwise):
        yield


def remove_unfinished(folder: Path, *names: str) -> int:
    """Remove files of these names that killed processes began and did not finish; returns how many.

    Whoever calls holds the lock, for the files may otherwise be those of a process that is at work.
    """
    removed = 0
    for file in unfinished(folder, *names):
        with contextlib.suppress(OSError):
            file.unlink()
            removed += 1
    return removed


def unfinished(folder: Path, *names: str) -> list[Path]:
    """Files of these names that an atomic write began and did not finish; a name may be a suffix, such as `*.png`."""
    found = []
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            match = UNFINISHED.fullmatch(file.name)
            if match and any(_named(match["name"], name) for name in names) and not is_folder(file):
                found.append(file)
    return sorted(found)


def _named(name: str, wanted: str) -> bool:
    return name.endswith(wanted[1:]) if wanted.startswith("*") else name == wanted


@contextlib.contextmanager
def _held(lock: Path, what: Path, otherwise: str) -> Iterator[None]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        number = _taken(lock)
    except BlockingIOError:
        raise BusyError(
            f"Another lerf process{_owner(lock)} is writing {what}; wait until it has ended, or {otherwise}."
        ) from None
    except OSError as error:
        raise StorageError(
            f"Cannot write {what}: {error.strerror or error}. Free space or choose another folder."
        ) from error
    try:
        yield
    finally:
        # Before it is let go: whoever waits for it sees that it is gone, and makes a new one. Windows deletes no file
        # that is open, and there it stays.
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(number)


def _taken(lock: Path) -> int:
    """The descriptor of the file of a lock, once it is ours.

    Raises:
        BlockingIOError: another process has it.
        OSError: the file cannot be made.
    """
    while True:
        number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(number, lock)
            # Whoever had it may have deleted the file meanwhile: a lock on a deleted file keeps nobody out.
            if is_still_at(lock, number):
                with contextlib.suppress(OSError):  # on a full disk the number is missing from a message
                    os.ftruncate(number, 0)
                    os.write(number, f"{os.getpid()}\n".encode())
                return number
        except BaseException:
            os.close(number)
            raise
        os.close(number)


def _lock(number: int, lock: Path) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(number, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None
        os.lseek(number, 0, os.SEEK_SET)
        return
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        warnings.warn(
            f"{lock.parent} is on a disk without locks ({error.strerror}): let one lerf process at a time write there.",
            LerfWarning,
            stacklevel=2,
        )


def _owner(lock: Path) -> str:
    """The number of the process that holds a lock, where it can be read."""
    try:
        number = int(lock.read_text()[:20])
    except (OSError, ValueError):
        return ""
    return f" ({number})"
