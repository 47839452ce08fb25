"""The hash encoding, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lerf import kernels
from lerf.kernels.layout import GridLayout
from speed import floors
from speed.machine import Rates
from speed.measure import Row, Work, compare, row, timed
from speed.plain import by_definition, plainly
from speed.sizes import Sizes

TARGET = 20.0
HIDDEN, OUTPUTS = 32, 8
"""Units of the density network of the CPU presets."""
ALONG = 32
"""Points of a ray."""


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
    yield from compare(
        "encode", f"{name}, {HIDDEN} and {OUTPUTS} units", *_in_one_pass(table, layout, sizes.points), sizes.repeats
    )
    count = floors.encode(layout, sizes.points)
    for label, work, times in (("encode forward", forward, 1), (both, both_ways, 2)):
        values = [seconds / (count * times).floor(rates) for seconds in timed(work, sizes.repeats)]
        yield row("floor", label, f"{name}; limit: {count.limit(rates)}", values, "x floor")


def _in_one_pass(table: Tensor, layout: GridLayout, count: int) -> tuple[dict[str, Work], Work]:
    """Encoding and the density network in one kernel, and one after the other by the fast kernels of each, of points
    along rays, as pictures have them."""
    directions = torch.nn.functional.normalize(torch.randn(count // ALONG, 1, 3), dim=-1)
    points = (0.5 + 0.4 * torch.linspace(0, 1, ALONG)[None, :, None] * directions).flatten(0, 1)
    weights = [torch.rand(HIDDEN, layout.width) - 0.5, torch.rand(OUTPUTS, HIDDEN) - 0.5]
    biases = [None, torch.rand(OUTPUTS)]

    @torch.no_grad()
    def together() -> None:
        kernels.encoded_layers(points, table, layout, weights, biases)

    @torch.no_grad()
    def apart() -> None:
        kernels.dense_layers(kernels.hash_encode(points, table, layout), weights, biases)

    return {"encode and layers, against one after the other": together}, apart
