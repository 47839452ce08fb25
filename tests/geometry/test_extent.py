"""Sizes of sets of points, without their tails."""

import pytest
import torch

from lerf.geometry.extent import TRIM, robust_diagonal, robust_extent


def test_the_extent_loses_half_a_percent_of_each_tail() -> None:
    points = torch.arange(400.0)[torch.randperm(400)][:, None].expand(-1, 3)
    low, high = robust_extent(points, torch.full((3,), 50.0))
    assert (low.tolist(), high.tolist()) == ([2.0] * 3, [397.0] * 3)


def test_a_ball_keeps_its_height_but_for_one_percent() -> None:
    """Heights on a sphere are evenly spread (Archimedes), those on a cone's mantle are not: it narrows to its tip."""
    ball = torch.nn.functional.normalize(torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    low, high = robust_extent(ball, ball[0])
    assert (high - low).tolist() == pytest.approx([1.98] * 3, abs=0.01)
    down = torch.rand(4000, generator=torch.Generator().manual_seed(1)).sqrt()
    cone = torch.stack([down, down, -down], dim=-1)
    assert float(robust_extent(cone, cone[0])[1][2]) == pytest.approx(-(0.005**0.5), abs=0.02)


def test_the_extent_holds_the_best_point() -> None:
    points = torch.arange(400.0)[:, None].expand(-1, 3)
    low, high = robust_extent(points, torch.tensor([0.0, 50.0, 399.0]))
    assert (low.tolist(), high.tolist()) == ([0.0, 2.0, 2.0], [397.0, 397.0, 399.0])


@pytest.mark.parametrize("count", [1, 10, 199])
def test_few_points_lose_none(count: int) -> None:
    points = torch.randn(count, 3)
    low, high = robust_extent(points, points[0])
    assert torch.equal(low, points.amin(0))
    assert torch.equal(high, points.amax(0))


def test_every_axis_has_its_own_tails() -> None:
    points = torch.stack([torch.arange(100.0), torch.arange(100.0).flip(0), torch.full((100,), 3.0)], dim=-1)
    low, high = robust_extent(points, torch.tensor([50.0, 50.0, 3.0]), trim=0.1)
    assert (low.tolist(), high.tolist()) == ([10.0, 10.0, 3.0], [89.0, 89.0, 3.0])


def test_the_diagonal_is_that_of_the_box_between_the_quantiles() -> None:
    points = torch.rand(1001, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0, 3.0])
    strays = torch.full((10, 3), 1e4)
    cut = torch.tensor([TRIM, 1 - TRIM])
    low, high = torch.quantile(points, cut, dim=0)
    assert robust_diagonal(points) == pytest.approx(float((high - low).norm()))
    assert robust_diagonal(torch.cat([points, strays])) == pytest.approx(robust_diagonal(points), rel=0.03)
    assert robust_diagonal(points[:1]) == 0.0
