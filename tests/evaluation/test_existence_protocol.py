"""Existence: balanced phrases, and the curve."""

import pytest

from lerf.evaluation.existence import balanced, existence, thinned


def test_thinning_spreads_over_the_list() -> None:
    assert thinned("abcdefgh", 4) == ["a", "c", "e", "g"]
    assert thinned("abc", 2) == ["a", "b"]
    assert thinned("abc", 5) == ["a", "b", "c"]
    assert balanced([1, 2, 3, 4], ["x", "y"]) == ([1, 3], ["x", "y"])
    assert balanced([], ["x"]) == ([], [])


def test_average_precision_and_curve_by_hand() -> None:
    # By falling score: present, absent, present, absent. Precision 1 at half the recall, 2/3 at all of it.
    report = existence([0.9, 0.7], [0.8, 0.1], threshold=0.75)
    assert report["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert report["precision_recall"] == [
        {"threshold": 0.9, "precision": 1.0, "recall": 0.5},
        {"threshold": 0.8, "precision": 0.5, "recall": 0.5},
        {"threshold": 0.7, "precision": pytest.approx(2 / 3), "recall": 1.0},
        {"threshold": 0.1, "precision": 0.5, "recall": 1.0},
    ]
    assert report["at_threshold"] == {"threshold": 0.75, "precision": 0.5, "recall": 0.5}
    assert existence([0.2], [0.1], threshold=0.5)["at_threshold"]["precision"] is None
    assert "at_threshold" not in existence([0.2], [0.1])
