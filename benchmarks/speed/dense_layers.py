"""The head's matrix products against the machine's rate."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf.language.folded_head import FoldedHead
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, row, timed
from speed.sizes import Sizes

TARGET = 70.0


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Share of the measured matrix rate that the head reaches, biases, activations and normalisation included."""
    field, count = scenery.language_field(sizes), sizes.rays
    features, scale = torch.rand(count, field.grid.layout.width), torch.full((count,), 0.2)
    head, texts = FoldedHead(field), scenery.unit(5, sizes.width)
    c = sizes.language
    inputs = (field.grid.layout.width + 1, *[c.hidden] * c.layers)

    def forward() -> None:
        with torch.no_grad():
            field.embed(features, scale)

    def both_ways() -> None:
        field.embed(features.clone().requires_grad_(), scale).sum().backward()

    for name, work, ends, times in (
        ("head, forward", forward, sizes.width, 1),
        ("head, forward and backward", both_ways, sizes.width, 3),
        (
            "head with phrases folded in",
            lambda: head.cosines(features, scale, texts),
            min(c.hidden + 1, sizes.width) + 5,
            1,
        ),
    ):
        flops = floors.dense(count, (*inputs, ends)).flops * times
        values = [100.0 * flops / seconds / rates.flops for seconds in timed(work, sizes.repeats)]
        yield row("dense layers", name, f"{count} rows, {c.layers} x {c.hidden}", values, "%", TARGET)
