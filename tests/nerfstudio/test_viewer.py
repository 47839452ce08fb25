"""`ns-viewer` in Chromium: a phrase is typed, its relevancy chosen, and the object lights up."""

from __future__ import annotations

import io
import shutil
import threading
import time
from types import SimpleNamespace

import ns_commands
import numpy as np
import pytest
from page_support import PATIENCE, wait_for
from PIL import Image

from lerf.geometry.similarity import Similarity
from lerf.scenes import load_scene
from lerf.scenes.nerfstudio_frame import nerfstudio_frame

ns_commands.require_nerfstudio()
api = pytest.importorskip("playwright.sync_api", reason="the page's test needs playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
WIDTH, HEIGHT = 1100, 640
"""Of the page."""
STEPS, SLOWLY = 260, 4.0
SCALE = 10.0
"""Units of the page over nerfstudio's."""


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory):
    """A run on the drawn scene, with encoders that know its colours."""
    output = tmp_path_factory.mktemp("viewer")
    radiance, language = "--pipeline.model.radiance-config.", "--pipeline.model.language-config."
    ns_commands.run(
        "ns-train", "lerf-cpu", "--data", drawn.folder, "--output-dir", output, "--experiment-name", "drawn",
        "--timestamp", "now", "--vis", "tensorboard", "--machine.device-type", "cpu", "--max-num-iterations", STEPS,
        "--pipeline.datamanager.encoder", "colour-words", "--pipeline.datamanager.dense", "colour-map",
        "--pipeline.datamanager.train-num-rays-per-batch", 2048, "--pipeline.model.language-start", STEPS // 2,
        "--optimizers.radiance.scheduler.max-steps", STEPS, "--pipeline.model.anneal-steps", 60,
        f"{radiance}levels", 6, f"{radiance}log2-entries", 14, f"{radiance}coarsest", 8, f"{radiance}finest", 128,
        f"{radiance}grid-side", 32, f"{language}log2-entries", 13, f"{language}hidden", 32, f"{language}samples", 4,
        "nerfstudio-data",
    )  # fmt: skip
    return output / "drawn" / "lerf-cpu" / "now"


@pytest.fixture
def shown(run, monkeypatch):
    """The server of `ns-viewer` in a thread, which ends with the test."""
    from nerfstudio.scripts.viewer import run_viewer

    monkeypatch.delenv("LERF_POSITIVES", raising=False)
    ended, states, kind = threading.Event(), [], run_viewer.ViewerState

    def sleep(seconds):
        if ended.wait(seconds):
            raise SystemExit

    def opened(*arguments, **options):
        states.append(kind(*arguments, **options))
        return states[-1]

    monkeypatch.setattr(run_viewer, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(run_viewer, "ViewerState", opened)
    command = run_viewer.RunViewer(
        run / "config.yml", run_viewer.ViewerConfigWithoutNumRays(websocket_host="127.0.0.1", max_num_display_images=1)
    )
    thread = threading.Thread(target=command.main, daemon=True)
    thread.start()
    state = wait_for(lambda: states and states[0].ready and states[0], "the viewer", SLOWLY * PATIENCE)
    yield state
    ended.set()
    thread.join(PATIENCE)
    state.viser_server.stop()


@pytest.fixture
def page(shown):
    if CHROMIUM is None:
        pytest.skip("the page's test needs Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"http://127.0.0.1:{shown.viser_server.get_port()}/?fixedDpr=1")
        page.get_by_text("LERF Positives").wait_for(timeout=1000 * SLOWLY * PATIENCE)
        yield page
        browser.close()


def still(page):
    """What the page shows once it does not change any more, float32 [height, width, 3]."""
    shots = []

    def unchanged():
        shots.append(page.screenshot())
        page.wait_for_timeout(1500)
        return len(shots) > 2 and shots[-1] == shots[-2] == shots[-3]

    wait_for(unchanged, "a page that stands still", SLOWLY * PATIENCE)
    return np.asarray(Image.open(io.BytesIO(shots[-1])).convert("RGB")).astype(np.float32)


def solids_seen(drawn, state, client, page):
    """For each solid its pixels on the page, [height, width]; the picture lies beside the controls."""
    camera, canvas = state.get_camera_state(client), page.locator("canvas").first.bounding_box()
    left, top, width, height = (round(canvas[side]) for side in ("x", "y", "width", "height"))
    pose = camera.c2w.double().numpy()[None, :3]
    pose = nerfstudio_frame(load_scene(drawn.folder)).inverse().apply_poses(pose)[0]
    focal = 0.5 * height / np.tan(0.5 * camera.fov)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    local = np.stack([(x - width / 2) / focal, (height / 2 - y) / focal, -np.ones_like(x)], -1).reshape(-1, 3)
    directions = local / np.linalg.norm(local, axis=-1, keepdims=True) @ pose[:, :3].T
    hits = drawn.scene.trace(np.broadcast_to(pose[:, 3], directions.shape), directions)
    owner = np.full((HEIGHT, WIDTH), -9)
    owner[top : top + height, left : left + width] = hits.owner.reshape(height, width)
    return {solid.name: owner == number for number, solid in enumerate(drawn.scene.solids)}


def stand_at_a_photo(drawn, state, client):
    """Move the page's camera to where a photo was taken."""
    from scipy.spatial.transform import Rotation

    scene = load_scene(drawn.folder)
    frame: Similarity = nerfstudio_frame(scene)
    pose = scene.photos[scene.train[len(scene.train) // 2]].camera.moved(frame).camera_to_world
    x, y, z, w = Rotation.from_matrix(pose[:, :3] @ np.diag([1.0, -1.0, -1.0])).as_quat()
    with client.atomic():
        client.camera.wxyz = (w, x, y, z)
        client.camera.position = SCALE * pose[:, 3]


def control(page, label):
    """The input beside a label of the panel."""
    return page.get_by_text(label, exact=True).locator("xpath=ancestor::*[.//input][1]").locator("input").first


def type_phrase(page, text):
    box = control(page, "LERF Positives")
    box.fill(text)
    box.press("Enter")


def test_a_phrase_lights_up_its_object(drawn, shown, page):
    client = wait_for(lambda: next(iter(shown.viser_server.get_clients().values()), None), "the client")
    page.get_by_role("button", name="Hide Train Cams").click()
    shown.control_panel._max_res.value = 200
    stand_at_a_photo(drawn, shown, client)
    plain = still(page)
    type_phrase(page, "red")
    machine = shown.render_statemachines[client.client_id]
    wait_for(lambda: "relevancy_0" in machine.output_keys, "the output", SLOWLY * PATIENCE)
    control(page, "Output type").click()
    page.get_by_role("option", name="relevancy_0", exact=True).click()
    wait_for(lambda: shown.control_panel.output_render == "relevancy_0", "the choice")
    red = still(page)
    masks = solids_seen(drawn, shown, client, page)
    type_phrase(page, "blue")
    time.sleep(1.0)
    blue = still(page)
    sphere, box = masks["red sphere"], masks["blue box"]
    assert min(sphere.sum(), box.sum()) > 500
    changed = np.abs(blue - red).mean(-1)
    elsewhere = masks["green box"] | masks["yellow sphere"]
    inside = min(np.median(changed[sphere]), np.median(changed[box]))
    assert inside > 40
    assert inside > 2 * np.median(changed[elsewhere])
    assert np.abs(red - plain).mean(-1)[sphere].mean() > 20
