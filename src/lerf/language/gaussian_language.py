"""The Gaussians of a splat as a `LanguageSource`: codes of Gaussians composited along rays."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.geometry.contraction import contract
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.protocol import Latent, coarse


class GaussianLanguage(CellLanguage):
    """Implements `LanguageSource`. Rays through a splat know the Gaussians of their samples (`TracedRays.primitives`);
    other points are answered by the Gaussian whose mean is nearest, where one is near."""

    @cached_property
    def _rows(self) -> Int[Tensor, " gaussians"]:
        """Rows of the index by number of the Gaussian; -1 for those that do not answer, as for whatever comes after
        the last that does."""
        rows = torch.full((int(self.index.keys[-1]) + 2,), -1, device=self.index.keys.device)
        rows[self.index.keys] = torch.arange(len(self.index), device=rows.device)
        return rows

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(contract(self.index.positions).cpu().numpy())

    def rows_of(self, rays: TracedRays) -> Int[Tensor, "rays samples"]:
        """Rows of the index that the samples of rays are; -1 where none answers."""
        if rays.primitives is not None:
            numbers = rays.primitives.long()
            last = len(self._rows) - 1
            return torch.where(numbers >= 0, self._rows[numbers.clamp(0, last)], -1)
        points = contract(rays.positions.reshape(-1, 3)).cpu().numpy()
        _, nearest = self._tree.query(points, distance_upper_bound=self.index.provenance.cell_size)
        found = np.where(nearest < len(self.index), nearest, -1)
        return torch.from_numpy(found).to(rays.weights.device).view(rays.weights.shape)

    @torch.no_grad()
    def supported(self, rays: TracedRays) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """See `LanguageSource.supported`: of the heaviest sample that answers."""
        return self._supported(self.rows_of(rays), rays.weights)

    def _supported(self, rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.where(rows >= 0, weights, -1.0).argmax(-1, keepdim=True)
        row = rows.gather(1, first).squeeze(1)
        low = torch.where(row >= 0, self.index.low[row], torch.inf)
        return low, torch.where(row >= 0, self.index.high[row], -torch.inf)

    @torch.no_grad()
    def encode(self, rays: TracedRays) -> Latent:
        """See `LanguageSource.encode`: the Gaussians of the samples, and the samples' weights, 0 where none answers."""
        rows = self.rows_of(rays)
        tensors = {"cells": rows.clamp(min=0).int(), "weights": rays.weights * (rows >= 0)}
        return Latent(tensors, *self._supported(rows, rays.weights))

    def scale_latent(self, latent: Latent) -> Latent:
        """See `LanguageSource.scale_latent`: some of the surface, for Gaussians do not lie evenly over it."""
        return coarse(latent)
