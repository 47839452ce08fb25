"""Posed photos of a scene of known geometry in, answered questions out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cut_out import write_cut_out

import lerf
from lerf.errors import QueryError
from lerf.evaluation.colour import evaluate_colour
from lerf.evaluation.metrics import pixel_auc
from lerf.geometry.similarity import Similarity

COLOURS = {"red": 0, "blue": 1, "yellow": 2, "green": 3}


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def answers(model):
    return {answer.text: answer for answer in model.query([*COLOURS, "purple"]).queries}


def look(model, drawn, photo):
    """What the scene says is behind each pixel of a photo: owners and depths, [height, width]."""
    camera = model.scene.photos[photo].camera
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    return trace(camera, drawn, x, y)


def trace(camera, drawn, x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones_like(x)], -1).reshape(-1, 3)
    length = np.linalg.norm(local, axis=-1)
    directions = (local / length[:, None]) @ camera.camera_to_world[:, :3].T
    hits = drawn.scene.trace(np.broadcast_to(camera.camera_to_world[:, 3], directions.shape), directions)
    return hits.owner.reshape(x.shape), (hits.distance / length).reshape(x.shape)


def outside(solid, point):
    """Distance of a point from a solid's surface; negative inside."""
    away = np.subtract(point, solid.centre)
    if solid.kind == "sphere":
        return np.linalg.norm(away) - solid.half[0]
    return np.linalg.norm(np.maximum(np.abs(away) - solid.half, 0)) - np.min(np.maximum(solid.half - np.abs(away), 0))


@pytest.mark.parametrize("word", COLOURS)
def test_a_colour_is_found_where_it_is(answers, drawn, word):
    answer, solid = answers[word], drawn.scene.solids[COLOURS[word]]
    assert solid.name.startswith(word)
    assert answer.present
    assert answer.relevancy > 0.9
    assert abs(outside(solid, answer.geometry.point)) < 0.12
    low, high = map(np.array, answer.geometry.extent)
    assert (low <= np.add(answer.geometry.point, 1e-6)).all()
    assert (np.subtract(answer.geometry.point, 1e-6) <= high).all()
    assert (high - low).max() < 1.1, "the extent is that of the scene, not of the solid"
    assert answer.instances[0].geometry == answer.geometry


@pytest.mark.parametrize("word", COLOURS)
def test_the_best_view_shows_it(answers, model, drawn, word):
    geometry = answers[word].geometry
    photo = next(photo for photo in model.scene.photos if photo.name == geometry.view)
    assert model.scene.photos.index(photo) in model.scene.train
    owner, _ = trace(photo.camera, drawn, *geometry.pixel)
    assert owner == COLOURS[word]


def test_an_absent_colour_is_reported_absent(answers):
    answer = answers["purple"]
    assert not answer.present
    assert 0 <= answer.relevancy < 0.85
    assert answer.to_dict() == {
        "text": "purple", "present": False, "relevancy": answer.relevancy, "point": None, "scale": None,
        "extent": None, "view": None, "pixel": None, "instances": [], "known": None,
    }  # fmt: skip


def test_scale_is_a_tile_height_in_capture_units(answers, model):
    # Tiles are 0.1 to 0.3 of the photo's height; cameras stand 2 units from the middle, solids 1.2 to 2.8 units.
    height = 72 / model.scene.photos[0].camera.fy
    for word in COLOURS:
        assert 0.1 * height * 1.1 < answers[word].geometry.scale < 0.3 * height * 3


@pytest.mark.parametrize("word", COLOURS)
def test_relevancy_map_of_a_held_out_view(model, drawn, word):
    photo = model.scene.test[1]
    owner, _ = look(model, drawn, photo)
    view = model.render(photo, word, scale=0.15)
    assert view.relevancy[word].shape == owner.shape == (72, 96)
    inside = torch.from_numpy(owner == COLOURS[word])
    assert pixel_auc(view.relevancy[word], inside) > 0.8


def test_relevancy_at_points(model, drawn):
    solid = drawn.scene.solids[0]
    towards_cameras = np.array([[0.0, -1, 0.3], [0.3, -0.9, 0.3], [-0.3, -0.9, 0.3], [0, -0.8, 0.6]])
    towards_cameras /= np.linalg.norm(towards_cameras, axis=1, keepdims=True)
    on_it = np.add(solid.centre, solid.half[0] * towards_cameras)
    on_the_floor = np.array([[0.0, -0.7, 0.0], [0.8, -0.2, 0.0], [0.0, 0.1, 0.0], [-0.2, -0.9, 0.0]])
    scale = 0.15
    assert model.relevancy_at(on_it, "red", scale).min() > 0.8
    assert model.relevancy_at(on_the_floor, "red", scale).max() < 0.5
    assert model.relevancy_at(torch.from_numpy(on_it).float(), "blue", scale).max() < 0.7
    far_away = np.array([[0.0, -80.0, 60.0]])
    assert model.relevancy_at(far_away, "red", scale) == 0, "no photo shows this place"
    with pytest.raises(QueryError, match="positive length in capture units"):
        model.relevancy_at(on_it, "red", 0.0)


def test_depth_is_in_capture_units(model, drawn):
    photo = model.scene.test[1]
    _, truth = look(model, drawn, photo)
    depth = model.render(photo).picture.depth.numpy()
    # Normalised units are half as long: a forgotten conversion would show.
    assert abs(model.scene.similarity.scale - 0.5) < 0.05
    assert np.median(np.abs(depth / truth - 1)) < 0.1


