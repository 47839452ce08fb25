"""What a capture is good for, in words: findings by thresholds that are named here, the gravest first.

The thresholds are rules of thumb: what photogrammetry asks for (three photos a place, a base of a tenth of the
distance), and what real captures have that train well and badly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from lerf.scenes.finder import some_of
from lerf.scenes.inspection.inspect import Inspection
from lerf.scenes.scene import Scene
from lerf.scenes.selection import FEW

FEW_PHOTOS = 20
"""Photos with which a scene is hardly seen from all sides that it is looked at from."""
MOST_WITHOUT_POSE = 0.3
"""Share of the photos at hand that may be without a pose before what was placed is a part of the scene alone."""
SOME_BLURRED, MANY_BLURRED = 0.05, 0.15
"""Share of the photos looked at: blur of few is outvoted by the others."""
THIN_TRACKS, THIN_FRAMES = 2.8, 4.0
"""Photos that see a place on average, by tracks (two are the least that can be) and by frames (they count what is
hidden too)."""
LEAST_THRICE = 0.4
"""Share of the places that at least three photos must see."""
MANY_APART = 0.05
"""Share of the photos that may hang together with no others before that is grave."""
SHORT_BASELINE = 0.04
"""Spread of the photos over the distance of things, under which depth is a guess."""
STOPS, MANY_STOPS = 1.0, 2.0
"""By how much the photos' brightness may differ: by content alone it is a quarter to two thirds of a stop."""
LARGE_ERROR, LARGER_ERROR = 2.0, 4.0
"""Pixels: mean distance between where photos see points and where these land."""


class Grade(IntEnum):
    """How much speaks against training on a capture."""

    GOOD = 0
    FAIR = 1
    WEAK = 2
    BAD = 3


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against it."""

    grade: Grade
    what: str
    advice: str
    """A sentence."""


@dataclass(frozen=True)
class Verdict:
    """What a capture is good for."""

    grade: Grade
    sentence: str
    advice: tuple[str, ...]
    """Sentences, for the gravest finding first."""

    @property
    def ok(self) -> bool:
        """Whether there is any use in training on it."""
        return self.grade < Grade.BAD


def verdict_on(scene: Scene, inspection: Inspection) -> Verdict:
    """The verdict on a scene that was inspected."""
    findings = sorted(
        [*_of_poses(inspection), *_of_pictures(scene, inspection), *_of_overlap(scene, inspection)],
        key=lambda finding: -finding.grade,
    )
    grade = max((finding.grade for finding in findings), default=Grade.GOOD)
    said = "; ".join(finding.what for finding in findings) or f"{len(scene)} photos, sharp and well connected"
    return Verdict(grade, f"{grade.name.capitalize()}: {said}.", tuple(finding.advice for finding in findings))


def _of_poses(inspection: Inspection) -> Iterator[Finding]:
    count, fit = inspection.count, inspection.fit
    if fit is not None and fit.problem is not None:
        yield Finding(
            Grade.BAD, fit.problem[0].lower() + fit.problem[1:],
            "Poses and points do not belong to one world: export both again, with right-handed axes.",
        )  # fmt: skip
    placed = count.used / count.at_hand
    if count.at_hand > count.used:
        grade = Grade.BAD if placed < FEW else Grade.WEAK if placed < 1 - MOST_WITHOUT_POSE else Grade.FAIR
        yield Finding(
            grade, f"{count.at_hand - count.used} of {count.at_hand} photos have no pose that can be used",
            "Estimate poses again from all photos, for example with lerf poses.",
        )  # fmt: skip
    if count.missing:
        yield Finding(
            Grade.FAIR, f"{count.missing} of {count.missing + count.used} listed photos are missing",
            "Put the missing photos where the capture says.",
        )  # fmt: skip
    error = None if inspection.points is None else inspection.points.mean_error
    if error is not None and error > LARGE_ERROR:
        yield Finding(
            Grade.WEAK if error > LARGER_ERROR else Grade.FAIR, f"points miss the photos by {error:.1f} pixels",
            "Estimate poses again, with one camera for all photos of one camera; or train with --refine-poses.",
        )  # fmt: skip


def _of_pictures(scene: Scene, inspection: Inspection) -> Iterator[Finding]:
    pictures = inspection.pictures
    if pictures.damaged:
        yield Finding(
            Grade.BAD, f"{len(pictures.damaged)} of the photos looked at cannot be decoded", pictures.damaged[0]
        )
    if len(scene) < FEW_PHOTOS:
        yield Finding(
            Grade.WEAK, f"{len(scene)} photos are few",
            "Take more photos, from more sides, with half of each picture in common with the next.",
        )  # fmt: skip
    blurred, looked = len(pictures.blurred), len(pictures.photos)
    if looked and blurred > SOME_BLURRED * looked:
        names = some_of([scene.photos[photo].name for photo in pictures.blurred])
        which = "photos" if looked == len(scene) else "photos looked at"
        yield Finding(
            Grade.WEAK if blurred > MANY_BLURRED * looked else Grade.FAIR, f"{blurred} of {looked} {which} are blurred",
            f"Take the blurred photos out ({names}), or take them again with a steady hand and more light.",
        )  # fmt: skip
    if pictures.stops is not None and pictures.stops > STOPS:
        yield Finding(
            Grade.WEAK if pictures.stops > MANY_STOPS else Grade.FAIR,
            f"brightness differs by {pictures.stops:.1f} stops between the photos",
            "Take photos with exposure and white balance locked, or even them out.",
        )


def _of_overlap(scene: Scene, inspection: Inspection) -> Iterator[Finding]:
    overlap = inspection.overlap
    thin = THIN_TRACKS if overlap.source == "tracks" else THIN_FRAMES
    # Of three photos no more than three see a place.
    if overlap.photos_per_place < min(thin, 0.8 * len(scene)) or overlap.seen_thrice < LEAST_THRICE:
        yield Finding(
            Grade.WEAK, "few photos look at the same things: expect floaters",
            "Take more photos of the same places, from neighbouring positions.",
        )  # fmt: skip
    if overlap.apart:
        names = some_of([scene.photos[photo].name for photo in overlap.apart])
        yield Finding(
            Grade.WEAK if len(overlap.apart) > MANY_APART * len(scene) else Grade.FAIR,
            f"{len(overlap.apart)} photos have little in common with the others",
            f"Take photos between these and the others: {names}.",
        )
    if inspection.baseline is not None and inspection.baseline < SHORT_BASELINE:
        yield Finding(
            Grade.WEAK, "all photos were taken from nearly one place: depth is a guess",
            "Move sideways between photos, by a tenth of the distance of what you look at.",
        )  # fmt: skip
