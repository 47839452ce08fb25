"""The unit of a capture from distances that somebody measured between places where photos were taken."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.files import resolved
from lerf.poses.inputs import SourcePhoto
from lerf.poses.settings import MeasuredDistance

DISAGREEMENT = 0.05
"""Share by which a measured distance may differ from the solved one before it is told."""
SMALLEST_SHARE = 1e-6
"""Of the extent of all camera positions: photos closer together than this give no scale."""


@dataclass(frozen=True)
class KnownDistance:
    """A measured distance, and what was solved for it."""

    photos: tuple[str, str]
    """Names under `images/`."""
    measured: float
    solved: float | None
    """In units of the solved model; None where a photo was not placed or both were taken from one place."""

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"photos": list(self.photos), "measured": self.measured, "solved": self.solved}


@dataclass(frozen=True)
class Unit:
    """How long the unit of a solved model is."""

    factor: float
    """On its distances; 1 where nothing is known."""
    distances: tuple[KnownDistance, ...] = ()

    def sentences(self) -> list[str]:
        """What the measured distances came to, in words."""
        if not self.distances:
            return []
        used = [one for one in self.distances if one.solved is not None]
        said = [
            f"The distance between {one.photos[0]} and {one.photos[1]} is not used: one was not placed, or both were "
            "taken from one place."
            for one in self.distances
            if one.solved is None
        ]
        if not used:
            return [*said, "No measured distance could be used: the unit is arbitrary."]
        what = "one measured distance" if len(used) == 1 else f"the median of {len(used)} measured distances"
        said.append(f"The scale is from {what}: a solved unit is {self.factor:.6g}.")
        for one in used:
            apart = self.factor * float(one.solved or 0.0) / one.measured - 1.0
            if abs(apart) > DISAGREEMENT:
                side = "longer" if apart > 0 else "shorter"
                said.append(
                    f"The distances disagree: by that scale {one.photos[0]} and {one.photos[1]} are {abs(apart):.0%} "
                    f"{side} apart than the {one.measured:g} measured."
                )
        return said


def named_photos(distances: Sequence[MeasuredDistance], photos: Sequence[SourcePhoto]) -> list[tuple[int, int]]:
    """Indices of the photos between which distances were measured.

    A photo is named by its file, by its name under `images/`, or by the end of either that tells it from others:
    `photos/a/1.jpg`, `a/1.jpg`, `1.jpg`.

    Raises:
        SceneError: a name is none of a photo, or of several; or both are of one photo.
    """
    pairs = []
    for first, second, _ in distances:
        pair = _index_of(first, photos), _index_of(second, photos)
        if pair[0] == pair[1]:
            raise SceneError(f"--distance {first} {second} is from a photo to itself: name two photos.")
        pairs.append(pair)
    return pairs


def unit_of(
    distances: Sequence[MeasuredDistance],
    pairs: Sequence[tuple[int, int]],
    photos: Sequence[SourcePhoto],
    positions: Mapping[int, Float[np.ndarray, " 3"]],
) -> Unit:
    """The scale of a solved model: the median of measured over solved distances.

    Args:
        distances: as measured.
        pairs: the photos of each, by `named_photos`.
        photos: all of them.
        positions: of the cameras of those that were placed.
    """
    placed = np.array(list(positions.values())).reshape(-1, 3)
    least = SMALLEST_SHARE * float(np.linalg.norm(np.ptp(placed, axis=0)))
    known = []
    for (_, _, measured), (first, second) in zip(distances, pairs, strict=True):
        solved = None
        if first in positions and second in positions:
            length = float(np.linalg.norm(positions[first] - positions[second]))
            solved = length if length > least else None
        known.append(KnownDistance((photos[first].name, photos[second].name), measured, solved))
    ratios = [one.measured / one.solved for one in known if one.solved is not None]
    return Unit(float(np.median(ratios)) if ratios else 1.0, tuple(known))


def _index_of(given: str, photos: Sequence[SourcePhoto]) -> int:
    wanted = _parts(given)
    called = [
        [_parts(photo.name), _parts(f"images/{photo.name}"), _parts(str(resolved(photo.path)))] for photo in photos
    ]
    tails = [index for index, names in enumerate(called) if any(name[-len(wanted) :] == wanted for name in names)]
    whole = [index for index in tails if wanted in called[index]]
    same = [index for index, photo in enumerate(photos) if resolved(photo.path) == resolved(Path(given))]
    fitting = same or whole or tails
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SceneError(
            f"--distance names {given}, as {len(fitting)} photos are called, {photos[fitting[0]].name} and "
            f"{photos[fitting[1]].name} for two: give more of the path."
        )
    raise SceneError(
        f"--distance names {given}, which is none of the {len(photos)} photos: name their files, or what a video's "
        f"frames are called under images, {photos[0].name} for one."
    )


def _parts(name: str) -> list[str]:
    normal = unicodedata.normalize("NFC", name).replace("\\", "/")
    return [part for part in normal.split("/") if part not in ("", ".")]
