"""One served page: viser's server behind rules of who may open it and what may be sent.

viser serves anybody who reaches its port, does what any message says that it can parse, and sets any attribute of a
control that a message names. There is no setting for that. So this file, and no other, reaches into its private parts:

- `websockets.asyncio.server.serve`, which viser calls while it starts, is wrapped for that moment, to see each request
  before viser does and to put a connection of ours in place of the one that viser reads from;
- `_websock_server._live_connections`, `_connected_clients`, `gui._gui_input_handle_from_uuid`,
  `_websock_connection._incoming_handlers` and `get_message_buffer()` say whose message it is and what it is about;
- `_websock_server.unregister_handler` takes away that pages open a tunnel to the world.

`pyproject.toml` therefore pins viser to >=1.1.1,<1.2; `tests/viewer/test_page_server.py` fails when any of it moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http
import io
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from lerf.viewer import messages
from lerf.viewer.access import Access, page_token
from lerf.viewer.address import announced_url, free_port, require_viser
from lerf.viewer.responses import put, rules, sentence

MOST_PAGES = 128
"""Open at once."""
SEND_SECONDS = 120.0
"""After which a page that takes nothing in has gone."""
MOST_UNDELIVERED = 20_000
"""Messages that may wait for a page that keeps asking and takes little in."""
AGAINST_POLICY = 1008
"""Why a connection is closed, RFC 6455."""
_CLIENT = re.compile(r"viser-v[0-9A-Za-z.+-]{1,32}")
_FILE = re.compile(r"/[A-Za-z0-9._/-]{0,200}")
# viser writes the address of the websocket into that of the page, where it would be wrong as soon as the port changes.
_KEEP_ADDRESS = b"<head><script>history.replaceState = function () {};</script>"
_starting = threading.Lock()


class PageServer:
    """viser's server at a port of its own, open to those who have the page's address."""

    def __init__(self, *, host: str, port: int, label: str, title: str) -> None:
        """Start serving.

        Args:
            host: address to listen on.
            port: to listen on; the next free one if it is taken, any free one for 0.
            label: above the controls.
            title: of what is served; the token depends on it.

        Raises:
            ConfigError: when viser is not installed, or the address cannot be listened on.
        """
        viser = require_viser()
        chosen = free_port(host, port)
        self.access = Access(page_token(title, chosen), host)
        self.server: Any = None
        self._pages: dict[bool, bytes] = {}
        # viser announces itself on the terminal, with an address of its own choosing.
        with _starting, _serving_through(self), contextlib.redirect_stdout(io.StringIO()):
            server = viser.ViserServer(host=host, port=chosen, label=label, verbose=False)
        for message in (viser._messages.ShareUrlRequest, viser._messages.ShareUrlDisconnect):
            server._websock_server.unregister_handler(message)
        self.host, self.port, self.server = host, int(server.get_port()), server

    @property
    def url(self) -> str:
        """Where the page is, seen from this machine; whoever has it can open it."""
        return f"{announced_url(self.host, self.port)}/{self.access.token}"

    def share(self) -> str | None:
        """An address on viser's public relay; None when there is none."""
        shared = self.server.request_share_url(verbose=False)
        if shared is None:
            return None
        self.access.allow(urlsplit(shared).hostname or "")
        return f"{shared.rstrip('/')}/{self.access.token}"

    def close(self) -> None:
        """Stop serving."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    def answer(self, viser_answers: Callable[[Any, Any], Any], connection: Any, request: Any) -> Any:
        """The response to a request of `websockets`; None opens a websocket."""
        headers = request.headers
        refusal = self.access.refusal(request.path, headers.get_all("Host"), headers.get_all("Origin"))
        if refusal is not None:
            return sentence(http.HTTPStatus.FORBIDDEN, refusal)
        if self.server is None:
            return sentence(http.HTTPStatus.SERVICE_UNAVAILABLE, "The page is starting; try again.")
        upgrades = headers.get_all("Upgrade")
        if not upgrades:
            return self._document(viser_answers, connection, request)
        protocols = [name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(",")]
        if upgrades != ["websocket"] or not any(map(_CLIENT.fullmatch, protocols)):
            return sentence(http.HTTPStatus.BAD_REQUEST, "Only the page itself may connect here.")
        if len(self.server._websock_server._live_connections) >= MOST_PAGES:
            return sentence(http.HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_PAGES} pages are open; close one.")
        return None

    def _document(self, viser_answers: Callable[[Any, Any], Any], connection: Any, request: Any) -> Any:
        """A file of viser's. The page itself is told to take nothing from elsewhere."""
        from websockets.datastructures import Headers
        from websockets.http11 import Request

        path = (self.access.path_behind_token(request.path) or "/").partition("?")[0]
        if not _FILE.fullmatch(path):
            return sentence(http.HTTPStatus.NOT_FOUND, "There is no such file.")
        response = viser_answers(connection, Request(path, Headers()))
        if response.status_code == http.HTTPStatus.OK and path == "/":
            small = "gzip" in ",".join(request.headers.get_all("Accept-Encoding"))
            if small not in self._pages:
                page = response.body.replace(b"<head>", _KEEP_ADDRESS, 1)
                self._pages[small] = gzip.compress(page) if small else page
            response.body = self._pages[small]
            put(response.headers, {
                "Content-Length": str(len(response.body)), "Content-Encoding": "gzip" if small else "identity",
            })  # fmt: skip
        put(response.headers, rules(request.headers["Host"]))
        return response

    def admitted(self, connection: Any, data: bytes | str) -> bytes | None:
        """A message of a page as viser may read it; None for one that is left out.

        Raises:
            messages.RefusedMessageError: no page sends it.
        """
        client = self._client_of(connection)
        shot = client is not None and _waits_for_screenshot(client)
        if not isinstance(data, bytes) or (len(data) > messages.MOST_BYTES and not shot):
            raise messages.RefusedMessageError(f"Messages are binary and have at most {messages.MOST_BYTES} bytes.")
        if client is not None and _undelivered(client) > MOST_UNDELIVERED:
            raise messages.RefusedMessageError("The page asks for more than it takes in.")
        message = messages.decode(data)
        if isinstance(message, messages.Screenshot):
            if shot and not messages.has_png_size(message.payload):
                # viser takes an empty picture for a failure of the browser's.
                return messages.encode(messages.Screenshot(b"", message.render_uuid))
            return data if shot else None
        if isinstance(message, messages.Update):
            return None if client is None else self._update(client, message)
        return data if messages.is_usable(message) else None

    def _update(self, client: Any, message: messages.Update) -> bytes | None:
        for gui in (client.gui, self.server.gui):
            widget = gui._gui_input_handle_from_uuid.get(message.uuid)
            if widget is not None:
                value = messages.settled(widget, message.updates["value"])
                return None if value is None else messages.encode(messages.Update(message.uuid, {"value": value}))
        return None

    def _client_of(self, connection: Any) -> Any:
        """viser's handle of the page at the other end; None before its first camera."""
        for number, live in list(self.server._websock_server._live_connections.items()):
            if live is connection:
                return self.server._connected_clients.get(number)
        return None


