"""The networks of a nerfacto as nerfstudio's torch implementation evaluates them.

Positions are in the frame in which nerfstudio trained. The formulas are those of nerfstudio 1.1.5 at evaluation; what
differs from the hash grid of `lerf.networks` is that coarse levels are hashed too, that cells are cut by the floor and
the ceiling of a position, and that the colour network sees harmonics of (direction + 1) / 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf import kernels
from lerf.geometry.contraction import to_unit_cube
from lerf.radiance.nerfacto.config import HashSizes, NerfactoConfig
from lerf.radiance.nerfacto.layout import grid_sizes

PRIMES = (1, 2654435761, 805459861)
"""Factors of the three coordinates in the hash (Müller et al. 2022, eq. 4)."""


class HashTable:
    """A multi-resolution hash grid in which every level is hashed."""

    def __init__(self, table: Float[Tensor, "entries features"], sizes: HashSizes) -> None:
        self.table, self.entries = table, 1 << sizes.log2_entries
        levels = torch.arange(sizes.levels)
        # In single precision, as nerfstudio has it: the finest level may come out one cell smaller than asked for.
        ratio = torch.tensor(sizes.finest).double().log() - torch.tensor(sizes.coarsest).double().log()
        growth = float((ratio / (sizes.levels - 1)).exp()) if sizes.levels > 1 else 1.0
        self.cells = torch.floor(sizes.coarsest * growth**levels).to(table.device)
        self.starts = (levels * self.entries).to(table.device)

    def __call__(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points width"]:
        """Features of all levels at points of the unit cube, by trilinear interpolation."""
        scaled = points[:, None] * self.cells[:, None]
        low = scaled.floor()
        upper = scaled - low
        corners = torch.stack([low, scaled.ceil()], dim=-1).long() * torch.tensor(PRIMES).to(self.starts)[:, None]
        share = torch.stack([1.0 - upper, upper], dim=-1)
        rows, weights = [], []
        for corner in range(8):
            x, y, z = corner & 1, corner >> 1 & 1, corner >> 2
            hashed = corners[..., 0, x] ^ corners[..., 1, y] ^ corners[..., 2, z]
            rows.append(hashed % self.entries + self.starts)
            weights.append(share[..., 0, x] * share[..., 1, y] * share[..., 2, z])
        # One fused gather and weighted sum for each point and level.
        index, weight = (torch.stack(parts, dim=-1).flatten(0, 1) for parts in (rows, weights))
        summed = F.embedding_bag(index, self.table, mode="sum", per_sample_weights=weight)
        return summed.view(len(points), len(self.cells) * self.table.shape[1])


class DensityNetwork:
    """A hash table and the layers on it: the field, or the network of a round of proposals."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, config: NerfactoConfig) -> None:
        self.grid = HashTable(tensors[f"{name}.table"], grid_sizes(config, name))
        self.weights, self.biases = layers_of(tensors, f"{name}.base")
        self.box, self.factor, self.contracted = tensors["box"], config.density, config.contracted

    def __call__(self, positions: Float[Tensor, "points 3"]) -> tuple[Float[Tensor, " points"], Tensor]:
        """Density per unit of nerfstudio's frame, and what else the last layer gives, [points, geometry]."""
        low, high = self.box
        inside = to_unit_cube(positions) if self.contracted else (positions - low) / (high - low)
        within = ((inside > 0.0) & (inside < 1.0)).all(dim=-1)
        out = kernels.dense_layers(self.grid(inside * within[:, None]), self.weights, self.biases)
        return self.factor * torch.exp(out[:, 0]) * within, out[:, 1:]


def layers_of(tensors: Mapping[str, Tensor], name: str) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of a fully connected network, in order."""
    count = sum(other.startswith(f"{name}.") and other.endswith(".weight") for other in tensors)
    weights, biases = ([tensors[f"{name}.{at}.{part}"] for at in range(count)] for part in ("weight", "bias"))
    return weights, biases


def harmonics(directions: Float[Tensor, "points 3"]) -> Float[Tensor, "points 16"]:
    """nerfstudio's spherical harmonics of degrees 0 to 3, all of positive sign, at (direction + 1) / 2.

    That is no unit vector: tiny-cuda-nn maps it back, the torch implementation does not, and its networks have learnt
    to live with it.
    """
    x, y, z = ((directions + 1.0) / 2.0).unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            0.4886025119029199 * y,
            0.4886025119029199 * z,
            0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            1.0925484305920792 * y * z,
            0.9461746957575601 * zz - 0.31539156525251999,
            1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            0.4570457994644658 * y * (5 * zz - 1),
            0.3731763325901154 * z * (5 * zz - 3),
            0.4570457994644658 * x * (5 * zz - 1),
            1.445305721320277 * z * (xx - yy),
            0.5900435899266435 * x * (xx - 3 * yy),
        ],
        dim=-1,
    )


def resampled(
    bins: Float[Tensor, "rays edges"], weights: Float[Tensor, "rays intervals"], samples: int
) -> Float[Tensor, "rays new"]:
    """Edges of `samples` intervals that share the light of others evenly, in the coordinate of `bins`.

    The quantiles (k + 1/2) / (samples + 1) of the weights, each raised by `PADDING` (Mip-NeRF 360, Barron et al. 2022,
    section 3, as nerfstudio's `PDFSampler` has it at evaluation).
    """
    weights = weights + PADDING
    shares = weights / weights.sum(-1, keepdim=True)
    cumulative = torch.cat([torch.zeros_like(shares[:, :1]), shares.cumsum(-1).clamp(max=1.0)], dim=-1)
    wanted = (torch.arange(samples + 1, device=bins.device) + 0.5) / (samples + 1)
    wanted = wanted.expand(len(bins), -1).contiguous()
    right = torch.searchsorted(cumulative, wanted, right=True)
    before, after = (right - 1).clamp(min=0), right.clamp(max=bins.shape[1] - 1)
    start, end = cumulative.gather(-1, before), cumulative.gather(-1, after)
    part = ((wanted - start) / (end - start)).nan_to_num(0.0).clamp(0.0, 1.0)
    first = bins.gather(-1, before)
    return first + part * (bins.gather(-1, after) - first)


PADDING = 0.01
"""Added to the weight of every interval before it is sampled anew."""
