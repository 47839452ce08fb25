"""A capture's sparse points beside its photos: which photo in use sees which point, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lerf.geometry.bounds import LARGEST_COORDINATE
from lerf.scenes.finder import as_written, normal_name, stem_of
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

MEASURING = 8
"""Every so-manieth point is left out of training, so that it can measure the depth that was learnt."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points of the normalised frame, and the photos of the scene that see them."""

    points: Float[np.ndarray, "points 3"]
    """Those of the capture that are numbers."""
    photo: Int[np.ndarray, " pairs"] | None
    """Of each pair of a photo and a point that it sees the photo, as index into the scene's; None where not known."""
    point: Int[np.ndarray, " pairs"] | None
    """... and the point."""
    place: Float[np.ndarray, "pairs 2"] | None
    """... and where in the photo it was seen, x and y over width and height; None where not known."""
    errors: Float[np.ndarray, " points"] | None = None
    """Of each point the mean reprojection error that the capture states, pixels; None where it states none."""

    def __len__(self) -> int:
        return len(self.points)

    def pairs_of(self, photo: int, most: int) -> Int[np.ndarray, " pairs"]:
        """Indices of a photo's pairs, at most so many, evenly spread over them."""
        assert self.photo is not None
        return spread(np.flatnonzero(self.photo == photo), most)


def spread(values: Int[np.ndarray, " values"], most: int) -> Int[np.ndarray, " chosen"]:
    """At most so many of some values, evenly spread over their order."""
    if len(values) <= most:
        return values
    return values[np.arange(most) * len(values) // most]


def left_for_measuring(points: int) -> Bool[np.ndarray, " points"]:
    """Which of so many points training leaves out; the others measure nothing that it has not learnt from."""
    chosen: Bool[np.ndarray, " points"] = np.arange(points) % MEASURING == 0
    return chosen


def tracks_of(scene: Scene, points: SparsePoints) -> Tracks:
    """What of the points is of use: those that are numbers, and observations by photos that are in the scene.

    A photo that sees a point twice counts once.
    """
    sound = (np.abs(points.positions) <= LARGEST_COORDINATE).all(1)
    positions = scene.similarity.apply_points(points.positions[sound])
    errors = None if points.errors is None else points.errors[sound]
    if points.observations is None:
        return Tracks(positions, None, None, None, errors)
    photo_of = np.append(photos_named(scene, points.names), -1)
    point_of = np.append(np.where(sound, np.cumsum(sound) - 1, -1), -1)
    point, photo = points.observations.T
    point = point_of[np.where((point >= 0) & (point < len(sound)), point, -1)]
    photo = photo_of[np.where((photo >= 0) & (photo < len(points.names)), photo, -1)]
    known = np.flatnonzero((point >= 0) & (photo >= 0))
    _, first = np.unique(point[known] * len(scene) + photo[known], return_index=True)
    used = known[first]
    places = None if points.places is None else points.places[used]
    return Tracks(positions, photo[used], point[used], places, errors)


def photos_named(scene: Scene, names: Sequence[str]) -> Int[np.ndarray, " names"]:
    """Indices of the scene's photos that names of a pose file mean; -1 where it is none or not clear which.

    Names of a scene are relative to the capture, those of a pose file to some folder: the photo with the most parts of
    the name in common, from its end on, is the one. Extensions may differ.
    """
    candidates: dict[str, list[tuple[int, list[str]]]] = {}
    for index, photo in enumerate(scene.photos):
        key = _key(photo.name)
        candidates.setdefault(key[-1], []).append((index, key))
    found = []
    for name in names:
        key = _key(name)
        lengths = [(_common_end(key, other), index) for index, other in candidates.get(key[-1], [])]
        longest = max(lengths, default=(0, -1))[0]
        best = [index for length, index in lengths if length == longest]
        found.append(best[0] if len(best) == 1 else -1)
    return np.array(found, np.int64)


def _key(name: str) -> list[str]:
    parts = [normal_name(part) for part in as_written(name).parts] or [""]
    return [*parts[:-1], stem_of(parts[-1])]


def _common_end(parts: Sequence[str], others: Sequence[str]) -> int:
    pairs = zip(reversed(parts), reversed(others), strict=False)
    return next((count for count, (part, other) in enumerate(pairs) if part != other), min(len(parts), len(others)))
