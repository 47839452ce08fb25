"""Binary files of pose tools: packed numbers and texts, front to back, each held against the file's length."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.readers.text_lines import AGAIN, opened

LONGEST_NAME = 4096
"""Bytes of a photo's name."""


class PackedFile:
    """Takes packed numbers and texts off a file, front to back."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            SceneError: the file cannot be read; and so does whatever finds it cut off.
        """
        self._path = path
        self._file = opened(path)
        self._length = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> PackedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def count(self, least: int) -> int:
        """The number of entries, each of which has `least` bytes or more."""
        count = self.take("<Q")[0]
        if count * least > self._length - self._file.tell():
            raise self._cut_off()
        return count

    def take(self, form: str) -> tuple:
        size = struct.calcsize(form)
        data = self._file.read(size)
        if len(data) < size:
            raise self._cut_off()
        return struct.unpack(form, data)

    def table(self, kind: str, rows: int, columns: int) -> np.ndarray:
        """Rows of numbers of one type."""
        size = rows * columns * np.dtype(kind).itemsize
        if size > self._length - self._file.tell():
            raise self._cut_off()
        return np.frombuffer(self._file.read(size), kind).reshape(rows, columns)

    def text(self) -> str:
        start = self._file.tell()
        data = self._file.read(LONGEST_NAME + 1)
        end = data.find(b"\0")
        if end < 0:
            if len(data) <= LONGEST_NAME:
                raise self._cut_off()
            raise SceneError(f"{self._path} has a photo whose name does not end: {AGAIN}.")
        self._file.seek(start + end + 1)
        try:
            return data[:end].decode()
        except UnicodeDecodeError:
            return data[:end].decode("latin-1")

    def skip(self, count: int) -> None:
        if count > self._length - self._file.tell():
            raise self._cut_off()
        self._file.seek(count, os.SEEK_CUR)

    def finish(self, notes: list[str]) -> None:
        """Tell what lies behind the last entry."""
        left = self._length - self._file.tell()
        if left:
            notes.append(f"{self._path} goes on for {left} bytes after the entries that it counts: these are not read.")

    def _cut_off(self) -> SceneError:
        return SceneError(f"{self._path} is cut off: copy it again or {AGAIN}.")
