"""The nearest points of a grid against all distances."""

import pytest
import torch

from lerf import kernels
from lerf.queries.near import PointReader, point_grid

BACKENDS = ("reference", "cpu")


def scattered(count: int, seed: int) -> torch.Tensor:
    """Points on a floor and in the air above a part of it: dense here and sparse there."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, generator=generator)
    points[: count // 2, 2] = 0.0
    points[count // 2 :] *= 0.3
    return points


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reach", [0.01, 0.05, 0.4, 3.0])
@pytest.mark.parametrize("count", [1, 3, 700])
def test_the_nearest_are_those_of_the_smallest_distances(backend: str, reach: float, count: int) -> None:
    points, queries = scattered(count, 0), 1.4 * scattered(300, 1) - 0.2
    numbers = torch.randperm(count, generator=torch.Generator().manual_seed(2)).int()
    with kernels.use(backend):
        found, apart = kernels.nearest_points(queries, point_grid(points, numbers, reach), reach, 4)
    distances = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
    expected = torch.full((300, 4), reach)
    near = distances.sort(dim=1).values[:, :4]
    expected[:, : near.shape[1]] = near.clamp(max=reach)
    torch.testing.assert_close(apart, expected, atol=1e-6, rtol=1e-5)
    assert ((found >= 0) == (apart < reach)).all()
    place = torch.argsort(numbers)[found.clamp(min=0).long()]
    told = torch.where(found >= 0, distances.gather(1, place), reach)
    torch.testing.assert_close(told, apart, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_nowhere_has_no_neighbours(backend: str) -> None:
    points = scattered(50, 0)
    queries = torch.tensor([[torch.nan, 0.0, 0.0], [torch.inf, 0.0, 0.0], [1e9, 0.0, 0.0]])
    with kernels.use(backend):
        found, apart = kernels.nearest_points(queries, point_grid(points, torch.arange(50).int(), 0.1), 0.1, 3)
        none, _ = kernels.nearest_points(queries[:0], point_grid(points, torch.arange(50).int(), 0.1), 0.1, 3)
    assert (found == -1).all()
    torch.testing.assert_close(apart, torch.full((3, 3), 0.1))
    assert none.shape == (0, 3)


def test_relevancy_between_points_is_between_theirs() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [float("nan"), 0.0, 0.0], [0.9, 0.9, 0.9]])
    values = torch.tensor([[0.2, 0.9, 0.5, 0.7], [0.6, 0.6, 0.6, 0.6]])
    reader = PointReader(points, 0.2)
    near = reader.near(torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.0, 0.0], [0.09, 0.0, 0.0], [0.5, 0.0, 0.0]]))
    read = near.read(values)
    assert read[0, 0] == pytest.approx(0.2, abs=0.03)
    middle = torch.sigmoid((torch.logit(torch.tensor(0.2)) + torch.logit(torch.tensor(0.9))) / 2)
    assert read[0, 1] == pytest.approx(float(middle), abs=1e-5)
    assert middle < read[0, 2] < 0.9
    torch.testing.assert_close(read[1], torch.tensor([0.6, 0.6, 0.6, 0.0]))
    assert read[0, 3] == 0.0
