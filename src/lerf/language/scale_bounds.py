"""Which scales were supervised where.

A head asked about a scale that no photo taught it extrapolates, and its extrapolated peaks win every maximum. So each
place remembers the smallest and the largest tile height that any training photo showed it at.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.geometry.contraction import to_unit_cube


class ScaleBounds(nn.Module):
    """A coarse grid over the contracted cube with the range of supervised scales, normalised units."""

    low: Tensor
    high: Tensor

    def __init__(self, side: int = 64) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((side, side, side), torch.inf))
        self.register_buffer("high", torch.full((side, side, side), -torch.inf))

    def _cells(self, positions: Float[Tensor, "points 3"]) -> Tensor:
        side = self.low.shape[0]
        cell = (to_unit_cube(positions) * side).to(torch.int64).clamp(0, side - 1)
        return cell[:, 0] + side * (cell[:, 1] + side * cell[:, 2])

    @torch.no_grad()
    def note(self, positions: Float[Tensor, "points 3"], low: Tensor, high: Tensor) -> None:
        """Photos showed these points in tiles of heights from `low` to `high`, each [points]."""
        cells = self._cells(positions)
        self.low.view(-1).scatter_reduce_(0, cells, low, "amin")
        self.high.view(-1).scatter_reduce_(0, cells, high, "amax")

    @torch.no_grad()
    def widen(self) -> None:
        """Let every cell also answer for its neighbours, because a surface wanders between cells."""
        for grid, sign in ((self.low, -1.0), (self.high, 1.0)):
            # In a layer, then across layers: torch has gained `max_pool3d` on `mps` only lately.
            layers = F.max_pool2d(sign * grid, 3, stride=1, padding=1)
            across = F.max_pool2d(layers.transpose(0, 1), (3, 1), stride=1, padding=(1, 0))
            grid.copy_(sign * across.transpose(0, 1))

    def supported(
        self, positions: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"]]:
        """Smallest and largest supervised scale at points of the normalised frame; inf and -inf where there is none."""
        cells = self._cells(positions)
        return self.low.view(-1)[cells], self.high.view(-1)[cells]
