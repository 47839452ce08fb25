"""The page of a capture: what it shows and says, in numbers and in a real browser."""

import dataclasses
import io
import json
import shutil
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from page_client import request
from page_support import PATIENCE, wait_for
from PIL import Image
from sparse_model import seen_points, write_model

from lerf.apps.main import main
from lerf.geometry.camera_table import CameraTable
from lerf.scenes.inspection.fit import fit_notes, notes_on
from lerf.scenes.inspection.verdict import Grade
from lerf.scenes.load import load_scene
from lerf.scenes.sparse_points import SparsePoints
from lerf.viewer import capture_state
from lerf.viewer.backdrop import PAPER, backdrop, is_at
from lerf.viewer.capture_layout import layout_of
from lerf.viewer.capture_page import CapturePage, about_photo, camera_along, not_shown
from lerf.viewer.capture_state import CaptureState, camera_positions, cloud_of
from lerf.viewer.capture_view import SHELLS, frustum_depth, frustum_lines, shells_of
from lerf.viewer.geometry import Pose, photo_viewpoint

GRADES = tuple(f"{grade.name.capitalize()}:" for grade in Grade)
COMMAND = "lerf train 'a <b>capture</b>' --output runs/it"


@pytest.fixture(scope="module")
def scene(drawn):
    return load_scene(drawn.folder)


def random_points(scene, count=400):
    """On the solids that the photos look at, about."""
    random = np.random.default_rng(0)
    return SparsePoints(random.normal((0, 0, 0.25), 0.2, (count, 3)), random.integers(0, 256, (count, 3), np.uint8))


def state_of(scene, points=None):
    return CaptureState(scene, points, Path("transforms.json"), COMMAND)


def pose_of(scene, photo, aspect=None):
    camera = scene.normalised_camera(photo)
    pose = camera.camera_to_world
    return Pose(pose[:, 3], pose[:, :3], camera.vertical_angle, aspect or camera.width / camera.height)


def test_points_are_those_of_the_capture(scene):
    points = random_points(scene)
    cloud = cloud_of(scene, points)
    back = scene.similarity.inverse().apply_points(cloud.points.astype(np.float64))
    assert np.allclose(back, points.positions, atol=1e-5)
    assert np.array_equal(cloud.colours, points.colours)
    assert cloud.left_out == 0


def test_points_that_cannot_be_shown_are_counted(scene, monkeypatch):
    points = random_points(scene, 10)
    points.positions[2], points.positions[5] = np.nan, 1e30
    points.positions[7] = 1e9
    cloud = cloud_of(scene, points)
    assert (len(cloud.points), cloud.left_out) == (7, 3)
    monkeypatch.setattr(capture_state, "MOST_POINTS", 4)
    assert cloud_of(scene, points).left_out == 6
    assert not_shown(state_of(scene, points)) == ("6 of the points are not shown.",)
    assert cloud_of(scene, SparsePoints(np.full((3, 3), np.inf))) is None
    plain = cloud_of(scene, SparsePoints(random_points(scene).positions))
    assert (plain.colours == capture_state.GREY).all()


def test_of_many_cameras_some_have_pictures_and_others_lines(scene, monkeypatch):
    monkeypatch.setattr(capture_state, "MOST_PICTURES", 6)
    monkeypatch.setattr(capture_state, "MOST_CAMERAS", 12)
    state = state_of(scene)
    assert state.pictured == (0, 4, 8, 12, 16, 20)
    assert state.outlined == (2, 6, 10, 14, 18, 22)
    assert not_shown(state) == (
        "6 of 24 cameras are shown with their photos, 6 as lines.", "12 cameras are not shown.",
    )  # fmt: skip
    origin = camera_positions(scene)[5] + [0.0, 0.0, 3.0]
    towards = camera_positions(scene)[6] - origin
    assert camera_along(state, origin, towards) == 6
    assert camera_along(state, origin, -towards) is None
    assert camera_along(state, origin, np.array([0.0, 0.0, 1.0])) is None
    monkeypatch.undo()
    assert camera_along(state_of(scene), origin, towards) is None


