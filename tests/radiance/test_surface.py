"""The rasters of the photos as a surface, under a radiance whose depths are known."""

import numpy as np
import pytest
import torch
from analytic import AnalyticRadiance, Disc

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.radiance.surface import square_raster, trace_surface
from lerf.steps import finish


class Floor(AnalyticRadiance):
    """Rays that go down stop on z = 0; others meet nothing. It remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__((), Disc((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 1e6))
        self.asked: list[tuple[int, int]] = []

    def trace(self, cameras, index, pixels, heaviest, samples=None):
        self.asked.append((int(index.unique()), heaviest))
        return super().trace(cameras, index, pixels, heaviest, samples)


def looking_level(width: int, height: int, above: float) -> Camera:
    """Towards +y, so that the horizon is in the middle of the picture."""
    pose = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, above]])
    return Camera(width, height, 40.0, 40.0, width / 2, height / 2, pose)


@pytest.fixture
def cameras() -> CameraTable:
    return CameraTable.from_cameras([looking_level(64, 48, 1.0), looking_level(8, 8, 9.0), looking_level(48, 64, 2.0)])


def test_rasters_are_square_cells_row_by_row() -> None:
    pixels, (rows, columns) = square_raster(400, 300, 1200)
    assert (rows, columns) == (30, 40)
    assert pixels.shape == (1200, 2)
    assert pixels[:2].tolist() == [[5.0, 5.0], [15.0, 5.0]]
    assert pixels[-1].tolist() == [395.0, 295.0]
    few, shape = square_raster(10, 1000, 3)
    assert shape == (17, 1)
    assert few[:, 0].tolist() == [5.0] * 17
    assert square_raster(8, 6, 1.0)[1] == (1, 1)


def test_the_surface_is_where_the_rays_of_the_photos_stop(cameras) -> None:
    radiance = Floor()
    surface = finish(trace_surface(radiance, cameras, [0, 2], heaviest=3, points=240))
    assert radiance.asked == [(0, 3), (2, 3)]
    assert set(surface.depth_maps) == {0, 2}
    below = [int(depth.isfinite().sum()) for depth in surface.depth_maps.values()]
    assert len(surface) == len(surface.rays) == sum(below) > 100
    assert surface.photo.tolist() == [0] * below[0] + [2] * below[1]
    torch.testing.assert_close(surface.rays.median_position[:, 2], torch.zeros(sum(below)), atol=1e-5, rtol=0)
    assert surface.rays.hit.all()


def test_the_depth_maps_are_the_depths_at_the_cells_and_nan_above_the_horizon(cameras) -> None:
    surface = finish(trace_surface(Floor(), cameras, [0, 2], heaviest=3, points=240))
    for photo, above in ((0, 1.0), (2, 2.0)):
        depth = surface.depth_maps[photo]
        width, height = cameras.sizes[photo].tolist()
        assert 100 <= depth.numel() <= 140
        rows, columns = depth.shape
        assert columns / rows == pytest.approx(width / height, rel=0.15)
        y = (torch.arange(rows) + 0.5) * height / rows - height / 2
        expected = torch.where(y > 0, 40.0 * above / y, torch.nan)[:, None].expand(rows, columns)
        torch.testing.assert_close(depth, expected, equal_nan=True, rtol=1e-4, atol=1e-4)
        assert depth.isfinite().sum() == (surface.photo == photo).sum()
        # The points are those of the map, row by row.
        own = surface.rays[surface.photo == photo]
        torch.testing.assert_close(own.median_depth, depth[depth.isfinite()])


def test_every_photo_is_a_step_and_the_points_are_shared_among_them(cameras) -> None:
    assert sum(1 for _ in trace_surface(Floor(), cameras, [0, 1, 2], heaviest=1, points=90)) == 3
    surface = finish(trace_surface(Floor(), cameras, [0, 1, 2], heaviest=1, points=90))
    assert all(20 <= depth.numel() <= 40 for depth in surface.depth_maps.values())
    fewest = finish(trace_surface(Floor(), cameras, [0, 1, 2], heaviest=1, points=1))
    assert [depth.numel() for depth in fewest.depth_maps.values()] == [1, 1, 1]
