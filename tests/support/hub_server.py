"""A model hub of our own on this machine: its API and its files over HTTP, and the ways in which a hub fails."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40
LARGE = 2_000
"""Bytes from which files lie beside the repository and carry a SHA-256."""


@dataclass
class Hub:
    """What the server has and how it behaves; a test changes it while it runs."""

    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by name, by model."""
    cut_after: int | None = None
    """Bytes of a file that has more after which the connection is closed."""
    cuts: int = 10**9
    """How often it is."""
    silent_after: int | None = None
    """Bytes of a large file after which nothing more comes, though the connection stays."""
    wrong_bytes: bool = False
    """Large files have another content than is listed."""
    knows_ranges: bool = True
    code: int | None = None
    """Every answer has this code."""
    elsewhere: str | None = None
    """Address of another server that large files are on."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Paths and headers."""
    address: str = ""
    patience: threading.Event = field(default_factory=threading.Event)
    """Set when hanging answers may end."""

    def add(self, model: str, folder: Path) -> None:
        """A model from a folder in the hub's layout, with a card's picture in a folder, which is not to be fetched."""
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.models[model] = {**files, "pictures/card.json": b"{}"}

    def asked(self, name: str) -> list[dict[str, str]]:
        """Headers of the requests for a file."""
        return [headers for path, headers in self.requests if path.endswith(name)]


def listing(files: dict[str, bytes]) -> dict:
    """What the hub's API says of a model."""
    siblings = []
    for name, data in files.items():
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"rfilename": name, "size": len(data), "blobId": git}
        if len(data) >= LARGE:
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        siblings.append(entry)
    return {"id": "x", "sha": COMMIT, "siblings": siblings, "tags": ["a"], "private": False}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None: ...

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append((path, dict(self.headers)))
        if hub.code:
            return self._answer(hub.code, b"no")
        for model, files in hub.models.items():
            if path in (f"/api/models/{model}/revision/{revision}" for revision in ("main", "v1", COMMIT)):
                return self._answer(200, json.dumps(listing(files)).encode())
            name = path.removeprefix(f"/{model}/resolve/{COMMIT}/")
            if name in files:
                return self._file(name, files[name])
        self._answer(404, b"no such thing")
        return None

    def _file(self, name: str, data: bytes) -> None:
        hub = self.hub
        if len(data) < LARGE:
            return self._answer(200, data)
        if hub.elsewhere:
            self.send_response(302)
            self.send_header("Location", hub.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if hub.wrong_bytes:
            data = bytes(reversed(data))
        start, wanted = 0, self.headers.get("Range")
        if wanted and hub.knows_ranges:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
        code = 206 if wanted and hub.knows_ranges else 200
        self.send_response(code)
        self.send_header("Content-Length", str(len(data) - start))
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if hub.silent_after is not None:
            self.wfile.write(data[start : start + hub.silent_after])
            self.wfile.flush()
            hub.patience.wait(20)
            self.close_connection = True
        elif hub.cut_after is not None and hub.cuts > 0 and hub.cut_after < len(data) - start:
            hub.cuts -= 1
            self.wfile.write(data[start : start + hub.cut_after])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])
        return None

    def _answer(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running hub."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.patience.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def refusing_address() -> str:
    """An address where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"
