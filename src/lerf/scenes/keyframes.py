"""A smooth camera path through keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from lerf.errors import ConfigError
from lerf.geometry.camera import Camera
from lerf.scenes.camera_path import CameraPath


def through_keyframes(
    keyframes: Sequence[Camera], seconds: float, frames_a_second: float, loop: bool = False
) -> CameraPath:
    """A path that is at every keyframe in turn, equal times apart.

    Positions follow a natural cubic spline, rotations a spline of continuous angular acceleration, and focal lengths
    are interpolated linearly in their logarithm. Everything else is the first keyframe's.

    Args:
        keyframes: in the capture frame, two or more.
        seconds: from one keyframe to the next.
        frames_a_second: of the video.
        loop: lead back from the last keyframe to the first.

    Raises:
        ConfigError: fewer than two keyframes, or a time that is not positive.
    """
    if len(keyframes) < 2:
        raise ConfigError("A camera path needs two keyframes or more.")
    if not (seconds > 0 and frames_a_second > 0):
        raise ConfigError(f"The path takes {seconds} s at {frames_a_second} frames a second; give positive numbers.")
    count = len(keyframes)
    # A loop is the middle one of three laps, so that speed and turn go on across its ends.
    order = list(range(count)) * 3 if loop else list(range(count))
    knots = np.arange(len(order), dtype=np.float64) - (count if loop else 0)
    length = count if loop else count - 1
    frames = max(2, round(length * seconds * frames_a_second))
    times = np.linspace(0, length, frames, endpoint=not loop)
    poses = np.stack([keyframes[index].camera_to_world for index in order])
    positions = CubicSpline(knots, poses[:, :, 3], bc_type="natural")(times)
    rotations = RotationSpline(knots, Rotation.from_matrix(poses[:, :, :3]))(times).as_matrix()
    focal = np.log([(keyframes[index].fx, keyframes[index].fy) for index in order])
    fx, fy = (np.exp(np.interp(times, knots, focal[:, axis])).tolist() for axis in (0, 1))
    cameras = tuple(
        replace(
            keyframes[0], fx=fx[i], fy=fy[i], camera_to_world=np.concatenate([rotations[i], positions[i, :, None]], 1)
        )
        for i in range(frames)
    )
    marks = sorted({min(frames - 1, round(mark * frames / length)) for mark in range(count)})
    return CameraPath(cameras, frames_a_second, tuple(marks), loop)
