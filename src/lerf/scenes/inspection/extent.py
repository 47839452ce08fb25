"""How far apart photos were taken, and how far away things are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerf.geometry.similarity import outlying_positions
from lerf.scenes.inspection.overlap import Overlap
from lerf.scenes.inspection.projection import Projections
from lerf.scenes.scene import Scene

TRIM = 1.0
"""Percentiles of the depths that near and far leave out: single points are often wrong."""
TOWARDS_CENTRE = 0.5
"""Share of the photos that must look at the middle of the scene for its distance to be that of things."""


@dataclass(frozen=True)
class Depths:
    """Distances of sparse points along the optical axes of the photos that see them, capture units."""

    near: float
    median: float
    far: float


def depths_of(scene: Scene, projections: Projections) -> Depths | None:
    """Without `TRIM` percent at either end; None where no point lies before a photo."""
    depth = projections.depth[projections.inside & (projections.depth > 0)]
    if len(depth) == 0:
        return None
    near, median, far = np.percentile(depth, [TRIM, 50, 100 - TRIM]) / scene.similarity.scale
    return Depths(float(near), float(median), float(far))


def baseline_of(scene: Scene, depths: Depths | None, overlap: Overlap) -> float | None:
    """Distance of the photos from their middle (root of the mean square) over the distance of what they look at.

    That is the median depth of the sparse points or, without any, the distance of the middle of the scene; None where
    the photos do not look at it, so that nothing says how far away things are.
    """
    positions = np.stack([photo.camera.camera_to_world[:, 3] for photo in scene.photos])
    positions = np.delete(positions, outlying_positions(positions), axis=0)
    apart = float(np.sqrt(np.square(positions - positions.mean(0)).sum(1).mean()))
    if depths is not None:
        return apart / depths.median
    # In the normalised frame the middle is a unit away.
    return apart * scene.similarity.scale if overlap.towards_centre >= TOWARDS_CENTRE else None
