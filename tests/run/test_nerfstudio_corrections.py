"""Corrections of poses are those that nerfstudio applies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from lerf.errors import RunError
from lerf.run.nerfstudio_corrections import pose_corrections

TANGENTS = torch.tensor(
    [[0.1, -0.2, 0.3, 0.4, -0.5, 0.6], [1.0, 2.0, -1.0, 2.5, 0.3, -1.1], [0.02, 0.01, 0, 3e-3, 0, 0]]
)
RECORDED = {
    "SE3": [
        [
            [0.714075, -0.619657, -0.325764, 0.094117],
            [0.432165, 0.756261, -0.491226, -0.229086],
            [0.550754, 0.209988, 0.807821, 0.279684],
        ],
        [
            [0.668813, 0.344701, -0.658688, 1.8202],
            [0.037438, -0.900504, -0.433233, 0.779572],
            [-0.742487, 0.265092, -0.615174, 0.531247],
        ],
    ],
    "SO3xR3": [
        [
            [0.714075, -0.619657, -0.325764, 0.1],
            [0.432165, 0.756261, -0.491226, -0.2],
            [0.550754, 0.209988, 0.807821, 0.3],
        ],
        [
            [0.668813, 0.344701, -0.658688, 1.0],
            [0.037438, -0.900504, -0.433233, 2.0],
            [-0.742487, 0.265092, -0.615174, -1.0],
        ],
    ],
}
"""[R|t] of the first two, by `exp_map_SE3` and `exp_map_SO3xR3` of nerfstudio 1.1.5."""


@pytest.mark.parametrize("mode", ["SE3", "SO3xR3"])
def test_modes_are_those_of_nerfstudio(mode):
    turned, moved = pose_corrections({"camera_optimizer": {"mode": mode}}, TANGENTS)
    found = np.concatenate([turned, moved[..., None]], axis=-1)
    np.testing.assert_allclose(found[:2], RECORDED[mode], atol=1e-5)
    for tangent, motion in zip(TANGENTS.double().numpy(), found, strict=True):
        x, y, z = tangent[3:]
        twist = np.array([[0, -z, y, tangent[0]], [z, 0, -x, tangent[1]], [-y, x, 0, tangent[2]], [0, 0, 0, 0]])
        told = expm(twist)[:3]
        told[:, 3] = told[:, 3] if mode == "SE3" else tangent[:3]
        np.testing.assert_allclose(motion, told, atol=1e-12)


def test_a_model_that_does_not_tell_a_mode():
    turned, moved = pose_corrections({}, TANGENTS)
    np.testing.assert_array_equal(moved, TANGENTS[:, :3].double().numpy())
    np.testing.assert_allclose(np.linalg.det(turned), 1.0)
    assert len(pose_corrections({}, TANGENTS[:0])[0]) == 0


@pytest.mark.parametrize("numbers", [torch.zeros(3, 5), torch.zeros(6), torch.full((2, 6), torch.inf)])
def test_what_is_no_correction(numbers):
    with pytest.raises(RunError, match=r"corrections of poses are not .*train"):
        pose_corrections({}, numbers)
