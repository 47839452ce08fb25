"""Spherical harmonics: how a colour network sees the viewing direction."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.harmonics import COUNTS, harmonics

WIDTH = COUNTS[-1]


def spherical_harmonics(directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
    """Real orthonormal spherical harmonics of degrees 0 to 3 of unit directions (`geometry/harmonics.py`)."""
    return torch.stack(harmonics(*directions.unbind(-1)), dim=-1)
