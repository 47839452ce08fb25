"""What a surface's points say of any other point: the nearest of them, by distance.

A pixel of a view, a point of an exported cloud and a click on the page lie between the points that a surface is known
by. Each reads the `NEAREST` closest in the contracted frame, where they are about evenly spaced. Where none is within
reach no training photo saw a surface, and nothing answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from lerf import kernels
from lerf.devices import sums_of_rows
from lerf.geometry.contraction import contract
from lerf.kernels.types import PointGrid

NEAREST = 4
"""Points that are read."""
SOFTEN = 0.02
"""Share of the reach that is added to distances, so that no point outweighs all others by rounding."""
CELL_SHARE = 0.35
"""Side of the cells in which points are looked for, as a share of the reach."""
MOST_CELLS = 160
"""Of a grid along an axis."""


@dataclass(frozen=True)
class Near:
    """Points of a surface next to others, and their shares."""

    points: Int32[Tensor, "others nearest"]
    """As indices into the surface's; any where the share is 0."""
    shares: Float[Tensor, "others nearest"]
    """Inverse to the distances, summing to 1; all 0 where no point is within reach."""

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(part.numel() * part.element_size() for part in (self.points, self.shares))

    def read(self, values: Float[Tensor, "phrases points"]) -> Float[Tensor, "phrases others"]:
        """Relevancies in 0..1 of the surface's points at the others: the mean of their logarithmic odds; 0 where no
        point is within reach."""
        odds = torch.logit(values.float(), eps=1e-6).T.contiguous()
        mixed = sums_of_rows(odds, self.points, self.shares.to(odds))
        return (torch.sigmoid(mixed) * (self.shares.sum(-1, keepdim=True) > 0)).T


class PointReader:
    """Finds the points of a surface next to others."""

    def __init__(self, contracted: Float[Tensor, "points 3"], reach: float) -> None:
        """Points in the contracted frame, without those that are not finite, and how far they are read."""
        self.reach = reach
        finite = contracted.isfinite().all(-1)
        self.grid = point_grid(contracted[finite], torch.nonzero(finite).flatten().int(), reach)

    @torch.no_grad()
    def near(self, positions: Float[Tensor, "others 3"]) -> Near:
        """The points next to others of the normalised frame; those that are not finite have none."""
        found, apart = kernels.nearest_points(contract(positions), self.grid, self.reach, NEAREST)
        shares = torch.where(found >= 0, 1.0 / (apart + SOFTEN * self.reach), 0.0)
        return Near(found.clamp(min=0), shares / shares.sum(-1, keepdim=True).clamp(min=1e-12))


def point_grid(points: Float[Tensor, "points 3"], numbers: Int32[Tensor, " points"], reach: float) -> PointGrid:
    """Finite points, at least one, in cells that hold about as many as are looked for; `numbers` are theirs outside."""
    low, high = points.amin(0), points.amax(0)
    side = max(CELL_SHARE * reach, float((high - low).max()) / MOST_CELLS)
    cells = ((points - low) / side).floor().long()
    nx, ny, nz = (int(cells[:, axis].max()) + 1 for axis in range(3))
    keys = (cells[:, 0] * ny + cells[:, 1]) * nz + cells[:, 2]
    order = keys.int().argsort(stable=True)
    counts = torch.bincount(keys, minlength=nx * ny * nz)
    ends = counts.cumsum(0).view(nx, ny, nz)
    starts = torch.cat([(ends - counts.view(nx, ny, nz))[..., :1], ends], dim=-1).int()
    return PointGrid(points[order].float().contiguous(), numbers[order], starts, low.float(), side)
