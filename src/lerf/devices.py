"""What a device asks for: uploads that nothing waits for, work in parts that fit its memory, and other ways to what
`mps`, the GPU of Apple's computers, cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lerf.errors import is_out_of_memory

T = TypeVar("T")
DEVICE_SHARE = 0.5
"""Of a GPU's free memory, what photos or features may take; networks, tables and passes need the rest."""


def upload(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of the CPU on a device; a GPU fetches it from pinned memory while the program goes on."""
    device = torch.device(device)
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def wide(tensor: Tensor) -> Tensor:
    """The tensor where 64-bit numbers can be worked with: on its own device, or on the CPU if that is `mps`.

    Apple's GPUs have no 64-bit floats, and torch sorts 64-bit integers wrongly there. `.to(device)` is the way back, of
    floats in single precision.
    """
    return tensor.cpu() if tensor.device.type == "mps" else tensor


def in_doubles(tensor: Tensor) -> Tensor:
    """The numbers in double precision, where they are or on the CPU (`wide`); `.float().to(device)` is the way back."""
    # Converted after they have come: a copy from `mps` cannot change them to doubles.
    return wide(tensor).double()


def sums_of_rows(
    table: Float[Tensor, "entries width"], rows: Int[Tensor, "sums few"], weights: Float[Tensor, "sums few"]
) -> Float[Tensor, "sums width"]:
    """Weighted sums of a few rows of a table each, in the table's precision.

    One fused operation; its plain definition is `(table[rows] * weights[..., None]).sum(1)`.
    """
    weights = weights.to(table.dtype)
    if table.device.type != "mps":
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    # Before torch 2.10 `mps` has no such operation. One row at a time, so that no more than two results are held.
    found = torch.zeros(len(rows), table.shape[1], device=table.device)
    for row, weight in zip(rows.long().unbind(1), weights.float().unbind(1), strict=True):
        found += weight[:, None] * table[row].float()
    return found.to(table.dtype)


def resized(
    pictures: Float[Tensor, "n channels height width"], size: Sequence[int], mode: Literal["bilinear", "bicubic"]
) -> Float[Tensor, "n channels rows columns"]:
    """Pictures at a size (rows, columns), without aliasing; where they are."""
    # The first versions of torch that `lerf` takes cannot do it on `mps`.
    return F.interpolate(wide(pictures), (size[0], size[1]), mode=mode, antialias=True).to(pictures.device)


@contextmanager
def in_single_precision() -> Iterator[None]:
    """Convolutions of 32-bit numbers with all their digits: cuDNN rounds them to ten bits unless it is told not to, and
    the caches of features say float32 of them."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def free_bytes(device: torch.device | str) -> int | None:
    """Memory of a GPU that new tensors may have, what torch keeps for them included; None for other devices."""
    device = torch.device(device)
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    kept = (
        torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device) if torch.cuda.is_initialized() else 0
    )
    return free + kept


def resident_bytes(device: torch.device | str, on_host: int) -> int:
    """What photos, or features, may take on a device: on a GPU a share of what is free there, elsewhere `on_host`,
    which is the user's limit for the computer's own memory."""
    free = free_bytes(device)
    return on_host if free is None else int(DEVICE_SHARE * free)


def in_parts(count: int, size: int, device: torch.device | str, work: Callable[[slice], T]) -> Iterator[T]:
    """What `work` gives for one slice of at most `size` after the other, of `count` things; for one slice, though
    empty, where there is nothing.

    Where a device runs out of memory the slice is halved, again and again, and the rest goes on in such smaller ones.

    Raises:
        RuntimeError: not even one thing at a time fits, or something else failed.
    """
    start = 0
    while start < max(count, 1):
        part = slice(start, min(start + size, count))
        try:
            found = work(part)
        except RuntimeError as error:
            if torch.device(device).type == "cpu" or size <= 1 or not is_out_of_memory(error):
                raise
            found = None
        if found is None:
            # Only here is nothing of the failed try held any more.
            size = (min(size, max(count, 1)) + 1) // 2
            if torch.device(device).type == "cuda":
                torch.cuda.empty_cache()
            elif torch.device(device).type == "mps":
                torch.mps.empty_cache()
            continue
        yield found
        start += size
