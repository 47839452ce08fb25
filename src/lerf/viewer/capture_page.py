"""The page of a capture: one port, one capture, a session for every page that is open."""

from __future__ import annotations

import math
import sys
import threading
import traceback
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import LerfError
from lerf.viewer.backdrop import is_at
from lerf.viewer.capture_layout import layout_of
from lerf.viewer.capture_panel import CapturePanel, CaptureStart
from lerf.viewer.capture_state import CaptureState, camera_positions
from lerf.viewer.capture_view import CaptureView
from lerf.viewer.errands import Errands
from lerf.viewer.geometry import Pose
from lerf.viewer.navigation import Navigation
from lerf.viewer.page_server import PageServer
from lerf.viewer.words import in_words

CLICK_ANGLE = math.radians(1.5)
"""Between a click and a camera of which only lines are shown, so that the click means it."""


class CaptureSession:
    """Implements the panel's actions for one client of viser's."""

    def __init__(self, client: Any, state: CaptureState, title: str) -> None:
        self.client, self.state = client, state
        self._errands = Errands(self._fail)
        self._photo: int | None = None
        self._arrived = False
        """Whether the flight to that photo is over."""
        self._overlay = True
        self._looking = threading.Lock()
        self.view = CaptureView(client, state)
        self.navigation = Navigation(client, state, self.view, self._fail, self.view.layout.opening)
        start = CaptureStart(
            title, math.degrees(self.navigation.opening.angle), len(state.scene), state.command, not_shown(state),
            state.cloud is not None, self.view.layout.point,
        )  # fmt: skip
        with client.atomic():
            self.panel = CapturePanel(client, self, self.navigation, self._errands, start)
            self.navigation.panel = self.panel

        @client.camera.on_update
        async def _(_: Any) -> None:
            self.moved()

        @client.scene.on_click()
        async def _(event: Any) -> None:
            self.click(np.array(event.ray_origin, np.float64), np.array(event.ray_direction, np.float64))

        self._stop_listening = state.listen(self._told)
        self.view.draw(self.chosen)
        if state.findings is not None or state.trouble:
            self._told(None)

    def close(self) -> None:
        """The page has gone."""
        self._stop_listening()
        self._errands.close()
        self.view.stop_flight()

    @property
    def photo(self) -> int | None:
        """The photo that the page flew to last."""
        return self._photo

    @property
    def pose(self) -> Pose:
        """Where the page's camera stands."""
        return Pose.of(self.client.camera)

    def chosen(self, photo: int) -> None:
        """A photo was clicked."""
        self._errands.run(partial(self.fly_to_photo, photo))

    def fly_to_photo(self, photo: int) -> None:
        """Fly to where a photo was taken, and put it behind the points."""
        with self._looking:
            self._photo, self._arrived = photo, False
            self.view.leave()
        self.panel.show_photo(self.state.scene.photos[photo].name, about_photo(self.state, photo))
        self.navigation.fly_to_photo(photo)
        with self._looking:
            # A later flight may have taken over.
            self._arrived = self._photo == photo
            self._look()

    def step_photo(self, by: int) -> None:
        count = len(self.state.scene)
        self.fly_to_photo(0 if self._photo is None else (self._photo + by) % count)

    def set_overlay(self, visible: bool) -> None:
        with self._looking:
            self._overlay = visible
            self._look()

    def _look(self) -> None:
        """Show the photo behind the points as the page sees it from its place, or leave it where the page has left.

        A slow page may still tell of places along the flight, so that the photo comes back when the page is at its
        place again.
        """
        if not self._arrived or self._photo is None:
            return
        pose = self.pose
        if not is_at(self.state.scene.normalised_camera(self._photo), pose):
            if self.view.entered is not None:
                self.view.leave()
            return
        if self.view.entered != self._photo:
            self.view.enter_frustum(self._photo)
        if self._overlay:
            self.view.show_backdrop(self._photo, pose, self.client.camera.image_height)
        else:
            self.view.hide_backdrop()

    def set_photos(self, visible: bool, size: float) -> None:
        self.view.set_photos(visible)
        self.view.set_size(size)

    def set_points(self, visible: bool, size: float) -> None:
        self.view.set_points(visible, size)

    def set_ground(self, visible: bool) -> None:
        self.view.set_ground(visible)

    def moved(self) -> None:
        """The page's camera has moved: away from a photo or back to it, perhaps."""
        if self._arrived:
            self._errands.run(self._follow)

    def _follow(self) -> None:
        with self._looking:
            self._look()

    def click(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """The scene was clicked, along a ray of the normalised frame: where a camera is of which only lines are shown,
        the click means it."""
        photo = camera_along(self.state, origin, direction)
        if photo is not None:
            self.chosen(photo)

    def _told(self, photo: int | None) -> None:
        """The state has got on."""
        if photo is not None:
            self.view.show_thumbnail(photo)
        elif self.state.findings is not None:
            self.panel.show_findings(self.state.findings)
        else:
            self.panel.show_trouble(self.state.trouble)

    def _fail(self, error: Exception) -> None:
        """Tell the page what went wrong; what nobody foresaw also goes to the terminal."""
        if not isinstance(error, LerfError):
            traceback.print_exception(error, file=sys.stderr)
        self.panel.complain(in_words(error))


class CapturePage:
    """A served capture."""

    def __init__(self, state: CaptureState, *, title: str, host: str = "127.0.0.1", port: int = 7007) -> None:
        """Start serving.

        Args:
            state: what to show.
            title: name of the capture, on the page.
            host: address to listen on.
            port: to listen on; the next free one if it is taken, any free one for 0.

        Raises:
            ConfigError: when viser is not installed, or the address cannot be listened on.
        """
        self.state, self.title = state, title
        self.page = PageServer(host=host, port=port, label="lerf", title=title)
        self.server, self.host, self.port = self.page.server, self.page.host, self.page.port
        self._sessions: dict[int, CaptureSession] = {}
        self._lock = threading.Lock()
        start = layout_of(state).opening
        camera = self.server.initial_camera
        camera.position, camera.look_at = tuple(start.position.tolist()), tuple(start.look_at.tolist())
        camera.up, camera.fov = (0.0, 0.0, 1.0), start.angle
        self.server.scene.set_up_direction("+z")
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)

    @property
    def url(self) -> str:
        """Where the page is; whoever has it can open it."""
        return self.page.url

    @property
    def sessions(self) -> list[CaptureSession]:
        """The open pages, the oldest first."""
        with self._lock:
            return [self._sessions[client] for client in sorted(self._sessions)]

    def close(self) -> None:
        """Stop serving."""
        self.page.close()
        for session in self.sessions:
            session.close()
        self.state.close()

    def _connected(self, client: Any) -> None:
        session = CaptureSession(client, self.state, self.title)
        with self._lock:
            self._sessions[client.client_id] = session
        # Building a page takes a while; whoever left meanwhile has been reported already.
        if client.client_id not in self.server.get_clients():
            self._disconnected(client)

    def _disconnected(self, client: Any) -> None:
        with self._lock:
            session = self._sessions.pop(client.client_id, None)
        if session is not None:
            session.close()


