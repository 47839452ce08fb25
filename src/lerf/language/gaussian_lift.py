"""Language on the Gaussians of a splat: each the mean of what the photos that it contributes to say, no training.

The closed form of Occam's LGS (arXiv 2412.01807): the feature of a Gaussian is the mean of the views' features under
its rendering weights. A pyramid changes little within a Gaussian's picture, so it is read once, where the Gaussian's
weights lie. Views that disagree with the others are dropped first, and Gaussians that no photo clearly shows do not
answer. The photos are shortened to one basis before, so that a million Gaussians fit into memory.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import RunError
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.contraction import contract
from lerf.geometry.extent import robust_diagonal
from lerf.language.bake import SCALES
from lerf.language.cells import SHORTEST, SMALLEST, CellIndex, Compressed, Provenance
from lerf.language.lift import Observations, ranges, sums_of_views, without_outliers
from lerf.language.protocol import candidate_scales
from lerf.pyramids.lookup import PyramidTable
from lerf.radiance.splats.radiance import SplatRadiance

LEAST_LIGHT = 0.02
"""Largest weight at a pixel from which a photo is asked about a Gaussian."""
LEAST_WEIGHT = 0.05
"""Largest weight at a pixel of any photo from which a Gaussian answers."""
REACH = 0.02
"""How far around them Gaussians answer, as a share of the robust diagonal of all in the contracted frame."""


@torch.no_grad()
def sightings(
    radiance: SplatRadiance, cameras: CameraTable, photo: int, factor: Float[Tensor, " 2"]
) -> tuple[Observations, Float[Tensor, " seen"]]:
    """The Gaussians that a photo shows, as cells, and the largest weight of each at a pixel.

    Args:
        radiance: the splat.
        cameras: of the photos.
        photo: which of them.
        factor: size of the pyramids' photos over that of the cameras, (x, y).
    """
    seen = radiance.contributions(cameras, photo)
    unit = seen.depths * (cameras.sizes[photo, 1] / cameras.focal[photo, 1])
    inside = seen.pixels.isfinite().all(-1) & (seen.depths > 0) & (seen.largest >= LEAST_LIGHT)
    found = Observations(seen.gaussians, seen.pixels * factor, unit, seen.light)
    return found.take(inside), seen.largest[inside]


@torch.no_grad()
def lift_onto_gaussians(
    radiance: SplatRadiance,
    views: list[Observations],
    largest: Float[Tensor, " gaussians"],
    targets: PyramidTable,
    basis: Float[Tensor, "rank width"],
    about: tuple[ImageTextEncoder, str],
    scales: int = SCALES,
) -> CellIndex:
    """The index of a splat's Gaussians.

    Args:
        radiance: the splat.
        views: `sightings` of the training photos, in the order of `targets`.
        largest: weight at any pixel of any of them, by Gaussian.
        targets: pyramids of the training photos on the basis (`pyramids.lookup.projected_table`).
        basis: orthonormal rows.
        about: the encoder of the pyramids, and the SHA-256 of the radiance checkpoint, kept with the index.
        scales: how many, evenly spaced in their logarithm over those that the photos show.

    Raises:
        RunError: no photo shows any Gaussian.
    """
    answering = torch.nonzero(largest >= LEAST_WEIGHT).flatten()
    views = of_some(views, answering, len(largest))
    units = torch.cat([view.unit for view in views])
    if len(units) == 0:
        raise RunError("No training photo shows any Gaussian of the splat; give the splat of this capture.")
    heights = torch.cat([units[:: max(1, len(units) // 1_000_000)] * targets.ratios[end] for end in (0, -1)])
    low_high = heights.sort().values[[int(0.01 * len(heights)), int(0.99 * (len(heights) - 1))]].tolist()
    low_high[1] = max(low_high[1], low_high[0] * 1.001)
    views = without_outliers(views, len(answering), targets, (low_high[0] * low_high[1]) ** 0.5)
    low, high = ranges(views, len(answering), targets)
    known = low <= high
    asked = candidate_scales((low_high[0], low_high[1]), scales).to(largest.device)
    codes = torch.empty(scales, int(known.sum()), targets.width, dtype=torch.float16, device=largest.device)
    light = torch.zeros_like(low)
    for view in views:
        light.index_add_(0, view.cells, view.light)
    for at, scale in enumerate(asked):
        wanted = torch.minimum(torch.maximum(scale, low), high)
        sums = sums_of_views(views, targets, wanted)[known]
        length = torch.linalg.vector_norm(sums, dim=-1)
        codes[at] = (sums / length[:, None].clamp(min=1e-12)).half()
    norms = torch.stack([torch.linalg.vector_norm(part.float(), dim=-1) for part in codes]).clamp(min=SHORTEST)
    positions = radiance.gaussians.means[answering[known]]
    size = max(REACH * robust_diagonal(contract(positions)), SMALLEST)
    encoder, checkpoint = about
    provenance = Provenance("gaussians", encoder.name, encoder.fingerprint, checkpoint, size)
    return CellIndex(
        answering[known], positions, light[known], low[known], high[known], asked, Compressed(basis, codes, norms),
        provenance,
    )  # fmt: skip


def of_some(views: list[Observations], chosen: Int[Tensor, " chosen"], count: int) -> list[Observations]:
    """What the views show of some of `count` Gaussians, which are numbered in their own order then."""
    row = torch.full((count,), -1, device=chosen.device)
    row[chosen] = torch.arange(len(chosen), device=chosen.device)
    return [Observations(row[v.cells], v.pixels, v.unit, v.light).take(row[v.cells] >= 0) for v in views]
