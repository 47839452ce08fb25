"""Queries from a baked index: the same answers as the field's, only while it is of this state of the run."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import lerf
from lerf.apps.main import main
from lerf.errors import LerfWarning, QueryError, RunError
from lerf.files import sha256_of
from lerf.language.bake import bake, fidelity
from lerf.language.cells import FILE, load_index, save_index
from lerf.queries.indexed import traced_depths

COLOURS = ("red", "blue", "yellow", "green")


@pytest.fixture(scope="module")
def baked_run(drawn_run, tmp_path_factory):
    run = shutil.copytree(drawn_run, tmp_path_factory.mktemp("baked") / "run")
    model = lerf.load(run, device="cpu")
    save_index(fidelity(model, bake(model, sha256_of(run / "language.safetensors"))), run / FILE)
    return run


@pytest.fixture(scope="module")
def model(baked_run):
    return lerf.load(baked_run, device="cpu")


def test_the_index_answers_where_the_field_does(model) -> None:
    ours, theirs = (model.query([*COLOURS, "purple"], index=use) for use in ("auto", "ignore"))
    assert theirs.index is None
    assert ours.index.source == "field"
    assert ours.index.cells == len(model.index())
    for quick, slow in zip(ours.queries, theirs.queries, strict=True):
        assert quick.present == slow.present
        assert quick.relevancy == pytest.approx(slow.relevancy, abs=0.06)
        if not quick.present:
            assert quick.instances == ()
            continue
        assert np.linalg.norm(np.subtract(quick.geometry.point, slow.geometry.point)) < 0.4
        for corner, other in zip(quick.geometry.extent, slow.geometry.extent, strict=True):
            assert np.abs(np.subtract(corner, other)).max() < 0.3
        assert 0.4 < quick.geometry.scale / slow.geometry.scale < 2.5
        assert quick.geometry.view.startswith("images/")


def test_no_surface_is_drawn_for_it(baked_run) -> None:
    fresh = lerf.load(baked_run, device="cpu")
    assert fresh.query("red").queries[0].present
    assert "surface" not in vars(fresh)


def test_the_view_shows_the_point(model, drawn) -> None:
    geometry = model.query("red").queries[0].geometry
    photo = next(photo for photo in model.scene.photos if photo.name == geometry.view)
    camera, (x, y) = photo.camera, geometry.pixel
    local = np.array([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -1.0])
    direction = camera.camera_to_world[:, :3] @ (local / np.linalg.norm(local))
    owner = drawn.scene.trace(camera.camera_to_world[None, :, 3], direction[None]).owner[0]
    assert drawn.scene.solids[owner].name.startswith("red")


def test_traced_depths_are_those_of_the_surface(model) -> None:
    photos = list(model.scene.train)
    pixels = torch.tensor([[48.5, 36.5], [-1.0, 5.0], *[[10.5, 60.5]] * (len(photos) - 2)])
    depths = traced_depths(model, pixels)
    assert torch.isnan(depths[1])
    for slot in (0, 5):
        raster = model._raster_depth(photos[slot], pixels[slot])
        assert float(depths[slot]) == pytest.approx(float(raster), rel=0.1)


def test_a_given_scale_is_answered_at_the_closest_one_baked(model) -> None:
    index, unit = model.index(), model.scene.similarity.scale
    wanted = float(index.scales[4]) / unit * 1.05
    answer = model.query("red", scale=wanted, threshold=0.0).queries[0]
    assert answer.geometry.scale == pytest.approx(float(index.scales[4]) / unit)


def test_it_says_how_far_it_is_from_the_field(model) -> None:
    result = model.query(COLOURS, compare=True)
    assert 0.9 < result.index.lowest_cosine <= result.index.cosine <= 1.0001
    assert set(result.index.differences) == set(COLOURS)
    assert all(0 <= value < 0.05 for value in result.index.differences.values())
    with pytest.raises(QueryError, match="no index to compare"):
        model.query("red", index="ignore", compare=True)


def test_a_spoilt_index_is_told_from_a_good_one(model) -> None:
    good = model.index()
    compressed = good.compressed
    turned = replace(good, compressed=replace(compressed, codes=compressed.codes.roll(len(good) // 2, dims=1)))
    assert fidelity(model, good).facts.cosine > fidelity(model, turned).facts.cosine + 0.05


def test_an_index_of_another_state_is_not_used(baked_run, drawn_run, tmp_path) -> None:
    run = shutil.copytree(baked_run, tmp_path / "run")
    index = load_index(run / FILE)
    save_index(replace(index, facts=replace(index.facts, checkpoint="d" * 64)), run / FILE)
    model = lerf.load(run, device="cpu")
    with pytest.warns(LerfWarning, match="another state of the run"):
        assert model.query("red").index is None
    with pytest.raises(RunError, match="another state of the run"):
        model.query("red", index="require")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.query("red", index="ignore").index is None
    (run / FILE).write_bytes(b"half")
    with pytest.warns(LerfWarning, match="damaged"):
        assert lerf.load(run, device="cpu").query("red").index is None
    with pytest.raises(RunError, match="no index"):
        lerf.load(drawn_run, device="cpu").query("red", index="require")


def test_the_command_line_chooses(baked_run, capsys) -> None:
    def ask(*options: str) -> dict:
        assert main(["query", str(baked_run), "red", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    quick = ask("--compare")
    assert quick["index"]["source"] == "field"
    assert set(quick["index"]["differences"]) == {"red"}
    assert "index" not in ask("--index", "ignore")
    assert main(["query", str(baked_run), "red"]) == 0
    assert "Answered from the index" in capsys.readouterr().out
