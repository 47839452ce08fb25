"""Whether a point is hidden, by the depth of the surface at its pixel."""

import math

import torch

from lerf.geometry.visibility import unoccluded


def test_occlusion_is_one_sided_and_relative() -> None:
    depth = torch.tensor([1.0, 2.09, 2.11, 5.0, -1.0, 3.0])
    surface = torch.tensor([2.0, 2.0, 2.0, math.inf, 2.0, math.nan])
    assert unoccluded(depth, surface, tolerance=0.05).tolist() == [True, True, False, True, False, True]


def test_a_point_at_the_camera_or_behind_it_is_never_seen() -> None:
    depth = torch.tensor([0.0, -2.0, math.nan])
    assert unoccluded(depth, torch.full((3,), math.nan)).tolist() == [False, False, False]