def test_a_free_camera_sees_what_the_photo_at_its_place_sees(model):
    photo = model.scene.test[0]
    camera = model.scene.photos[photo].camera
    ours, theirs = model.render(camera, "red", scale=0.2), model.render(photo, "red", scale=0.2)
    torch.testing.assert_close(ours.picture.colour, theirs.picture.colour)
    torch.testing.assert_close(ours.relevancy["red"], theirs.relevancy["red"])
    assert ours.scales == {"red": pytest.approx(0.2)}
    small = model.render(camera.scaled_to(24, 18))
    assert small.picture.colour.shape == (18, 24, 3)


def test_colour_of_held_out_views(model):
    report = evaluate_colour(model)
    assert [view["photo"] for view in report["views"]] == [f"images/{number:04d}.png" for number in (0, 8, 16)]
    assert 18 < report["psnr"] < 40
    assert 0.4 < report["ssim"] < 1


def test_query_settings(model):
    answer = model.query("red", threshold=0.2, canonical=["blue"], temperature=2.0, scale=0.2)
    assert (answer.threshold, answer.canonical, answer.temperature) == (0.2, ("blue",), 2.0)
    assert answer.queries[0].geometry.scale == pytest.approx(0.2)
    hotter = model.query("red", canonical=["blue"], temperature=4.0, scale=0.2)
    assert 0.5 < answer.queries[0].relevancy < hotter.queries[0].relevancy


SIMILARITY = Similarity(
    np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]]), np.array([30.0, -50.0, 11.0]), 7.0
)


def test_answers_follow_the_capture_frame(model, answers):
    """The same fields behind cameras that were moved, turned and scaled: every output moves along."""
    scene = model.scene
    back = SIMILARITY.inverse()
    moved = replace(
        scene,
        photos=tuple(replace(photo, camera=photo.camera.moved(SIMILARITY)) for photo in scene.photos),
        similarity=Similarity(
            scene.similarity.rotation @ back.rotation,
            scene.similarity.apply_points(back.translation[None])[0],
            scene.similarity.scale * back.scale,
        ),
    )
    other = lerf.Model(moved, model.radiance, model.language, model.encoder, defaults=model.defaults)
    for word in ("red", "blue"):
        here, there = answers[word].geometry, other.query(word).queries[0].geometry
        np.testing.assert_allclose(there.point, SIMILARITY.apply_points(np.array([here.point]))[0], atol=0.02)
        assert there.scale == pytest.approx(7 * here.scale, rel=1e-3)
        assert there.view == here.view
        np.testing.assert_allclose(there.pixel, here.pixel, atol=0.1)
        low, high = map(np.array, there.extent)
        assert (low <= there.point).all()
        assert (there.point <= high).all()
        corners = SIMILARITY.apply_points(np.array(here.extent))
        assert np.linalg.norm((low + high) / 2 - corners.mean(0)) < 7 * 0.15
    points = np.array([[-0.5, -0.5, 0.3], [0.1, -0.4, 0.0]])
    torch.testing.assert_close(
        other.relevancy_at(SIMILARITY.apply_points(points), "red", 7 * 0.2),
        model.relevancy_at(points, "red", 0.2), atol=1e-3, rtol=0,
    )  # fmt: skip
    photo = scene.test[0]
    torch.testing.assert_close(
        other.render(photo).picture.depth, 7 * model.render(photo).picture.depth, atol=0.2, rtol=0.01
    )


def test_a_capture_in_other_units_and_axes(drawn, answers, tiny, tmp_path):
    """Trained again from files that were turned by a quarter about the vertical, scaled and shifted."""
    turn = Similarity(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([100.0, 200.0, -5.0]), 7.0)
    document = json.loads((drawn.folder / "transforms.json").read_text())
    for frame in document["frames"]:
        pose = np.array(frame["transform_matrix"])
        pose[:3] = turn.apply_poses(pose[None, :3])[0]
        frame["transform_matrix"] = pose.tolist()
        frame["file_path"] = str(drawn.folder / frame["file_path"])
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    model = lerf.train(tmp_path, tmp_path / "run", steps=150, device="cpu")
    for word in ("red", "blue"):
        here, there = answers[word].geometry, model.query(word).queries[0].geometry
        solid = drawn.scene.solids[COLOURS[word]]
        back = turn.inverse().apply_points(np.array([there.point, *there.extent]))
        assert abs(outside(solid, back[0])) < 0.15
        assert 7 * 0.3 < there.scale / here.scale < 7 * 3
        low, high = back[1:].min(0), back[1:].max(0)
        assert (low < solid.centre).all()
        assert (solid.centre < high).all()
        assert Path(there.view).name.endswith(".png")


def test_a_cut_out_object(drawn, tiny, tmp_path):
    """Photos with transparency: emptiness is no matter, neither in the picture nor in the answers."""
    capture = write_cut_out(tmp_path / "capture", drawn.scene)
    model = lerf.train(capture, tmp_path / "run", device="cpu")
    for answer in model.query(["red", "blue", "yellow"], threshold=0.6).queries:
        assert abs(outside(drawn.scene.solids[COLOURS[answer.text]], answer.geometry.point)) < 0.25
    photo = model.scene.test[0]
    empty = torch.from_numpy(model.scene.alpha(photo) == 0)
    view = model.render(photo, "red")
    assert view.picture.accumulation[empty].mean() < 0.2
    assert view.picture.accumulation[~empty].mean() > 0.8
    assert (view.relevancy["red"][empty] == 0).float().mean() > 0.9
    assert view.picture.colour[empty].mean() > 0.9, "white shows through"
