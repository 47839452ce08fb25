"""What pages are shown is what the model says: pictures, relevancy, answers, points; and memory stays bounded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_preset

import lerf
from lerf.geometry.camera_table import CameraTable
from lerf.queries.phrases import Phrases
from lerf.rendering.image import render_colour
from lerf.run.settings import PRESETS
from lerf.viewer import frames
from lerf.viewer import world as worlds
from lerf.viewer.world import open_world


def finish(steps):
    """What a generator returns, and how many steps it took."""
    count = 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as end:
            return end.value, count


@pytest.fixture(scope="module")
def world(drawn_run):
    opened = open_world(drawn_run, device="cpu")
    with torch.no_grad():
        finish(opened.prepare())
    assert not opened.trouble
    return opened


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_the_surface_found_photo_by_photo_is_the_models(world, drawn_run):
    other = open_world(drawn_run, device="cpu").model.surface
    assert torch.equal(world.surface.positions, other.positions)
    assert torch.equal(world.surface.photo, other.photo)
    assert torch.allclose(world.surface.features, other.features, atol=1e-5)
    assert world.surface.depth_maps.keys() == other.depth_maps.keys()


def test_a_picture_in_steps_is_the_picture(world, monkeypatch):
    monkeypatch.setitem(frames.CHUNK, "cpu", 1000)
    camera = world.scene.normalised_camera(1)
    samples = world.radiance.config.render_samples
    frame, steps = finish(frames.render_frame(world.radiance, camera, "cpu", samples))
    whole = render_colour(world.radiance, CameraTable.from_cameras([camera], are_photos=False), 0)
    assert steps == -(-camera.width * camera.height // 1000)
    assert torch.allclose(frame.picture.colour, whole.colour, atol=1e-5)
    assert torch.allclose(frame.picture.depth, whole.depth, atol=1e-4, equal_nan=True)


def test_relevancy_in_steps_is_the_models_and_is_not_computed_twice(world):
    model, camera = world.model, world.scene.normalised_camera(1)
    phrases, scales = model.phrases(["red", "blue", "green"]), [0.2, 0.3, 0.2]
    frame, _ = finish(frames.render_frame(world.radiance, camera, "cpu", 8))
    seen, _ = finish(frames.see(model.source, model.language, frame, "cpu"))
    finish(frames.score(model.language, frame, seen, phrases, scales, "key"))
    whole = model.relevancy_maps(CameraTable.from_cameras([camera], are_photos=False), 0, phrases, scales)
    for row, (text, scale) in enumerate(zip(phrases.texts, scales, strict=True)):
        assert torch.allclose(frame.scored["key", text, scale], whole[row], atol=1e-5)
    assert finish(frames.see(model.source, model.language, frame, "cpu"))[1] == 0
    assert finish(frames.score(model.language, frame, seen, phrases, scales, "key"))[1] == 0
    one = Phrases(("red",), phrases.queries[:1], phrases.canonical, phrases.temperature)
    finish(frames.score(model.language, frame, seen, one, [0.4], "key"))
    assert list(frame.scored) == [("key", "red", 0.4)]


@pytest.mark.parametrize("use", ["auto", "ignore"])
def test_replies_are_the_models_answers(drawn_run, use):
    opened = open_world(drawn_run, device="cpu")
    finish(opened.prepare(use))
    assert (opened.index is None) == (use == "ignore")
    model = opened.model
    phrases = model.phrases(["red", "purple"])
    replies, _ = finish(opened.ask(phrases, model.threshold, [None, None]))
    told = model.query(["red", "purple"], index="ignore").queries
    assert [reply.answer.present for reply in replies] == [True, False]
    assert np.linalg.norm(np.subtract(replies[0].answer.geometry.point, told[0].geometry.point)) < 0.25
    if use == "ignore":
        assert replies[0].answer == told[0]
    given, _ = finish(opened.ask(phrases, model.threshold, [0.3, None]))
    assert (given[0].scale, given[0].automatic, given[1].automatic) == (0.3, False, True)
    relevancy = opened.point_relevancy(replies[0])
    assert relevancy.shape == (len(opened.cloud.points),)
    red = opened.cloud.colours[relevancy > 0.9].mean(0)
    assert red[0] > 2 * max(red[1], red[2])


def test_a_ray_meets_what_stands_there(world, drawn):
    sphere = drawn.scene.solids[0]
    start = world.scene.normalised_camera(0).camera_to_world[:, 3]
    goal = world.to_normalised(sphere.centre)
    model = world.model
    phrases = model.phrases(["red", "blue"])
    point, scores = world.pick(start, goal - start, phrases, [0.2, 0.2])
    assert np.linalg.norm(world.to_capture(point) - sphere.centre) < 1.3 * sphere.half[0]
    assert scores[0] > 0.8 > scores[1]


def test_memory_for_language_is_bounded(world, monkeypatch):
    model = world.model
    made = []
    for photo in range(3):
        frame, _ = finish(frames.render_frame(world.radiance, world.scene.normalised_camera(photo), "cpu", 4))
        finish(frames.see(model.source, model.language, frame, "cpu"))
        made.append(frame)
    monkeypatch.setattr(worlds, "KEPT_BYTES", made[0].bytes * 2)
    for frame in made:
        world.keep(frame)
    assert [frame.seen is None for frame in made] == [True, False, False]
    world.forget(made)
    assert not world._frames


def test_photos_that_have_gone_have_no_thumbnail(drawn_run, drawn):
    opened = open_world(drawn_run, device="cpu")
    assert max(opened.thumbnail(0).shape[:2]) == 96
    photos = [*opened.scene.photos]
    photos[1] = replace(photos[1], path=drawn.folder / "gone.png")
    opened.scene = replace(opened.scene, photos=tuple(photos))
    assert opened.thumbnail(1) is None


def test_a_lifted_run_answers_from_its_own_index(drawn, drawn_run, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "lerf-cpu", tiny_preset())
    lerf.train(drawn.folder, tmp_path / "run", device="cpu", language="lift", radiance_run=drawn_run)
    opened = open_world(tmp_path / "run", device="cpu")
    finish(opened.prepare())
    assert not opened.trouble
    assert opened.answering
    assert opened.index is opened.model.language.index
