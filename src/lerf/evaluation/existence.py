"""LERF's existence (Kerr et al. 2023, section 4.3): is a phrase in the scene? Precision and recall over a threshold.

Present are phrases whose truth at least one scored view shows, so that a method that sees only these views can know
them: of a generated scene its held-out views, by `MIN_PIXELS` or more, of label files the labelled photos. The run and
what it is compared with are asked the same ones. As many absent phrases as present ones are asked: of the longer list,
evenly spaced ones are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from lerf.evaluation.metrics import average_precision, precision_recall
from lerf.evaluation.protocol import Accumulator, EvalInputs, MapProtocol, Measured, MeasuredRun, without_labels
from lerf.evaluation.truth import LabelledTruth, ViewTruth
from lerf.queries.phrases import presence

T = TypeVar("T")


def thinned(items: Sequence[T], count: int) -> list[T]:
    """`count` evenly spaced items in order, or all where there are no more: never only the first, which are alike."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def balanced(present: Sequence[T], absent: Sequence[T]) -> tuple[list[T], list[T]]:
    """As many of the one as of the other."""
    count = min(len(present), len(absent))
    return thinned(present, count), thinned(absent, count)


def existence(present: Sequence[float], absent: Sequence[float], threshold: float | None = None) -> dict[str, Any]:
    """Average precision and the whole curve, of relevancies to phrases in the scene and not in it.

    `at_threshold` has precision and recall where a phrase counts as present from `threshold` on; precision is None
    where none does.
    """
    scores, truth = [*present, *absent], [True] * len(present) + [False] * len(absent)
    precision, recall, thresholds = precision_recall(scores, truth)
    curve = zip(thresholds.tolist(), precision.tolist(), recall.tolist(), strict=True)
    report: dict[str, Any] = {
        "average_precision": average_precision(scores, truth),
        "precision_recall": [{"threshold": t, "precision": p, "recall": r} for t, p, r in curve],
    }
    if threshold is not None:
        hits, false = (sum(score >= threshold for score in each) for each in (present, absent))
        report["at_threshold"] = {
            "threshold": threshold,
            "precision": hits / (hits + false) if hits + false else None,
            "recall": hits / len(present),
        }
    return report


class Existence(MapProtocol):
    """The protocol `existence`: the run by its answers, other methods by the best of their maps."""

    name = "existence"
    of_answers = True

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if reason := without_labels(inputs):
            return reason
        if not inputs.labelled:
            return "no held-out photo has labels"
        if all(_kinds(inputs)):
            return None
        advice = "give --absent FILE" if isinstance(inputs.truth, LabelledTruth) else "hold out other photos"
        return f"it needs phrases that the views show and absent ones; {advice}"

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        present, absent = balanced(*_kinds(inputs))
        return {"existence": {"present": len(present), "absent": len(absent)}}

    def photos(self, inputs: EvalInputs) -> Sequence[int]:
        return inputs.labelled

    def asked(self, inputs: EvalInputs, view: ViewTruth | None = None) -> Sequence[int]:
        present, absent = balanced(*_kinds(inputs))
        return [*present, *absent]

    def update(
        self, scores: Float[Tensor, "_height _width"], number: int, view: ViewTruth, accumulator: Accumulator
    ) -> None:
        accumulator.add_relevancy(number, presence(scores.flatten()))

    def summary(self, measured: Measured) -> dict[str, Any]:
        relevancy = measured.relevancy
        present, absent = ([relevancy[n] for n in each] for each in balanced(*_kinds(measured.inputs)))
        # Another method's relevancies, or a photo's alone, have a threshold of their own.
        return existence(
            present, absent, measured.model.defaults.threshold if isinstance(measured, MeasuredRun) else None
        )


def _kinds(inputs: EvalInputs) -> tuple[list[int], list[int]]:
    """Questions that the views show, and questions whose answer is nothing."""
    return inputs.shown, [number for number, question in enumerate(inputs.questions) if not question.present]
