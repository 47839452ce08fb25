"""Corrections of camera poses that nerfstudio has learnt, by either of its two parametrisations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.errors import RunError

CORRECTIONS = "camera_optimizer.pose_adjustment"
"""Tensor of a checkpoint with six numbers for each training photo."""


def pose_corrections(
    model: Mapping[str, Any], corrections: Tensor
) -> tuple[Float[np.ndarray, "photos 3 3"], Float[np.ndarray, "photos 3"]]:
    """Rotations and translations, in nerfstudio's frame: a camera is turned where it stands, and moved.

    Three numbers are of the translation and three are a rotation vector, by nerfstudio's `exp_map_SO3xR3` (the
    translation as it is) or `exp_map_SE3` (the exponential of the twist of both; `cameras/lie_groups.py` of 1.1.5).
    Whichever it was, nerfstudio's `CameraOptimizer` adds the translation to the camera's position and turns its axes
    by the rotation, so that both modes come to the same kind of correction, exactly.

    Args:
        model: settings of the model, whose camera optimiser says the mode.
        corrections: of the checkpoint, [photos, 6]; units of nerfstudio's frame and radians.

    Raises:
        RunError: there are other than six numbers for a photo, or one is not finite.
    """
    if corrections.ndim != 2 or corrections.shape[1] != 6:
        raise RunError("The checkpoint's corrections of poses are not six numbers for each photo: train the run again.")
    if not bool(corrections.isfinite().all()):
        raise RunError("The checkpoint's corrections of poses are not finite: the training diverged, so train again.")
    optimiser = model.get("camera_optimizer")
    moved, turned = corrections.double().split(3, dim=-1)
    x, y, z = turned.unbind(-1)
    twist = torch.zeros(len(corrections), 4, 4, dtype=torch.float64)
    twist[:, 0, 1], twist[:, 0, 2], twist[:, 1, 2] = -z, y, -x
    twist[:, 1, 0], twist[:, 2, 0], twist[:, 2, 1] = z, -y, x
    twist[:, :3, 3] = moved
    motion = torch.matrix_exp(twist)
    is_twist = isinstance(optimiser, Mapping) and optimiser.get("mode") == "SE3"
    return motion[:, :3, :3].numpy(), (motion[:, :3, 3] if is_twist else moved).numpy()
