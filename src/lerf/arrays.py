"""Arrays and tensors from files: what a header claims is compared with what the file holds before memory is taken."""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lerf.errors import LerfError
from lerf.files import is_file, write_atomically

CHECKSUM = "sha256"
"""Entry of a safetensors header: `digest_of` the other entries and the tensors."""
VERSION = "format"
"""Entry that the checksum leaves out, so that a file of a newer version is said to be that and not damaged."""


def read_npy(data: bytes) -> np.ndarray:
    """The array of an NPY file of plain numbers.

    Raises:
        ValueError: it is none, or its header does not fit what follows.
    """
    shape, fortran, kind, start = _npy_header(io.BytesIO(data), len(data))
    return np.frombuffer(data, kind, offset=start).reshape(shape, order="F" if fortran else "C")


def map_npy(path: Path) -> np.memmap:
    """The array of an NPY file, memory-mapped.

    Raises:
        ValueError: as `read_npy`.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        shape, fortran, kind, start = _npy_header(file, path.stat().st_size)
    if 0 in shape:
        raise ValueError("it is empty")
    return np.memmap(path, kind, "r", start, shape, "F" if fortran else "C")


def _npy_header(file: io.BufferedIOBase, size: int) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, type, and where the numbers begin in a file of `size` bytes."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(file)
    except Exception as error:  # What a damaged header raises depends on where the damage is.
        raise ValueError(f"its header is damaged: {type(error).__name__}") from None
    if kind.kind not in "biuf" or any(side < 0 for side in shape):
        raise ValueError(f"it holds {kind} of shape {list(shape)}, no plain numbers")
    start = file.tell()
    if math.prod(shape) * kind.itemsize != size - start:
        raise ValueError(f"it has {size - start} bytes of numbers and not the {kind} of shape {list(shape)} it states")
    return shape, fortran, kind, start


def read_tensors(
    path: Path, *, error: type[LerfError], remedy: str, device: str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the texts of the header, of a safetensors file; it states no more than it holds.

    Where the header has a `CHECKSUM`, as `write_tensors` gives it, it is compared.

    Args:
        path: the file.
        error: raised when it cannot be read.
        remedy: what to do then, in the imperative and without a full stop.
        device: of the tensors.

    Raises:
        LerfError: of the class `error`: missing, no safetensors, cut off, or with another checksum.
    """
    if not is_file(path):
        raise error(f"There is no file {path}; {remedy}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError, KeyError) as problem:
        raise error(f"{path} is damaged ({str(problem) or type(problem).__name__}); {remedy}.") from None
    if CHECKSUM in header and header[CHECKSUM] != digest_of(tensors, header):
        raise error(f"{path} is damaged (it is not what was written: its checksum is another); {remedy}.")
    return {name: tensor.to(device) for name, tensor in tensors.items()}, header


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Write a safetensors file with a `CHECKSUM` in one move; equal content gives equal bytes.

    Raises:
        StorageError: when the disk is full or the folder cannot be written; the old file is kept.
    """
    # Copies, since tensors may share memory, which safetensors refuses.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    data = _ordered(save(copies, {**header, CHECKSUM: digest_of(copies, header)}))
    write_atomically(path, lambda file: file.write(data))


def digest_of(tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    """Hexadecimal SHA-256 over tensors and the entries of a header, but `VERSION` and `CHECKSUM`, in the order of their
    names."""
    entries = {name: text for name, text in header.items() if name not in (VERSION, CHECKSUM)}
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _ordered(data: bytes) -> bytes:
    """A safetensors file whose header lists its texts by name, not in the random order of the library."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    texts = header.pop("__metadata__")
    header = {"__metadata__": dict(sorted(texts.items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Tensors are aligned to 8 bytes.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
