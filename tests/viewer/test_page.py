"""The page in a real browser, on a drawn scene whose every pixel is known."""

import io
import json
import re
import warnings

import numpy as np
import pytest
from page_support import PATIENCE, at_rest, type_prompt, wait_for
from PIL import Image

from lerf.errors import LerfWarning

PANEL = 340
"""Columns at the right that the controls cover."""
NOTICE = 160
"""Rows at the top that a notice of the browser's may cover."""


def picture(page):
    """What the page shows, float32 [height, width, 3] in 0..255."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(np.float32)


def solids_seen(drawn, session, width, height):
    """For each solid its pixels in the page's view, [height, width], without what the controls cover."""
    camera = session.pose.camera(height).moved(session.scene.scene.similarity.inverse())
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones_like(x)], -1).reshape(-1, 3)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    directions = local @ camera.camera_to_world[:, :3].T
    origins = np.broadcast_to(camera.camera_to_world[:, 3], directions.shape)
    owner = drawn.scene.trace(origins, directions).owner.reshape(camera.height, camera.width)[:, :width]
    owner[:NOTICE] = owner[:, width - PANEL :] = -9
    return {solid.name: owner == number for number, solid in enumerate(drawn.scene.solids)}


def choose(page, position, option):
    """Choose in the drop-down list at this place among the panel's inputs."""
    page.locator("input:visible").nth(position).click()
    page.get_by_role("option", name=option, exact=True).click()


def drag(page, across):
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(300 + across, 400, steps=6)
    page.mouse.up()


def test_a_phrase_lights_up_its_object(drawn, opened):
    tab = opened(1200, 700)
    at_rest(tab)
    before = picture(tab.page)
    masks = solids_seen(drawn, tab.session, 1200, 700)
    type_prompt(tab.page, "red")
    tab.page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)
    at_rest(tab)
    changed = np.abs(picture(tab.page) - before).mean(-1)
    assert masks["red sphere"].sum() > 500
    inside = np.median(changed[masks["red sphere"]])
    others = [np.median(changed[masks[name]]) for name in ("blue box", "green box") if masks[name].sum() > 500]
    assert others
    assert inside > 25
    assert max(others) < 8
    assert tab.session.panel.output.value == "composited_0"
    assert all(url.startswith((tab.url, "blob:", "data:")) for url in tab.page.requested), (
        "nothing comes from elsewhere"
    )


def test_outputs_are_switched(opened):
    tab = opened()
    type_prompt(tab.page, "red; blue")
    tab.page.get_by_text("Fly to 1").first.wait_for(timeout=1000 * PATIENCE)
    at_rest(tab)
    seen = {}
    for output in ("rgb", "depth", "accumulation", "clip", "dino", "relevancy_0", "relevancy_1", "composited_0"):
        choose(tab.page, 1, output)
        wait_for(lambda output=output: tab.session.display.output == output, output)
        at_rest(tab)
        seen[output] = picture(tab.page)[NOTICE:, :-PANEL]
    names = list(seen)
    for one in range(len(names)):
        for other in range(one):
            different = np.abs(seen[names[one]] - seen[names[other]]).max(-1) > 25
            assert different.mean() > 0.003, f"{names[one]} looks like {names[other]}"


def test_moving_makes_new_pictures_and_the_answer_stays(opened):
    tab = opened()
    type_prompt(tab.page, "red")
    tab.page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)
    at_rest(tab)
    pose, pictures = tab.session.pose, tab.session.timings.pictures
    before = picture(tab.page)
    drag(tab.page, 120)
    wait_for(lambda: np.linalg.norm(tab.session.pose.position - pose.position) > 0.1, "the move")
    at_rest(tab)
    assert tab.session.timings.pictures > pictures + 1
    assert np.abs(picture(tab.page) - before)[NOTICE:, :-PANEL].mean() > 3
    assert tab.session.asked.phrases.texts == ("red",)
    tab.page.get_by_role("button", name="Reset view").click()
    wait_for(lambda: np.linalg.norm(tab.session.pose.position - pose.position) < 1e-3, "the way back")


def test_a_click_says_where_and_what(drawn, opened):
    tab = opened(1200, 700)
    type_prompt(tab.page, "red; blue")
    tab.page.get_by_text("Fly to 1").first.wait_for(timeout=1000 * PATIENCE)
    at_rest(tab)
    rows, columns = np.nonzero(solids_seen(drawn, tab.session, 1200, 700)["red sphere"])
    tab.page.mouse.click(float(np.median(columns)), float(np.median(rows)))
    tab.page.get_by_text("Clicked").wait_for(timeout=1000 * PATIENCE)
    text = tab.page.locator("div", has_text=re.compile(r"^Clicked")).last.inner_text()
    point = np.array([float(number) for number in re.search(r"\((.*)\)", text)[1].split(",")])
    sphere = drawn.scene.solids[0]
    assert np.linalg.norm(point - sphere.centre) < 1.3 * sphere.half[0]
    ranked = re.findall(r"([\d.]+) · (\w+)", text)
    assert [name for _, name in ranked] == ["red", "blue"]
    assert float(ranked[0][0]) > float(ranked[1][0])


