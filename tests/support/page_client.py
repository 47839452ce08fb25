"""Whatever connects to a page's server without being a page: raw requests, and a websocket that sends what it likes."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import msgspec
import viser
import websockets
import zstandard
from page_support import PATIENCE, wait_for
from websockets.sync.client import connect

PROTOCOL = f"viser-v{viser.__version__}"
WIDTH, HEIGHT = 320, 240
UPGRADE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": PROTOCOL,
}  # fmt: skip


def request(url, path=None, headers=(), upgrade=False):
    """Status, headers and text of an answer. `headers` are pairs; those of an upgrade and a `Host` are added."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        connection.putrequest("GET", parts.path if path is None else path, skip_host=True, skip_accept_encoding=True)
        headers = [*headers, *(UPGRADE.items() if upgrade else ())]
        if not any(name == "Host" for name, _ in headers):
            headers.append(("Host", parts.netloc))
        for name, value in headers:
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, "" if answer.status == 101 else answer.read().decode()
    finally:
        connection.close()


def camera(**changes):
    """A camera that looks at the scene from its edge."""
    pose = {
        "wxyz": (0.5, -0.5, 0.5, -0.5), "position": (-1.0, 0.0, 0.0), "fov": 0.9, "near": 0.01, "far": 1000.0,
        "image_height": HEIGHT, "image_width": WIDTH, "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0),
    }  # fmt: skip
    return {"type": "ViewerCameraMessage", **pose, **changes}


class RawPage:
    """One connection, which remembers what it is told."""

    def __init__(self, url, **options):
        self.socket = connect(
            url.replace("http", "ws", 1), subprotocols=[PROTOCOL], max_size=None, compression=None,
            close_timeout=1.0, **options,
        )  # fmt: skip
        self.received, self.labels, self.forms, self.pictures, self.closed = [], {}, [], 0, None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self._thread.join(PATIENCE)

    def cut(self):
        """End without a goodbye, which would come after all that was sent."""
        with contextlib.suppress(OSError):
            self.socket.socket.shutdown(socket.SHUT_RDWR)

    def send(self, **message):
        self.send_bytes(msgspec.msgpack.encode(message))

    def send_bytes(self, data):
        self.socket.send(data)

    def open(self):
        """Send the first camera, and wait for the controls."""
        self.send(**camera())
        wait_for(lambda: "Download camera_path.json" in self.labels and self.forms, "the controls")
        return self

    def set(self, label, value):
        self.send(type="GuiUpdateMessage", uuid=self.labels[label], updates={"value": value})

    def ask(self, text):
        self.set("LERF Positives", text)
        self.send(type="GuiFormSubmitMessage", uuid=self.forms[0])

    def ask_and_be_gone(self, text):
        """Ask, and do not mind when the connection ends over it."""
        with contextlib.suppress(websockets.ConnectionClosed, OSError):
            self.ask(text)

    def seconds_to_answer(self, text):
        """How long a prompt takes until its folder is there."""
        start = time.perf_counter()
        self.ask(text)
        wait_for(lambda: f"0: {text}" in self.labels, f"the answer to {text}")
        return time.perf_counter() - start

    def says(self, words):
        """Whether something in the panel holds these words."""
        return any(words in str(message.get("updates", {}).get("content", "")) for message in list(self.received))

    def _read(self):
        zstd = zstandard.ZstdDecompressor()
        try:
            for data in self.socket:
                size = int.from_bytes(data[8:16], "little")
                for message in msgspec.msgpack.decode(zstd.decompress(data[16 : 16 + size]))["messages"]:
                    self._take(message)
        except websockets.ConnectionClosed as end:
            self.closed = end
        if self.closed is None:
            self.closed = self.socket.close_code

    def _take(self, message):
        self.received.append(message)
        props = message.get("props")
        if isinstance(props, dict) and "label" in props and "uuid" in message:
            self.labels[props["label"]] = message["uuid"]
        if message["type"] == "GuiFormMessage":
            self.forms.append(message["uuid"])
        self.pictures += message["type"] == "BackgroundImageMessage"

    @property
    def close_code(self):
        """Why the server closed the connection; None while it is open."""
        return self.socket.protocol.close_code if self.closed is not None else None