def test_lines_end_at_the_corners_of_the_picture(scene):
    camera = scene.normalised_camera(3)
    lines = frustum_lines(camera, 0.1)
    assert lines.shape == (8, 2, 3)
    assert np.allclose(lines[:4, 0], camera.camera_to_world[:, 3])
    table = CameraTable.from_cameras([camera], device="cpu")
    corners, _ = table.project(0, torch.from_numpy(lines[:4, 1].astype(np.float32)))
    assert np.allclose(corners, [[0, 0], [96, 0], [96, 72], [0, 72]], atol=1e-2)


def test_the_page_opens_where_everything_is_in_view(scene):
    for points in (None, random_points(scene)):
        state = state_of(scene, points)
        layout = layout_of(state)
        pose = layout.opening.position
        forward = (layout.opening.look_at - pose) / np.linalg.norm(layout.opening.look_at - pose)
        towards = camera_positions(scene) - pose
        cosines = towards @ forward / np.linalg.norm(towards, axis=1)
        assert np.degrees(np.arccos(cosines)).max() < np.degrees(layout.opening.angle) / 2 + 3
        assert layout.ground < camera_positions(scene)[:, 2].min()
        assert 0 < layout.frustum < 0.2 * layout.reach


def test_a_photo_lies_on_itself_when_the_page_looks_from_its_place(scene):
    photo = scene.pixels(4)
    pose = pose_of(scene, 4)
    assert is_at(scene.normalised_camera(4), pose)
    assert not is_at(scene.normalised_camera(5), pose)
    assert np.array_equal(backdrop(scene, 4, pose, 72), photo)
    wide = backdrop(scene, 4, pose_of(scene, 4, aspect=2.0), 72)
    assert wide.shape == (72, 144, 3)
    assert np.array_equal(wide[:, 24:120], photo)
    assert (wide[:, :24] == PAPER).all()
    assert (wide[:, 120:] == PAPER).all()


def test_a_page_that_leans_and_a_lens_that_bends(scene):
    """Each pixel of the page shows the photo's pixel in its direction, by way of the camera's own rays."""
    bent = dataclasses.replace(scene.photos[4].camera, distortion=(-0.2, 0.05, 0.0, 0.0, 0.0, 0.0))
    photos = [*scene.photos]
    photos[4] = dataclasses.replace(photos[4], camera=bent)
    scene = dataclasses.replace(scene, photos=tuple(photos))
    pose = pose_of(scene, 4)
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    leaning = dataclasses.replace(pose, rotation=pose.rotation @ turn)
    shown = backdrop(scene, 4, leaning, 72)
    page = leaning.camera(72)
    x, y = 40, 25
    local = np.array([(x + 0.5 - page.cx) / page.fx, -(y + 0.5 - page.cy) / page.fy, -1.0])
    in_photo = turn @ local
    plane = bent.distort(np.array([in_photo[0] / -in_photo[2], -in_photo[1] / -in_photo[2]]))
    column, row = np.floor(plane * [bent.fx, bent.fy] + [bent.cx, bent.cy]).astype(int)
    assert np.array_equal(shown[y, x], scene.pixels(4)[row, column])


def test_the_work_begins_with_the_first_listener_and_is_told(scene):
    state = state_of(scene, random_points(scene))
    assert not state.ready
    assert state.thumbnail(0) is None
    told = []
    stop = state.listen(told.append)
    wait_for(lambda: state.ready, "the work")
    wait_for(lambda: None in told, "the findings")
    assert told == [*range(24), None]
    assert max(state.thumbnail(0).shape[:2]) == 96
    assert dict(state.findings.rows)["verdict"] == state.findings.verdict.sentence
    assert about_photo(state, 0) == "held out, sharp"
    assert about_photo(state, 1) == "to train on, sharp"
    stop()
    state.close()


