"""What one page shows in 3D: the picture behind everything, points, markers and the photos' frustums."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lerf.queries.result import Answer
from lerf.radiance.protocol import ColourPicture
from lerf.viewer.flights import Flights, calling
from lerf.viewer.geometry import wxyz_of
from lerf.viewer.prompt import label
from lerf.viewer.scene_state import SceneState, SurfacePoints

PHRASE_COLOURS = (
    (214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189), (23, 190, 207), (227, 119, 194),
    (140, 86, 75),
)  # fmt: skip
BEHIND_ALL = 160.0
"""Depth of pixels where nothing stands; the page cannot show more than 167."""
JPEG_QUALITY = 85
MOST_FRUSTUMS = 200


class SceneView(Flights):
    """The scene of one page, through viser's handle of its client."""

    def __init__(self, client: Any, scene: SceneState) -> None:
        super().__init__(client)
        self.scene = scene
        self._cloud: Any = None
        self._cloud_of: SurfacePoints | None = None
        self._markers: list[Any] = []
        self._picked: list[Any] = []
        self._frustums: dict[int, Any] = {}
        self._entered: int | None = None
        self._keyframes: list[Any] = []
        self._lock = threading.Lock()

    def show_picture(self, picture: UInt8[np.ndarray, "height width 3"], of: ColourPicture) -> None:
        """Put a picture behind the scene; its depth hides what stands behind it."""
        depth = of.depth.cpu().numpy()
        depth = np.where(np.isfinite(depth), depth, BEHIND_ALL).astype(np.float32)
        self.client.scene.set_background_image(picture, format="jpeg", jpeg_quality=JPEG_QUALITY, depth=depth)

    def hide_picture(self) -> None:
        """Show no picture."""
        self.client.scene.set_background_image(None)

    def show_points(self, cloud: SurfacePoints, colours: UInt8[np.ndarray, "points 3"], size: float) -> None:
        """Show the surface as points, or change their colours."""
        with self._lock:
            if self._cloud is None or self._cloud_of is not cloud:
                self._cloud_of = cloud
                self._cloud = self.client.scene.add_point_cloud(
                    "/lerf/surface", cloud.points, colours, point_size=size, point_shape="circle",
                    precision="float32", point_shading="flat",
                )  # fmt: skip
                return
            self._cloud.colors = colours
            self._cloud.point_size = size

    def hide_points(self) -> None:
        """Show no points."""
        with self._lock:
            if self._cloud is not None:
                self._cloud.remove()
            self._cloud = self._cloud_of = None

    def show_markers(self, answers: Sequence[Answer], visible: bool = True) -> None:
        """A marker with coordinates, score and scale at the best point of each phrase that is present."""
        with self._lock, self.client.atomic():
            _remove(self._markers)
            for row, answer in enumerate(answers if visible else ()):
                if answer.geometry is None:
                    continue
                position = self.scene.to_normalised(answer.geometry.point)
                x, y, z = answer.geometry.point
                text = (
                    f"{row}: {label(answer.text)}\n{answer.relevancy:.2f} at scale {answer.geometry.scale:.3g}\n"
                    f"({x:.3g}, {y:.3g}, {z:.3g})"
                )
                self._markers += self._mark(f"/lerf/markers/{row}", position, text, PHRASE_COLOURS[row % 8])

    def show_picked(self, point: Float[np.ndarray, " 3"] | None) -> None:
        """A marker where the scene was clicked; none without a point."""
        with self._lock, self.client.atomic():
            _remove(self._picked)
            if point is not None:
                x, y, z = self.scene.to_capture(point)
                self._picked += self._mark("/lerf/picked", point, f"({x:.3g}, {y:.3g}, {z:.3g})", (40, 40, 40))

    def _mark(self, name: str, position: Float[np.ndarray, " 3"], text: str, colour: tuple[int, int, int]) -> list[Any]:
        place = tuple(position.tolist())
        ball = self.client.scene.add_icosphere(name, 0.012, color=colour, position=place, cast_shadow=False)
        tag = self.client.scene.add_label(
            f"{name}/label", text, font_screen_scale=0.8, anchor="bottom-left", position=(0.0, 0.0, 0.015)
        )
        return [tag, ball]

    def show_frustums(self, chosen: Callable[[int], None]) -> int:
        """Frustums of the training photos with small copies of them. Returns how many photos could not be read.

        `chosen` hears of a click, on the server's loop, and must be quick.
        """
        scene, missing = self.scene.scene, 0
        train = scene.train[:: -(-len(scene.train) // MOST_FRUSTUMS)]
        for photo in train:
            image = self.scene.thumbnail(photo)
            missing += image is None
            camera = scene.normalised_camera(photo)
            handle = self.client.scene.add_camera_frustum(
                f"/lerf/photos/{photo}", camera.vertical_angle, camera.width / camera.height, scale=0.04,
                thickness=1.5, thickness_units="screen", color=(70, 70, 90), image=image, format="jpeg",
                wxyz=wxyz_of(camera.camera_to_world), position=tuple(camera.camera_to_world[:, 3].tolist()),
                cast_shadow=False,
            )  # fmt: skip
            handle.on_click(calling(chosen, photo))
            with self._lock:
                handle.visible = photo != self._entered
                self._frustums[photo] = handle
        return missing

    @property
    def frustums(self) -> int:
        """How many are shown."""
        with self._lock:
            return len(self._frustums)

    def enter_frustum(self, photo: int) -> None:
        """Hide the frustum that the camera flies into: its photo would hide everything else."""
        with self._lock:
            for one, visible in ((self._entered, True), (photo, False)):
                if one in self._frustums:
                    self._frustums[one].visible = visible
            self._entered = photo

    def hide_frustums(self) -> None:
        """Show no frustums."""
        with self._lock, self.client.atomic():
            handles = list(self._frustums.values())
            self._frustums.clear()
            _remove(handles)

    def show_keyframes(self, poses: Sequence[tuple[Float[np.ndarray, "3 4"], float, float]]) -> None:
        """Frustums of a path's keyframes, given as pose, vertical angle and aspect, and the line through them."""
        with self._lock, self.client.atomic():
            _remove(self._keyframes)
            for row, (pose, angle, aspect) in enumerate(poses):
                self._keyframes.append(
                    self.client.scene.add_camera_frustum(
                        f"/lerf/keyframes/{row}", angle, aspect, scale=0.04, thickness=2.0, thickness_units="screen",
                        color=(230, 120, 20), wxyz=wxyz_of(pose), position=tuple(pose[:, 3].tolist()),
                        cast_shadow=False,
                    )
                )  # fmt: skip
            if len(poses) > 1:
                points = np.stack([pose[:, 3] for pose, _, _ in poses])
                self._keyframes.append(
                    self.client.scene.add_spline_catmull_rom(
                        "/lerf/keyframes/line", points, thickness=2.0, thickness_units="screen", color=(230, 120, 20)
                    )
                )


def _remove(handles: list[Any]) -> None:
    for handle in handles:
        handle.remove()
    handles.clear()
