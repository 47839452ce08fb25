"""Scene contraction: all of space into a bounded region, the identity near the origin."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Norm = Literal["linf", "l2"]


def contract(positions: Float[Tensor, "*batch 3"], norm: Norm = "linf") -> Float[Tensor, "*batch 3"]:
    """x inside the unit ball of the norm, (2 - 1/|x|) x/|x| outside (Mip-NeRF 360, Barron et al. 2022, eq. 10).

    `linf` gives a cube of half-width 2 (nerfacto), `l2` a ball of radius 2 (the LERF authors' language field).
    Positions are in the normalised frame. Differentiable.
    """
    if norm == "linf":
        reach = positions.abs().amax(dim=-1, keepdim=True)
    else:
        reach = torch.linalg.vector_norm(positions, dim=-1, keepdim=True)
    reach = reach.clamp(min=1.0)
    return positions * ((2.0 - 1.0 / reach) / reach)


def to_unit_cube(positions: Float[Tensor, "*batch 3"], norm: Norm = "linf") -> Float[Tensor, "*batch 3"]:
    """Contracted positions as coordinates of a grid over 0..1: (contract(x) + 2) / 4."""
    return (contract(positions, norm) + 2.0) * 0.25
