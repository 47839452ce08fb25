"""Captures of generated scenes: complete, aligned with their labels and depths, resumed to the same bytes."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lerf.errors import ConfigError
from lerf.evaluation.annotations import Annotation, LabelledPart, Phrase, Thing, read_annotation, read_labels_of_view
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.scenes import load_scene
from lerf_scenes import write
from lerf_scenes.arrange import compose, drawn_setting
from lerf_scenes.write import Photography, write_annotation, write_scene

SMALL = Photography(views=3, held_out=1, width=64, height=48, spp=2)
SEED = 3
NAMES = ("0001", "0002", "0003", "0004")


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """`folder` and `annotation` of a small scene, and the `reports` while it was made; do not write to it."""
    pytest.importorskip("mitsuba")
    folder = tmp_path_factory.mktemp("scene") / "capture"
    reports = []
    annotation = write_scene(folder, SEED, photography=SMALL, report=lambda *counts: reports.append(counts))
    return SimpleNamespace(folder=folder, annotation=annotation, reports=reports)


@pytest.fixture
def copy(capture, tmp_path):
    return shutil.copytree(capture.folder, tmp_path / "copy")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files(capture):
    expected = {f"{folder}/{name}.{suffix}" for name in NAMES
                for folder, suffix in (("images", "jpg"), ("labels", "png"), ("depth", "png"))}  # fmt: skip
    assert contents(capture.folder).keys() >= expected | {"transforms.json", "annotation.json"}
    assert capture.reports == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert read_annotation(capture.folder) == capture.annotation
    assert (capture.annotation.seed, capture.annotation.setting) == (SEED, drawn_setting(SEED))


def test_it_loads_with_the_held_out_views_as_test_split(capture):
    scene = load_scene(capture.folder)
    assert len(scene) == 4
    assert [scene.photos[k].path.stem for k in scene.test] == ["0004"]
    assert {(photo.camera.width, photo.camera.height) for photo in scene.photos} == {(64, 48)}


def test_depths_lie_in_the_boxes_of_the_labels(capture):
    """By the package's own cameras: pictures, poses and annotation share one frame."""
    scene = load_scene(capture.folder)
    cameras = CameraTable.from_cameras([photo.camera for photo in scene.photos])
    boxes = {
        part.label: (np.array(part.minimum), np.array(part.maximum))
        for thing in compose(SEED, drawn_setting(SEED)).things
        for part in thing.described().parts
    }
    for index, photo in enumerate(scene.photos):
        labels = read_labels_of_view(capture.folder, photo.path.stem).ravel()
        depth = np.asarray(Image.open(capture.folder / "depth" / f"{photo.path.stem}.png")).ravel() * write.DEPTH_UNIT
        np.testing.assert_array_equal(depth > 0, labels > 0)
        pixels = image_pixels(64, 48)
        rays = cameras.rays(torch.full((len(pixels),), index), pixels)
        along = depth / rays.axis_cosine.double().numpy()
        points = rays.origins.double().numpy() + rays.directions.double().numpy() * along[:, None]
        assert len(np.unique(labels)) > 6
        for label in np.unique(labels[labels > 0]):
            low, high = boxes[label]
            seen = points[labels == label]
            assert ((seen > low - 1e-3) & (seen < high + 1e-3)).all(), label


def test_the_annotation_tells_what_is_seen(capture):
    pictures = np.stack([read_labels_of_view(capture.folder, name) for name in NAMES])
    seen = np.bincount(pictures.ravel(), minlength=256)
    composed = {thing.identifier: thing.described() for thing in compose(SEED, drawn_setting(SEED)).things}
    assert capture.annotation.objects
    for thing in capture.annotation.things:
        original = composed[thing.identifier]
        assert (thing.kind, thing.colour, thing.minimum) == (original.kind, original.colour, original.minimum)
        assert thing.parts == tuple(part for part in original.parts if seen[part.label])
        if not thing.furniture:
            assert sum(seen[part.label] for part in thing.parts) >= write.FEWEST_PIXELS
    present = [phrase for phrase in capture.annotation.phrases if phrase.type != "absent"]
    assert len(capture.annotation.phrases) == 2 * len(present)
    for phrase in capture.annotation.phrases:
        shown = [capture.annotation.mask(phrase, picture).any() for picture in pictures]
        assert any(shown) == (phrase.type != "absent"), phrase.text


def test_resuming_makes_the_same_bytes(capture, copy):
    for gone in ("images/0002.jpg", "labels/0004.png", "transforms.json", "annotation.json"):
        (copy / gone).unlink()
    assert write_scene(copy, SEED, photography=SMALL) == capture.annotation
    assert contents(copy) == contents(capture.folder)


def test_a_finished_scene_is_not_photographed_again(capture, copy, monkeypatch):
    monkeypatch.setattr(write, "Photographer", None)
    assert write_scene(copy, SEED, photography=SMALL) == capture.annotation
    assert contents(copy) == contents(capture.folder)


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"setting": "shelf"}, {"photography": replace(SMALL, held_out=2)},
     {"photography": replace(SMALL, spp=4)}],
    ids=str,
)  # fmt: skip
def test_another_scene_in_the_folder_is_refused(capture, copy, change):
    arguments = {"seed": SEED, "setting": drawn_setting(SEED), "photography": SMALL}
    assert arguments != {**arguments, **change}, "nothing is changed"
    with pytest.raises(ConfigError, match="made with other settings"):
        write_scene(copy, **{**arguments, **change})
    assert contents(copy) == contents(capture.folder)


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", "\x00", '{"seed": "3"}', '{"seed": 1e999}', "[" * 100_000, "null", '{"spp": [[]]}']
)
def test_a_damaged_record_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(ConfigError, match="choose a new folder or delete it"):
        write_scene(tmp_path, SEED, photography=SMALL)


def test_labels_of_another_size_are_not_counted(copy):
    Image.fromarray(np.zeros((3, 4), dtype=np.uint8)).save(copy / "labels" / f"{NAMES[0]}.png")
    with pytest.raises(ConfigError, match="another size"):
        write_scene(copy, SEED, photography=SMALL)


def test_another_capture_in_the_folder_is_refused(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": []}))
    with pytest.raises(ConfigError, match="another capture"):
        write_scene(tmp_path, SEED, photography=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["transforms.json"]


@pytest.mark.parametrize("seed", [-1, 2**20])
def test_a_seed_out_of_range(tmp_path, seed):
    with pytest.raises(ConfigError, match="seed"):
        write_scene(tmp_path / "new", seed, photography=SMALL)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"views": 1}, "views"), ({"held_out": -1}, "held out"), ({"held_out": 4}, "held out"), ({"width": 8}, "wide"),
     ({"height": 5000}, "high"), ({"spp": 0}, "light paths")],
    ids=str,
)  # fmt: skip
def test_numbers_out_of_range(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(SMALL, **change)


def test_the_written_annotation_is_read_again(tmp_path):
    low, high = (0.0, -1.0, 0.25), (1.0, 2.0, 3.5)
    parts = (LabelledPart(1, "body", low, high), LabelledPart(2, "handle", low, high))
    mug = Thing(1, "mug", "red", "ceramic", "striped", "white", False, parts, low, high)
    phrases = (Phrase("mug handle", "part", (1,), "handle"), Phrase("banana", "absent", (), unseen=True))
    annotation = Annotation(7, "table", (mug,), phrases)
    write_annotation(tmp_path, annotation)
    assert read_annotation(tmp_path) == annotation
    assert read_annotation(str(tmp_path)) == annotation
