"""Rendering weights, compositing and the placing of samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf import kernels
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, compare, row, timed
from speed.plain import plainly
from speed.sizes import Sizes


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Weights with gradients, language's sums along rays, and the proposal."""
    rays, samples, channels = sizes.rays, sizes.radiance.samples, sizes.radiance.geometry
    densities = torch.rand(rays, samples, requires_grad=True)
    values = torch.rand(rays, samples, channels, requires_grad=True)
    lengths, gradient = torch.rand(rays, samples) * 0.1, torch.rand(rays, channels)

    def both_ways() -> None:
        out = kernels.composite(kernels.render_weights(densities, lengths), values)
        torch.autograd.grad(out, (densities, values), gradient)

    work = f"{rays} rays x {samples} samples x {channels} channels, forward and backward"
    repeats = 3 * sizes.repeats
    yield from compare("composite", work, {"weights and composite": both_ways}, plainly(both_ways), repeats)

    weights = torch.rand(rays, sizes.language.samples)
    features = torch.rand(rays, sizes.language.samples, sizes.width // 4)

    def sums() -> None:
        kernels.composite(weights, features)

    work = f"{rays} rays x {features.shape[1]} samples x {features.shape[2]} channels"
    yield from compare("composite", work, {"composite features": sums}, plainly(sums), repeats)
    floor = floors.composite(rays, features.shape[1], features.shape[2]).floor(rates)
    yield row("floor", "composite features", work, [value / floor for value in timed(sums, repeats)], "x floor")

    field, bundle = scenery.radiance_field(sizes), scenery.rays_of(rays)
    jitter = torch.rand(rays)

    def place() -> None:
        field.place_samples(bundle, jitter)

    work = f"{rays} rays, {sizes.radiance.bins} bins, {sizes.radiance.grid_side}^3 cells"
    yield from compare("composite", work, {"proposal": place}, plainly(place), sizes.repeats)
