"""One step of radiance training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from lerf.radiance.hash_grid.field import RadianceField
from lerf.training.radiance import RadianceTrainer, RadianceTraining
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, Work, compare, row, timed
from speed.plain import DenseOptimiser, by_definition, plainly
from speed.sizes import Sizes

TARGET = 8.0
CHEAP = {"samples": 16, "shading": "deferred"}
"""Our own sampling and shading, those of lerf-cpu."""


def step_of(field: RadianceField, sizes: Sizes, plain: bool = False) -> Work:
    """One optimiser step on the same rays each time."""
    trainer = RadianceTrainer(field, RadianceTraining(rays=sizes.rays, distortion_ramp=(0, 1)), seed=0)
    if plain:
        table = field.grid.table
        trainer.table = DenseOptimiser(torch.optim.Adam([table], betas=(0.9, 0.99), eps=1e-15))  # type: ignore
        field.grid.sink = None
    batch = scenery.ray_batch(sizes.rays)

    def step() -> None:
        # Neither the proposal's start nor the refresh of its grid, every eighth step, is what is compared.
        trainer.step_count = 1001
        trainer.step(lambda count, generator: batch)

    return step


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """With the same samples, and each side with its own; and with the same samples against the definition."""
    field = scenery.radiance_field(sizes)
    plain = scenery.radiance_field(sizes)
    samples = min(CHEAP["samples"], sizes.radiance.samples)  # type: ignore[type-var]
    own = RadianceField(replace(sizes.radiance, samples=samples, shading="deferred"), scenery.PHOTOS)
    own.density_grid.copy_(field.density_grid)
    same, cheap = "radiance step, same samples", "radiance step, each its own samples"
    ours = step_of(field, sizes)
    work = f"{sizes.rays} rays x {sizes.radiance.samples} samples, {sizes.radiance.levels} levels, colour at each; "
    work += f"own: {samples} samples, colour once a ray"
    in_torch = step_of(plain, sizes, plain=True)
    yield from compare(
        "radiance step", work, {same: ours, cheap: step_of(own, sizes)}, plainly(in_torch), sizes.slow_repeats,
        warm=False,
    )  # fmt: skip
    against = f"{same}, against the definition"
    yield from compare(
        "radiance step", work, {against: ours}, by_definition(in_torch), sizes.slow_repeats,
        targets={against: TARGET}, warm=False,
    )  # fmt: skip
    count = count_of(sizes)
    values = [seconds / count.floor(rates) for seconds in timed(ours, sizes.slow_repeats)]
    yield row("floor", same, f"{work}; limit: {count.limit(rates)}", values, "x floor")


def count_of(sizes: Sizes) -> floors.Count:
    """Encoding both ways and networks both ways; the optimiser is counted with its own row."""
    c = sizes.radiance
    points, layout = sizes.rays * c.samples, scenery.radiance_field(sizes).grid.layout
    density = floors.dense(points, (layout.width, c.hidden, 1 + c.geometry), backward=True)
    colour = floors.dense(points, (c.geometry + 16, c.colour_hidden, c.colour_hidden, 3), backward=True)
    return floors.encode(layout, points) * 2 + density + colour
