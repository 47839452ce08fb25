"""Spherical harmonics: how a colour network sees the viewing direction."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from lerf import kernels
from lerf.geometry.harmonics import COUNTS

WIDTH = COUNTS[-1]


def spherical_harmonics(directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
    """Real orthonormal spherical harmonics of degrees 0 to 3 of unit directions (`geometry/harmonics.py`)."""
    return kernels.direction_harmonics(directions)
