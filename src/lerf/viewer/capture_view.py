"""What one page of a capture shows in 3D: frusta with photos, sparse points, the ground, the capture's axes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from lerf.geometry.camera import Camera
from lerf.viewer.backdrop import backdrop
from lerf.viewer.capture_layout import layout_of
from lerf.viewer.capture_state import CaptureState, camera_positions
from lerf.viewer.flights import Flights, calling
from lerf.viewer.geometry import Pose, wxyz_of

LINES, HELD_OUT = (70, 70, 90), (230, 120, 20)
"""Colours of the frusta of photos to train on and of held-out ones."""
CELLS = 20
"""Of the ground, along a side."""
BEHIND_ALL = 160.0
"""Depth of a photo behind the points; the page cannot show more than 167."""
JPEG_QUALITY = 85
BACKDROP_ROWS = 720
LARGEST_DISC = 0.015
"""Size of a point over its distance from the nearest photo's place: larger ones would hide what that photo shows."""
SHELLS = 9
"""Groups of points, each half as far from the nearest photo as the one before; of a group all have one size."""
THROUGH = 0.4
"""Size of points over what is asked for, while the page looks through a photo."""


class CaptureView(Flights):
    """The scene of one page, through viser's handle of its client."""

    def __init__(self, client: Any, state: CaptureState) -> None:
        super().__init__(client)
        self.state = state
        self.layout = layout_of(state)
        self._frusta: dict[int, Any] = {}
        self._lines: list[Any] = []
        self._ground: list[Any] = []
        self._clouds: list[tuple[Any, float]] = []
        """Groups of points, and how large those of a group may be."""
        self._entered: int | None = None
        self._photos_visible = self._points_visible = self._ground_visible = True
        self._point_size = self.layout.point
        self._has_backdrop = False
        self._lock = threading.Lock()

    def draw(self, chosen: Callable[[int], None]) -> None:
        """Show everything; `chosen` hears of a click on a photo's frustum, on the server's loop, and must be quick."""
        held_out = set(self.state.scene.test)
        # Whoever brings a small copy meanwhile waits until its frustum is there.
        with self._lock, self.client.atomic():
            for photo in self.state.pictured:
                camera = self.state.scene.normalised_camera(photo)
                handle = self.client.scene.add_camera_frustum(
                    f"/capture/photos/{photo}", camera.vertical_angle, camera.width / camera.height,
                    scale=self.layout.frustum,
                    thickness=1.5, thickness_units="screen", color=HELD_OUT if photo in held_out else LINES,
                    image=self.state.thumbnail(photo), format="jpeg", wxyz=wxyz_of(camera.camera_to_world),
                    position=tuple(camera.camera_to_world[:, 3].tolist()), cast_shadow=False,
                )  # fmt: skip
                handle.on_click(calling(chosen, photo))
                self._frusta[photo] = handle
            self._draw_lines()
            self._draw_ground()
            self._draw_points()

    def _draw_lines(self) -> None:
        if self.state.outlined:
            cameras = [self.state.scene.normalised_camera(photo) for photo in self.state.outlined]
            segments = np.concatenate([frustum_lines(camera, self.layout.frustum) for camera in cameras]).astype(
                np.float32
            )
            self._lines.append(
                self.client.scene.add_line_segments(
                    "/capture/cameras", segments, LINES, thickness=1.0, thickness_units="screen"
                )
            )

    def _draw_points(self) -> None:
        cloud = self.state.cloud
        if cloud is None:
            return
        shell = shells_of(cloud.points, camera_positions(self.state.scene), self.layout.reach)
        for number in np.unique(shell).tolist():
            own, largest = shell == number, LARGEST_DISC * self.layout.reach * 0.5**number
            handle = self.client.scene.add_point_cloud(
                f"/capture/points/{number}", cloud.points[own], cloud.colours[own],
                point_size=min(self.layout.point, largest), point_shape="circle",
                precision="float32", point_shading="flat",
            )  # fmt: skip
            self._clouds.append((handle, largest))

    def _draw_ground(self) -> None:
        (x, y, _), side, height = self.layout.middle, 2.4 * self.layout.reach, self.layout.ground
        cell = side / CELLS
        self._ground.append(
            self.client.scene.add_grid(
                "/capture/ground", side, side, plane="xy", cell_size=cell, section_size=5 * cell,
                cell_color=(215, 215, 215), section_color=(170, 170, 170), shadow_opacity=0.0,
                position=(x, y, height),
            )
        )  # fmt: skip
        rotation = self.state.scene.similarity.rotation
        corner = np.array([x - side / 2, y - side / 2, height])
        pose = np.concatenate([rotation @ np.diag([1.0, -1.0, -1.0]), corner[:, None]], 1)
        length = 2 * cell
        self._ground.append(
            self.client.scene.add_frame(
                "/capture/axes", axes_length=length, axes_radius=0.03 * length, wxyz=wxyz_of(pose),
                position=tuple(corner.tolist()),
            )
        )  # fmt: skip
        for axis, name in enumerate("xyz"):
            place = corner + 1.15 * length * rotation[:, axis]
            self._ground.append(
                self.client.scene.add_label(f"/capture/axes_{name}", name, position=tuple(place.tolist()))
            )

    def show_thumbnail(self, photo: int) -> None:
        """Put a photo's small copy into its frustum, once it is ready."""
        with self._lock:
            handle, picture = self._frusta.get(photo), self.state.thumbnail(photo)
            if handle is not None and picture is not None:
                handle.image = picture

    def set_photos(self, visible: bool) -> None:
        """Show or hide all cameras."""
        with self._lock:
            self._photos_visible = visible
            self._show()

    def set_points(self, visible: bool, size: float) -> None:
        """Show or hide the points."""
        with self._lock:
            self._points_visible, self._point_size = visible, size
            self._show()

    def set_ground(self, visible: bool) -> None:
        """Show or hide the ground and the capture's axes."""
        with self._lock:
            self._ground_visible = visible
            self._show()

    def _show(self) -> None:
        """Show what is to be seen.

        While the page looks through a photo, other cameras and the ground would stand before it, and points as large as
        from afar would hide it.
        """
        through = self._has_backdrop
        with self.client.atomic():
            for photo, handle in self._frusta.items():
                handle.visible = self._photos_visible and photo != self._entered and not through
            for handle in self._lines:
                handle.visible = self._photos_visible and not through
            for handle in self._ground:
                handle.visible = self._ground_visible and not through
            for handle, largest in self._clouds:
                handle.visible = self._points_visible
                handle.point_size = min(self._point_size * (THROUGH if through else 1.0), largest)

    def set_size(self, factor: float) -> None:
        """How large frusta are, over half the distance from one to the next."""
        with self._lock, self.client.atomic():
            for handle in self._frusta.values():
                handle.scale = factor * self.layout.frustum

    def enter_frustum(self, photo: int) -> None:
        """Hide the frustum that the camera flies into: its photo would hide everything else."""
        with self._lock:
            self._entered = photo
            self._show()

    @property
    def entered(self) -> int | None:
        """The photo at which the camera is."""
        return self._entered

    @property
    def has_backdrop(self) -> bool:
        """Whether a photo stands behind the points."""
        return self._has_backdrop

    def show_backdrop(self, photo: int, pose: Pose, rows: int) -> None:
        """Put a photo behind the points of a page that looks from where it was taken.

        Raises:
            SceneError: it cannot be decoded.
        """
        picture = backdrop(self.state.scene, photo, pose, min(rows, BACKDROP_ROWS))
        with self._lock:
            depth = np.full(picture.shape[:2], BEHIND_ALL, np.float32)
            self.client.scene.set_background_image(picture, format="jpeg", jpeg_quality=JPEG_QUALITY, depth=depth)
            self._has_backdrop = True
            self._show()

    def hide_backdrop(self) -> None:
        """Nothing stands behind the points."""
        with self._lock:
            if self._has_backdrop:
                self.client.scene.set_background_image(None)
            self._has_backdrop = False
            self._show()

    def leave(self) -> None:
        """The camera has left the photo: nothing stands behind the points, and its frustum is shown again."""
        self._entered = None
        self.hide_backdrop()

    def show_keyframes(self, poses: Sequence[tuple[Float[np.ndarray, "3 4"], float, float]]) -> None:
        """A page of a capture records no path."""


