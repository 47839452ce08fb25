"""Whether poses and sparse points belong to one world: points must land where photos saw them.

A capture whose axes were turned round on the way, of poses or of points alone, trains to fog without an error anywhere.
Its points lie behind the cameras, or far from where the photos saw them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.inspection.projection import Projections, Projector, project_tracks
from lerf.scenes.inspection.tracks import Tracks, tracks_of
from lerf.scenes.load import read_points
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

LEAST_IN_FRONT = 0.5
"""Share of points that must lie before the photos that see them."""
LEAST_INSIDE = 0.5
"""Share that must land in the photos that see them; where it is not known which do, in `LEAST_PHOTOS` photos at all."""
LEAST_PHOTOS = 2
LARGEST_ERROR = 20.0
"""Pixels of the listed photos by which points may miss where they were seen, in the median."""
FEWEST = 20
"""Points on which anything is said."""


@dataclass(frozen=True)
class Fit:
    """How well points land where photos see them, through the capture's own cameras."""

    pairs: int
    """Of photos and points that were looked at."""
    in_front: float
    """Share of pairs whose point lies before the photo; of points that lie before `LEAST_PHOTOS`, without tracks."""
    inside: float
    """Share of pairs whose point lands in the photo; of points that land in `LEAST_PHOTOS`, without tracks."""
    error: float | None
    """Median distance in pixels of the listed photos from where points were seen; infinite where most land nowhere;
    None where it is not known where they were seen."""
    tracked: bool
    """Whether it is known which photo sees which point."""

    @property
    def problem(self) -> str | None:
        """What does not fit, as the first half of a sentence; None where everything does, or little is known."""
        if self.pairs < FEWEST:
            return None
        if self.in_front < LEAST_IN_FRONT:
            return f"{1 - self.in_front:.0%} of the capture's 3D points lie behind the cameras"
        if self.inside < LEAST_INSIDE:
            return f"{1 - self.inside:.0%} of the capture's 3D points land outside the photos"
        if self.error is not None and self.error > LARGEST_ERROR:
            return (
                f"The capture's 3D points land {self.error:.0f} pixels from where the photos saw them (the median, "
                f"where {LARGEST_ERROR:.0f} is much)"
            )
        return None


def fit_of(tracks: Tracks, projections: Projections) -> Fit:
    """How well points fit the cameras."""
    if tracks.photo is not None:
        # A perspective camera has no place for what lies behind it.
        front, inside = projections.depth > 0, projections.inside
        pairs = len(front)
    else:
        front, inside = (_in_photos(projections, each) for each in (projections.depth > 0, projections.inside))
        pairs = len(front)
    errors = projections.error
    error = None if errors is None or len(errors) == 0 else float(np.median(errors))
    return Fit(
        pairs, float(front.mean()) if pairs else 1.0, float(inside.mean()) if pairs else 1.0, error,
        tracks.photo is not None,
    )  # fmt: skip


def _in_photos(projections: Projections, holds: np.ndarray) -> np.ndarray:
    """Of each point, whether something holds in `LEAST_PHOTOS` photos."""
    points, row = np.unique(projections.point, return_inverse=True)
    return np.bincount(row.ravel(), weights=holds, minlength=len(points)) >= LEAST_PHOTOS


def usable_points(scene: Scene) -> tuple[SparsePoints | None, str | None]:
    """A capture's sparse points, None where it has none; and what there is to tell where they cannot be read."""
    try:
        return read_points(scene), None
    except SceneError as error:
        return None, f"The capture's 3D points cannot be read and are not looked at. {error}"


def fit_notes(scene: Scene) -> tuple[str, ...]:
    """What there is to tell of a capture's sparse points: that poses do not fit them, or that they cannot be read."""
    return notes_on(scene, *usable_points(scene))


def notes_on(scene: Scene, points: SparsePoints | None, note: str | None) -> tuple[str, ...]:
    """The same of what `usable_points` gave."""
    if points is None or len(points) == 0:
        return () if note is None else (note,)
    tracks = tracks_of(scene, points)
    return note_of(fit_of(tracks, project_tracks(scene, Projector(scene), tracks)))


def note_of(fit: Fit | None) -> tuple[str, ...]:
    """What there is to tell of how poses and points fit: nothing where they do."""
    if fit is None or fit.problem is None:
        return ()
    return (
        f"{fit.problem}: poses and points do not belong to one world, as where an axis was turned round in one of "
        "them. Training would learn fog; export both again, with right-handed axes.",
    )
