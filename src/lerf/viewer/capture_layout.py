"""How large things are drawn on the page of a capture, and from where it is seen as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from lerf.geometry.similarity import outlying_positions
from lerf.viewer.capture_state import CaptureState, camera_positions
from lerf.viewer.geometry import Viewpoint

NEAR = 75
"""Percentile of the distances of points from the middle that the page shows as a whole."""
GROUND = 2
"""Percentile of the points' heights at which the ground is drawn."""
SMALLEST_FRUSTUM, LARGEST_FRUSTUM = 0.04, 0.15
"""Sizes of frusta, over `Layout.reach`."""
POINT = 0.005
"""Size of a point, over `Layout.reach`."""
DISTANCE = 2.2
"""From the middle at which the page opens, over `Layout.reach`: everything is in view."""
STEEP = 0.7
"""Height over distance on the ground then."""
ASIDE = 0.35
"""By how much the page looks past the cameras' middle, so that they do not stand before what they look at."""
ANGLE = 0.87
"""Vertical field of view then, radians."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Lengths and places of the normalised frame."""

    middle: Float[np.ndarray, " 3"]
    """Between the cameras and the points."""
    reach: float
    """Distance of most of both from it."""
    ground: float
    """Height of the ground."""
    frustum: float
    """Size of frusta: about half the distance from one camera to the next."""
    point: float
    """Size of a point."""
    opening: Viewpoint
    """From where all is seen, over the cameras' shoulders where they look one way."""


def layout_of(state: CaptureState) -> Layout:
    """The layout of a capture."""
    cameras = camera_positions(state.scene)
    cameras = np.delete(cameras, outlying_positions(cameras), axis=0)
    from_cameras = np.median(cameras, axis=0)
    if state.cloud is None:
        # Things stand lower than whoever looks at them, and around the middle of the scene or of the cameras.
        points, ground = np.zeros((1, 3)), float(min(cameras[:, 2].min() - 0.3, -0.3))
    else:
        points = state.cloud.points.astype(np.float64)
        ground = float(np.percentile(points[:, 2], GROUND))
    from_points = np.median(points, axis=0)
    middle = 0.5 * (from_cameras + from_points)
    reach = max(
        float(np.percentile(np.linalg.norm(cameras - middle, axis=1), 95)),
        float(np.percentile(np.linalg.norm(points - middle, axis=1), NEAR)),
        1e-3,
    )
    nearest = np.asarray(cKDTree(cameras).query(cameras, k=2)[0])[:, 1] if len(cameras) > 1 else np.zeros(1)
    frustum = np.clip(0.5 * np.median(nearest), SMALLEST_FRUSTUM * reach, LARGEST_FRUSTUM * reach)
    behind = (from_cameras - from_points)[:2]
    length = float(np.linalg.norm(behind))
    # Cameras all around have no side of their own.
    behind = behind / length if length > 0.2 * reach else np.array([0.6, -0.8])
    away = np.array([behind[0] - ASIDE * behind[1], behind[1] + ASIDE * behind[0], STEEP])
    opening = Viewpoint(middle + DISTANCE * reach * away / np.linalg.norm(away), middle, ANGLE)
    return Layout(middle, reach, ground, float(frustum), POINT * reach, opening)
