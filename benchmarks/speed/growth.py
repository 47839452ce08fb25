"""How time grows with the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from lerf import kernels
from speed import language_step, view_query
from speed.machine import Rates
from speed.measure import Row, Work, exponent, row, seconds, threads
from speed.sizes import Sizes


def grown(name: str, work: str, steps: Sequence[float], make: Callable[[float], Work], repeats: int) -> Row:
    """The exponent of time over size, and the times over the first's in words."""
    works = [make(step) for step in steps]
    for each in works:
        each()
    times = [[seconds(each) for each in works] for _ in range(repeats)]
    middle = sorted(times, key=lambda row: row[-1] / row[0])[len(times) // 2]
    listed = ", ".join(f"{step:g}: {value / middle[0]:.2f}" for step, value in zip(steps, middle, strict=True))
    return row("growth", name, f"{work}; time over the first's at {listed}",
               [exponent(steps, one) for one in times], "exponent")  # fmt: skip


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Rays, samples, views, image size, phrases, threads."""
    repeats, rays = sizes.slow_repeats + 1, sizes.rays
    small = replace(sizes, rays=rays // 4)

    yield grown("rays", "language step", [rays // 4, rays // 2, rays],
                lambda step: language_step.step_on(sizes, rays=int(step)), repeats)  # fmt: skip

    def with_samples(count: float) -> Work:
        return language_step.step_on(replace(small, language=replace(small.language, samples=int(count))))

    most = small.language.samples
    yield grown("samples", f"language step, {small.rays} rays", [most // 4, most // 2, most], with_samples, repeats)
    yield grown("views", f"language step, {small.rays} rays", [2, 8, 32],
                lambda photos: language_step.step_on(small, photos=int(photos)), repeats)  # fmt: skip
    width, height = sizes.view

    def on_view(pixels: float) -> Work:
        share = (pixels / (width * height)) ** 0.5
        return view_query.query_on(view_query.model_of(sizes, (round(width * share), round(height * share))))

    areas = [width * height / 16, width * height / 4, width * height]
    yield grown("image size", "first query on a view, pixels", areas, on_view, repeats)
    model = view_query.model_of(sizes)
    view_query.query_on(model)()
    yield grown("phrases", "next query on a view", [1, 4, 16],
                lambda phrases: view_query.query_on(model, int(phrases), new_view=False), repeats)  # fmt: skip

    points = torch.rand(sizes.points, 3)
    table = torch.rand(sizes.encode.entries, sizes.encode.features)
    for name, work in (
        ("encode forward", lambda: kernels.hash_encode(points, table, sizes.encode)),
        ("language step", language_step.step_on(small)),
        ("first query on a view", view_query.query_on(model)),
    ):
        ratios = []
        for repeat in range(repeats + 1):
            with threads(1):
                one = seconds(work)
            with threads(2):
                two = seconds(work)
            if repeat:
                ratios.append(one / two)
        yield row("growth", f"threads: {name}", "time with one thread over time with two", ratios, "x")
