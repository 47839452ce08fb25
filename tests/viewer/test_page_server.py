"""Who may open a page and what may be sent to it, tried by what is no page."""

import contextlib
import gzip
import logging
import secrets
import socket
import threading
import time
import urllib.request

import msgspec
import numpy as np
import psutil
import pytest
import websockets
from page_client import PROTOCOL, RawPage, camera, request
from page_support import wait_for
from websockets.sync.client import connect

from lerf.run.report import Silent
from lerf.viewer import page_server
from lerf.viewer.page_server import PageServer
from lerf.viewer.training import TrainingPage

REFUSED = 1008


@pytest.fixture(scope="module")
def small():
    """A page with one button, and nothing else to do."""
    served = PageServer(host="127.0.0.1", port=0, label="test", title="test")
    served.button = served.server.gui.add_button("Go", disabled=False)
    served.text = served.server.gui.add_text("Text", "as it was")
    served.slider = served.server.gui.add_slider("Slider", 0.0, 1.0, 0.1, 0.5)
    served.choice = served.server.gui.add_dropdown("Choice", ("one", "two"))
    served.ticked = served.server.gui.add_checkbox("Ticked", False)
    served.clicks = []
    served.button.on_click(lambda _: served.clicks.append(True))
    yield served
    served.close()


def addressed(page, name):
    return [("Host", f"{name}:{page.port}"), ("Origin", f"http://{name}:{page.port}")]


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1.evil.example:{port}",
        "localhost@evil.example", "", None, "127.0.0.1:{port}, evil.example", "[::1", "2130706433", "127.1",
    ],
)  # fmt: skip
def test_other_names_are_refused(small, upgrade, host):
    headers = [("Host", host if host is None else host.format(port=small.port))]
    status, _, text = request(small.url, headers=headers, upgrade=upgrade)
    assert status == 403
    assert "open the address that lerf printed" in text


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "http://evil.example:{port}", "null", "http://127.0.0.1", "http://127.0.0.1:1",
        "http://localhost:{port}", "http://127.0.0.1:{port}.evil.example", "file://", "", "127.0.0.1:{port}",
        "ws://127.0.0.1:{port}",
    ],
)  # fmt: skip
def test_pages_of_other_addresses_are_refused(small, upgrade, origin):
    headers = [("Origin", origin.format(port=small.port))]
    assert request(small.url, headers=headers, upgrade=upgrade)[0] == 403


def test_what_is_said_twice_is_refused(small):
    host = f"127.0.0.1:{small.port}"
    for pair in (("Host", "evil.example"), ("Origin", "http://evil.example")):
        headers = [("Host", host), ("Origin", f"http://{host}"), pair]
        assert request(small.url, headers=headers, upgrade=True)[0] == 403


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("change", ["", "x", "/", "//", "?", "/..", "/%2e%2e"])
def test_nothing_is_there_without_the_token(small, upgrade, change):
    token = small.access.token
    for path in ("/", f"/{change}", f"/{token[:-1]}{change}", f"/{change}/{token}x", f"/?{token}", f"/x/{token}"):
        status, headers, text = request(small.url, path, upgrade=upgrade)
        assert status == 403, path
        assert token not in text + str(headers)


def test_the_page_is_served_at_its_address_and_to_nobody_else(small):
    status, headers, text = request(small.url)
    assert status == 200
    assert "<script" in text
    assert f"connect-src 'self' ws://127.0.0.1:{small.port} " in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    asked = urllib.request.Request(small.url, headers={"Accept-Encoding": "gzip, br"})
    with urllib.request.urlopen(asked) as answer:
        assert gzip.decompress(answer.read()).decode() == text
    for path in (
        "/index.html/..",
        "/../viser/__init__.py",
        "/%2e%2e/%2e%2e/__init__.py",
        "/nothing",
        "/%00",
        f"/{'x' * 300}",
    ):
        assert request(small.url, f"/{small.access.token}{path}")[0] == 404


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "192.168.7.7", "[::1]", "[fe80::1]"])
def test_addresses_and_names_of_this_machine_are_ours(small, name):
    for upgrade, fine in ((False, 200), (True, 101)):
        assert request(small.url, headers=addressed(small, name), upgrade=upgrade)[0] == fine
        https = [("Host", name), ("Origin", f"https://{name}")]
        assert request(small.url, headers=https, upgrade=upgrade)[0] == fine