def about_photo(state: CaptureState, photo: int) -> str:
    """What there is to say of a photo beside its name."""
    said = ["held out" if photo in state.scene.test else "to train on"]
    if state.findings is not None:
        pictures = state.findings.inspection.pictures
        if photo in pictures.photos:
            said.append("blurred" if photo in pictures.blurred else "sharp")
        if photo in state.findings.inspection.overlap.apart:
            said.append("little in common with the others")
    if photo in state.undecoded:
        said.append("cannot be decoded")
    return ", ".join(said)


def not_shown(state: CaptureState) -> tuple[str, ...]:
    """What of the capture the page leaves out, sentences."""
    count, pictured, outlined = len(state.scene), len(state.pictured), len(state.outlined)
    told = []
    if outlined:
        told.append(f"{pictured} of {count} cameras are shown with their photos, {outlined} as lines.")
    if pictured + outlined < count:
        told.append(f"{count - pictured - outlined} cameras are not shown.")
    if state.cloud is not None and state.cloud.left_out:
        told.append(f"{state.cloud.left_out:,} of the points are not shown.")
    return tuple(told)


def camera_along(
    state: CaptureState, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]
) -> int | None:
    """Of the cameras that are shown as lines the nearest that a ray passes within `CLICK_ANGLE`; None where it passes
    none."""
    if not state.outlined:
        return None
    outlined = np.array(state.outlined)
    towards = camera_positions(state.scene)[outlined] - origin
    distance = np.linalg.norm(towards, axis=1)
    along = towards @ (direction / np.linalg.norm(direction))
    hit = np.flatnonzero(along >= math.cos(CLICK_ANGLE) * np.maximum(distance, 1e-9))
    return int(outlined[hit[distance[hit].argmin()]]) if len(hit) else None
