"""LERF's existence (Kerr et al. 2023, section 4.3): is a phrase in the scene? Precision and recall over a threshold.

Present are phrases whose truth at least one scored view shows, so that a method that sees only these views can know
them: of a generated scene its held-out views, by `MIN_PIXELS` or more, of label files the labelled photos. The run and
what it is compared with are asked the same ones. As many absent phrases as present ones are asked: of the longer list,
evenly spaced ones are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from lerf.evaluation.metrics import average_precision, precision_recall

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
