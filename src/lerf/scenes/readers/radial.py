"""Lenses whose radial distortion other tools write in another form than the one here, which follows OpenCV.

Where a form cannot be expressed exactly, the nearest lens is used up to a bound, and what it misses is told.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

LARGEST_SHIFT = 2e-3
"""How far a lens may put a point of the picture from where the tool's own does, over the longer side of the picture: 3
pixels of 1600, at its border. Beyond it the photos have to be undistorted."""
TOLD_SHIFT = 1e-4
"""... and how far before it is told."""
SAMPLES = 64

Curve = Callable[[Float[np.ndarray, " radii"]], Float[np.ndarray, " radii"]]


def fit_radial(distorted_to_ideal: Curve, largest: float) -> tuple[tuple[float, float, float, float], float]:
    """k1 to k4 of ideal -> distorted radius, r (1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8), from the inverse.

    Args:
        distorted_to_ideal: the radius on the plane at distance 1 of a point that the lens puts at a radius.
        largest: radius of the picture's corner on that plane, as distorted.

    Returns:
        The coefficients with the least squared error over the picture, and the largest error, in units of the plane;
        infinite where radii do not rise up to the corner, so that no lens is meant.
    """
    distorted = np.linspace(0, largest, SAMPLES + 1)[1:]
    ideal = distorted_to_ideal(distorted)
    if not (np.isfinite(ideal).all() and (np.diff(ideal, prepend=0.0) > 0).all()):
        return (0.0, 0.0, 0.0, 0.0), np.inf
    unit = ideal[-1]  # numbers near 1 keep the powers apart
    powers = (ideal / unit)[:, None] ** np.array([3, 5, 7, 9])
    solved = np.linalg.lstsq(powers, (distorted - ideal) / unit, rcond=None)[0]
    error = float(np.abs(powers @ solved * unit - (distorted - ideal)).max())
    k1, k2, k3, k4 = (float(value) / unit**power for value, power in zip(solved, (2, 4, 6, 8), strict=True))
    return (k1, k2, k3, k4), error
