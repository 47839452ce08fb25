"""What a device asks for: uploads that nothing waits for, and work in parts that fit its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
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
            continue
        yield found
        start += size