def test_only_viser_clients_connect(small):
    for protocol in ("chat", "viser-v[/b]", ""):
        headers = [("Sec-WebSocket-Protocol", protocol), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
        assert request(small.url, headers=headers)[0] == 400


def test_no_more_pages_than_there_is_room_for(small, monkeypatch):
    wait_for(lambda: not small.server._websock_server._live_connections, "an empty server")
    monkeypatch.setattr(page_server, "MOST_PAGES", 2)
    with RawPage(small.url), RawPage(small.url):
        wait_for(lambda: len(small.server._websock_server._live_connections) == 2, "two pages")
        assert request(small.url, upgrade=True)[0] == 503
    wait_for(lambda: not small.server._websock_server._live_connections, "the end of both")
    assert request(small.url, upgrade=True)[0] == 101


def is_refused(page, data):
    """Whether what is sent ends the connection."""
    with RawPage(page.url) as raw:
        raw.send(**camera())
        wait_for(lambda: "Go" in raw.labels, "the controls")
        raw.send_bytes(data)
        wait_for(lambda: raw.closed is not None, "the end of the connection")
        return raw.close_code == REFUSED


def encoded(**message):
    return msgspec.msgpack.encode(message)


@pytest.mark.parametrize(
    "data",
    [
        encoded(type="ShareUrlRequest"), encoded(type="ShareUrlDisconnect"),
        encoded(type="RunJavascriptMessage", source="1"),
        encoded(type="FileTransferStartUpload", source_component_uuid="x", transfer_uuid="x", filename="x",
                mime_type="x", part_count=1, size_bytes=1),
        encoded(type="SceneNodeUpdateMessage", name="/", updates={"visible": False}), encoded(type="Nothing"),
        encoded(type="CommandTriggerMessage", uuid="x"), encoded(uuid="x"), encoded(**{**camera(), "more": 1}),
        encoded(**{**camera(), "image_width": "wide"}), encoded(**{**camera(), "position": (0.0, 1.0)}),
        b"", b"\xc1", b"\x91" * 100_000, b"x" * ((1 << 20) + 1),
    ],
    ids=lambda data: data[:30].decode("latin-1").encode("unicode_escape").decode(),
)  # fmt: skip
def test_what_no_page_sends_ends_the_connection(small, data):
    assert is_refused(small, data)


def test_text_frames_end_the_connection(small):
    assert is_refused(small, "hello")


@pytest.mark.parametrize(
    "updates",
    [
        {"disabled": True}, {"props": {}}, {"removed": True}, {"uuid": "x"}, {"update_cb": "x"}, {"is_button": False},
        {}, {"value": True, "disabled": True}, {"value": [True]}, {"value": None}, {"value": "yes"}, {"value": 1},
    ],
)  # fmt: skip
def test_of_a_control_only_its_value_can_be_set(small, updates):
    before = vars(small.button._impl).copy(), vars(small.button._impl.props).copy()
    assert is_refused(small, encoded(type="GuiUpdateMessage", uuid=small.button._impl.uuid, updates=updates))
    assert (vars(small.button._impl), vars(small.button._impl.props)) == before
    assert small.clicks == []


def test_values_stay_within_what_a_control_holds(small):
    with RawPage(small.url) as raw:
        raw.send(**camera())
        wait_for(lambda: "Ticked" in raw.labels, "the controls")
        for label, sent, held in (
            ("Slider", 1e300, 1.0), ("Slider", -7, 0.0), ("Slider", 0.3, 0.3), ("Slider", float("nan"), 0.3),
            ("Slider", float("inf"), 0.3), ("Choice", "two", "two"), ("Choice", "three", "two"),
            ("Text", "y" * 500_000, "y" * 2001), ("Text", "back", "back"), ("Ticked", True, True),
        ):  # fmt: skip
            handle = {"Slider": small.slider, "Choice": small.choice, "Text": small.text, "Ticked": small.ticked}[label]
            raw.set(label, sent)
            # Messages are read in order: when the box is ticked, the one before was.
            small.ticked.value = False
            raw.set("Ticked", True)
            wait_for(lambda: small.ticked.value, "the message after it")
            assert handle.value == held
        assert raw.close_code is None


def test_a_button_is_pressed_by_whoever_has_the_token_but_not_while_it_is_disabled(small):
    with RawPage(small.url) as raw:
        raw.send(**camera())
        wait_for(lambda: "Go" in raw.labels, "the controls")
        small.button.disabled = True
        raw.set("Go", True)
        raw.set("Ticked", not small.ticked.value)
        time.sleep(0.3)
        assert small.clicks == []
        small.button.disabled = False
        raw.set("Go", True)
        wait_for(lambda: small.clicks, "the click")
    small.clicks.clear()


NOT_USABLE = [
    {"image_width": 10**6}, {"image_width": 0}, {"image_height": 0}, {"image_height": -5}, {"image_width": 2**63},
    {"image_width": 16_000, "image_height": 20}, {"fov": 0.0}, {"fov": 3.2}, {"fov": float("nan")},
    {"position": (float("nan"), 0.0, 0.0)}, {"position": (1e20, 0.0, 0.0)}, {"wxyz": (0.0, 0.0, 0.0, 0.0)},
    {"wxyz": (float("inf"), 0.0, 0.0, 0.0)}, {"look_at": (float("nan"),) * 3}, {"up_direction": (0.0, 0.0, 0.0)},
    {"near": float("nan")}, {"far": -1.0},
]  # fmt: skip


@pytest.mark.parametrize("change", NOT_USABLE, ids=str)
def test_a_camera_that_takes_no_picture_is_left_out(small, change):
    seen = []
    wait_for(lambda: not small.server.get_clients(), "an empty server")
    with RawPage(small.url) as raw:
        raw.send(**camera())
        client = wait_for(lambda: [*small.server.get_clients().values()], "the page")[0]
        client.camera.on_update(lambda now: seen.append(now.fov))
        raw.send(**camera(**change))
        raw.send(**camera(fov=1.25))
        wait_for(lambda: 1.25 in seen, "the next camera")
        assert seen == [1.25]
        assert np.isfinite(client.camera.position).all()


def test_nothing_of_messages_is_kept(small):
    """viser keeps what it is told of forms for all who come later."""
    buffer = small.server._websock_server._broadcast_buffer
    with RawPage(small.url) as raw:
        raw.send(**camera())
        wait_for(lambda: "Ticked" in raw.labels, "the controls")
        kept, before = len(buffer.message_from_id), psutil.Process().memory_info().rss
        for number in range(100):
            raw.send(type="GuiFormDirtyMessage", uuid=f"{number}" * 100)
        for number in range(10):
            raw.set("Text", f"{number}" * 1_000_000)
        small.ticked.value = False
        raw.set("Ticked", True)
        wait_for(lambda: small.ticked.value, "the last message")
        assert len(buffer.message_from_id) <= kept + 2
        assert psutil.Process().memory_info().rss - before < 50e6


def test_who_floods_waits_and_others_do_not(small):
    def flood(raw):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                raw.send(**camera())

    floods = [RawPage(small.url) for _ in range(2)]
    threads = [threading.Thread(target=flood, args=(raw,)) for raw in floods]
    for thread in threads:
        thread.start()
    try:
        with RawPage(small.url) as raw:
            raw.send(**camera())
            wait_for(lambda: "Ticked" in raw.labels, "the controls")
            slowest = 0.0
            for _ in range(5):
                time.sleep(0.2)
                start, to = time.monotonic(), not small.ticked.value
                raw.set("Ticked", to)
                wait_for(lambda to=to: small.ticked.value == to, "the tick")
                slowest = max(slowest, time.monotonic() - start)
            assert slowest < 2.0
        wait_for(lambda: all(flooding.closed is not None for flooding in floods), "the end of who floods")
    finally:
        for raw in floods:
            raw.cut()
        for thread in threads:
            thread.join(20)


def test_a_page_that_takes_nothing_in_is_let_go(small, monkeypatch):
    monkeypatch.setattr(page_server, "SEND_SECONDS", 0.5)
    live = small.server._websock_server._live_connections
    wait_for(lambda: not live, "an empty server")
    with connect(
        small.url.replace("http", "ws", 1), subprotocols=[PROTOCOL], max_queue=1, compression=None, close_timeout=0.1
    ):
        wait_for(lambda: live, "the page")
        for _ in range(100):
            small.text.value = secrets.token_hex(500_000)
            small.server.flush()
            time.sleep(0.02)
            if not live:
                break
        wait_for(lambda: not live, "its end", 20)
    small.text.value = "as it was"


def test_what_strangers_send_is_not_in_the_terminal(small, caplog, capfd):
    with socket.create_connection(("127.0.0.1", small.port)) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        raw.recv(1000)
    with socket.create_connection(("127.0.0.1", small.port)) as raw:
        raw.sendall(b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b" 403 " in raw.recv(1000)
    request(small.url, "/")
    with caplog.at_level(logging.WARNING):
        with RawPage(small.url) as page:
            page.send(type="Nothing")
            wait_for(lambda: page.closed is not None, "the end")
        time.sleep(0.2)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_viser_that_serves_in_another_way_is_not_used(small):
    with pytest.raises(RuntimeError, match="does not serve as"), page_server._serving_through(small):
        pass


def test_visitors_of_a_training_cannot_hold_it_without_the_token():
    page = TrainingPage(Silent(), title="run", port=0)
    try:
        root = page.url.rsplit("/", 1)[0]
        for url in (root, f"{root}/", f"{root}/{'A' * 22}"):
            assert request(url, path=url[len(root) :] or "/", upgrade=True)[0] == 403
        button = page._button._impl.uuid
        with RawPage(page.url) as raw:
            raw.send(**camera())
            wait_for(lambda: "Pause" in raw.labels, "the controls")
            raw.send(type="GuiUpdateMessage", uuid=button, updates={"disabled": True})
            wait_for(lambda: raw.closed is not None, "the end")
        assert not page.held
        assert not page._button.disabled
        with RawPage(page.url) as raw:
            raw.send(**camera())
            wait_for(lambda: "Pause" in raw.labels, "the controls")
            raw.set("Pause", True)
            wait_for(lambda: page.held, "the pause")
    finally:
        page.close()
