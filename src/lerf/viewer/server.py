"""The server: one port, one scene, one scheduler, a session for every page."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from lerf.run.open_run import IndexUse
from lerf.viewer.address import announced_url, free_port, require_viser
from lerf.viewer.geometry import opening_viewpoint, photo_viewpoint
from lerf.viewer.jobs import Scheduler, Urgency
from lerf.viewer.page_server import PageServer
from lerf.viewer.scene_state import SceneState
from lerf.viewer.session import Session
from lerf.viewer.splat_nodes import SplatNodes

__all__ = ["Viewer", "announced_url", "free_port", "require_viser"]


@dataclass(frozen=True)
class Opening:
    """What every page of a scene shows first."""

    phrase: str
    """That is asked."""
    photo: int | None = None
    """From where the scene is seen."""


class Viewer:
    """A served scene."""

    def __init__(
        self,
        scene: SceneState,
        *,
        title: str = "run",
        host: str = "127.0.0.1",
        port: int = 7007,
        limit: int | None = None,
        index: IndexUse = "auto",
        opening: Opening | None = None,
    ) -> None:
        """Start serving.

        Args:
            scene: what to show.
            title: name of the run, on the page.
            host: address to listen on.
            port: to listen on; the next free one if it is taken, any free one for 0.
            limit: rows of the sharpest picture that pages start with; by default as the device allows.
            index: see `SceneState.prepare`.
            opening: what pages show first; by default the whole scene, and nothing is asked.

        Raises:
            ConfigError: when viser is not installed, or the address cannot be listened on.
        """
        self.scene, self.title, self.opening = scene, title, opening
        self.limit = limit or (360 if scene.device == "cpu" else 720)
        self.page = PageServer(host=host, port=port, label="lerf", title=title)
        self.server, self.host, self.port = self.page.server, self.page.host, self.page.port
        self.scheduler, self.splats = Scheduler(), SplatNodes(scene)
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()
        self._open_view()
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)
        self.scheduler.submit(self, "prepare", scene.prepare(index), Urgency.REFINING, self._unprepared)

    @property
    def url(self) -> str:
        """Where the page is; whoever has it can open it."""
        return self.page.url

    @property
    def sessions(self) -> list[Session]:
        """The open pages, the oldest first."""
        with self._lock:
            return [self._sessions[client] for client in sorted(self._sessions)]

    def close(self) -> None:
        """Stop serving."""
        self.page.close()
        for session in self.sessions:
            session.close()
        self.scheduler.close()

    def _open_view(self) -> None:
        """Every page opens at the same view, with the scene's own up."""
        photo = None if self.opening is None else self.opening.photo
        scene = self.scene.scene
        start = opening_viewpoint(scene) if photo is None else photo_viewpoint(scene, photo)
        camera = self.server.initial_camera
        camera.position, camera.look_at = tuple(start.position.tolist()), tuple(start.look_at.tolist())
        camera.up, camera.fov = (0.0, 0.0, 1.0), start.angle
        self.server.scene.set_up_direction("+z")

    def _connected(self, client: Any) -> None:
        session = Session(client, self.scene, self.scheduler, self.title, self.limit, self.splats)
        with self._lock:
            self._sessions[client.client_id] = session
        if self.opening is not None:
            session.panel.prompt.value = self.opening.phrase
            session.ask(self.opening.phrase)
        # Building a page takes a while; whoever left meanwhile has been reported already.
        if client.client_id not in self.server.get_clients():
            self._disconnected(client)

    def _disconnected(self, client: Any) -> None:
        with self._lock:
            session = self._sessions.pop(client.client_id, None)
        if session is not None:
            session.close()

    def _unprepared(self, error: Exception) -> None:
        for session in self.sessions:
            session._fail(error)
