"""A splat run in a real browser, which draws its Gaussians itself."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from page_support import PATIENCE, type_prompt, wait_for
from PIL import Image
from splat_scene import splat_of, write_capture

from lerf.run.make_settings import make_settings
from lerf.splats.files import write_splats
from lerf.stages.train import train

PANEL, NOTICE = 340, 100
"""Columns at the right and rows at the top that controls and notices cover."""


@pytest.fixture(scope="module")
def viewer(analytic_capture, tmp_path_factory):
    """A splat of drawn spheres, with language, served."""
    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    folder = write_capture(analytic_capture, tmp_path_factory.mktemp("splat-page") / "capture")
    write_splats(folder.parent / "scene.ply", splat_of(analytic_capture, 0.3))
    chosen = make_settings(
        folder, radiance_run=str(folder.parent / "scene.ply"), encoder="colour-words", dense="colour-map", device="cpu"
    )
    run = train(chosen, folder.parent / "run").path
    served = Viewer(open_scene_state(run, device="cpu"), title="splat", port=0, limit=120)
    wait_for(lambda: served.scene.points is not None and not served.scene.preparing, "the preparation")
    yield served
    served.close()


@pytest.fixture
def tab(browser, viewer):
    """The page, in the pixels of the window however slow the machine is."""
    page = browser.new_page(viewport={"width": 720, "height": 440})
    page.goto(f"{viewer.url}?fixedDpr=1")
    session = wait_for(lambda: next(iter(viewer.sessions), None), "the session")
    page.get_by_text("LERF Positives").wait_for(timeout=1000 * PATIENCE)
    yield SimpleNamespace(page=page, session=session, url=viewer.url)
    page.close()
    wait_for(lambda: not viewer.sessions, "the end of the session")


def picture(tab) -> np.ndarray:
    """What stands beside the controls, 0..255."""
    shown = np.asarray(Image.open(io.BytesIO(tab.page.screenshot(timeout=1000 * PATIENCE))).convert("RGB")).astype(
        np.float32
    )
    return shown[NOTICE:, :-PANEL]


def settled(tab) -> None:
    """Wait until the server has nothing to do, and the browser has sorted and drawn what it was sent."""
    wait_for(lambda: tab.session.idle, "the server's rest")
    tab.page.wait_for_timeout(1000)
    shots = [picture(tab)]

    def still() -> bool:
        shots.append(picture(tab))
        return float(np.abs(shots[-1] - shots[-2]).mean()) < 0.2

    wait_for(still, "a page that stands still")


def reddish(shown: np.ndarray) -> np.ndarray:
    return (shown[..., 0] > 1.6 * shown[..., 1]) & (shown[..., 0] > 1.6 * shown[..., 2])


def coloured(shown: np.ndarray) -> np.ndarray:
    """Pixels that are not as white as an empty page."""
    return (shown < 240).any(-1)


def test_the_browser_draws_the_gaussians(tab) -> None:
    settled(tab)
    session, page = tab.session, tab.page
    assert session.panel.show.value == "splat"
    before = picture(tab)
    assert coloured(before).mean() > 0.1
    assert reddish(before).sum() > 100
    # Moving needs nothing from the server.
    sent, pose = session.timings.pictures, session.pose
    page.mouse.move(150, 300)
    page.mouse.down()
    page.mouse.move(250, 300, steps=4)
    page.mouse.up()
    wait_for(lambda: np.linalg.norm(session.pose.position - pose.position) > 0.1, "the move")
    settled(tab)
    moved = picture(tab)
    assert session.timings.pictures == sent
    assert np.abs(moved - before).mean() > 2
    # A phrase paints its relevancy, and what is isolated stands alone.
    type_prompt(page, "red")
    page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)
    settled(tab)
    asked = picture(tab)
    assert np.abs(asked - moved).mean() > 0.5
    page.get_by_text("Isolate", exact=True).click()
    wait_for(lambda: session.panel.isolate.value, "the click")
    settled(tab)
    alone = picture(tab)
    assert 0 < coloured(alone).mean() < 0.7 * coloured(asked).mean()
    assert session.asked.states[0].answer.present
    assert all(url.startswith((tab.url, "blob:", "data:")) for url in [page.url])