def test_photos_that_cannot_be_decoded_are_told(scene, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(scene.photos[2].path.read_bytes()[:500])
    photos = [*scene.photos]
    photos[2] = dataclasses.replace(photos[2], path=broken)
    state = state_of(dataclasses.replace(scene, photos=tuple(photos)))
    state.listen(lambda _: None)
    wait_for(lambda: state.ready, "the work")
    assert state.undecoded == {2}
    assert "cannot be decoded" in about_photo(state, 2)
    assert not state.findings.verdict.ok


def test_an_inspection_that_fails_is_told(scene, monkeypatch, capsys):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(capture_state, "inspect", fail)
    state = state_of(scene)
    state.listen(lambda _: None)
    wait_for(lambda: state.trouble, "the trouble")
    assert "MemoryError: no room" in state.trouble
    assert "MemoryError" in capsys.readouterr().err


@pytest.fixture(scope="module")
def served(scene):
    page = CapturePage(state_of(scene, random_points(scene)), title="drawn <i>capture</i>", port=0)
    yield page
    page.close()


@pytest.fixture
def opened(browser, served):
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.requested = []
    page.on("request", lambda asked: page.requested.append(asked.url))
    # Otherwise viser draws fewer pixels while the machine is busy, and lines of another width.
    page.goto(served.url + "?fixedDpr=1")
    session = wait_for(lambda: served.sessions and served.sessions[-1], "the session")
    page.get_by_text("Ground and axes").wait_for(timeout=1000 * PATIENCE)
    yield SimpleNamespace(page=page, session=session)
    page.close()
    wait_for(lambda: not served.sessions, "the end of the session")


def picture(page):
    """What the page shows beside its controls, float [height, width, 3] in 0..255."""
    shown = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(float)
    return shown[200:, :540]


def still(page):
    """A picture that stays the same."""
    shots = [picture(page)]

    def same():
        page.wait_for_timeout(400)
        shots.append(picture(page))
        return len(shots) > 3 and all(np.array_equal(shots[-1], shot) for shot in shots[-3:])

    wait_for(same, "a page that stands still")
    return shots[-1]


def test_nobody_without_the_token(served):
    address, token = served.url.rsplit("/", 1)
    assert request(served.url)[0] == 200
    for path in ("/", f"/{token[:-1]}", "/x"):
        assert request(served.url, path)[0] == 403
    assert request(served.url, headers=[("Origin", "http://evil.example")])[0] == 403
    assert request(served.url, headers=[("Host", "evil.example")])[0] == 403
    assert "127.0.0.1" in address


def test_the_page_says_what_was_found(opened, served):
    page = opened.page
    page.get_by_text("24 photos, sharp and well connected.").wait_for(timeout=1000 * PATIENCE)
    text = page.inner_text("body")
    assert "pose file" in text
    assert COMMAND in text
    assert "drawn <i>capture</i>" in text
    assert page.locator("i").count() == 0
    assert all(url.startswith((served.url, "blob:", "data:")) for url in page.requested), "nothing comes from elsewhere"


def test_cameras_points_and_ground_are_shown_and_hidden(opened, served):
    wait_for(lambda: served.state.ready, "the small copies")
    whole = still(opened.page)
    assert (whole < 200).any(-1).mean() > 0.01
    shown = {"whole": whole}
    boxes = opened.page.locator("input[type=checkbox]:visible")
    for number, name in ((0, "photos"), (1, "points"), (3, "ground")):
        boxes.nth(number).click()
        shown[name] = still(opened.page)
    covered = [(shot < 250).any(-1).mean() for shot in shown.values()]
    assert covered == sorted(covered, reverse=True)
    assert covered[-1] == 0.0
    assert len({round(share, 5) for share in covered}) == 4


def test_a_click_on_next_flies_into_a_photo_and_a_drag_leaves_it(opened, served):
    page, session, scene = opened.page, opened.session, served.state.scene
    page.get_by_role("button", name="Next").click()
    wait_for(lambda: session.view.has_backdrop, "the photo")
    assert session.photo == 0
    assert is_at(scene.normalised_camera(0), session.pose)
    page.get_by_text("images/0000.png").wait_for(timeout=1000 * PATIENCE)
    page.locator("input[type=checkbox]:visible").nth(1).click()  # without points
    seen = still(page)
    expected = backdrop(scene, 0, session.pose, 700)[200:, :540].astype(float)
    # JPEG, and the picture is stretched from as many rows as the page's window has.
    assert np.abs(seen - expected).mean() < 8
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(420, 430, steps=6)
    page.mouse.up()
    wait_for(lambda: not session.view.has_backdrop, "the leave")
    assert session.view.entered is None
    # As of a slow page that told of a place along its flight.
    session.view.fly(photo_viewpoint(scene, 0), seconds=0.0)
    wait_for(lambda: session.view.has_backdrop, "the photo again")
    assert session.view.entered == 0
    page.get_by_role("button", name="Previous").click()
    wait_for(lambda: session.photo == 23 and session.view.has_backdrop, "the photo before")


def test_a_photo_is_clicked_in_the_scene(opened, served):
    session = opened.session
    wait_for(lambda: served.state.ready, "the small copies")
    still(opened.page)
    layout, scene = session.view.layout, served.state.scene
    opening = session.pose.camera(700)
    table = CameraTable.from_cameras([opening], device="cpu")
    cameras = [scene.normalised_camera(photo) for photo in range(24)]
    depths = [frustum_depth(camera, layout.frustum) for camera in cameras]
    centres = np.stack([c.camera_to_world @ [0, 0, -depth, 1] for c, depth in zip(cameras, depths, strict=True)])
    pixels, _ = table.project(0, torch.from_numpy(centres.astype(np.float32)))
    place = next(pixel for pixel in pixels.tolist() if 30 < pixel[0] < 600 and 200 < pixel[1] < 680)
    opened.page.mouse.click(*place)
    wait_for(lambda: session.photo is not None and session.view.entered == session.photo, "the flight")


def test_the_command(drawn, capsys):
    command = [sys.executable, "-m", "lerf", "view", str(drawn.folder), "--json", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        facts = json.loads(process.stdout.readline())
        assert request(facts["url"])[0] == 200
        # The verdict comes when the photos have been looked at, whether or not a page is open.
        begun = list(takewhile(lambda line: not line.startswith(GRADES), process.stderr))
    finally:
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    said = "".join(begun) + said
    assert process.returncode == 0
    assert "The capture has no sparse points; cameras and photos are shown." in said
    assert "Stopped." in said


def test_poses_that_points_do_not_fit_are_told_on_the_terminal(drawn, scene, tmp_path):
    folder = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    points = seen_points(drawn.scene, scene)
    write_model(folder / "sparse/0", scene, points)
    behind = scene.photos[0].camera.camera_to_world[:, 3] * [3.0, 3.0, 1.0]
    assert notes_on(scene, points, None) == fit_notes(load_scene(folder)) == ()
    (note,) = notes_on(scene, dataclasses.replace(points, positions=points.positions * 0 + behind), None)
    assert "poses and points do not belong to one world" in note
    assert notes_on(scene, None, "It cannot be read.") == ("It cannot be read.",)


def test_points_near_a_photo_are_small(scene):
    cameras = camera_positions(scene)
    reach = layout_of(state_of(scene)).reach
    away = reach * np.array([1.5, 0.99, 0.51, 0.49, 0.02, 1e-9])
    points = cameras[:1] + away[:, None] * [0.0, 0.0, 1.0]
    shells = shells_of(points, cameras[:1], reach)
    assert shells.tolist() == [0, 1, 1, 2, 6, SHELLS - 1]
    # No disc of a group is larger than it may be for the nearest of the group, but in the last.
    assert (0.5 ** shells[:-1] * reach <= away[:-1]).all()


def test_options_of_the_other_kind_are_refused(drawn, drawn_run, tmp_path, capsys):
    for arguments, words in (
        ([drawn.folder, "--index", "require"], "--index is for a run, and this is a capture"),
        ([drawn.folder, "--refine", "100"], "--refine is for a run, and this is a capture"),
        ([drawn_run, "--missing", "skip"], "--missing is for a capture, and this is a run"),
        ([tmp_path], "is not a run folder, and holds no capture"),
        ([tmp_path / "nothing"], "does not exist"),
    ):
        assert main(["view", *map(str, arguments)]) == 2
        assert words in " ".join(capsys.readouterr().err.split())
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    assert main(["view", str(tmp_path)]) == 2
    assert "first find these with lerf poses" in " ".join(capsys.readouterr().err.split())
