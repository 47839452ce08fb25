"""A served run, and a headless Chromium to open it with."""

from __future__ import annotations

import os
import shutil
import time
from types import SimpleNamespace

import pytest

viser = pytest.importorskip("viser", reason="the viewer's tests need viser: pip install 'lerf[viewer]'")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Software rendering, because a test machine has no display and often no GPU.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
PATIENCE = 60.0 * float(os.environ.get("LERF_TEST_PATIENCE", "1"))
"""Seconds until a page must have done what it was asked."""


def wait_for(condition, what, seconds=PATIENCE):
    """The first true value of `condition`, asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("the page's tests need Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def viewer(drawn_run):
    """The drawn run, served and ready to answer."""
    from lerf.viewer.server import Viewer
    from lerf.viewer.world import open_world

    served = Viewer(open_world(drawn_run, device="cpu"), title="drawn", port=0, limit=120)
    wait_for(lambda: served.world.cloud is not None and not served.world.stage, "the preparation")
    assert not served.world.trouble
    yield served
    served.close()


@pytest.fixture
def opened(browser, viewer):
    """Opens pages: each call gives a `page` and the server's `session` for it."""
    pages = []

    def open_page(width=900, height=600):
        before = {id(session) for session in viewer.sessions}
        page = browser.new_page(viewport={"width": width, "height": height})
        pages.append(page)
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(viewer.url)
        session = wait_for(lambda: next((s for s in viewer.sessions if id(s) not in before), None), "the session")
        page.get_by_text("LERF Positives").wait_for(timeout=1000 * PATIENCE)
        return SimpleNamespace(page=page, session=session)

    yield open_page
    for page in pages:
        page.close()
    wait_for(lambda: not viewer.sessions, "the end of the sessions")


def type_prompt(page, text):
    """Type into the prompt box, as fast as a person never could, and press Enter."""
    box = page.locator("form input").first
    box.fill("")
    box.type(text)
    box.press("Enter")


def at_rest(opened):
    """Wait until the page's picture is as sharp as it gets and its work is done."""
    session = opened.session
    wait_for(lambda: session.idle, "the sharpest picture")
    opened.page.wait_for_timeout(600)
