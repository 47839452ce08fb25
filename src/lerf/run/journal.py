"""What a run tells about its making, `timings.json` and `metrics.jsonl`: nothing depends on it.

A file that is damaged is replaced, with a warning, and stops nothing.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from lerf.documents import parse_document, read_document
from lerf.errors import LerfError, LerfWarning, RunError, StorageError
from lerf.files import is_file, read_bytes, write_atomically, write_json

LARGEST = 64_000_000
"""Bytes of either file; a long training writes some 300,000 of metrics."""


@dataclass
class Timings:
    """Content of `timings.json`."""

    seconds: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1e12)]] = field(default_factory=dict)
    """By stage."""
    peak_memory_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


class _Line(msgspec.Struct):
    """What must be in each line of `metrics.jsonl`, beside numbers of any name."""

    stage: str
    step: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def read_timings(path: Path) -> Timings:
    """The timings in a file, or none, with a warning where there are some and they cannot be read."""
    if not os.path.lexists(path):
        return Timings()
    try:
        return read_document(path, Timings, error=RunError, remedy="its timings begin anew", largest=LARGEST)
    except RunError as error:
        _warn(error)
        return Timings()


def write_timings(path: Path, timings: Timings) -> None:
    """Write timings; where something else than a file has their name they are left out.

    Raises:
        StorageError: when the disk is full or the folder cannot be written.
    """
    if _can_be_written(path):
        write_json(path, timings.to_dict())


def append_metrics(path: Path, values: Mapping[str, str | int | float]) -> None:
    """Add one line; where something else than a file has their name, or may not be written, it is left out.

    Raises:
        StorageError: when the disk is full.
    """
    if not _can_be_written(path):
        return
    try:
        with open(path, "a") as file:
            file.write(json.dumps(dict(values)) + "\n")
    except PermissionError as error:
        warnings.warn(f"{path} cannot be written ({error.strerror}): metrics are left out.", LerfWarning, stacklevel=2)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror}. Free space or choose another folder.") from error


def trim_metrics(path: Path, stage: str, step: int) -> None:
    """Forget the lines of a stage after `step`, which will be written again, and a line that a kill cut off.

    Other lines that cannot be read are forgotten with a warning.

    Raises:
        StorageError: when the disk is full or the folder cannot be written.
    """
    if not is_file(path):
        return
    try:
        data = read_bytes(path, error=RunError, remedy="its metrics begin anew", largest=LARGEST)
    except RunError as error:
        _warn(error)
        data = b""
    *lines, cut_off = data.split(b"\n")
    kept, damaged = [], 0
    for line in lines:
        try:
            values = parse_document(line, _Line, str(path), error=RunError, remedy="it is forgotten")
            if values.stage != stage or values.step <= step:
                kept.append(line + b"\n")
        except RunError:
            damaged += 1
    if damaged:
        _warn(RunError(f"{path} has {damaged} damaged lines: they are forgotten."))
    if damaged or cut_off or len(kept) < len(lines) or not data:
        write_atomically(path, lambda file: file.write(b"".join(kept)))


def _can_be_written(path: Path) -> bool:
    """Whether a file is there or can be: no folder and no pipe, to which writing would wait for a reader."""
    if not os.path.lexists(path) or is_file(path):
        return True
    _warn(RunError(f"{path} is not a regular file: what belongs there is left out; delete it."))
    return False


def _warn(error: LerfError) -> None:
    warnings.warn(str(error), LerfWarning, stacklevel=3)
