"""One step of language training."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf.language.field import LanguageField
from lerf.training.language import LanguageTrainer, LanguageTraining
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, Work, compare, row, timed
from speed.plain import DenseOptimiser, by_definition, plainly
from speed.sizes import Sizes

TARGET = 20.0
RATIOS = (0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5)
"""The paper's seven tile heights."""


def trainer_of(
    field: LanguageField, sizes: Sizes, plain: bool = False, rays: int | None = None, photos: int = scenery.PHOTOS
) -> LanguageTrainer:
    """A trainer on made-up targets."""
    trainer = LanguageTrainer(
        field,
        LanguageTraining(rays=rays or sizes.rays),
        scenery.ray_pool(sizes, photos=photos),
        scenery.pyramid(sizes.width, RATIOS, photos),
        scenery.pyramid(sizes.dense_width, (0.05,), photos),
        seed=0,
    )
    if plain:
        table = field.grid.table
        trainer.table = DenseOptimiser(torch.optim.RAdam([table], eps=1e-15))  # type: ignore[assignment]
        field.grid.sink = None
    return trainer


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Deferred and per-sample against the paper's step in plain torch; with the samples' cost counted in; and against
    the paper's step with the definition's encoding."""
    deferred, each = "language step, deferred", "language step, per-sample"
    against = f"{deferred}, against the definition"
    field = scenery.language_field(sizes)
    ours = trainer_of(field, sizes)
    sampled = trainer_of(scenery.language_field(sizes, "per-sample"), sizes)
    reference = trainer_of(scenery.language_field(sizes, "per-sample"), sizes, plain=True)
    c = sizes.language
    work = f"{sizes.rays} rays x {c.samples} samples, {field.grid.layout.levels} levels x {c.features}, "
    work += f"2^{c.log2_entries} entries, head {c.layers} x {c.hidden} to {sizes.width}"
    plain = plainly(reference.step)
    yield from compare(
        "language step", work, {deferred: ours.step, each: sampled.step}, plain, sizes.slow_repeats, warm=False
    )
    # Ours draws its rays from a pool that was sampled once; the paper's step samples the radiance every time.
    radiance, rays = scenery.radiance_field(sizes), scenery.rays_of(sizes.rays)

    def with_samples() -> None:
        radiance.sample_rays(rays).traced(rays, c.samples)
        reference.step()

    yield from compare(
        "language step", work, {"language step, each its own samples": ours.step}, plainly(with_samples),
        sizes.slow_repeats, warm=False,
    )  # fmt: skip
    yield from compare(
        "language step", work, {against: ours.step}, by_definition(reference.step), sizes.slow_repeats,
        targets={against: TARGET}, warm=False,
    )  # fmt: skip
    count = count_of(sizes, field)
    values = [seconds / count.floor(rates) for seconds in timed(ours.step, sizes.repeats)]
    yield row("floor", deferred, f"{work}; limit: {count.limit(rates)}", values, "x floor")


def step_on(sizes: Sizes, rays: int | None = None, photos: int = scenery.PHOTOS) -> Work:
    """Our step, deferred, for rows of growth and memory."""
    return trainer_of(scenery.language_field(sizes), sizes, rays=rays, photos=photos).step


def plain_step_on(sizes: Sizes) -> Work:
    """The reference's, for its memory."""
    return plainly(trainer_of(scenery.language_field(sizes, "per-sample"), sizes, plain=True).step)


def count_of(sizes: Sizes, field: LanguageField) -> floors.Count:
    """Encoding and both heads both ways, sums along rays; the optimiser is counted with its own row."""
    c, layout = sizes.language, field.grid.layout
    points = sizes.rays * c.samples
    head = (layout.width + 1, *[c.hidden] * c.layers, sizes.width)
    return (
        floors.encode(layout, points) * 2
        + floors.composite(sizes.rays, c.samples, layout.width) * 3
        + floors.dense(sizes.rays, head, backward=True)
        + floors.dense(sizes.rays, (layout.width, c.dense_hidden, sizes.dense_width), backward=True)
    )
