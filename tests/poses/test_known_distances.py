"""The unit of a capture from measured distances: which photos are meant, the median, and what is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.errors import SceneError
from lerf.poses.inputs import SourcePhoto
from lerf.poses.known_distances import Unit, named_photos, unit_of


def photos(*names: str) -> list[SourcePhoto]:
    return [
        SourcePhoto(Path("/given") / Path(name).with_suffix(".HEIC"), name, "camera", (4, 3), 1, True) for name in names
    ]


def test_photos_are_named_by_what_tells_them_apart() -> None:
    some = photos("a/1.png", "a/2.png", "b/1.png", "1.png")
    named = named_photos(
        [("1.png", "a/2.png", 1.0), ("2.png", "images/b/1.png", 1.0), ("2.HEIC", "b\\1.png", 1.0)], some
    )
    assert named == [(3, 1), (1, 2), (1, 2)]
    with pytest.raises(SceneError, match=r"as 2 photos are called, a/1\.png and b/1\.png for two"):
        named_photos([("1.png", "2.png", 1.0)], photos("a/1.png", "b/1.png", "2.png"))
    with pytest.raises(SceneError, match="none of the 4 photos"):
        named_photos([("", "2.png", 1.0)], some)
    with pytest.raises(SceneError, match="from a photo to itself"):
        named_photos([("2.png", "a/2.png", 1.0)], some)


@given(st.floats(1e-3, 1e3), st.lists(st.floats(0.5, 10.0), min_size=2, max_size=8, unique=True))
def test_true_distances_give_the_factor(factor: float, places: list[float]) -> None:
    some = photos(*(f"{index}.png" for index in range(len(places))))
    positions = {index: np.array([place, 0.0, 0.0]) for index, place in enumerate(places)}
    pairs = [(index, index + 1) for index in range(len(places) - 1)]
    known = [
        (some[first].name, some[second].name, factor * abs(places[first] - places[second])) for first, second in pairs
    ]
    unit = unit_of(known, pairs, some, positions)
    assert all(one.solved is None or unit.factor == pytest.approx(factor) for one in unit.distances)
    assert not any("disagree" in sentence for sentence in unit.sentences())


def test_distances_that_disagree_or_cannot_be_used_are_told() -> None:
    some = photos("0.png", "1.png", "2.png", "3.png")
    positions = {0: np.zeros(3), 1: np.array([1.0, 0.0, 0.0]), 2: np.zeros(3)}
    known = [("0.png", "1.png", 2.0), ("1.png", "2.png", 2.1), ("0.png", "2.png", 5.0), ("0.png", "3.png", 5.0)]
    unit = unit_of(known, [(0, 1), (1, 2), (0, 2), (0, 3)], some, positions)
    assert unit.factor == pytest.approx(2.05)
    assert [one.solved for one in unit.distances] == [1.0, 1.0, None, None]
    said = unit.sentences()
    assert "between 0.png and 2.png is not used" in said[0]
    assert "between 0.png and 3.png is not used" in said[1]
    assert "median of 2 measured distances: a solved unit is 2.05" in said[2]
    assert len(said) == 3
    far = unit_of([("0.png", "1.png", 2.0), ("1.png", "2.png", 4.0)], [(0, 1), (1, 2)], some, positions).sentences()
    assert "0.png and 1.png are 50% longer apart than the 2 measured" in far[1]
    assert "1.png and 2.png are 25% shorter apart than the 4 measured" in far[2]


def test_nothing_usable_leaves_the_unit_arbitrary() -> None:
    some = photos("0.png", "1.png")
    unit = unit_of([("0.png", "1.png", 2.0)], [(0, 1)], some, {0: np.zeros(3)})
    assert unit.factor == 1.0
    assert unit.sentences()[-1] == "No measured distance could be used: the unit is arbitrary."
    assert Unit(3.0).sentences() == []
