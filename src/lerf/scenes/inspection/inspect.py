"""All that is looked at in a capture before training, at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lerf.scenes.assemble import WITHOUT_POSE
from lerf.scenes.inspection.extent import Depths, baseline_of, depths_of
from lerf.scenes.inspection.fit import Fit, fit_of
from lerf.scenes.inspection.overlap import Overlap, overlap_of
from lerf.scenes.inspection.pictures import Pictures, look_at
from lerf.scenes.inspection.projection import Projector, project_tracks
from lerf.scenes.inspection.tracks import tracks_of
from lerf.scenes.scene import Scene
from lerf.scenes.selection import MISSING, UNUSABLE
from lerf.scenes.sparse_points import SparsePoints


@dataclass(frozen=True)
class Count:
    """Photos by what became of them."""

    used: int
    at_hand: int
    """Those used, those without a pose, and those whose pose cannot be used."""
    without_pose: int
    unusable_poses: int
    missing: int
    """Listed, and not there."""


@dataclass(frozen=True)
class Points:
    """Sparse points."""

    count: int
    mean_error: float | None
    """Pixels between where photos see a point and where it lands, as the pose tool states it; None where not known."""
    median_error: float | None


@dataclass(frozen=True)
class Inspection:
    """What there is to know of a capture before training."""

    count: Count
    points: Points | None
    fit: Fit | None
    """How sparse points fit the cameras; None without any."""
    overlap: Overlap
    depths: Depths | None
    baseline: float | None
    """See `lerf.scenes.inspection.extent.baseline_of`."""
    pictures: Pictures


def inspect(
    scene: Scene, points: SparsePoints | None = None, progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Look at a capture: its cameras, its sparse points, and a sample of its photos, decoded small.

    Args:
        scene: the capture.
        points: of the capture, if it has any; see `lerf.scenes.inspection.fit.usable_points`.
        progress: called with the photos looked at and their number.
    """
    projector = Projector(scene)
    tracks = projections = fit = depths = None
    if points is not None and len(points):
        tracks = tracks_of(scene, points)
        projections = project_tracks(scene, projector, tracks)
        fit, depths = fit_of(tracks, projections), depths_of(scene, projections)
    overlap = overlap_of(scene, projector, tracks, projections)
    return Inspection(
        count_of(scene), None if points is None else _points(points), fit, overlap, depths,
        baseline_of(scene, depths, overlap), look_at(scene, progress),
    )  # fmt: skip


def count_of(scene: Scene) -> Count:
    """Photos by what became of them when the scene was read."""
    without, unusable, missing = (int(scene.metadata.get(name, 0)) for name in (WITHOUT_POSE, UNUSABLE, MISSING))
    return Count(len(scene), len(scene) + without + unusable, without, unusable, missing)


def _points(points: SparsePoints) -> Points:
    errors = None if points.errors is None else points.errors[np.isfinite(points.errors)]
    if errors is None or len(errors) == 0:
        return Points(len(points), None, None)
    return Points(len(points), float(errors.mean()), float(np.median(errors)))
