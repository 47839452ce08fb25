"""Lens distortion and its inverse, written once for numpy arrays and torch tensors.

Coordinates are those of the image plane at distance 1 in front of the camera, x right and y *down* (OpenCV), that is
(pixel - principal point) / focal length.

Formulas: the perspective model is Brown's, as in OpenCV and COLMAP's OPENCV model,

    radial = 1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8
    x' = x radial + 2 p1 x y + p2 (r^2 + 2 x^2),    y' = y radial + p1 (r^2 + 2 y^2) + 2 p2 x y

where k4 multiplies r^8 as in nerfstudio (OpenCV's own k4 is the first coefficient of a denominator, which no file read
here carries). The fisheye model is Kannala and Brandt's, as in OpenCV's fisheye module and COLMAP's OPENCV_FISHEYE:
theta' = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8), without tangential terms.

Both polynomials fold back far from the axis: with a typical barrel lens a point 65 degrees off the axis lands in the
middle of the picture. Each lens is therefore used up to a limit, the radius (or angle) at which its image grows at a
tenth of the rate at the centre, and is continued in proportion to the radius beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch

Lens = Sequence[Any]
"""k1, k2, k3, k4, p1, p2, limit, edge: numbers, or arrays that broadcast with the points."""

LEAST_GROWTH = 0.1
RADIAL_STEPS = 40
PLANE_STEPS = 8


def lens_of(distortion: Sequence[float], fisheye: bool) -> tuple[float, ...]:
    """The eight numbers that the functions below need, from (k1, k2, k3, k4, p1, p2).

    The seventh is the limit (a radius on the plane, or an angle in radians for a fisheye, at most pi; infinite where a
    perspective polynomial never folds), the eighth is the distorted radius at that limit.
    """
    return _lens_of(tuple(map(float, distortion)), fisheye)


@lru_cache(maxsize=1024)
def _lens_of(distortion: tuple[float, ...], fisheye: bool) -> tuple[float, ...]:
    # Photos of one capture have few lenses, and each is asked for with every camera.
    k1, k2, k3, k4, p1, p2 = distortion
    # Growth of the image, 1 + 3 k1 q + 5 k2 q^2 + ... with q = r^2, as a polynomial in 1 / q: its leading coefficient
    # is never zero, so that vanishing k do no harm.
    roots = np.roots([1.0 - LEAST_GROWTH, 3 * k1, 5 * k2, 7 * k3, 9 * k4])
    inverses = [root.real for root in roots if abs(root.imag) <= 1e-9 * abs(root) and root.real > 1e-6]
    limit = 1 / math.sqrt(max(inverses)) if inverses else math.inf
    if fisheye:
        p1 = p2 = 0.0
        limit = min(limit, math.pi)
    q = limit * limit
    edge = limit * (1 + q * (k1 + q * (k2 + q * (k3 + q * k4)))) if math.isfinite(limit) else math.inf
    return (k1, k2, k3, k4, p1, p2, limit, edge)


def distort_plane(x: Any, y: Any, lens: Lens) -> tuple[Any, Any]:
    """Perspective lens: where points of the ideal plane land; shapes follow `x` and `y`."""
    k1, k2, k3, k4, p1, p2, limit, _ = lens
    xp = _namespace(x)
    beyond = xp.clip(xp.hypot(x, y) / limit, 1.0, None)
    x, y = x / beyond, y / beyond
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    tilt = 2 * (p1 * y + p2 * x)
    return (x * (radial + tilt) + p2 * r2) * beyond, (y * (radial + tilt) + p1 * r2) * beyond


def undistort_plane(
    x: Any, y: Any, lens: Lens, radial_steps: int = RADIAL_STEPS, plane_steps: int = PLANE_STEPS
) -> tuple[Any, Any]:
    """Inverse of `distort_plane`, in a fixed number of steps.

    Newton's method on the plane, `plane_steps` times. It starts from the inverse of the radial part alone, which
    `radial_steps` safeguarded steps find for any lens; with none of these it starts from the distorted point, enough
    for mild lenses. Exact up to rounding inside the limit; beyond it the tangential terms make it approximate.
    """
    k1, k2, k3, k4, p1, p2, limit, edge = lens
    xp = _namespace(x)
    beyond = xp.clip(xp.hypot(x, y) / edge, 1.0, None)
    target_x, target_y = x / beyond, y / beyond
    x, y = target_x, target_y
    radius = xp.clip(xp.hypot(x, y), 1e-12, None)
    # Where the growth of the image keeps the answer; past it Newton's method would leave the picture for good.
    reach = xp.clip(radius / LEAST_GROWTH, None, limit)
    if radial_steps:
        start = _invert_radial(radius, lens, radial_steps) / radius
        x, y = x * start, y * start
    for _ in range(plane_steps):
        xx, yy = x * x, y * y
        r2 = xx + yy
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
        slope = 2 * (k1 + r2 * (2 * k2 + r2 * (3 * k3 + r2 * (4 * k4))))
        px, py = p2 * x, p1 * y
        common = radial + 2 * (px + py)
        error_x = x * common + p2 * r2 - target_x
        error_y = y * common + p1 * r2 - target_y
        # The Jacobian is symmetric: Brown's model is the gradient of a potential.
        j_xx = common + xx * slope + 4 * px
        j_yy = common + yy * slope + 4 * py
        j_xy = x * y * slope + 2 * (p1 * x + p2 * y)
        determinant = j_xx * j_yy - j_xy * j_xy
        # Only absurd coefficients reach zero here; the point then stays finite instead of becoming NaN.
        scale = 1 / xp.clip(determinant, 1e-3, None)
        x = x - (j_yy * error_x - j_xy * error_y) * scale
        y = y - (j_xx * error_y - j_xy * error_x) * scale
        outside = xp.clip(xp.hypot(x, y) / reach, 1.0, None)
        x, y = x / outside, y / outside
    return x * beyond, y * beyond


def bend(theta: Any, lens: Lens) -> Any:
    """Fisheye lens: distorted radius on the plane of a ray `theta` radians off the optical axis."""
    k1, k2, k3, k4, _, _, limit, _ = lens
    beyond = _namespace(theta).clip(theta / limit, 1.0, None)
    theta = theta / beyond
    q = theta * theta
    return theta * (1 + q * (k1 + q * (k2 + q * (k3 + q * k4)))) * beyond


def unbend(radius: Any, lens: Lens, radial_steps: int = RADIAL_STEPS) -> Any:
    """Inverse of `bend` in a fixed number of steps: angle off the optical axis in radians, 0..pi."""
    xp = _namespace(radius)
    beyond = xp.clip(radius / lens[7], 1.0, None)
    return xp.clip(_invert_radial(radius / beyond, lens, radial_steps) * beyond, 0.0, math.pi)


def _invert_radial(target: Any, lens: Lens, steps: int) -> Any:
    """The r in 0..limit with r (1 + k1 r^2 + ...) = target, which is at most the edge.

    Newton's method kept within a bracket: between the limits the polynomial rises, but where its slope varies much
    Newton steps leap to and fro, even for ever between two points of the bracket. So each step is at most half as long
    as the one before it, or else it halves the bracket.
    """
    k1, k2, k3, k4, _, _, limit, _ = lens
    xp = _namespace(target)
    low = 0 * target
    # Without a limit the slope is at least LEAST_GROWTH everywhere, which bounds the answer.
    high = xp.clip(target / LEAST_GROWTH, None, limit)
    r = xp.clip(target, None, limit)
    last = high - low
    for _ in range(steps):
        q = r * r
        error = r * (1 + q * (k1 + q * (k2 + q * (k3 + q * k4)))) - target
        slope = 1 + q * (3 * k1 + q * (5 * k2 + q * (7 * k3 + q * (9 * k4))))
        low = xp.where(error < 0, r, low)
        high = xp.where(error > 0, r, high)
        newton = r - error / xp.clip(slope, 1e-3, None)
        close = (newton >= low) & (newton <= high) & (abs(newton - r) <= 0.5 * abs(last))
        following = xp.where(close, newton, 0.5 * (low + high))
        last, r = following - r, following
    return r


def _namespace(array: Any) -> ModuleType:
    return torch if isinstance(array, torch.Tensor) else np
