"""Which neighbouring points the photos show as one thing, against pairs and photos counted one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lerf.encoders.protocols import FeatureGrid
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.queries.one_thing import TOLERANCE, ThingViews, likelihoods
from lerf.queries.propagation import NEIGHBOURS, Neighbours, SurfaceGraph
from lerf.steps import finish

WIDTH, HEIGHT, FOCAL = 64, 48, 60.0
BACK = 2.0
"""Distance of the wall from the cameras."""


def wall(count: int = 300) -> torch.Tensor:
    """Points of a wall that faces the cameras."""
    random = torch.Generator().manual_seed(1)
    plane = torch.rand(count, 2, generator=random) * torch.tensor([3.2, 1.2]) - torch.tensor([1.6, 0.6])
    return torch.cat([plane, torch.full((count, 1), -BACK)], -1)


def cameras() -> CameraTable:
    """Two that look along -z, half a unit apart."""
    found = []
    for x in (-0.25, 0.25):
        pose = np.hstack([np.eye(3), [[x], [0.0], [0.0]]])
        found.append(Camera(WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, pose))
    return CameraTable.from_cameras(found)


def grids() -> dict[int, FeatureGrid]:
    """Random vectors on a raster of cells of two pixels."""
    random = torch.Generator().manual_seed(3)
    return {
        photo: FeatureGrid(0.7 * torch.randn(HEIGHT // 2, WIDTH // 2, 5, generator=random), 1.0, 1.0, 2.0, 2.0)
        for photo in (0, 1)
    }


def depths(*missing: int) -> dict[int, torch.Tensor]:
    return {photo: torch.full((6, 8), BACK) for photo in (0, 1) if photo not in missing}


def found(points: torch.Tensor, depth_maps: dict[int, torch.Tensor]) -> tuple[Neighbours, np.ndarray]:
    neighbours = Neighbours.of(points)
    views = ThingViews(cameras(), (0, 1), lambda photo: grids()[photo])
    return neighbours, finish(likelihoods(points, depth_maps, neighbours, views))


def vector_at(grid: FeatureGrid, x: float, y: float) -> np.ndarray:
    """Bilinear between the middles of cells, the outermost continued."""
    rows, columns = grid.features.shape[:2]
    column = min(max((x - grid.x0) / grid.dx, 0.0), columns - 1.0)
    row = min(max((y - grid.y0) / grid.dy, 0.0), rows - 1.0)
    left, top = min(int(column), columns - 2), min(int(row), rows - 2)
    total = np.zeros(grid.features.shape[2])
    for down in (0, 1):
        for right in (0, 1):
            share = (1 - abs(row - top - down)) * (1 - abs(column - left - right))
            total += share * grid.features[top + down, left + right].numpy()
    return total


def test_the_likelihood_is_the_mean_over_the_photos_that_see_both() -> None:
    points, held = wall(), grids()
    neighbours, likelihood = found(points, depths())
    assert likelihood.shape == (300, NEIGHBOURS)
    unknown = 0
    for row in range(0, 300, 7):
        for column in range(NEIGHBOURS):
            both = [points[neighbours.order[at]].numpy() for at in (row, neighbours.others[row, column])]
            told = []
            for photo, x in ((0, -0.25), (1, 0.25)):
                pixels = [(WIDTH / 2 + FOCAL * (p[0] - x) / BACK, HEIGHT / 2 - FOCAL * p[1] / BACK) for p in both]
                if all(0 <= u < WIDTH and 0 <= v < HEIGHT for u, v in pixels):
                    first, second = (vector_at(held[photo], u, v) for u, v in pixels)
                    told.append(math.exp(-float(np.square(first - second).sum())))
            unknown += not told
            assert likelihood[row, column] == pytest.approx(np.mean(told) if told else math.nan, rel=1e-4, nan_ok=True)
    assert unknown


def test_a_photo_sees_nothing_behind_its_surface_and_nothing_without_one() -> None:
    points = wall()
    _, behind = found(points, {photo: torch.full((6, 8), BACK / (1 + 2 * TOLERANCE)) for photo in (0, 1)})
    assert np.isnan(behind).all()
    _, nowhere = found(points, {photo: torch.full((6, 8), math.nan) for photo in (0, 1)})
    assert np.isnan(nowhere).all()
    _, one = found(points, depths(1))
    _, both = found(points, depths())
    assert np.isnan(one).sum() > np.isnan(both).sum()


def test_points_that_are_nowhere_have_no_neighbours() -> None:
    points = torch.cat([wall(40), torch.full((2, 3), torch.nan)])
    neighbours, likelihood = found(points, depths())
    assert sorted(neighbours.order.tolist()) == list(range(42))
    assert neighbours.order[40:].tolist() == [40, 41]
    assert likelihood.shape == (40, NEIGHBOURS)
    assert Neighbours.of(points[39:]).others.shape == (1, 0)


def test_relevancy_stays_on_the_thing_that_photos_show() -> None:
    """Two halves of a flat wall: no normal tells them apart, the photos do."""
    points = wall(2000)
    right = points[:, 0] > 0
    relevancy = torch.where(right & (torch.rand(2000, generator=torch.Generator().manual_seed(0)) < 0.5), 0.9, 0.1)
    neighbours = Neighbours.of(points)
    side = right.numpy()[neighbours.order]
    told = np.where(side[:, None] == side[neighbours.others], 0.95, 0.3)
    parted = SurfaceGraph.between(neighbours, None, told).propagate(relevancy)
    blurred = SurfaceGraph.between(neighbours, None, np.full_like(told, np.nan)).propagate(relevancy)
    border = points[:, 0].abs() < 0.1
    assert float(parted[border & right].min()) > 0.3 > 0.2 > float(parted[border & ~right].max())
    assert float(blurred[border & ~right].max()) > 0.2
    torch.testing.assert_close(blurred, SurfaceGraph.of(points).propagate(relevancy))
