"""Real spherical harmonics of degrees 0 to 3, in the order and with the signs that splats and colour networks use."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

CONSTANT = 0.28209479177387814
"""The harmonic of degree 0: 1 / (2 sqrt(pi))."""
COUNTS = (1, 4, 9, 16)
"""Harmonics up to each degree."""


def harmonics(x: Any, y: Any, z: Any) -> list[Any]:
    """The sixteen orthonormal harmonics at unit directions (Sloan 2013, appendix A2), as numpy arrays or torch tensors
    of the shape of `x`."""
    xx, yy, zz = x * x, y * y, z * z
    return [
        0 * x + CONSTANT,
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (3 * zz - 1),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (5 * zz - 1),
        0.3731763325901154 * z * (5 * zz - 3),
        -0.4570457994644658 * x * (5 * zz - 1),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]


def turned_harmonics(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "16 16"]:
    """What a rotation does to coefficients: `turned @ coefficients` are those of the function carried along by it.

    A function f with coefficients c becomes f(R^-1 d). Harmonics of one degree go over into each other, so the matrix
    has a block for each degree. It is solved for on more directions than there are harmonics, which is exact up to
    rounding.
    """
    # Spread evenly over the sphere (a Fibonacci lattice), so that the harmonics are far from dependent there.
    count = 64
    height = (2 * np.arange(count) + 1) / count - 1
    angle = np.pi * (1 + 5**0.5) * np.arange(count)
    level = np.sqrt(1 - height**2)
    directions = np.stack([level * np.cos(angle), level * np.sin(angle), height], -1)
    own, back = (np.stack(harmonics(*turned.T), -1) for turned in (directions, directions @ rotation))
    result = np.zeros((16, 16))
    for start, stop in zip((0, *COUNTS), COUNTS, strict=False):
        result[start:stop, start:stop] = np.linalg.lstsq(own[:, start:stop], back[:, start:stop], rcond=None)[0]
    return result
