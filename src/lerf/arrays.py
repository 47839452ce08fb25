"""Arrays and tensors from files: what a header claims is compared with what the file holds before memory is taken."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lerf.errors import LerfError
from lerf.files import is_file


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

    Args:
        path: the file.
        error: raised when it cannot be read.
        remedy: what to do then, in the imperative and without a full stop.
        device: of the tensors.

    Raises:
        LerfError: of the class `error`: missing, no safetensors, or cut off.
    """
    if not is_file(path):
        raise error(f"There is no file {path}; {remedy}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError, KeyError) as problem:
        raise error(f"{path} is damaged ({str(problem) or type(problem).__name__}); {remedy}.") from None
    return {name: tensor.to(device) for name, tensor in tensors.items()}, header
