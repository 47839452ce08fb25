"""The normalised frame of a capture whose cameras stand inside of what they see.

Cameras about 1 from the origin suit photos taken around something. In a room, a street or before a façade what photos
see lies several times as far away as they are apart: all of it would be in the outer, contracted part of space, where
cells of grids and intervals along rays are many times as large.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from lerf.geometry.similarity import Similarity
from lerf.scenes.inspection.tracks import tracks_of
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

MOST = 50
"""Percentile of the sightings of points that must lie where space is not contracted, or the frame is another."""
WITHIN = (5.0, 95.0)
"""Percentiles, along each axis, between which sightings then lie in the unit cube."""
FEWEST = 100
"""Sightings on which a frame is based."""
LARGEST = 100.0
"""Normalised units; a frame that is so much larger is left as it is, for its points are no good."""


def framed_by(scene: Scene, points: SparsePoints | None) -> Scene:
    """The scene, in a wider normalised frame where most of what its photos see lies outside of the unit cube.

    Points count as often as photos see them; where it is not known which photo sees which, training cannot learn from
    them where surfaces are, and in a wide frame without that it learns fog. The axes stay, and where the frame is
    another its unit cube holds most points and all training cameras.
    """
    if points is None or len(points) == 0:
        return scene
    tracks = tracks_of(scene, points)
    if tracks.point is None:
        return scene
    seen = tracks.points[tracks.point]
    if len(seen) < FEWEST or np.percentile(np.abs(seen).max(1), MOST) <= 1.0:
        return scene
    low, high = _bounds(scene, seen)
    reach = float((high - low).max()) / 2.0
    if not 1.0 < reach <= LARGEST:
        return scene
    inside, factor = scene.similarity, 1.0 / reach
    moved = factor * (inside.translation - (low + high) / 2.0)
    return replace(scene, similarity=Similarity(inside.rotation, moved, factor * inside.scale))


def _bounds(
    scene: Scene, seen: Float[np.ndarray, "sightings 3"]
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Lower and upper corner of most sightings and of the training cameras, normalised frame."""
    cameras = np.stack([scene.normalised_camera(index).camera_to_world[:, 3] for index in scene.train])
    low, high = np.percentile(seen, WITHIN, axis=0)
    return np.minimum(low, cameras.min(0)), np.maximum(high, cameras.max(0))
