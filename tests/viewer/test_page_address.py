"""A page in a real browser: at the address that is printed it works, and from anywhere else it gives nothing away."""

import functools
import http.server
import socket
import threading
from types import SimpleNamespace

import pytest
import viser
from page_support import PATIENCE, wait_for

from lerf.viewer.page_server import PageServer

CONNECT = """([address, protocol]) => new Promise(done => {
    const made = new WebSocket(address, [protocol]);
    made.onopen = () => done('open');
    made.onclose = event => done(`closed ${event.code}`);
})"""
FETCH = """address => fetch(address).then(answer => answer.text()).catch(error => `failed: ${error.name}`)"""
FRAME = """address => new Promise(done => {
    const frame = document.createElement('iframe');
    frame.onload = () => { try { done(String(frame.contentDocument)); } catch (error) { done('no document'); } };
    frame.src = address;
    document.body.append(frame);
})"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing in the terminal."""


@pytest.fixture(scope="module")
def served():
    page = PageServer(host="127.0.0.1", port=0, label="test", title="address")
    page.clicks = []
    page.server.gui.add_button("Go").on_click(lambda _: page.clicks.append(True))
    yield page
    page.close()


@pytest.fixture
def tab(browser):
    page = browser.new_page(viewport={"width": 900, "height": 600})
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    yield page
    page.close()


@pytest.fixture
def stranger(tmp_path):
    """A page of another origin, on this machine."""
    (tmp_path / "index.html").write_text("<!doctype html><title>stranger</title><body>hello</body>")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()


def test_the_printed_address_works_and_stays(served, tab):
    tab.goto(served.url)
    tab.get_by_role("button", name="Go").click(timeout=1000 * PATIENCE)
    wait_for(lambda: served.clicks, "the click")
    assert tab.url == served.url
    assert not [text for text in tab.said if "Security Policy" in text]
    tab.reload()
    tab.get_by_role("button", name="Go").wait_for(timeout=1000 * PATIENCE)
    localhost = served.url.replace("127.0.0.1", "localhost")
    tab.goto(localhost)
    tab.get_by_role("button", name="Go").wait_for(timeout=1000 * PATIENCE)


def test_without_the_token_there_is_a_sentence(served, tab):
    answer = tab.goto(served.url.rsplit("/", 1)[0])
    assert answer.status == 403
    assert "open the whole address that lerf printed" in tab.inner_text("body")


def test_a_page_of_another_origin_gets_nothing_even_with_the_address(served, tab, stranger):
    tab.goto(stranger.url)
    protocol = f"viser-v{viser.__version__}"
    before = len(served.server._websock_server._live_connections)
    for address in (served.url, served.url.rsplit("/", 1)[0]):
        assert tab.evaluate(CONNECT, [address.replace("http", "ws", 1), protocol]) == "closed 1006"
        assert tab.evaluate(FETCH, address) == "failed: TypeError"
        assert tab.evaluate(FRAME, address) in ("null", "no document")
    assert len(served.server._websock_server._live_connections) == before


def test_a_link_does_not_make_the_page_connect_elsewhere(served, tab):
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(2.0)
        address = f"ws://127.0.0.1:{elsewhere.getsockname()[1]}"
        tab.goto(f"{served.url}?websocket={address}")
        wait_for(lambda: tried_to_connect(tab, address), "the attempt")
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def tried_to_connect(tab, address):
    tab.wait_for_timeout(100)
    return any(f"Connecting to: {address}" in text for text in tab.said)
