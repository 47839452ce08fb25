"""What came out of solving, and why photos were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerf.poses.inputs import SourcePhoto
from lerf.poses.known_distances import Unit
from lerf.poses.pairs import Pair
from lerf.scenes.photos import WHITES, read_photo
from lerf.scenes.sharpness import grey_of, measured_size, sharpness

BLURRED = 0.25
"""A photo is blurred when it is less sharp than this share of the median of those that were placed."""
CONNECTED = 30
"""Matches with placed photos, in all, under which a photo has too little in common with them."""
LEAST_SHARE = 0.5
"""Share of the photos that must be placed for the capture to count as solved."""


@dataclass(frozen=True)
class LeftOut:
    """A photo that has no pose."""

    name: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What came out."""

    photos: int
    """Given."""
    placed: int
    """With a pose."""
    parts: tuple[int, ...]
    """Photos of each part of the capture that is connected in itself alone; the first is in use."""
    cameras: int
    reprojection_error: float
    """Mean over the points' observations, pixels of the photos."""
    points: int
    track_length: float
    """Photos that see a point, on average."""
    left_out: tuple[LeftOut, ...]
    unit: Unit
    """Of the capture, in solved units."""

    @property
    def enough(self) -> bool:
        """Whether so many photos were placed that the capture counts as solved."""
        return self.placed >= LEAST_SHARE * self.photos

    def sentences(self) -> list[str]:
        """The outcome in words."""
        cameras = "one camera" if self.cameras == 1 else f"{self.cameras} cameras"
        said = [
            f"{self.placed} of {self.photos} photos placed, {cameras}; mean reprojection error "
            f"{self.reprojection_error:.2f} pixels; {self.points} points, each seen by {self.track_length:.1f} photos "
            "on average."
        ]
        if len(self.parts) > 1:
            others = ", ".join(str(count) for count in self.parts[1:])
            said.append(f"The photos fell into {len(self.parts)} parts that are not connected: beside it, of {others}.")
        said += self.unit.sentences()
        for reason, count in Counter(photo.reason for photo in self.left_out).most_common():
            names = [photo.name for photo in self.left_out if photo.reason == reason]
            more = f" and {count - 3} more" if count > 3 else ""
            said.append(f"Left out: {', '.join(names[:3])}{more} ({reason}).")
        if not self.enough:
            said.append(
                "Fewer than half of the photos were placed: take more photos with half of each picture in common with "
                "the next, sharp, without zooming, or try --matching exhaustive."
            )
        return said

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "photos": self.photos,
            "placed": self.placed,
            "parts": list(self.parts),
            "cameras": self.cameras,
            "mean_reprojection_error": self.reprojection_error,
            "points": self.points,
            "mean_track_length": self.track_length,
            "scale": self.unit.factor,
            "distances": [distance.to_plain() for distance in self.unit.distances],
            "left_out": [{"name": photo.name, "reason": photo.reason} for photo in self.left_out],
        }


def reasons(
    photos: Sequence[SourcePhoto], placed: set[int], elsewhere: set[int], inliers: Mapping[Pair, int]
) -> tuple[LeftOut, ...]:
    """Why photos were left out, as far as it can be told.

    Args:
        photos: all of them.
        placed: indices of those with a pose.
        elsewhere: indices of those in another model.
        inliers: verified matches of pairs.
    """
    left = [index for index in range(len(photos)) if index not in placed]
    if not left:
        return ()
    usual = float(np.median([_sharpness(photos[index]) for index in _spread(sorted(placed), 20)]))
    cameras = Counter(photos[index].camera for index in placed)
    found = []
    for index in left:
        photo = photos[index]
        shared = sum(count for pair, count in inliers.items() if index in pair and (set(pair) - {index}) <= placed)
        if _sharpness(photo) < BLURRED * usual:
            reason = "blurred"
        elif index in elsewhere:
            reason = "in a part that is not connected with the rest"
        elif shared < CONNECTED:
            reason = "too little in common with the others"
        elif cameras[photo.camera] == 0:
            reason = "another camera or focal length than all others"
        else:
            reason = "matches that contradict each other"
        found.append(LeftOut(photo.name, reason))
    return tuple(found)


def _spread(values: Sequence[int], count: int) -> list[int]:
    return [values[number * len(values) // min(count, len(values))] for number in range(min(count, len(values)))]


def _sharpness(photo: SourcePhoto) -> float:
    # Decoded no larger than it is looked at: photos may have 200 megapixels.
    white = WHITES[4] if photo.white is None else photo.white
    return sharpness(grey_of(read_photo(photo.path, measured_size(photo.size), white=white)[..., :3]))
