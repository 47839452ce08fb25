"""Named tensors with facts about them in one file: safetensors, byte-equal for equal content, with a checksum.

The header's `__metadata__` has `format`, a version; `facts`, a JSON object; and `sha256`, over all names, types, shapes
and numbers and the facts, so that no flipped bit goes unseen. Files without a checksum, which older versions wrote, are
read too. What the header says is held against the length of the file before memory is taken for any tensor.

The library safetensors reads these files, and what it writes is read here; it orders the metadata by chance.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import torch
from torch import Tensor

from lerf.documents import converted, parse_document
from lerf.errors import LerfError
from lerf.files import is_file, write_atomically

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""Types by their names in the file."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST_HEADER = 100_000_000
"""Bytes, as the library has it."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Entry(msgspec.Struct):
    """A tensor as the header describes it."""

    dtype: Annotated[str, msgspec.Meta(max_length=8)]
    shape: Annotated[list[Count], msgspec.Meta(max_length=16)]
    data_offsets: tuple[Count, Count]


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """No other names, so that a flipped bit in that of the checksum does not make it go unseen."""

    format: str | None = None
    facts: str | None = None
    sha256: str | None = None
    index: str | None = None
    """Where indices of version 0.1 have their facts."""


class _Header(msgspec.Struct):
    metadata: _Metadata
    entries: dict[str, _Entry]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], version: int) -> None:
    """Write tensors and facts, which are plain JSON values, in one move.

    Raises:
        StorageError: when the disk is full or the folder cannot be written; the old file is kept.
    """
    parts = tensor_parts(tensors, facts, version)

    def write(file: BinaryIO) -> None:
        for part in parts:
            file.write(part)

    write_atomically(path, write)


def tensor_parts(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], version: int) -> list[bytes | memoryview]:
    """The content of a file of tensors, for one that is no file of its own."""
    # Wide types first, so that every tensor is aligned, as the library does it.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    flat = {name: _bytes(tensors[name]) for name in order}
    entries, end = {}, 0
    for name in order:
        start, end = end, end + len(flat[name])
        entries[name] = {
            "dtype": NAMES[tensors[name].dtype], "shape": list(tensors[name].shape), "data_offsets": [start, end],
        }  # fmt: skip
    text = json.dumps(dict(facts), sort_keys=True)
    digest = _started(entries, text)
    for part in flat.values():
        digest.update(part)
    metadata = {"facts": text, "format": str(version), "sha256": digest.hexdigest()}
    header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return [len(header).to_bytes(8, "little"), header, *flat.values()]


class TensorFile:
    """A file of tensors, opened: its header is read and fits its length, the tensors are read when asked for."""

    def __init__(self, path: Path, *, error: type[LerfError], remedy: str, content: bytes | None = None) -> None:
        """
        Args:
            path: of the file, or what its content is called in errors.
            error, remedy: see `damaged`.
            content: of what is no file of its own (`tensor_parts`).

        Raises:
            LerfError: of the class `error`: it is missing or damaged; `remedy` says what to do.
        """
        self.path, self.error, self.remedy, self._content = path, error, remedy, content
        if content is None and not is_file(path):
            raise self.damaged("there is no such file")
        try:
            with self._opened() as file:
                self._start, plain = self._header(file)
        except OSError as problem:
            raise self.damaged(problem.strerror or str(problem)) from None
        parts = {"metadata": plain.pop("__metadata__", {}), "entries": plain}
        header = converted(parts, _Header, f"The header of {path}", error=error, remedy=remedy)
        self._metadata, self._entries = header.metadata, header.entries
        self._check_sizes()

    @property
    def version(self) -> str | None:
        """What the header says under `format`."""
        return self._metadata.format

    @property
    def has_checksum(self) -> bool:
        """Whether it was written with a checksum, which `tensors` compares."""
        return self._metadata.sha256 is not None

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that were written beside the tensors.

        Raises:
            LerfError: there are none.
        """
        text = self._metadata.index if self._metadata.facts is None else self._metadata.facts
        if text is None:
            raise self.damaged("its header has no facts")
        return parse_document(text, dict, f"The header of {self.path}", error=self.error, remedy=self.remedy)

    def tensors(self, may_be_nan: str | None = None) -> dict[str, Tensor]:
        """All tensors; those whose names begin with `may_be_nan` may have numbers that are NaN.

        Raises:
            LerfError: the checksum is another, or a number is NaN.
        """
        digest = _started(self._plain_entries(), self._metadata.facts or "")
        found = {}
        try:
            with self._opened() as file:
                file.seek(self._start)
                for name in self._in_order():
                    entry = self._entries[name]
                    found[name] = torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
                    view = memoryview(_flat(found[name]).numpy())  # type: ignore[arg-type]
                    if file.readinto(view) != len(view):  # type: ignore[attr-defined]
                        raise self.damaged("it is cut off")
                    digest.update(view)
        except OSError as problem:
            raise self.damaged(problem.strerror or str(problem)) from None
        if self._metadata.sha256 is not None and digest.hexdigest() != self._metadata.sha256:
            raise self.damaged("its content does not have the checksum that it was written with")
        for name, tensor in found.items():
            if may_be_nan is not None and name.startswith(may_be_nan):
                continue
            if tensor.is_floating_point() and bool(tensor.isnan().any()):
                raise self.damaged(f"{name} has numbers that are NaN")
        return found

    def damaged(self, why: str) -> LerfError:
        """The error that says so."""
        return self.error(f"{self.path} is damaged ({why}); {self.remedy}.")

    def _opened(self) -> io.BufferedReader | io.BytesIO:
        return open(self.path, "rb") if self._content is None else io.BytesIO(self._content)

    def _header(self, file: io.BufferedReader | io.BytesIO) -> tuple[int, dict[str, Any]]:
        self._length = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if self._length < 8 or length > min(LONGEST_HEADER, self._length - 8):
            raise self.damaged("it is cut off, or no file of tensors")
        try:
            return 8 + length, msgspec.json.decode(file.read(length), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise self.damaged("its header cannot be read") from None

    def _check_sizes(self) -> None:
        """Tensors must follow one another without a gap, each as long as its shape says, up to the end of the file."""
        end = 0
        for name in self._in_order():
            entry = self._entries[name]
            if entry.dtype not in DTYPES:
                raise self.damaged(f"it has a tensor of the type {entry.dtype}")
            size = math.prod(entry.shape) * torch.empty(0, dtype=DTYPES[entry.dtype]).element_size()
            if entry.data_offsets != (end, end + size):
                raise self.damaged("its header does not fit its tensors")
            end += size
        if self._start + end != self._length:
            raise self.damaged("it is cut off, or longer than its header says")

    def _in_order(self) -> list[str]:
        return sorted(self._entries, key=lambda name: (*self._entries[name].data_offsets, name))

    def _plain_entries(self) -> dict[str, Any]:
        return {name: msgspec.to_builtins(self._entries[name]) for name in self._in_order()}


def _started(entries: Mapping[str, Any], facts: str) -> Any:
    """A digest that has seen everything but the numbers."""
    described = [[name, entries[name]["dtype"], list(entries[name]["shape"])] for name in sorted(entries)]
    return hashlib.sha256(json.dumps([described, facts]).encode())


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(_flat(tensor.detach().cpu().contiguous()).numpy())  # type: ignore[arg-type]
