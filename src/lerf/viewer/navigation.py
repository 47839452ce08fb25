"""The camera of one page: where it flies, which way is up, the path of its keyframes, and screenshots."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import Image

from lerf.errors import LerfError, QueryError
from lerf.queries.result import Geometry
from lerf.scenes.scene import Scene
from lerf.viewer.flights import FLIGHT_SECONDS
from lerf.viewer.geometry import Pose, Viewpoint, opening_viewpoint, photo_viewpoint
from lerf.viewer.page_server import waits_for_file
from lerf.viewer.recording import PREVIEW_RATE, Recording

SCREENSHOT_SECONDS = 20.0
UPS = ("cameras", "this view", "capture +x", "capture -x", "capture +y", "capture -y", "capture +z", "capture -z")
"""What can be chosen as up."""


class CameraControls(Protocol):
    """The controls of a page that show where its camera is."""

    up: Any
    angle: Any

    def show_path(self, keyframes: int) -> None:
        """How many keyframes the path has."""


@runtime_checkable
class PhotographedScene(Protocol):
    """Photos, and where they were taken."""

    scene: Scene

    def to_normalised(self, point: Sequence[float]) -> Float[np.ndarray, " 3"]:
        """A point of the capture's frame in the normalised one."""
        ...


@runtime_checkable
class PhotoView(Protocol):
    """What a page shows of them."""

    def enter_frustum(self, photo: int) -> None:
        """The camera flies into the frustum of a photo."""

    def show_keyframes(self, poses: Sequence[tuple[Float[np.ndarray, "3 4"], float, float]]) -> None:
        """Frustums of a path's keyframes, given as pose, vertical angle and aspect, and the line through them."""

    def fly(self, to: Viewpoint, up: Float[np.ndarray, " 3"] | None = None, seconds: float = FLIGHT_SECONDS) -> None:
        """Move the camera."""

    def play(self, viewpoints: Sequence[Viewpoint], rate: float = PREVIEW_RATE) -> None:
        """Fly through viewpoints."""


class Navigation:
    """Implements what the panel's camera controls ask for."""

    panel: CameraControls
    """Set when the controls are there."""

    def __init__(
        self,
        client: Any,
        scene: PhotographedScene,
        view: PhotoView,
        failed: Callable[[Exception], None],
        opening: Viewpoint | None = None,
    ) -> None:
        """
        Args:
            client: viser's handle of the page.
            scene: where its photos were taken.
            view: what the page shows.
            failed: tells the page what went wrong.
            opening: where the page opens; by default at the photo in the middle.
        """
        self.client, self.scene, self.view, self._failed = client, scene, view, failed
        self.opening = opening_viewpoint(scene.scene) if opening is None else opening
        self.recording = Recording(scene.scene)
        self._shooting = threading.Lock()

    def fly_to_photo(self, photo: int) -> None:
        """To where a photo was taken."""
        self.fly(photo_viewpoint(self.scene.scene, photo), photo)

    def fly(self, to: Viewpoint, photo: int) -> None:
        """Move the page's camera to a viewpoint at a photo."""
        self.view.enter_frustum(photo)
        self.view.fly(to)
        self._show_angle(to.angle)

    def fly_to_place(self, geometry: Geometry) -> None:
        """To the photo that shows a place best, looking at it."""
        scene = self.scene.scene
        names = [photo.name for photo in scene.photos]
        if geometry.view not in names:
            self._failed(QueryError("No photo shows this place; look for it by hand at its coordinates."))
            return
        photo = names.index(geometry.view)
        self.fly(photo_viewpoint(scene, photo, self.scene.to_normalised(geometry.point)), photo)

    def reset_view(self) -> None:
        """To where the page opened."""
        self.panel.up.value = "cameras"
        self.view.fly(self.opening, np.array([0.0, 0.0, 1.0]), seconds=0.0)
        self._show_angle(self.opening.angle)

    def _show_angle(self, angle: float) -> None:
        self.panel.angle.value = round(min(max(math.degrees(angle), 10.0), 120.0))

    def set_up(self, choice: str) -> None:
        """One of `UPS`."""
        if choice == "cameras":
            up = np.array([0.0, 0.0, 1.0])
        elif choice == "this view":
            up = Pose.of(self.client.camera).rotation[:, 1]
        else:
            axis = np.eye(3)["xyz".index(choice[-1])] * (-1.0 if choice[-2] == "-" else 1.0)
            up = self.scene.scene.similarity.rotation @ axis
        self.client.camera.up_direction = tuple(up.tolist())

    def set_angle(self, degrees: float) -> None:
        """Vertical field of view."""
        self.client.camera.fov = math.radians(degrees)

    def save_screenshot(self) -> None:
        """Download what the page shows; one picture after another."""
        if self._shooting.acquire(blocking=False):
            try:
                self._save_screenshot()
            finally:
                self._shooting.release()

    def _save_screenshot(self) -> None:
        camera = self.client.camera
        try:
            image = self.client.get_render(
                camera.image_height, camera.image_width, transport_format="png", timeout=SCREENSHOT_SECONDS
            )
        except (RuntimeError, TimeoutError) as error:
            message = f"The browser gave no screenshot ({error}); try again with the page in front."
            self._failed(QueryError(message))
            return
        data = io.BytesIO()
        Image.fromarray(image[..., :3]).save(data, format="PNG")
        self._send("lerf.png", data.getvalue())

    def add_keyframe(self) -> None:
        """This view becomes part of the path."""
        try:
            self.recording.add(Pose.of(self.client.camera))
        except LerfError as error:
            self._failed(error)
            return
        self._path_changed()

    def remove_keyframe(self, everything: bool) -> None:
        """The last keyframe goes, or all."""
        self.recording.remove(everything)
        self._path_changed()

    def _path_changed(self) -> None:
        self.panel.show_path(len(self.recording))
        self.view.show_keyframes(self.recording.frustums())

    def play_path(self, seconds: float, loop: bool) -> None:
        """Fly along the path."""
        try:
            self.view.play(self.recording.viewpoints(seconds, loop))
        except LerfError as error:
            self._failed(error)

    def save_path(self, seconds: float, rate: float, loop: bool, height: int) -> None:
        """Download the path."""
        try:
            data = self.recording.file(seconds, rate, loop, height)
        except LerfError as error:
            self._failed(error)
            return
        self._send("camera_path.json", data)

    def _send(self, name: str, data: bytes) -> None:
        """Let the page download a file; not while another one waits for a page that takes nothing in."""
        if waits_for_file(self.client):
            self._failed(QueryError("The last file has not arrived yet; wait for it and try again."))
            return
        self.client.send_file_download(name, data, save_immediately=True)
