"""Verdicts: each threshold, from both sides, and which finding comes first."""

import dataclasses

import pytest
from posed_points import ring_scene

from lerf.scenes.inspection.extent import Depths
from lerf.scenes.inspection.facts import capture_facts, capture_rows
from lerf.scenes.inspection.fit import Fit
from lerf.scenes.inspection.inspect import Count, Inspection, Points
from lerf.scenes.inspection.overlap import Overlap
from lerf.scenes.inspection.pictures import Pictures
from lerf.scenes.inspection.verdict import Grade, verdict_on

GOOD = Inspection(
    Count(40, 40, 0, 0, 0),
    Points(5000, 0.7, 0.6),
    Fit(5000, 1.0, 1.0, 0.7, True),
    Overlap("tracks", 6.0, 0.9, (40,), (), 1.0),
    Depths(1.0, 2.0, 5.0),
    0.5,
    Pictures(tuple(range(40)), (0.3,) * 40, 0.3, ()),
)


def changed(**parts):
    """The good capture with some values of some parts replaced."""
    return dataclasses.replace(
        GOOD,
        **{
            name: dataclasses.replace(getattr(GOOD, name), **value) if isinstance(value, dict) else value
            for name, value in parts.items()
        },
    )


def blurred(count):
    return {"details": (0.05,) * count + (0.3,) * (40 - count)}


CASES = {
    "good": (GOOD, Grade.GOOD, "Good: 40 photos, sharp and well connected."),
    "two blurred": (changed(pictures=blurred(2)), Grade.GOOD, "Good"),
    "three blurred": (changed(pictures=blurred(3)), Grade.FAIR, "Fair: 3 of 40 photos are blurred."),
    "many blurred": (changed(pictures=blurred(9)), Grade.WEAK, "Weak: 9 of 40 photos are blurred."),
    "no pose": (changed(count={"at_hand": 44, "without_pose": 4}), Grade.FAIR, "4 of 44 photos have no pose"),
    "many without": (changed(count={"at_hand": 60, "without_pose": 20}), Grade.WEAK, "20 of 60 photos have no pose"),
    "most without": (changed(count={"at_hand": 130, "without_pose": 90}), Grade.BAD, "Bad: 90 of 130 photos"),
    "missing": (changed(count={"missing": 3}), Grade.FAIR, "3 of 43 listed photos are missing"),
    "error": (changed(points={"mean_error": 2.5}), Grade.FAIR, "points miss the photos by 2.5 pixels"),
    "large error": (changed(points={"mean_error": 5.0}), Grade.WEAK, "points miss the photos by 5.0 pixels"),
    "error not known": (changed(points={"mean_error": None, "median_error": None}), Grade.GOOD, "Good"),
    "mirrored": (changed(fit={"error": 300.0}), Grade.BAD, "land 300 pixels from where the photos saw them"),
    "behind": (changed(fit={"in_front": 0.0}), Grade.BAD, "100% of the capture's 3D points lie behind"),
    "thin": (changed(overlap={"photos_per_place": 2.3}), Grade.WEAK, "few photos look at the same things"),
    "thin pairs": (changed(overlap={"seen_thrice": 0.2}), Grade.WEAK, "few photos look at the same things"),
    "thin frusta": (
        changed(overlap={"source": "frusta", "photos_per_place": 3.5}), Grade.WEAK, "few photos look at the same",
    ),
    "one apart": (changed(overlap={"apart": (3,)}), Grade.FAIR, "1 photos have little in common"),
    "many apart": (changed(overlap={"apart": (3, 4, 5)}), Grade.WEAK, "3 photos have little in common"),
    "one place": (changed(baseline=0.01), Grade.WEAK, "from nearly one place: depth is a guess"),
    "distance not known": (changed(baseline=None), Grade.GOOD, "Good"),
    "stops": (changed(pictures={"stops": 1.4}), Grade.FAIR, "brightness differs by 1.4 stops"),
    "many stops": (changed(pictures={"stops": 2.4}), Grade.WEAK, "brightness differs by 2.4 stops"),
    "damaged": (changed(pictures={"damaged": ("x is cut off.",)}), Grade.BAD, "1 of the photos looked at cannot be"),
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return ring_scene(tmp_path_factory.mktemp("capture"), 40)


@pytest.mark.parametrize("case", CASES)
def test_each_finding(scene, case):
    inspection, grade, words = CASES[case]
    verdict = verdict_on(scene, inspection)
    assert verdict.grade == grade
    assert words in verdict.sentence
    assert verdict.sentence.startswith(f"{grade.name.capitalize()}: ")
    assert verdict.ok == (grade < Grade.BAD)
    assert bool(verdict.advice) == (grade > Grade.GOOD)


def test_the_gravest_comes_first(scene):
    verdict = verdict_on(scene, changed(pictures={**blurred(3), "stops": 2.4}, fit={"in_front": 0.0}))
    first, second, third = verdict.sentence.removeprefix("Bad: ").split("; ")
    assert "lie behind" in first
    assert "2.4 stops" in second
    assert "3 of 40" in third
    assert len(verdict.advice) == 3


def test_few_photos(tmp_path):
    small = ring_scene(tmp_path, 12)
    pictures = Pictures(tuple(range(12)), (0.3,) * 12, 0.3, ())
    assert "12 photos are few" in verdict_on(small, dataclasses.replace(GOOD, pictures=pictures)).sentence


def test_rows_and_facts_say_the_same(scene, tmp_path):
    inspection = changed(
        pictures=blurred(9), count={"at_hand": 44, "without_pose": 4}, overlap={"parts": (38, 2), "apart": (1, 2)}
    )
    verdict = verdict_on(scene, inspection)
    facts, rows = (make(scene, tmp_path / "poses", inspection, verdict) for make in (capture_facts, capture_rows))
    said = dict(rows)
    assert facts["verdict"] == said["verdict"] == verdict.sentence
    assert len([name for name, _ in rows if name == "what to do"]) == len(facts["advice"]) == len(verdict.advice)
    assert (facts["photos"], facts["photos_at_hand"], facts["photos_without_pose"]) == (40, 44, 4)
    assert said["photos"] == "40 of 44 at hand; 4 without a pose"
    assert facts["points"]["count"] == 5000
    assert said["sparse points"].startswith("5,000; reprojection error 0.70 pixels on average, median 0.60")
    assert said["depth"] == "1 to 5, median 2, in units of the capture"
    assert facts["overlap"]["photos_apart"] == [scene.photos[1].name, scene.photos[2].name]
    assert "2 groups that are not connected: 38, 2" in said["overlap"]
    assert facts["up"] == said["up"] == "+z"
    assert facts["cameras"] == ["perspective"]
    assert facts["blurred"] == [photo.name for photo in scene.photos[:9]]
    assert said["blur"].startswith("9 blurred (images/0000.png, images/0001.png, images/0002.png, ...)")
