"""The server: one port, one scene, one scheduler, a session for every page."""

from __future__ import annotations

import contextlib
import errno
import io
import socket
import threading
from typing import Any

from lerf.errors import ConfigError
from lerf.run.open_run import IndexUse
from lerf.viewer.geometry import opening_viewpoint
from lerf.viewer.jobs import Scheduler, Urgency
from lerf.viewer.scene_state import SceneState
from lerf.viewer.session import Session

PORTS = 100
"""How many ports are tried, from the one asked for."""


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
    ) -> None:
        """Start serving.

        Args:
            scene: what to show.
            title: name of the run, on the page.
            host: address to listen on.
            port: to listen on; the next free one if it is taken, any free one for 0.
            limit: rows of the sharpest picture that pages start with; by default as the device allows.
            index: see `SceneState.prepare`.

        Raises:
            ConfigError: when viser is not installed, or the address cannot be listened on.
        """
        viser = require_viser()
        self.scene, self.title = scene, title
        self.limit = limit or (360 if scene.device == "cpu" else 720)
        chosen = free_port(host, port)
        self.scheduler = Scheduler()
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()
        # viser announces itself on the terminal, with an address of its own choosing.
        with contextlib.redirect_stdout(io.StringIO()):
            self.server = viser.ViserServer(host=host, port=chosen, label="lerf", verbose=False)
        close_share(self.server)
        self.host, self.port = host, int(self.server.get_port())
        self._open_view()
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)
        self.scheduler.submit(self, "prepare", scene.prepare(index), Urgency.REFINING, self._unprepared)

    @property
    def url(self) -> str:
        """Where the page is."""
        return announced_url(self.host, self.port)

    @property
    def sessions(self) -> list[Session]:
        """The open pages, the oldest first."""
        with self._lock:
            return [self._sessions[client] for client in sorted(self._sessions)]

    def close(self) -> None:
        """Stop serving."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()
        for session in self.sessions:
            session.close()
        self.scheduler.close()

    def _open_view(self) -> None:
        """Every page opens at the same view, with the scene's own up."""
        start = opening_viewpoint(self.scene.scene)
        camera = self.server.initial_camera
        camera.position, camera.look_at = tuple(start.position.tolist()), tuple(start.look_at.tolist())
        camera.up, camera.fov = (0.0, 0.0, 1.0), start.angle
        self.server.scene.set_up_direction("+z")

    def _connected(self, client: Any) -> None:
        session = Session(client, self.scene, self.scheduler, self.title, self.limit)
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

    def _unprepared(self, error: Exception) -> None:
        for session in self.sessions:
            session._fail(error)


def require_viser() -> Any:
    """The viser package.

    Raises:
        ConfigError: when it is not installed.
    """
    try:
        import viser
    except ImportError:
        raise ConfigError("The viewer needs viser; install it with: pip install 'lerf[viewer]'.") from None
    return viser


def announced_url(host: str, port: int) -> str:
    """An address that opens the page on this machine."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that can be listened on; any free one for 0.

    Raises:
        ConfigError: when the address is not one of this machine's, or no port is free.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must lie in 0..65535, not {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"There is no address '{host}' ({error}); use --host 127.0.0.1, or 0.0.0.0 for all."
        ) from None
    for candidate in range(port, min(port + PORTS, 65536)):
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((address[0], candidate))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise ConfigError(
                    f"Cannot listen on '{host}' ({error.strerror}); use --host 127.0.0.1, or 0.0.0.0 for all."
                ) from None
            return int(trial.getsockname()[1])
    raise ConfigError(f"None of the {PORTS} ports from {port} on is free; choose another --port.")


def close_share(server: Any) -> None:
    """Pages may not ask for a tunnel to the world: viser opens one for any client that sends the message."""
    from viser import _messages

    server._websock_server.unregister_handler(_messages.ShareUrlRequest)
