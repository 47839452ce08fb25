"""The choice of the photo that shows a point best."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.queries.best_view import BestView, best_view, view_scores

SIZE = torch.tensor([200.0, 100.0])


def choose(pixels: list[list[float]], depth: list[float], visible: list[bool]) -> BestView | None:
    count = len(depth)
    return best_view(
        torch.tensor(pixels, dtype=torch.float32).reshape(-1, 2),
        torch.tensor(depth),
        torch.tensor(visible, dtype=torch.bool),
        SIZE.expand(count, 2),
        torch.full((count,), 100.0),
    )


def test_the_score_is_the_footprint_times_the_discount() -> None:
    pixels = torch.tensor([[100.0, 50.0], [150.0, 50.0], [150.0, 75.0], [200.0, 50.0], [201.0, 50.0]])
    ones = torch.ones(5)
    scores = view_scores(pixels, ones * 2, ones.bool(), SIZE.expand(5, 2), ones * 100)
    torch.testing.assert_close(scores, torch.tensor([50.0, 50 * 0.75, 50 * 0.75**2, 0.0, 0.0]))


def test_the_closest_centred_view_wins() -> None:
    view = choose([[100, 50], [100, 50], [180, 50]], [2.0, 1.5, 1.4], [True, True, True])
    assert view is not None
    assert (view.photo, view.pixel) == (1, (100.0, 50.0))
    assert view.score == pytest.approx(100 / 1.5)


def test_hidden_views_never_win() -> None:
    view = choose([[100, 50], [100, 50]], [1.0, 9.0], [False, True])
    assert view is not None
    assert view.photo == 1


@pytest.mark.parametrize(
    ("pixels", "depth", "visible"),
    [
        ([[100, 50]], [1.0], [False]),
        ([[-1, 50]], [1.0], [True]),
        ([[100, 50]], [-1.0], [True]),
        ([[100, 50]], [0.0], [True]),
        ([[math.nan, 50]], [1.0], [True]),
        ([[100, 50]], [math.nan], [True]),
        ([], [], []),
    ],
)
def test_no_photo_shows_it(pixels: list[list[float]], depth: list[float], visible: list[bool]) -> None:
    assert choose(pixels, depth, visible) is None


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_it_is_the_first_best_of_all(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 2, generator=generator) * 300 - 50
    depth = torch.rand(count, generator=generator) * 4 - 1
    visible = torch.rand(count, generator=generator) > 0.3
    best, winner = 0.0, None
    for index, ((x, y), z, seen) in enumerate(zip(pixels.tolist(), depth.tolist(), visible.tolist(), strict=True)):
        if seen and z > 0 and 0 < x < 200 and 0 < y < 100:
            score = 100 / z * (1 - (x / 100 - 1) ** 2) * (1 - (y / 50 - 1) ** 2)
            if score > best * (1 + 1e-6):
                best, winner = score, index
    view = choose(pixels.tolist(), depth.tolist(), visible.tolist())
    assert (view.photo if view else None) == winner
