"""A random walk with restart in fewer products than it has steps, and its products by torch.

`steps` steps are a polynomial of the transition matrix, which is similar to a symmetric matrix with eigenvalues in
-1..1. Written in Chebyshev polynomials its coefficients fall off fast from about the square root of `steps` on: a walk
seldom ends far from where it began (Varopoulos 1985, Carne 1985). What they leave out is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch.nn.functional as F
from torch import Tensor

from lerf.kernels.types import SparseRows

LEFT_OUT = 1e-3
"""Sum of the sizes of coefficients that are left out, and of what makes up for them. The result differs from that of
all steps by no more than this times the root mean square of what is propagated, both weighted by the points' degrees in
the graph."""

Turn = Callable[[Tensor, Tensor, Tensor, float, float], None]
"""`turn(before, now, total, factor, share)` makes before factor * T now - (factor - 1) * before, and adds share times
that to total."""


@cache
def coefficients(restart: float, steps: int, left_out: float = LEFT_OUT) -> tuple[float, ...]:
    """Of the Chebyshev polynomials whose sum are `steps` steps of `reference.propagate`; one more than products."""
    nodes = [math.pi * (node + 0.5) / (steps + 1) for node in range(steps + 1)]
    values = []
    for node in nodes:
        value = 1.0
        for _ in range(steps):
            value = restart + (1.0 - restart) * math.cos(node) * value
        values.append(value)
    found = [
        (2.0 - (degree == 0))
        / (steps + 1)
        * math.fsum(value * math.cos(degree * node) for value, node in zip(values, nodes, strict=True))
        for degree in range(steps + 1)
    ]
    kept, rest = steps + 1, 0.0
    while kept > 1 and rest + abs(found[kept - 1]) <= 0.5 * left_out:
        kept, rest = kept - 1, rest + abs(found[kept - 1])
    # What is the same everywhere stays the same: the polynomials are 1 there, and so is their sum.
    found[kept - 1] += 1.0 - math.fsum(found[:kept])
    return tuple(found[:kept])


def summed(own: Tensor, restart: float, steps: int, turn: Turn) -> Tensor:
    """The sum of the Chebyshev polynomials T_k of a matrix that `turn` multiplies by: T_k+1 x = 2 T T_k x - T_k-1 x."""
    first, *others = coefficients(restart, steps)
    total, before, now = first * own, own.clone(), own
    for number, share in enumerate(others):
        turn(before, now, total, 1.0 if number == 0 else 2.0, share)
        before, now = (own.clone() if number == 0 else now), before
    return total


def propagate(own: Tensor, transition: SparseRows, restart: float, steps: int) -> Tensor:
    """See `reference.propagate`."""
    if not own.numel():
        return own
    starts, columns, values = transition

    def turn(before: Tensor, now: Tensor, total: Tensor, factor: float, share: float) -> None:
        drawn = F.embedding_bag(columns, now, starts, mode="sum", per_sample_weights=values, include_last_offset=True)
        before.mul_(1.0 - factor).add_(drawn, alpha=factor)
        total.add_(before, alpha=share)

    return summed(own, restart, steps, turn)
