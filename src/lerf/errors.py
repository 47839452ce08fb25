"""Typed errors. Each message is one sentence that says what is wrong and what to do.

The command line prints the message of a `LerfError` and exits with code 2; Python callers catch the class they need.
"""

import re

from lerf.text import message_line


class LerfError(Exception):
    """Base of every error that bad input, a bad environment or a bad request can cause."""

    def __init__(self, message: str) -> None:
        """Whatever text of users and files is in the message, it becomes one line that a terminal can show."""
        super().__init__(message_line(message))


class SceneError(LerfError):
    """A capture cannot be read: missing or corrupt photo, malformed poses, impossible camera."""


class EncoderError(LerfError):
    """An encoder is unknown, not installed, or its weights do not fit."""


class QueryError(LerfError):
    """A phrase or a query setting cannot be answered."""


class RunError(LerfError):
    """A run folder is missing, incomplete, or written by a version that this one cannot read."""


class ConfigError(LerfError):
    """A setting is out of range or two settings contradict each other."""


class SplatError(LerfError):
    """A file of Gaussian splats cannot be read or written, or does not fit the capture."""


class CatalogueError(LerfError):
    """A catalogue of runs is missing, damaged, made with another encoder or version, or cannot be written."""


class StorageError(LerfError):
    """A file cannot be written, for example on a full disk."""


class LerfWarning(UserWarning):
    """Something that went on, but that the caller should know; the command line prints it on the terminal."""

    def __init__(self, message: str) -> None:
        """As of `LerfError`."""
        super().__init__(message_line(message))


OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|can't allocate memory|out of memory|not enough memory|bad_?\s?alloc", re.IGNORECASE
)
"""What torch says, which raises a RuntimeError then, or a kind of it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the processor or of a device ran out."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(f"{type(error).__name__}: {error}") is not None