def test_an_answer_is_flown_to(drawn, opened):
    tab = opened()
    type_prompt(tab.page, "blue")
    button = tab.page.get_by_text("Fly to 1")
    button.wait_for(timeout=1000 * PATIENCE)
    button.click()
    answer = tab.session.asked.states[0].answer
    scene = tab.session.scene.scene
    photo = [photo.name for photo in scene.photos].index(answer.geometry.view)
    goal = scene.normalised_camera(photo).camera_to_world[:, 3]
    wait_for(lambda: np.linalg.norm(tab.session.pose.position - goal) < 1e-2, "the arrival")
    towards = tab.session.scene.to_normalised(answer.geometry.point) - goal
    forwards = -tab.session.pose.rotation[:, 2]
    assert forwards @ towards / np.linalg.norm(towards) > 0.999
    assert np.linalg.norm(np.array(answer.geometry.point) - drawn.scene.solids[1].centre) < 0.6


def test_two_tabs_are_two_people(opened):
    one, two = opened(), opened()
    type_prompt(one.page, "red")
    type_prompt(two.page, "blue; green")
    for tab in (one, two):
        tab.page.get_by_text("Fly to 1").first.wait_for(timeout=1000 * PATIENCE)
    assert one.session.asked.phrases.texts == ("red",)
    assert two.session.asked.phrases.texts == ("blue", "green")
    pose = one.session.pose
    drag(two.page, 150)
    wait_for(lambda: np.linalg.norm(two.session.pose.position - pose.position) > 0.1, "the move")
    at_rest(one)
    assert one.session.pose is pose


def test_an_empty_phrase_is_an_error_in_words(opened):
    tab = opened()
    type_prompt(tab.page, " ; ")
    tab.page.get_by_text("There is no phrase to look for").wait_for(timeout=1000 * PATIENCE)
    type_prompt(tab.page, "red")
    tab.page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)
    assert not tab.page.get_by_text("There is no phrase to look for").count()


def test_what_the_encoder_warns_of_is_in_the_page(opened, monkeypatch):
    tab = opened()
    phrases = tab.session.scene.model.phrases

    def never_learnt(texts, *rest):
        if "mauve" in texts:
            warnings.warn("The encoder never learnt <mauve>.", LerfWarning, stacklevel=2)
        return phrases(texts, *rest)

    monkeypatch.setattr(tab.session.scene.model, "phrases", never_learnt)
    warning = tab.page.get_by_text("The encoder never learnt <mauve>.")
    for text, shown in (("mauve", 1), ("red", 0)):
        type_prompt(tab.page, text)
        wait_for(lambda text=text: tab.session.asked and tab.session.asked.phrases.texts == (text,), "the answer")
        wait_for(lambda shown=shown: warning.count() == shown, "the warning")


def test_a_phrase_that_says_nothing_is_told_under_it(opened):
    tab = opened()
    type_prompt(tab.page, "red; the of a")
    told = tab.page.get_by_text("Not or not wholly known to the encoder, so that the answer may mean nothing.")
    wait_for(lambda: told.count() == 1, "the sentence under one of the two phrases")
    type_prompt(tab.page, "red; blue")
    wait_for(lambda: tab.session.asked.phrases.texts == ("red", "blue"), "the answer")
    wait_for(lambda: told.count() == 0, "no sentence under phrases that say something")


def test_a_phrase_of_2000_letters(opened):
    tab = opened()
    box = tab.page.locator("form input").first
    box.fill("red " * 500)
    box.press("Enter")
    wait_for(lambda: tab.session.asked is not None, "the answer")
    assert len(tab.session.asked.phrases.texts[0]) == 1999
    tab.page.get_by_text("0: red red").wait_for(timeout=1000 * PATIENCE)
    widest = tab.page.evaluate("Math.max(...[...document.querySelectorAll('div')].map(d => d.scrollWidth))")
    assert widest <= 900


def test_html_and_emoji_are_shown_as_typed(opened):
    tab = opened()
    nasty = '<img src=x onerror="window.taken=1"><b>red</b> 🍎 &lt {1+1} **x**'
    type_prompt(tab.page, nasty)
    wait_for(lambda: tab.session.asked is not None, "the answer")
    tab.page.get_by_text("0: <img src=x onerror=").wait_for(timeout=1000 * PATIENCE)
    assert tab.session.asked.phrases.texts == (nasty,)
    drag(tab.page, 40)
    tab.page.mouse.click(300, 400)
    tab.page.get_by_text("Clicked").wait_for(timeout=1000 * PATIENCE)
    tab.page.wait_for_timeout(500)
    assert tab.page.evaluate("window.taken") is None
    assert tab.page.locator("img[src=x]").count() == 0
    assert "🍎" in tab.page.inner_text("body")


