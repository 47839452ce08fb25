"""The networks of a nerfacto as nerfstudio evaluates them.

Positions are in the frame in which nerfstudio trained. The formulas are those of nerfstudio 1.1.5 at evaluation, and
where it calls tiny-cuda-nn those of that library: grids (`grids.py`) and harmonics of directions differ.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lerf import kernels
from lerf.geometry.contraction import to_unit_cube
from lerf.radiance.nerfacto.config import Implementation, NerfactoConfig
from lerf.radiance.nerfacto.grids import grid_of
from lerf.radiance.nerfacto.layout import grid_sizes


class DensityNetwork:
    """A hash grid and the layers on it: the field, or the network of a round of proposals."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, config: NerfactoConfig) -> None:
        self.grid = grid_of(tensors[f"{name}.table"], grid_sizes(config, name), config.implementation)
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


def harmonics(directions: Float[Tensor, "points 3"], implementation: Implementation) -> Float[Tensor, "points 16"]:
    """Real spherical harmonics of degrees 0 to 3 at unit vectors, as the colour network sees them.

    tiny-cuda-nn's (`sh_enc` of its `common_device.h`) have a minus where the order m is odd. nerfstudio's in torch have
    none, and are those at (direction + 1) / 2: that is no unit vector, but its networks have learnt to live with it.
    """
    if implementation == "torch":
        return _polynomials((directions + 1.0) / 2.0)
    signs = torch.tensor([1.0, -1.0], dtype=directions.dtype, device=directions.device).repeat(8)
    return _polynomials(directions) * signs


def _polynomials(points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 16"]:
    x, y, z = points.unbind(-1)
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
