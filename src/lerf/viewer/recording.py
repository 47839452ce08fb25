"""A camera path made of views that somebody chose, saved as nerfstudio's viewer saves them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lerf.errors import ConfigError
from lerf.geometry.camera import Camera
from lerf.scenes.camera_path import CameraPath, write_camera_path
from lerf.scenes.keyframes import through_keyframes
from lerf.scenes.scene import Scene
from lerf.viewer.geometry import Pose, Viewpoint

PREVIEW_RATE = 15.0
"""Frames a second while a path is played in the page."""
MOST_KEYFRAMES = 200
MOST_FRAMES = 20_000
"""Of a path: eleven minutes at thirty a second."""


class Recording:
    """Keyframes of one page, in the order in which they were added."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._poses: list[Pose] = []

    def __len__(self) -> int:
        return len(self._poses)

    def add(self, pose: Pose) -> None:
        """One more keyframe.

        Raises:
            ConfigError: there are `MOST_KEYFRAMES`.
        """
        if len(self._poses) >= MOST_KEYFRAMES:
            raise ConfigError(f"A path has at most {MOST_KEYFRAMES} keyframes here; remove some.")
        self._poses.append(pose)

    def remove(self, everything: bool = False) -> None:
        """Take the last keyframe away, or all of them."""
        del self._poses[0 if everything else -1 :]

    def frustums(self) -> list[tuple[Float[np.ndarray, "3 4"], float, float]]:
        """Pose in the normalised frame, vertical angle in radians and aspect of each keyframe."""
        return [(pose.matrix, pose.angle, pose.aspect) for pose in self._poses]

    def path(self, seconds: float, rate: float, loop: bool, height: int) -> CameraPath:
        """The path in the capture frame.

        Args:
            seconds: from one keyframe to the next.
            rate: frames a second.
            loop: lead back to the first keyframe.
            height: of its pictures in pixels; all are as wide as the first keyframe's view.

        Raises:
            ConfigError: fewer than two keyframes, a time that is not positive, or more than `MOST_FRAMES`.
        """
        frames = max(0, len(self) - (not loop)) * seconds * rate
        if frames > MOST_FRAMES:
            raise ConfigError(
                f"This path has {frames:,.0f} frames where {MOST_FRAMES:,} are the most; lower 'Seconds a leg' or "
                "'Frames a second'."
            )
        return through_keyframes(self._cameras(height), seconds, rate, loop)

    def _cameras(self, height: int) -> list[Camera]:
        # A video has one size; a window that was resized between keyframes must not change it. Even sides, because
        # video codecs want them.
        height = 2 * round(height / 2)
        to_capture = self.scene.similarity.inverse()
        cameras = [pose.camera(height).moved(to_capture) for pose in self._poses]
        width = 2 * round(cameras[0].width / 2) if cameras else 0
        return [replace(camera, width=width, cx=0.5 * width) for camera in cameras]

    def file(self, seconds: float, rate: float, loop: bool, height: int) -> bytes:
        """The path as nerfstudio's `camera_path.json`.

        Raises:
            ConfigError: as `path`.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "camera_path.json"
            write_camera_path(file, self.path(seconds, rate, loop, height), self.scene)
            return file.read_bytes()

    def viewpoints(self, seconds: float, loop: bool) -> list[Viewpoint]:
        """The path as viewpoints in the normalised frame, `PREVIEW_RATE` a second.

        Raises:
            ConfigError: as `path`.
        """
        cameras = [
            camera.moved(self.scene.similarity) for camera in self.path(seconds, PREVIEW_RATE, loop, 480).cameras
        ]
        return [
            Viewpoint(c.camera_to_world[:, 3], c.camera_to_world[:, 3] - c.camera_to_world[:, 2], c.vertical_angle)
            for c in cameras
        ]
