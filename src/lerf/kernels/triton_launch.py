"""Starting Triton kernels: on a GPU, or interpreted on the CPU for tests (TRITON_INTERPRET=1 before Python starts)."""

from __future__ import annotations

import os
from typing import Any

import torch
import triton
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
LARGER = 16 if INTERPRETED else 1
"""Interpreted, each program costs milliseconds however much it does: so few are started, each with more to do."""


def launch(kernel: Any, programs: tuple[int, ...], *arguments: Tensor | int, **constants: int) -> None:
    """Run `programs` of a kernel.

    Args:
        kernel: a function compiled by `triton.jit`.
        programs: how many, along up to two axes; the first one may be large, none of them 0.
        arguments: the kernel's, in order; tensors are contiguous and all on one device.
        constants: the kernel's compile-time arguments by name.

    Raises:
        ValueError: the tensors are on a CPU, and Triton does not interpret.
    """
    if not INTERPRETED and any(isinstance(each, Tensor) and each.device.type == "cpu" for each in arguments):
        raise ValueError("Triton serves CPU tensors only interpreted; start Python with TRITON_INTERPRET=1.")
    kernel[programs](*arguments, **constants)


def blocks(count: int, each: int) -> int:
    """Programs for `count` rows of which each does `each`."""
    return -(-count // each)


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return int(triton.next_power_of_2(count))


def number(value: float | Tensor, like: Tensor) -> Tensor:
    """A number as a tensor of float32 on the device of another, for kernels that read it there."""
    if isinstance(value, Tensor):
        return value
    return torch.full((), value, dtype=torch.float32, device=like.device)
