"""The page of a catalogue in Chromium, and what it refuses."""

import pytest
from page_client import request
from page_support import PATIENCE, wait_for

import lerf

pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lerf[catalogue]'")


@pytest.fixture(scope="module")
def served(lifted_run, tmp_path_factory):
    from lerf.catalogue.catalogue import Catalogue
    from lerf.catalogue.search import Searcher
    from lerf.viewer.catalogue_page import CataloguePage

    catalogue = Catalogue(tmp_path_factory.mktemp("rooms"))
    catalogue.add(lifted_run)
    page = CataloguePage(Searcher(catalogue, lerf.load(lifted_run, device="cpu").encoder), title="rooms", port=0)
    yield page
    page.close()


def test_a_phrase_gives_photos_and_a_click_opens_the_scene_there(browser, served):
    page = browser.new_page(viewport={"width": 900, "height": 700})
    page.goto(served.url)
    page.get_by_label("Phrases").fill("red")
    page.get_by_label("Phrases").press("Enter")
    tile = page.locator(".tile")
    tile.wait_for(timeout=1000 * PATIENCE)
    wait_for(lambda: page.evaluate("document.querySelector('.tile img').naturalWidth") > 20, "the photo")
    found = served.searcher.search("red").phrases[0].scenes[0]
    box, photo = page.locator(".mark").bounding_box(), page.locator(".tile img").bounding_box()
    across = (box["x"] + box["width"] / 2 - photo["x"]) / photo["width"]
    down = (box["y"] + box["height"] / 2 - photo["y"]) / photo["height"]
    assert abs(across - found.mark[0]) < 0.02
    assert abs(down - found.mark[1]) < 0.02
    tile.click()
    page.get_by_text("LERF Positives").wait_for(timeout=1000 * PATIENCE)
    assert page.url.startswith(served.scenes[0].url)
    session = wait_for(lambda: served.scenes[0].sessions and served.scenes[0].sessions[0], "the session")
    wait_for(lambda: session.asked is not None, "the answer")
    assert session.asked.phrases.texts == ("red",)
    assert page.locator("form input").first.input_value() == "red"
    scene = served.scenes[0].scene.scene
    there = scene.normalised_camera(found.photo).camera_to_world[:, 3]
    wait_for(lambda: abs(session.pose.matrix[:3, 3] - there).max() < 0.05, "the view of that photo")
    page.close()


def test_what_is_wrong_is_said_on_the_page(browser, served):
    page = browser.new_page()
    page.goto(served.url)
    page.get_by_label("Phrases").press("Enter")
    page.get_by_text("There is no phrase to look for").wait_for(timeout=1000 * PATIENCE)
    page.close()


def test_strangers_are_refused(served):
    path = f"/{served.access.token}/search?q=red"
    assert request(served.url, path)[0] == 200
    assert request(served.url, "/search?q=red")[0] == 403
    assert request(served.url, path, [("Origin", "http://elsewhere.example")])[0] == 403
    assert request(served.url, path, [("Host", "elsewhere.example")])[0] == 403
    for wrong in ("photo?addition=x&photo=1", "photo?addition=1"):
        assert request(served.url, f"/{served.access.token}/{wrong}")[0] == 400
    assert request(served.url, f"/{served.access.token}/other")[0] == 404
    assert "frame-ancestors 'none'" in request(served.url, path)[1]["Content-Security-Policy"]
