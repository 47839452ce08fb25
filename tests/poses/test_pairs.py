"""Which photos are compared, and which look alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.poses.pairs import ALIKE, EXHAUSTIVE, OVERLAP, Pair, choose_matching, choose_pairs, connected_photos
from lerf.poses.retrieval import most_alike, photo_vectors
from lerf.poses.upright import upright_similarity


def ring(count: int, places: int) -> list[np.ndarray]:
    """Descriptors of photos on a ring with `places` things: each sees the two things nearest to it."""
    generator = np.random.default_rng(0)
    things = generator.random((places, 30, 16))
    found = []
    for index in range(count):
        near = index * places // count
        seen = np.concatenate([things[near], things[(near + 1) % places]])
        found.append(seen + 0.02 * generator.standard_normal(seen.shape))
    return found


def test_photos_of_one_thing_look_alike() -> None:
    descriptors = ring(40, 10)
    alike = most_alike(photo_vectors(descriptors, 0), 3)
    for index, row in enumerate(alike):
        assert index not in row
        assert {int(other) * 10 // 40 for other in row} == {index * 10 // 40}


def test_a_photo_without_points_is_like_none() -> None:
    vectors = photo_vectors([*ring(6, 3), np.empty((0, 16))], 0)
    assert not vectors[-1].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:-1], axis=1), 1.0)


def test_exhaustive_pairs_are_all_of_them() -> None:
    pairs = choose_pairs("exhaustive", [""] * 7, [], 0)
    assert len(pairs) == len(set(pairs)) == 21
    assert all(first < second for first, second in pairs)


def test_a_film_is_compared_with_its_neighbours_and_where_it_comes_back() -> None:
    count = 120
    pairs = choose_pairs("sequential", ["film"] * count, ring(count, 12), 0)
    assert pairs == sorted(set(pairs))
    assert all((index, index + step) in pairs for index in range(count - OVERLAP) for step in range(1, OVERLAP + 1))
    # The last frames see what the first do.
    assert any(second - first > count - 2 * OVERLAP for first, second in pairs)
    assert len(pairs) < count * (count - 1) / 4


def test_two_films_are_connected_by_what_looks_alike() -> None:
    films = [film for film in "ab" for _ in range(60)]
    pairs = choose_pairs("sequential", films, [*ring(60, 12), *ring(60, 12)], 0)
    between = [pair for pair in pairs if films[pair[0]] != films[pair[1]]]
    assert between
    assert len(between) < 60 * 60 / 4


def test_a_large_collection_is_compared_with_what_looks_alike() -> None:
    count = 300
    pairs = choose_pairs("retrieval", [""] * count, ring(count, 30), 0)
    assert len(pairs) <= count * (ALIKE + 1)
    assert all((index, index + 1) in pairs for index in range(count - 1))


@pytest.mark.parametrize(
    ("photos", "film", "matching"),
    [(10, False, "exhaustive"), (EXHAUSTIVE, False, "exhaustive"), (EXHAUSTIVE + 1, False, "retrieval"),
     (15, True, "exhaustive"), (100, True, "sequential")],
)  # fmt: skip
def test_how_photos_are_compared_by_default(photos: int, film: bool, matching: str) -> None:
    assert choose_matching(photos, film) == matching


@pytest.mark.parametrize(
    ("orientation", "turn"), [(1, 0.0), (6, 90.0), (3, 180.0), (8, -90.0)]
)  # degrees by which the stored picture is turned against the upright one
def test_up_follows_the_exif_orientation(orientation: int, turn: float) -> None:
    """A level camera held on its side: what it stores is turned, and its tag says how."""
    angle = np.deg2rad(turn)
    # Upright camera: x right, y = world +z, looking along world +y.
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    about = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    pose = np.column_stack([upright @ about.T, np.zeros(3)])
    points = np.random.default_rng(0).random((100, 3)) + np.array([5.0, 6.0, 7.0])
    found = upright_similarity(pose[None], np.array([orientation]), points, 2.0)
    np.testing.assert_allclose(found.rotation @ [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], atol=1e-9)
    moved = found.apply_points(points)
    np.testing.assert_allclose(np.median(moved[:, :2], axis=0), 0.0, atol=1e-9)
    assert np.percentile(moved[:, 2], 1.0) == pytest.approx(0.0, abs=1e-9)
    assert np.ptp(moved[:, 2]) == pytest.approx(2.0 * np.ptp(points[:, 2]))


@given(st.integers(1, 8), st.dictionaries(st.tuples(st.integers(0, 7), st.integers(0, 7)), st.integers(10, 20)))
def test_connected_photos_are_those_that_one_can_walk_between(photos: int, drawn: dict[Pair, int]) -> None:
    inliers = {(a, b): count for (a, b), count in drawn.items() if a < b < photos}
    reached = [{index} for index in range(photos)]
    for _ in range(photos):
        for (first, second), count in inliers.items():
            if count >= 15:
                union = reached[first] | reached[second]
                for index in union:
                    reached[index] = union
    assert connected_photos(inliers, photos) == max(map(len, reached))
