"""The hash encoding, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf import kernels
from speed import floors
from speed.machine import Rates
from speed.measure import Row, compare, row, timed
from speed.plain import by_definition, plainly
from speed.sizes import Sizes

TARGET = 20.0


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Against all levels at once in plain torch, against the definition, and against the floor."""
    layout, points = sizes.encode, torch.rand(sizes.points, 3)
    table = torch.rand(layout.entries, layout.features, requires_grad=True)
    gradient = torch.rand(sizes.points, layout.width)
    name = f"{layout.levels} levels x {layout.features}, 2^{layout.log2_entries} entries, {sizes.points} points"

    def forward() -> None:
        with torch.no_grad():
            kernels.hash_encode(points, table, layout)

    def both_ways() -> None:
        torch.autograd.grad(kernels.hash_encode(points, table, layout), table, gradient)

    yield from compare("encode", name, {"encode forward": forward}, plainly(forward), sizes.slow_repeats)
    both = "encode forward + backward"
    yield from compare("encode", name, {both: both_ways}, plainly(both_ways), sizes.slow_repeats)
    against = f"{both}, against the definition"
    yield from compare(
        "encode", name, {against: both_ways}, by_definition(both_ways), sizes.slow_repeats, targets={against: TARGET}
    )
    count = floors.encode(layout, sizes.points)
    for label, work, times in (("encode forward", forward, 1), (both, both_ways, 2)):
        values = [seconds / (count * times).floor(rates) for seconds in timed(work, sizes.repeats)]
        yield row("floor", label, f"{name}; limit: {count.limit(rates)}", values, "x floor")
