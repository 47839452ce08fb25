"""What pages are shown is what the model says: pictures, relevancy, answers, points; and memory stays bounded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_preset

import lerf
from lerf import steps
from lerf.errors import LerfWarning
from lerf.geometry.camera_table import CameraTable
from lerf.rendering.outputs import Display
from lerf.run.settings import PRESETS
from lerf.viewer import answers_panel, frames
from lerf.viewer.drawing import AskedPhrases, Drawer, Drawn
from lerf.viewer.geometry import Pose
from lerf.viewer.scene_state import open_scene_state


def finish(work):
    """What a generator returns, and how many steps it took."""
    count = 0
    while True:
        try:
            next(work)
            count += 1
        except StopIteration as end:
            return end.value, count


@pytest.fixture(scope="module")
def scene(drawn_run):
    opened = open_scene_state(drawn_run, device="cpu")
    with torch.no_grad():
        finish(opened.prepare())
    assert not opened.trouble
    return opened


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_the_points_are_those_of_the_models_surface(scene):
    surface = scene.model.surface
    assert np.allclose(scene.points.points, surface.positions.numpy(), atol=1e-6)
    assert scene.points.colours.shape == scene.points.points.shape
    assert scene.points.answering is None


def test_a_picture_in_steps_is_the_picture(scene):
    camera = scene.scene.normalised_camera(1)
    frame, count = finish(frames.render_frame(scene.radiance, camera, "cpu", None))
    whole = scene.model.render(1).picture
    assert count == -(-camera.width * camera.height // 2048)
    assert torch.allclose(frame.picture.colour, whole.colour, atol=1e-5)
    assert torch.allclose(frame.picture.depth / scene.unit, whole.depth, atol=1e-4, equal_nan=True)


def test_relevancy_in_steps_is_the_models_and_is_not_computed_twice(scene):
    model, camera = scene.model, scene.scene.normalised_camera(1)
    phrases, scales = model.phrases(["red", "blue", "green"]), [0.2, 0.3, 0.2]
    frame, _ = finish(frames.render_frame(scene.radiance, camera, "cpu", None))
    finish(frames.score(model.surfaces.open(), frame, phrases, scales, "key"))
    whole = model.relevancy_maps(CameraTable.from_cameras([camera], are_photos=False), 0, phrases, scales)
    for row, (text, scale) in enumerate(zip(phrases.texts, scales, strict=True)):
        assert torch.allclose(frame.scored["key", text, scale], whole[row], atol=1e-5)
    assert finish(frames.score(model.surfaces.open(), frame, phrases, scales, "key"))[1] == 0
    finish(frames.score(model.surfaces.open(), frame, phrases.chosen([0]), [0.4], "key"))
    assert list(frame.scored) == [("key", "red", 0.4)]


@pytest.mark.parametrize("use", ["auto", "ignore"])
def test_what_a_page_is_told_are_the_models_answers(drawn_run, use):
    opened = open_scene_state(drawn_run, device="cpu")
    finish(opened.prepare(use))
    model = opened.model
    phrases = model.phrases(["red", "purple"])
    states, _ = finish(opened.ask(phrases, model.defaults.threshold, [None, None]))
    told = model.query(["red", "purple"], index=use).queries
    assert [state.answer for state in states] == list(told)
    assert [state.answer.present for state in states] == [True, False]
    given, _ = finish(opened.ask(phrases, model.defaults.threshold, [0.3, None]))
    assert given[0].scale == pytest.approx(0.3)
    assert (given[0].automatic, given[1].automatic) == (False, True)
    relevancy = opened.point_relevancy(states[0])
    assert relevancy.shape == (len(opened.points.points),)
    red = opened.points.colours[relevancy > 0.9].mean(0)
    assert red[0] > 2 * max(red[1], red[2])


def test_what_is_said_under_a_phrase_that_is_not_known(scene):
    """Beside what is said of every phrase; that the encoder cannot tell is no reason to warn."""
    phrases = scene.model.phrases(("red",))
    told = "Not or not wholly known to the encoder, so that the answer may mean nothing."
    for known in (1.0, None, 0.5, 0.0):
        (state,), _ = finish(scene.ask(replace(phrases, known=(known,)), 0.5, (None,)))
        assert state.answer.known == known
        about = answers_panel._about(0, state, scene.unit)
        assert "relevancy" in about
        assert (told in about) == (known in (0.5, 0.0))
    with pytest.warns(LerfWarning, match="has no word that says what to look for"):
        phrases = scene.model.phrases(("the of a", "red"))
    states, _ = finish(scene.ask(phrases, 0.5, (None, None)))
    assert [told in answers_panel._about(row, state, scene.unit) for row, state in enumerate(states)] == [True, False]


def test_a_ray_meets_what_stands_there(scene, drawn):
    sphere = drawn.scene.solids[0]
    start = scene.scene.normalised_camera(0).camera_to_world[:, 3]
    goal = scene.to_normalised(sphere.centre)
    phrases = scene.model.phrases(["red", "blue"])
    states, _ = finish(scene.ask(phrases, 0.5, [0.2, 0.2]))
    point, scores = scene.pick(start, goal - start, states)
    assert np.linalg.norm(scene.to_capture(point) - sphere.centre) < 1.3 * sphere.half[0]
    assert scores[0] > 0.8 > scores[1]


def pictures(drawer, pose, display, asked=None):
    """What a page is shown of a camera at rest, the coarsest first."""
    return [step for step in drawer.pictures(pose, 240, display, asked) if isinstance(step, Drawn)]


def pose_of(scene, photo=1):
    camera = scene.scene.normalised_camera(photo)
    to_world = camera.camera_to_world
    return Pose(to_world[:, 3], to_world[:, :3], camera.vertical_angle, camera.width / camera.height)


def test_pictures_get_sharper_and_are_remembered(scene):
    drawer, pose = Drawer(scene, 120), pose_of(scene)
    shown = pictures(drawer, pose, Display())
    heights = [drawn.pixels.shape[0] for drawn in shown]
    assert heights == sorted(heights)
    assert heights[-1] == 120
    assert [drawn.last for drawn in shown] == [False] * (len(shown) - 1) + [True]
    # The sharpest one is there: nothing is drawn before it again.
    assert [drawn.pixels.shape[0] for drawn in pictures(drawer, pose, Display())] == [120]


def test_a_phrase_is_painted_where_it_is_and_features_in_their_colours(scene):
    model, drawer, pose = scene.model, Drawer(scene, 60), pose_of(scene)
    phrases = model.phrases(["red"])
    states = steps.finish(scene.ask(phrases, model.defaults.threshold, [None]))
    asked = AskedPhrases(phrases, tuple(states))
    plain = pictures(drawer, pose, Display())[-1].pixels.astype(int)
    over = pictures(drawer, pose, Display("composited_0", range="normalised", opacity=1.0), asked)[-1]
    relevant = drawer.frames[over.pixels.shape[0]].scored[asked.key, "red", states[0].scale] > 0.5
    changed = (np.abs(over.pixels.astype(int) - plain).max(-1) > 0) & relevant.numpy()
    assert changed.sum() > 0.9 * int(relevant.sum()) > 0
    assert np.array_equal(over.pixels[~relevant.numpy()], plain[~relevant.numpy()])
    assert over.legend.title == "relevancy, from the tie"
    clip = pictures(drawer, pose, Display("clip"))[-1].pixels
    assert len(np.unique(clip.reshape(-1, 3), axis=0)) > 10
    assert drawer.points(Display("relevancy_0"), asked).pixels.shape == scene.points.points.shape


def test_photos_that_have_gone_have_no_thumbnail(drawn_run, drawn):
    opened = open_scene_state(drawn_run, device="cpu")
    assert max(opened.thumbnail(0).shape[:2]) == 96
    photos = [*opened.scene.photos]
    photos[1] = replace(photos[1], path=drawn.folder / "gone.png")
    opened.scene = replace(opened.scene, photos=tuple(photos))
    assert opened.thumbnail(1) is None


def test_a_lifted_run_answers_as_it_does_from_python(drawn, drawn_run, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "lerf-cpu", tiny_preset())
    model = lerf.train(drawn.folder, tmp_path / "run", device="cpu", language="lift", radiance_run=drawn_run)
    opened = open_scene_state(tmp_path / "run", device="cpu")
    finish(opened.prepare())
    assert not opened.trouble
    assert opened.answering
    states, _ = finish(opened.ask(opened.model.phrases(["red"]), model.defaults.threshold, [None]))
    assert states[0].answer == model.query("red").queries[0]
