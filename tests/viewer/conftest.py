"""A served run, and a headless Chromium to open it with."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from page_support import PATIENCE, wait_for

viser = pytest.importorskip("viser", reason="the viewer's tests need viser: pip install 'lerf[viewer]'")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Software rendering, because a test machine has no display and often no GPU.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


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
    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    served = Viewer(open_scene_state(drawn_run, device="cpu"), title="drawn", port=0, limit=120)
    wait_for(lambda: served.scene.points is not None and not served.scene.preparing, "the preparation")
    assert not served.scene.trouble
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
        # Otherwise viser draws fewer pixels while the machine is busy.
        page.goto(viewer.url + "?fixedDpr=1")
        session = wait_for(lambda: next((s for s in viewer.sessions if id(s) not in before), None), "the session")
        page.get_by_text("LERF Positives").wait_for(timeout=1000 * PATIENCE)
        return SimpleNamespace(page=page, session=session, url=viewer.url)

    yield open_page
    for page in pages:
        page.close()
    wait_for(lambda: not viewer.sessions, "the end of the sessions")
