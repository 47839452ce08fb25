"""Answers in 3D against a generated scene: points, counts, extents, and whether parts answer at smaller scales.

Asked are phrases for whole objects: names, synonyms, colours, materials that are true of objects and of no furniture.
A point is right when it lies in the box of a thing that the phrase is true of, grown by a tolerance, and no other
object's box is nearer: objects may stand closer together than the tolerance. Counts are of phrases true of few things,
the IoU of extents is of phrases true of one thing. An answer that a phrase is absent has no point, no instance and no
extent: it is wrong in all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.evaluation.annotations import Annotation, Phrase, Thing
from lerf.evaluation.protocol import EvalInputs, EvaluationProtocol, Measured, MeasuredRun, without_labels
from lerf.evaluation.truth import AnnotatedTruth, ViewTruth
from lerf.queries.result import Answer

TYPES = ("name", "synonym", "colour", "material")
TOLERANCE = 0.02
"""Metres by which a box is grown at each side, to say that a point lies on the thing; or, where it is more, ..."""
RELATIVE_TOLERANCE = 0.1
"""... this share of the box's side along each axis."""
MAX_COUNT = 5
"""Phrases that are true of more things are not counted."""

Corners = Float[np.ndarray, "2 3"]


def asked(annotation: Annotation) -> list[int]:
    """Indices of the phrases that are asked."""
    objects = {thing.identifier for thing in annotation.objects}
    return [
        number
        for number, phrase in enumerate(annotation.phrases)
        if phrase.type in TYPES and not phrase.part and phrase.things and set(phrase.things) <= objects
    ]


def corners(thing: Thing) -> Corners:
    """Lower and upper corner of a thing, capture frame."""
    return np.array([thing.minimum, thing.maximum])


def lies_on(point: Sequence[float], box: Corners) -> bool:
    """Whether a point lies in a box grown by the tolerance."""
    slack = np.maximum(TOLERANCE, RELATIVE_TOLERANCE * (box[1] - box[0]))
    return bool(((box[0] - slack <= point) & (point <= box[1] + slack)).all())


def nearest(point: Sequence[float], things: Sequence[Thing]) -> Thing:
    """The thing whose box is nearest to a point; of equals, as where boxes overlap, the one with the smallest box."""

    def distance_and_volume(thing: Thing) -> tuple[float, float]:
        box = corners(thing)
        away = np.maximum(0.0, np.maximum(box[0] - point, point - box[1]))
        return float(np.linalg.norm(away)), float((box[1] - box[0]).prod())

    return min(things, key=distance_and_volume)


def box_iou(first: Corners, second: Corners) -> float:
    """Intersection over union of the volumes of two boxes along the axes; 0 where neither has a volume."""
    sides = np.minimum(first[1], second[1]) - np.maximum(first[0], second[0])
    common = float(np.clip(sides, 0, None).prod())
    whole = float((first[1] - first[0]).prod() + (second[1] - second[0]).prod()) - common
    return common / whole if whole > 0 else 0.0


def hits(point: Sequence[float], things: Sequence[Thing], objects: Sequence[Thing]) -> bool:
    """Whether a point lies on one of `things` and is nearest, among all objects of the scene, to one of them."""
    return any(lies_on(point, corners(thing)) for thing in things) and nearest(point, objects) in things


def score_answer(answer: Answer, things: Sequence[Thing], objects: Sequence[Thing]) -> dict[str, Any]:
    """What an answer is worth when its phrase is true of `things`, among the objects of the scene."""
    geometry = answer.geometry
    row: dict[str, Any] = {
        "point_hit": geometry is not None and hits(geometry.point, things, objects),
        "count": len(answer.instances),
        "true_count": len(things),
    }
    if len(things) == 1:
        row["extent_iou"] = 0.0 if geometry is None else box_iou(np.array(geometry.extent), corners(things[0]))
    return row


def score_answers(annotation: Annotation, answers: Mapping[int, Answer]) -> dict[int, dict[str, Any]]:
    """`score_answer` of every phrase that is asked, by index."""
    things = {thing.identifier: thing for thing in annotation.things}
    return {
        number: score_answer(
            answers[number], [things[i] for i in annotation.phrases[number].things], annotation.objects
        )
        for number in asked(annotation)
    }


def part_pairs(annotation: Annotation) -> list[tuple[int, int]]:
    """Indices of each part's phrase and of each name of one of its owners."""
    return [
        (number, other)
        for number, phrase in enumerate(annotation.phrases)
        for other, name in enumerate(annotation.phrases)
        if phrase.type == "part" and name.type == "name" and _share(phrase, name)
    ]


def _share(part: Phrase, name: Phrase) -> bool:
    return not set(part.things).isdisjoint(name.things)


def summary(
    annotation: Annotation, rows: Mapping[int, Mapping[str, Any]], scales: Mapping[int, float]
) -> dict[str, Any]:
    """Means over phrases, and the median of the extents' IoU; a score that nothing was asked for is left out.

    `answered` is the share of the phrases that were said to be in the scene.

    Args:
        annotation: of the scene.
        rows: from `score_answers`.
        scales: at which each phrase, by index, was answered.
    """
    counted = [row["count"] == row["true_count"] for row in rows.values() if row["true_count"] <= MAX_COUNT]
    extents = [row["extent_iou"] for row in rows.values() if "extent_iou" in row]
    pairs = part_pairs(annotation)
    smaller = [scales[part] < scales[owner] for part, owner in pairs]
    report: dict[str, Any] = {}
    if rows:
        report["answered"] = sum(row["count"] > 0 for row in rows.values()) / len(rows)
        report["point_accuracy"] = sum(row["point_hit"] for row in rows.values()) / len(rows)
    if counted:
        report["count_accuracy"] = sum(counted) / len(counted)
    if extents:
        report["extent_iou"] = median(extents)
    if smaller:
        report["part_scale_smaller"] = sum(smaller) / len(smaller)
    return report


class Points3d(EvaluationProtocol):
    """The protocol `3d`."""

    name = "3d"
    of_answers = True

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if reason := without_labels(inputs):
            return reason
        if inputs.other_maps:
            return "maps of another method do not show it"
        if not isinstance(inputs.truth, AnnotatedTruth):
            return "only generated scenes, with an annotation.json, know it"
        return None

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        return {
            "3d": {"tolerance": TOLERANCE, "relative_tolerance": RELATIVE_TOLERANCE, "max_count": MAX_COUNT},
        }

    def asked(self, inputs: EvalInputs, view: ViewTruth | None = None) -> Sequence[int]:
        return asked(_annotation(inputs))

    def rows(self, measured: MeasuredRun) -> dict[int, dict[str, Any]]:
        """`score_answer` of every phrase that is asked, by index."""
        return score_answers(_annotation(measured.inputs), measured.answers)

    def summary(self, measured: Measured) -> dict[str, Any]:
        assert isinstance(measured, MeasuredRun)
        scales = {n: measured.scales[question.text] for n, question in enumerate(measured.inputs.questions)}
        return summary(_annotation(measured.inputs), self.rows(measured), scales)


def _annotation(inputs: EvalInputs) -> Annotation:
    assert isinstance(inputs.truth, AnnotatedTruth)
    return inputs.truth.annotation