def shells_of(
    points: Float[np.ndarray, "points 3"], cameras: Float[np.ndarray, "cameras 3"], reach: float
) -> Int[np.ndarray, " points"]:
    """Of each point the number n of its group: `reach` / 2^n or more from any camera, or n is the last."""
    nearest = np.asarray(cKDTree(cameras).query(points)[0])
    number = np.ceil(-np.log2(np.maximum(nearest / reach, 2.0**-SHELLS)))
    shells: Int[np.ndarray, " points"] = np.clip(number, 0, SHELLS - 1).astype(np.int64)
    return shells


def frustum_depth(camera: Camera, size: float) -> float:
    """How far before a camera the page draws its photo: viser gives all frusta of one size the same volume."""
    across, upwards = 0.5 * camera.width / camera.fx, 0.5 * camera.height / camera.fy
    return float(size / np.cbrt(across * upwards / 3))


def frustum_lines(camera: Camera, size: float) -> Float[np.ndarray, "lines 2 3"]:
    """The eight edges of a camera's frustum, as large as those with photos, in the frame of its pose."""
    z = frustum_depth(camera, size)
    x, y = z * 0.5 * camera.width / camera.fx, z * 0.5 * camera.height / camera.fy
    corners = np.array([[-x, y, -z], [x, y, -z], [x, -y, -z], [-x, -y, -z]])
    tip = np.zeros((4, 3))
    edges = np.concatenate([np.stack([tip, corners], 1), np.stack([corners, np.roll(corners, -1, 0)], 1)])
    lines: Float[np.ndarray, "lines 2 3"] = edges @ camera.camera_to_world[:, :3].T + camera.camera_to_world[:, 3]
    return lines
