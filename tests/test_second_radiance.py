"""A radiance that is no hash grid goes through everything that takes one: language, queries, pictures, exports, scores.

It is exact (`support/analytic.py`), so that what comes out can be compared with where the spheres are.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import FLOOR, SKY, SPHERES, AnalyticCapture
from colour_words import ColourWords

from lerf.evaluation.report import evaluate
from lerf.exports.cloud import build_cloud, capture_points, normals
from lerf.exports.mesh import build_mesh
from lerf.exports.point_relevancy import read_relevancy, write_embeddings
from lerf.geometry.camera_table import CameraTable
from lerf.model import Model
from lerf.queries.result import Geometry
from lerf.radiance.protocol import Radiance
from lerf.radiance.surface import trace_surface
from lerf.rendering.outputs import Display, relevancy_colours
from lerf.steps import finish
from lerf.training.ray_pool import draw_pool
from lerf.viewer.drawing import AskedPhrases, Drawer, Drawn
from lerf.viewer.geometry import Pose
from lerf.viewer.scene_state import SceneState

KINDS = ("lift", "deferred", "per-sample")
WORDS = [sphere.name for sphere in SPHERES]


@pytest.fixture(scope="module", params=KINDS)
def model(request, analytic_models) -> Model:
    return analytic_models(request.param)


@pytest.fixture(scope="module")
def capture(analytic_capture) -> AnalyticCapture:
    return analytic_capture


@pytest.fixture(scope="module")
def lifted(analytic_models) -> Model:
    return analytic_models("lift")


@pytest.fixture(scope="module")
def cloud(lifted):
    return build_cloud(lifted, 8000)


def distances(capture: AnalyticCapture, points: np.ndarray) -> np.ndarray:
    """From the closest surface, capture units."""
    to_floor = np.abs(points[:, 2] - capture.floor.centre[2])
    return np.min([*(np.abs(sphere.outside(points)) for sphere in capture.spheres), to_floor], axis=0)


def test_it_is_a_radiance(capture) -> None:
    assert isinstance(capture.radiance, Radiance)


def test_it_is_exact(capture) -> None:
    """Traced points lie on what their pixels show, and pictures tell the same depths."""
    to_capture = capture.scene.similarity.inverse()
    for photo in (0, 5):
        picture, owners = finish(capture.radiance.render(capture.cameras, photo)), capture.owners(photo)
        assert torch.equal(picture.depth.isnan(), owners == SKY)
        assert torch.equal(picture.accumulation, (owners != SKY).float())
        assert (picture.colour[owners == SKY] == 1).all()
        rows, columns = torch.nonzero(owners != SKY, as_tuple=True)
        pixels = torch.stack([columns, rows], dim=-1) + 0.5
        rays = capture.radiance.trace(capture.cameras, torch.full((len(pixels),), photo), pixels, 4)
        torch.testing.assert_close(rays.median_depth, picture.depth[rows, columns])
        points = to_capture.apply_points(rays.median_position.numpy())
        for number, owner in enumerate(owners[rows, columns].tolist()):
            if owner == FLOOR:
                assert abs(points[number, 2] - capture.floor.centre[2]) < 1e-4
            else:
                assert abs(capture.spheres[owner].outside(points[number])) < 1e-4
        again, depth = capture.cameras.project(photo, rays.median_position)
        torch.testing.assert_close(again, pixels, atol=1e-2, rtol=0)
        torch.testing.assert_close(depth, rays.median_depth, atol=1e-4, rtol=0)


def test_its_surface_and_its_pool_lie_on_the_spheres_and_the_floor(capture) -> None:
    surface = finish(trace_surface(capture.radiance, capture.cameras, capture.scene.train, 4, points=4000))
    pool = draw_pool(
        capture.radiance,
        capture.cameras,
        capture.scene.train,
        3000,
        4,
        torch.Generator().manual_seed(0),
        lambda _: None,
    )
    for rays in (surface.rays, pool.rays):
        assert rays.hit.all()
        points = capture.scene.similarity.inverse().apply_points(rays.median_position.numpy())
        assert distances(capture, points).max() < 1e-3
    # The sky is left out.
    assert 1000 < len(pool) < 3000
    assert set(surface.depth_maps) == set(capture.scene.train)


def assert_shown(capture: AnalyticCapture, geometry: Geometry) -> None:
    """A training photo has the point at the pixel, and nothing stands before it there."""
    photo = next(number for number, photo in enumerate(capture.scene.photos) if photo.name == geometry.view)
    assert photo in capture.scene.train
    point = capture.scene.similarity.apply_points(np.array([geometry.point]))
    pixel, depth = capture.cameras.project(photo, torch.from_numpy(point).float())
    np.testing.assert_allclose(pixel[0], geometry.pixel, atol=1e-2)
    rays = capture.radiance.trace(capture.cameras, torch.tensor([photo]), pixel, 1)
    # A point counts as seen a little behind what stands there (`visibility.unoccluded`), as at a sphere's outline.
    assert not rays.hit[0] or float(depth[0]) < 1.06 * float(rays.median_depth[0])


@pytest.mark.parametrize("word", WORDS)
def test_a_sphere_is_found_where_it_is(model, capture, word) -> None:
    answer, sphere = model.query(word).queries[0], capture.sphere(word)
    assert answer.present
    assert answer.relevancy > 0.9
    assert len(answer.instances) == 1
    geometry = answer.geometry
    assert abs(sphere.outside(np.array(geometry.point))) < 0.01
    low, high = np.array(geometry.extent)
    middle = (low + high) / 2
    assert np.abs(middle - sphere.centre).max() < 0.5 * sphere.radius
    assert np.abs((high - low) / (2 * sphere.radius) - 0.9).max() < 0.3
    assert_shown(capture, geometry)
    # A tile of the smallest or of the largest ratio, on a sphere 3 to 10 from a camera.
    smallest, _, largest = ColourWords.defaults.tile_ratios
    assert smallest * 36 / 44 * 3 < geometry.scale < largest * 36 / 44 * 10


@pytest.mark.parametrize("word", ["purple", "green"])
def test_what_is_not_there_is_absent(model, word) -> None:
    answer = model.query(word).queries[0]
    assert not answer.present
    assert answer.relevancy < 0.6
    assert answer.instances == ()


def test_several_phrases_are_answered_as_each_alone(lifted) -> None:
    together = lifted.query([*WORDS, "purple"]).queries
    for answer in together:
        alone = lifted.query(answer.text).queries[0]
        assert alone.relevancy == pytest.approx(answer.relevancy, abs=1e-6)
        assert alone.geometry == answer.geometry


def test_relevancy_peaks_on_the_right_sphere_and_is_zero_in_the_sky(model, capture) -> None:
    photo = model.scene.test[1]
    view, owners = model.render(photo, WORDS), capture.owners(photo)
    torch.testing.assert_close(
        view.picture.depth * model.photos.unit,
        finish(capture.radiance.render(capture.cameras, photo)).depth,
        equal_nan=True,
    )
    shown = 0
    for word in WORDS:
        own = owners == capture.spheres.index(capture.sphere(word))
        assert (view.relevancy[word][owners == SKY] == 0).all()
        if own.sum() > 40:
            assert bool(own.flatten()[view.relevancy[word].argmax()])
            assert view.relevancy[word][own].mean() > 0.6
            assert view.relevancy[word][owners == FLOOR].mean() < 0.35
            shown += 1
    assert shown >= 2


def test_relevancy_at_points(model, capture) -> None:
    directions = np.array([[0.6, 0.0, 0.8], [-0.6, 0.0, 0.8], [0.0, 0.8, 0.6], [0.0, -0.8, 0.6], [0.8, 0.0, 0.6]])
    scale = 0.4
    for word in WORDS:
        sphere = capture.sphere(word)
        on_it = np.array(sphere.centre) + sphere.radius * directions
        own = model.relevancy_at(on_it, word, scale)
        assert own.median() > 0.8
        assert all(model.relevancy_at(on_it, other, scale).max() < own.min() for other in WORDS if other != word)
        on_the_floor = np.array([[sphere.centre[0], sphere.centre[1] - 2.5, -2.0], [10.0, 0.0, -2.0]])
        assert model.relevancy_at(on_the_floor, word, scale).max() < 0.5
    away = np.array([[300.0, -5.0, 200.0]])
    assert model.relevancy_at(away, "red", scale).tolist() == [0.0]


def test_features_of_a_view_are_colour_words(model, capture) -> None:
    photo = model.scene.test[0]
    features, owners = model.render_features(photo), capture.owners(photo)
    texts = ColourWords().encode_text([*WORDS, "stone"])
    nearest = (features @ texts.T).argmax(-1)
    known = owners != SKY
    right = nearest[known] == torch.where(owners == FLOOR, len(WORDS), owners)[known]
    assert right.float().mean() > 0.85
    if model.language.dense_width:
        dense = model.render_features(photo, dense=True)
        assert dense.shape == (*owners.shape, 3)
        # The regulariser's features are the photo's colours.
        colour = finish(capture.radiance.render(capture.cameras, photo)).colour
        assert (dense - colour)[known].abs().median() < 0.15


def test_language_agrees_whatever_it_is_made_of(analytic_models) -> None:
    answers = [analytic_models(kind).query([*WORDS, "purple"]).queries for kind in KINDS]
    for one, *others in zip(*answers, strict=True):
        for other in others:
            assert one.present == other.present
            assert len(one.instances) == len(other.instances)
            if one.present:
                corners = np.array(one.geometry.extent), np.array(other.geometry.extent)
                assert np.abs(corners[0] - corners[1]).max() < 0.6


def test_a_cloud_lies_on_the_surfaces_in_their_colours(capture, lifted, cloud) -> None:
    points = capture_points(lifted, cloud.positions)
    assert len(points) > 3000
    assert distances(capture, points).max() < 0.01
    facing = normals(lifted, cloud, cloud).double().numpy() @ lifted.scene.similarity.rotation
    floor = (np.abs(points[:, 2] - capture.floor.centre[2]) < 0.01) & (
        np.min([sphere.outside(points) for sphere in capture.spheres], axis=0) > 0.5
    )
    assert np.median(facing[floor, 2]) > 0.99
    assert (cloud.colours[torch.from_numpy(floor)] - 0.6).abs().max() < 1e-4
    for sphere in capture.spheres:
        own = np.abs(sphere.outside(points)) < 0.01
        outwards = (points[own] - sphere.centre) / sphere.radius
        assert np.median((outwards * facing[own]).sum(1)) > 0.95


def test_named_points_lie_on_the_named_sphere(capture, model, cloud, tmp_path) -> None:
    phrases = model.phrases([*WORDS, "purple"])
    answers = finish(model.answer(phrases))
    read = read_relevancy(model, cloud, answers)
    points = capture_points(model, cloud.positions)
    for row, sphere in enumerate(capture.spheres):
        named = sphere.outside(points[read.named[row].numpy()])
        assert len(named) > 100
        # Where a sphere comes near the floor, the floor's points are near its own.
        assert np.abs(named).max() < 0.4
        assert np.quantile(np.abs(named), 0.9) < 0.01
        mine = np.abs(sphere.outside(points)) < 0.01
        assert read.named[row].numpy()[mine].mean() > 0.75
    assert not read.named[-1].any()
    assert write_embeddings(tmp_path / "points.npy", model, cloud, answers[0].scale) == (len(cloud), 6)


def test_a_mesh_is_the_spheres_and_the_floor(capture, lifted, cloud) -> None:
    pytest.importorskip("skimage")
    mesh = build_mesh(lifted.cameras, cloud, 48)
    away = distances(capture, capture_points(lifted, torch.from_numpy(mesh.vertices)))
    voxel = 2 * capture.floor.radius / 48
    assert len(mesh.faces) > 1000
    assert np.median(away) < 0.3 * voxel
    assert np.quantile(away, 0.95) < 2 * voxel


def write_labels(folder: Path, capture: AnalyticCapture) -> Path:
    """Of the held-out photos, and of another scene that is purple."""
    for photo in capture.scene.test:
        owners, objects = capture.owners(photo), []
        for number, sphere in enumerate(capture.spheres):
            rows, columns = torch.nonzero(owners == number, as_tuple=True)
            if len(rows) > 30:
                box = [int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())]
                corners = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]]
                objects.append({"category": sphere.name, "segmentation": corners, "bbox": box})
        info = {"name": f"{photo:04d}.png", "width": 48, "height": 36}
        (folder / "here").mkdir(parents=True, exist_ok=True)
        (folder / "here" / f"{photo:04d}.json").write_text(json.dumps({"info": info, "objects": objects}))
    other = {"category": "purple", "segmentation": [[0, 0], [9, 0], [9, 9]], "bbox": [0, 0, 9, 9]}
    (folder / "there").mkdir()
    (folder / "there" / "0000.json").write_text(
        json.dumps({"info": {"name": "0.png", "width": 48, "height": 36}, "objects": [other]})
    )
    return folder / "here"


def test_it_is_evaluated(capture, model, tmp_path) -> None:
    report = evaluate(model, labels=write_labels(tmp_path, capture))
    json.dumps(report, allow_nan=False)
    assert report["protocol"] == ["colour", "lerf-localisation", "lerf-ovs", "existence", "margin-sign"]
    assert report["split"] == ["images/0000.png", "images/0006.png"]
    # The photos are the radiance's own pictures, rounded to eight bits.
    assert report["psnr"] > 50
    assert report["ssim"] > 0.99
    assert report["localisation"] == 1.0
    assert report["average_precision"] == 1.0
    assert report["miou"] > 0.3
    assert report["baseline_2d"]["localisation"] > 0.6
    assert [row["text"] for row in report["phrases"]] == [*WORDS, "purple"]


def test_a_page_tells_what_python_does(capture, model) -> None:
    state = SceneState(capture.scene, capture.radiance, model, "", "cpu")
    with torch.no_grad():
        for _ in state.prepare():
            pass
        assert not state.trouble
        phrases = model.phrases([*WORDS, "purple"])
        told = finish(state.ask(phrases, model.defaults.threshold, [None] * len(phrases)))
        assert [own.answer for own in told] == list(model.query([*WORDS, "purple"]).queries)
        assert state.points is not None
        points = capture.scene.similarity.inverse().apply_points(state.points.points.astype(np.float64))
        assert distances(capture, points).max() < 1e-3
        for sphere, own in zip(capture.spheres, told, strict=False):
            best = int(state.point_relevancy(own).argmax())
            assert np.abs(sphere.outside(points[best])) < 0.05
            start = capture.scene.normalised_camera(1).camera_to_world[:, 3]
            goal = state.to_normalised(sphere.centre)
            point, scores = state.pick(start, goal - start, told)
            assert point is not None
            assert np.abs(sphere.outside(state.to_capture(point))) < 1e-3
            assert max(range(len(scores)), key=scores.__getitem__) == WORDS.index(sphere.name)


def test_a_page_draws_it(capture, lifted) -> None:
    state = SceneState(capture.scene, capture.radiance, lifted, "", "cpu")
    # The smallest picture that a page draws has 60 rows.
    camera = capture.scene.normalised_camera(1).scaled_to(80, 60)
    pose = Pose(camera.camera_to_world[:, 3], camera.camera_to_world[:, :3], camera.vertical_angle, 80 / 60)
    phrases, drawer = lifted.phrases(["red"]), Drawer(state, 60)
    with torch.no_grad():
        asked = AskedPhrases(phrases, tuple(finish(state.ask(phrases, lifted.defaults.threshold, [None]))))
        plain, relevant = (
            [step for step in drawer.pictures(pose, 60, Display(output), asked) if isinstance(step, Drawn)][-1]
            for output in ("rgb", "relevancy_0")
        )
    table = CameraTable.from_cameras([camera])
    colour = 255 * finish(capture.radiance.render(table, 0)).colour
    assert np.abs(plain.pixels - colour.numpy()).max() < 1
    maps = lifted.relevancy_maps(table, 0, phrases, [asked.states[0].scale])
    expected = 255 * relevancy_colours(maps[0], Display())[0]
    assert np.abs(relevant.pixels - expected.numpy()).max() < 1
    assert relevant.legend is not None