def _waits_for_screenshot(client: Any) -> bool:
    from viser import _messages

    return bool(client._websock_connection._incoming_handlers.get(_messages.GetRenderResponseMessage))


def _undelivered(client: Any) -> int:
    """Messages that wait for a page."""
    return len(client._websock_connection.get_message_buffer().message_from_id)


def waits_for_file(client: Any) -> bool:
    """Whether a file is still on its way to a page."""
    from viser import _messages

    waiting = client._websock_connection.get_message_buffer()
    with waiting.buffer_lock:
        return any(isinstance(one, _messages.FileTransferPart) for one in waiting.message_from_id.values())


@contextlib.contextmanager
def _serving_through(page: PageServer) -> Iterator[None]:
    """While viser starts, let it serve by our rules.

    Raises:
        RuntimeError: viser served without asking us.
    """
    from viser.infra import _infra

    original, calls = _infra.websockets, []

    def serve(*args: Any, **options: Any) -> Any:
        calls.append(args)
        options.update(
            process_request=partial(page.answer, options["process_request"]),
            create_connection=_connection_class(page),
            max_size=messages.MOST_SCREENSHOT_BYTES,
            server_header=None,
            logger=_quiet_logger(),
        )
        return original.asyncio.server.serve(*args, **options)

    wrapped = SimpleNamespace(serve=serve)
    _infra.websockets = SimpleNamespace(  # type: ignore[assignment]
        asyncio=SimpleNamespace(server=wrapped), datastructures=original.datastructures, exceptions=original.exceptions
    )
    try:
        yield
    finally:
        _infra.websockets = original
    if not calls:
        raise RuntimeError("This version of viser does not serve as the page needs it.")


def _connection_class(page: PageServer) -> Any:
    """The connection that viser reads from and writes to; viser and with it `websockets` are an extra."""
    from websockets.asyncio.server import ServerConnection

    class PageConnection(ServerConnection):
        allowance: messages.Allowance | None = None

        async def recv(self, decode: bool | None = None) -> Any:
            while True:
                data = await super().recv(decode)
                self.allowance = self.allowance or messages.Allowance(time.monotonic())
                try:
                    # Also without a wait others have their turn here: what has arrived already would be read at once.
                    await asyncio.sleep(self.allowance.wait_for(len(data), time.monotonic()))
                    admitted = page.admitted(self, data)
                except messages.RefusedMessageError as error:
                    await self.close(AGAINST_POLICY, str(error)[:100])
                    continue
                if admitted is not None:
                    return admitted

        async def send(self, message: Any, text: bool | None = None) -> None:
            try:
                await asyncio.wait_for(super().send(message, text), SEND_SECONDS)
            except asyncio.TimeoutError:
                self.transport.abort()
                await self.wait_closed()
                # Says that the connection is closed.
                await super().send(message, text)

    return PageConnection


def _quiet_logger() -> logging.Logger:
    """Errors of the server, without what strangers can make it say."""
    logger = logging.Logger("lerf.viewer")
    logger.parent = logging.getLogger()
    logger.addFilter(
        lambda record: not record.getMessage().startswith(("opening handshake failed", "connection rejected"))
    )
    return logger
