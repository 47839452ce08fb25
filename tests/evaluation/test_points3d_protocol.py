"""Answers in 3D, by hand."""

from typing import Any

import numpy as np
import pytest

from lerf.evaluation.annotations import Annotation, LabelledPart, Phrase, Thing
from lerf.evaluation.points3d import asked, box_iou, hits, lies_on, nearest, part_pairs, score_answers, summary
from lerf.queries.result import Answer, Geometry, Instance

UNIT = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def thing(identifier: int, kind: str, low: tuple[float, ...], side: float = 0.1, furniture: bool = False) -> Thing:
    high = tuple(x + side for x in low)
    parts = (
        LabelledPart(2 * identifier, "body", low, high),
        LabelledPart(2 * identifier + 1, "handle", low, high),
    )
    return Thing(identifier, kind, "red", "ceramic", "plain", "", furniture, parts, low, high)


MUG = thing(1, "mug", (0.0, 0.0, 0.0))
CUP = thing(2, "mug", (1.0, 0.0, 0.0))
TABLE = thing(3, "table", (0.0, 0.0, -1.0), 1.0, True)
PHRASES = (
    Phrase("mug", "name", (1, 2)),
    Phrase("red thing", "colour", (1,)),
    Phrase("table", "name", (3,)),
    Phrase("mug handle", "part", (1, 2), "handle"),
    Phrase("something to drink from", "use", (1, 2)),
    Phrase("tiger", "absent", ()),
)
ANNOTATION = Annotation(0, "table", (MUG, CUP, TABLE), PHRASES)


def answer(text: str, *points: tuple[float, float, float], extent: Any = ((0.0, 0.0, 0.0), (0.1, 0.1, 0.1))) -> Answer:
    found = tuple(Instance(0.9, Geometry(point, 0.1, extent, None, None)) for point in points)
    return Answer(text, 0.9, found[0].geometry if found else None, found)


def test_only_phrases_for_whole_objects_are_asked() -> None:
    assert asked(ANNOTATION) == [0, 1]


def test_the_tolerance_is_two_centimetres_or_a_tenth_of_the_side() -> None:
    small, large = 0.1 * UNIT, UNIT
    assert lies_on((-0.019, 0.05, 0.119), small)
    assert not lies_on((-0.021, 0.05, 0.05), small)
    assert lies_on((-0.09, 0.5, 1.09), large)
    assert not lies_on((0.5, 0.5, 1.11), large)


def test_a_point_within_the_tolerance_but_nearer_to_a_neighbour_is_wrong() -> None:
    neighbour = thing(4, "bowl", (0.115, 0.0, 0.0))
    objects = (MUG, CUP, neighbour)
    assert hits((0.106, 0.05, 0.05), [MUG], objects)
    assert lies_on((0.11, 0.05, 0.05), np.array([MUG.minimum, MUG.maximum]))
    assert not hits((0.11, 0.05, 0.05), [MUG], objects)
    assert hits((0.11, 0.05, 0.05), [MUG, neighbour], objects)
    assert hits((0.11, 0.05, 0.05), [MUG], (MUG, CUP))


def test_where_boxes_overlap_the_smallest_is_nearest() -> None:
    small = thing(4, "egg", (0.04, 0.04, 0.04), 0.02)
    assert nearest((0.05, 0.05, 0.05), (MUG, small)) == small
    assert nearest((0.01, 0.01, 0.01), (MUG, small)) == MUG


def test_iou_of_boxes_by_hand() -> None:
    assert box_iou(UNIT, UNIT) == 1.0
    assert box_iou(UNIT, UNIT + np.array([0.5, 0.0, 0.0])) == pytest.approx(0.5 / 1.5)
    assert box_iou(UNIT, UNIT + np.array([2.0, 2.0, 0.0])) == 0.0
    assert box_iou(0 * UNIT, 0 * UNIT) == 0.0


def test_points_counts_and_extents() -> None:
    answers = {
        0: answer("mug", (1.05, 0.05, 0.05), (0.05, 0.05, 0.05)),
        1: answer("red thing", (0.5, 0.0, 0.0), extent=((0.0, 0.0, 0.0), (0.2, 0.1, 0.1))),
    }
    rows = score_answers(ANNOTATION, answers)
    assert rows[0] == {"point_hit": True, "count": 2, "true_count": 2}
    assert rows[1] == {"point_hit": False, "count": 1, "true_count": 1, "extent_iou": pytest.approx(0.5)}
    scales = {0: 0.2, 1: 0.2, 2: 0.5, 3: 0.1, 4: 0.2, 5: 0.2}
    assert summary(ANNOTATION, rows, scales) == {
        "answered": 1.0,
        "point_accuracy": 0.5,
        "count_accuracy": 1.0,
        "extent_iou": pytest.approx(0.5),
        "part_scale_smaller": 1.0,
    }
    assert summary(ANNOTATION, rows, {**scales, 3: 0.2})["part_scale_smaller"] == 0.0


def test_an_answer_of_absence_is_wrong_everywhere() -> None:
    rows = score_answers(ANNOTATION, {0: answer("mug"), 1: answer("red thing")})
    assert rows[0] == {"point_hit": False, "count": 0, "true_count": 2}
    assert rows[1] == {"point_hit": False, "count": 0, "true_count": 1, "extent_iou": 0.0}
    assert summary(ANNOTATION, rows, dict.fromkeys(range(6), 0.1))["answered"] == 0.0


def test_a_part_is_paired_with_the_names_of_its_owners_only() -> None:
    assert part_pairs(ANNOTATION) == [(3, 0)]


def test_nothing_asked_gives_no_scores() -> None:
    assert summary(Annotation(0, "table", (TABLE,), ()), {}, {}) == {}
