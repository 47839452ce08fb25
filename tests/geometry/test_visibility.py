"""Whether a point is hidden, by the depth of the surface at its pixel."""

import math

import torch

from lerf.geometry.visibility import depth_at, depths_at, unoccluded


def test_occlusion_is_one_sided_and_relative() -> None:
    depth = torch.tensor([1.0, 2.09, 2.11, 5.0, -1.0, 3.0])
    surface = torch.tensor([2.0, 2.0, 2.0, math.inf, 2.0, math.nan])
    assert unoccluded(depth, surface, tolerance=0.05).tolist() == [True, True, False, True, False, True]


def test_a_point_at_the_camera_or_behind_it_is_never_seen() -> None:
    depth = torch.tensor([0.0, -2.0, math.nan])
    assert unoccluded(depth, torch.full((3,), math.nan)).tolist() == [False, False, False]


def test_depths_are_those_of_the_cell_of_the_raster() -> None:
    """A raster of 2 x 3 cells over a picture of 90 x 60 pixels."""
    depth_map = torch.tensor([[1.0, 2.0, 3.0], [4.0, math.nan, 6.0]])
    pixels = torch.tensor([[0.0, 0.0], [29.9, 29.9], [30.1, 0.5], [89.9, 59.9], [5.0, 30.0], [45.0, 45.0]])
    found = depth_at(depth_map, (90, 60), pixels)
    assert found[:5].tolist() == [1.0, 1.0, 2.0, 6.0, 4.0]
    assert math.isnan(float(found[5]))


def test_outside_the_picture_no_depth_is_known() -> None:
    pixels = torch.tensor([[-0.1, 5.0], [90.0, 5.0], [5.0, 60.0], [5.0, -3.0], [math.nan, math.nan]])
    assert depth_at(torch.ones(2, 3), (90, 60), pixels).isnan().all()


def test_depths_of_several_photos_are_those_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes, sizes = [(2, 3), (4, 3), (1, 5)], torch.tensor([[90, 60], [30, 70], [64, 48]])
    maps = [torch.rand(shape, generator=generator) for shape in shapes]
    pixels = torch.rand((3, 200, 2), generator=generator) * 110 - 10
    pixels[0, 0] = math.nan
    found = depths_at(maps, sizes, pixels)
    for row, (depth_map, size) in enumerate(zip(maps, sizes.tolist(), strict=True)):
        assert torch.equal(found[row].nan_to_num(-1.0), depth_at(depth_map, tuple(size), pixels[row]).nan_to_num(-1.0))
    assert 0 < int(found.isnan().sum()) < found.numel()
