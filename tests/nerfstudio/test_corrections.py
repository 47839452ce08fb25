"""Corrections of poses as `lerf import` takes them over are what nerfstudio's camera optimiser does to cameras."""

from __future__ import annotations

import ns_commands
import numpy as np
import pytest
import torch

from lerf.run.nerfstudio_corrections import pose_corrections

ns_commands.require_nerfstudio()


@pytest.mark.parametrize("mode", ["SE3", "SO3xR3"])
@pytest.mark.parametrize("size", [1e-4, 5e-3, 0.05, 1.0])
def test_cameras_move_as_in_nerfstudio(mode, size):
    from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
    from nerfstudio.cameras.cameras import Cameras

    generator = torch.Generator().manual_seed(4)
    tangents = torch.randn(20, 6, generator=generator) * size
    optimiser = CameraOptimizerConfig(mode=mode).setup(num_cameras=20, device="cpu")
    optimiser.pose_adjustment.data[:] = tangents
    basis = torch.linalg.qr(torch.randn(20, 3, 3, generator=generator)).Q
    poses = torch.cat([basis, torch.randn(20, 3, 1, generator=generator)], dim=-1)
    turned, moved = pose_corrections({"camera_optimizer": {"mode": mode}}, tangents)
    for row, pose in enumerate(poses):
        camera = Cameras(pose[None], 20.0, 20.0, 8.0, 8.0, 16, 16, metadata={"cam_idx": row})
        with torch.no_grad():
            told = optimiser.apply_to_camera(camera)[0].numpy()
        found = np.concatenate([turned[row] @ pose[:, :3].numpy(), pose[:, 3:].numpy() + moved[row][:, None]], axis=-1)
        # For rotations below 0.01 nerfstudio's own formulas are approximations.
        np.testing.assert_allclose(found, told, atol=2e-6)