def test_a_scale_is_overridden_and_given_back(opened):
    tab = opened()
    type_prompt(tab.page, "red")
    button = tab.page.get_by_role("button", name="Automatic scale")
    button.wait_for(timeout=1000 * PATIENCE)
    assert button.is_disabled()
    automatic = tab.session.asked.states[0].scale
    number = tab.page.locator("input.mantine-NumberInput-input:visible").first
    number.fill("0.5")
    number.press("Tab")
    wait_for(lambda: not tab.session.asked.states[0].automatic, "the scale")
    assert tab.session.asked.states[0].scale == pytest.approx(0.5 * tab.session.scene.unit)
    wait_for(button.is_enabled, "the way back")
    button.click()
    wait_for(lambda: tab.session.asked.states[0].automatic, "the automatic scale")
    assert tab.session.asked.states[0].scale == pytest.approx(automatic)


def test_points_photos_and_downloads(opened, tmp_path):
    tab = opened(1200, 900)
    type_prompt(tab.page, "red")
    tab.page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)
    tab.page.get_by_role("button", name="Automatic scale").wait_for()
    choose(tab.page, 3, "points")
    at_rest(tab)
    colours = picture(tab.page)[NOTICE:, :-PANEL]
    assert colours.reshape(-1, 3).std(0).min() > 10
    tab.page.locator("input[type=checkbox]:visible").first.click()
    wait_for(lambda: tab.session.view.frustums == len(tab.session.scene.scene.train), "the photos")
    with tab.page.expect_download(timeout=1000 * PATIENCE) as download:
        tab.page.get_by_role("button", name="Screenshot").click()
    download.value.save_as(tmp_path / "shot.png")
    assert np.asarray(Image.open(tmp_path / "shot.png")).std() > 10
    tab.page.get_by_text("Camera path", exact=True).click()
    add = tab.page.get_by_role("button", name="Add this view")
    add.click()
    tab.page.get_by_role("button", name="Download camera_path.json").click()
    tab.page.get_by_text("needs two keyframes").wait_for(timeout=1000 * PATIENCE)
    drag(tab.page, 100)
    at_rest(tab)
    add.click()
    with tab.page.expect_download(timeout=1000 * PATIENCE) as download:
        tab.page.get_by_role("button", name="Download camera_path.json").click()
    download.value.save_as(tmp_path / "path.json")
    assert len(json.loads((tmp_path / "path.json").read_text())["keyframes"]) == 2


def test_a_failing_step_is_told_in_the_page_and_survived(opened, monkeypatch):
    tab = opened()
    at_rest(tab)

    def no_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(tab.session.scene.model, "phrases", no_memory)
        type_prompt(tab.page, "red")
        tab.page.get_by_text("There is not enough memory").wait_for(timeout=1000 * PATIENCE)
    type_prompt(tab.page, "red")
    tab.page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)


def test_the_server_is_restarted_under_an_open_page(browser, drawn_run):
    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    first = Viewer(open_scene_state(drawn_run, device="cpu"), port=0, limit=60)
    page = browser.new_page(viewport={"width": 900, "height": 600})
    page.goto(first.url)
    wait_for(lambda: first.sessions, "the session")
    port = first.port
    first.close()
    second = Viewer(open_scene_state(drawn_run, device="cpu"), port=port, limit=60)
    try:
        assert second.port == port
        session = wait_for(lambda: second.sessions and second.sessions[0], "the new session")
        page.get_by_text("LERF Positives").wait_for(timeout=1000 * PATIENCE)
        type_prompt(page, "red")
        wait_for(lambda: session.asked is not None, "the answer")
        page.get_by_text("Fly to 1").wait_for(timeout=1000 * PATIENCE)
    finally:
        page.close()
        second.close()


def test_a_run_without_language_is_shown_and_says_so(browser, drawn_run, tmp_path):
    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "scene.json", "radiance.safetensors"):
        (run / name).write_bytes((drawn_run / name).read_bytes())
    served = Viewer(open_scene_state(run, device="cpu"), port=0, limit=60)
    page = browser.new_page(viewport={"width": 900, "height": 600})
    try:
        page.goto(served.url)
        session = wait_for(lambda: served.sessions and served.sessions[0], "the session")
        wait_for(lambda: session.idle, "the picture")
        assert tuple(session.panel.output.options) == ("rgb", "depth", "accumulation")
        type_prompt(page, "red")
        page.get_by_text("has no language yet").wait_for(timeout=1000 * PATIENCE)
    finally:
        page.close()
        served.close()
