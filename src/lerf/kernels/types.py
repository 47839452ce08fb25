"""Arguments that several kernels share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int32, UInt8
from torch import Tensor

MARKS_A_WORD = 8
"""Marks are read as words of so many, so that their number is a multiple of it."""


@dataclass(frozen=True)
class GradientSink:
    """Where a backend collects the gradient of a table, instead of in a new `table.grad` every step.

    Whoever reads it, the optimiser, clears it.
    """

    values: Float[Tensor, "entries features"]
    touched: UInt8[Tensor, " marks"] | None
    """1 for entries that were added to; at least as many as entries. None where the backend makes no marks."""

    @staticmethod
    def of(table: Float[Tensor, "entries features"], marked: bool = True) -> GradientSink:
        """An empty one."""
        marks = torch.zeros(-(-len(table) // MARKS_A_WORD) * MARKS_A_WORD, dtype=torch.uint8) if marked else None
        return GradientSink(torch.zeros_like(table.data), marks)


class ProposalSettings(NamedTuple):
    """How samples are placed along rays (`reference.proposal_edges`)."""

    samples: int
    """Intervals between the edges."""
    bins: int
    """Intervals in which the density is read."""
    near: float
    """Distance of the first edge that is possible, normalised units."""
    far: float
    """Distance of the last one."""
    anneal: float | Float32[Tensor, ""]
    """Exponent on the weights: 0 spreads samples evenly, 1 follows the density."""
    padding: float
    """Share of the samples that is spread evenly."""
    cap: float
    """Most of the light that a bin absorbs."""


class AdamStep(NamedTuple):
    """Numbers of one step of Adam; those that steps change may be on the table's device."""

    rate: float | Float32[Tensor, ""]
    beta1: float
    beta2: float
    epsilon: float
    correction1: float | Float32[Tensor, ""]
    """1 / (1 - beta1 ^ steps)."""
    correction2: float | Float32[Tensor, ""]
    """1 / (1 - beta2 ^ steps)."""


class SparseRows(NamedTuple):
    """A matrix by its rows, without the zeros (compressed sparse rows)."""

    starts: Int32[Tensor, " ends"]
    """Where the entries of each row begin, and at last how many entries there are."""
    columns: Int32[Tensor, " entries"]
    values: Float32[Tensor, " entries"]


class PointGrid(NamedTuple):
    """Points sorted by the cells of a grid that they lie in, z fastest."""

    points: Float32[Tensor, "points 3"]
    """In the order of their cells."""
    order: Int32[Tensor, " points"]
    """Number that each had before it was sorted."""
    starts: Int32[Tensor, "x y z1"]
    """First point of each cell along a row of z, and at last the point after the row's last one."""
    low: Float32[Tensor, " 3"]
    """Lower corner of the grid."""
    side: float
    """Of a cell."""


class SplatView(NamedTuple):
    """An ideal camera, as splats are projected into it. Its axes are x right, y down, z forwards."""

    rotation: Float[Tensor, "3 3"]
    """World to these axes."""
    position: Float[Tensor, " 3"]
    focal: tuple[float, float]
    """In pixels."""
    centre: tuple[float, float]
    """Principal point in pixels."""
    reach: tuple[float, float]
    """Largest x / z and y / z that the picture shows; the projection is linearised no further out than 1.3 of it."""
    near: float
    """Gaussians whose mean is closer along the optical axis are not seen; units of the means."""


class FlatSplats(NamedTuple):
    """Gaussians on the plane of a picture, front to back. The density of one at an offset (dx, dy) from its centre is
    exp(-(u^2 + v^2) / 2) with u = a dx + b dy and v = c dy."""

    centres: Float[Tensor, "n 2"]
    """Pixels (x, y); a pixel's centre is at +0.5."""
    whitening: Float[Tensor, "n 3"]
    """a, b, c."""
    opacities: Float[Tensor, " n"]
    """0..1, at the centre."""
    colours: Float[Tensor, "n 3"]


class SplatPicture(NamedTuple):
    """What the pixels of a picture see."""

    colour: Float[Tensor, "height width 3"]
    """Without a background."""
    transmittance: Float[Tensor, "height width"]
    """Share of the light that nothing stopped."""
    middle: Int32[Tensor, "height width"]
    """The Gaussian at which half of the light has been stopped, as an index; -1 where less than half is."""


class SplatTrace(NamedTuple):
    """What points of a picture see."""

    colour: Float[Tensor, "points 3"]
    transmittance: Float[Tensor, " points"]
    middle: Int32[Tensor, " points"]
    """As in `SplatPicture`."""
    indices: Int32[Tensor, "points heaviest"]
    """The Gaussians that stop most of a point's light, heaviest first; -1 where there are no more."""
    weights: Float[Tensor, "points heaviest"]
    """Share of the light that each stops."""
