"""Runs whose language is an index lifted from the pyramids: training, settings, queries, pictures."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_preset

import lerf
from lerf.errors import ConfigError, QueryError, RunError
from lerf.evaluation.metrics import pixel_auc
from lerf.run.folder import RunFolder
from lerf.run.make_settings import make_settings
from lerf.run.report import Silent
from lerf.run.settings import TrainSettings, from_plain, to_plain
from lerf.scenes.load import load_scene

COLOURS = {"red": 0, "blue": 1, "yellow": 2, "green": 3}


@pytest.fixture(scope="module")
def model(lifted_run):
    return lerf.load(lifted_run, device="cpu")


def owners(drawn, camera) -> np.ndarray:
    """Numbers of the solids that a camera sees, [height, width]; negative or larger where there is none."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones_like(x)], -1).reshape(-1, 3)
    directions = (local / np.linalg.norm(local, axis=-1, keepdims=True)) @ camera.camera_to_world[:, :3].T
    return drawn.scene.trace(np.broadcast_to(camera.camera_to_world[:, 3], directions.shape), directions).owner.reshape(
        x.shape
    )


def test_no_step_of_language_was_made(lifted_run) -> None:
    run = RunFolder(lifted_run)
    tensors, facts = run.load_stage("language")
    assert (facts["step"], facts["finished"], facts["index"]["source"]) == (0, True, "lift")
    assert not any(name.startswith("field.") for name in tensors)
    assert not (lifted_run / "metrics.jsonl").is_file()
    settings = run.read_config()["settings"]
    assert (settings.language_source, settings.dense) == ("lift", tiny_preset().dense)


def test_colours_are_found(model, drawn) -> None:
    *present, absent = model.query([*COLOURS, "purple"]).queries
    for answer in present:
        solid = drawn.scene.solids[COLOURS[answer.text]]
        outside = np.abs(np.subtract(answer.geometry.point, solid.centre)) - np.array(solid.half)
        assert outside.max() < 0.12, answer.text
    assert not absent.present


def test_lifted_and_trained_language_agree(model, drawn_run) -> None:
    trained = lerf.load(drawn_run, device="cpu")
    for ours, theirs in zip(model.query(list(COLOURS)).queries, trained.query(list(COLOURS)).queries, strict=True):
        assert ours.present == theirs.present
        assert ours.relevancy == pytest.approx(theirs.relevancy, abs=0.1)
        assert np.linalg.norm(np.subtract(ours.geometry.point, theirs.geometry.point)) < 0.5


def test_maps_of_held_out_views_show_them(model, drawn) -> None:
    camera = model.scene.photos[model.scene.test[1]].camera
    owner = owners(drawn, camera)
    view = model.render(model.scene.test[1], query=list(COLOURS))
    for word, solid in COLOURS.items():
        truth = owner == solid
        if truth.sum() > 30:
            assert pixel_auc(view.relevancy[word], torch.from_numpy(truth)) > 0.9, word
    point = model.query("red").queries[0].geometry
    assert float(model.relevancy_at(np.array([point.point]), "red", point.scale)[0]) > 0.7
    assert model.render_features(0).isfinite().all()
    assert model.render_features(0, dense=True).shape[-1] == model.language.dense_width > 0


def test_without_a_dense_encoder_there_are_no_dense_features(drawn, drawn_run, tmp_path, tiny) -> None:
    run = lerf.train(
        drawn.folder, tmp_path / "plain", device="cpu", language="lift", dense="none", radiance_run=drawn_run
    )
    with pytest.raises(QueryError, match="no dense features"):
        run.render_features(0, dense=True)
    assert run.query("red").queries[0].present


@pytest.mark.usefixtures("tiny")
def test_training_again_changes_nothing_and_completes_what_is_missing(drawn, drawn_run, lifted_run, tmp_path) -> None:
    run = shutil.copytree(lifted_run, tmp_path / "run")
    before, facts = RunFolder(run).load_stage("language")
    (run / "language.safetensors").unlink()
    lerf.train(drawn.folder, run, device="cpu", language="lift", radiance_run=drawn_run)
    after, same = RunFolder(run).load_stage("language")
    assert same == facts
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-3, rtol=1e-3, msg=name)
    with pytest.raises(RunError, match="other settings"):
        lerf.train(drawn.folder, run, device="cpu", radiance_run=drawn_run)


def test_options_of_a_field_are_refused() -> None:
    with pytest.raises(ConfigError, match="give --language field"):
        make_settings("capture", device="cpu", language="lift", estimator="per-sample")
    assert make_settings("capture", device="cpu", language="lift", dense="conse-mid").dense == "conse-mid"
    assert make_settings("capture", device="cpu", language="lift", dense="none").dense == "none"


def test_runs_of_before_there_was_a_choice_still_open() -> None:
    settings = make_settings("capture", device="cpu")
    plain = json.loads(json.dumps(to_plain(settings)))
    del plain["language_source"]
    assert from_plain(TrainSettings, plain) == replace(settings, language_source="field")
    del plain["dense"]
    with pytest.raises(ConfigError, match="do not fit"):
        from_plain(TrainSettings, plain)


def test_a_preset_may_lift_where_nothing_is_asked_for(tmp_path):
    assert make_settings(tmp_path, preset="lerf-demo").language_source == "lift"
    assert make_settings(tmp_path, preset="lerf-demo").dense == "mini-map"
    asked = make_settings(tmp_path, preset="lerf-demo", language="field", estimator="per-sample")
    assert (asked.language_source, asked.dense, asked.language.estimator) == ("field", "mini-map", "per-sample")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("crops", ["black", "pool"])
def test_masks_stand_in_for_tiles(drawn, drawn_run, tmp_path, crops) -> None:
    """Ids of the solids in each training photo: what is lifted is theirs to the edge; who has no masks keeps tiles."""
    scene = load_scene(drawn.folder)
    masks = tmp_path / "masks"
    (masks / "images").mkdir(parents=True)
    for index in scene.train[1:]:
        owner = owners(drawn, scene.photos[index].camera)
        picture = Image.fromarray((owner + 1).clip(0).astype(np.uint8))
        picture.save((masks / scene.photos[index].name).with_suffix(".png"))
    said: list[str] = []
    model = lerf.train(
        drawn.folder, tmp_path / "run", device="cpu", language="lift", radiance_run=drawn_run, masks=masks,
        mask_crops=crops, reporter=Told(said),
    )  # fmt: skip
    assert any("1 of" in line and "no masks" in line for line in said)
    for answer in model.query(list(COLOURS)).queries:
        solid = drawn.scene.solids[COLOURS[answer.text]]
        outside = (np.abs(np.subtract(answer.geometry.point, solid.centre)) - np.array(solid.half)).max()
        # The mean of the tiles under a mask knows of what stands beside it.
        assert outside < (0.12 if crops == "black" else 0.25)
    # Other masks are another training; without the folder it cannot be gone on with.
    next(masks.glob("images/*.png")).unlink()
    with pytest.raises(RunError, match="masks"):
        lerf.train(
            drawn.folder, tmp_path / "run", device="cpu", language="lift", radiance_run=drawn_run, masks=masks,
            mask_crops=crops,
        )  # fmt: skip


class Told(Silent):
    """Keeps what is noted."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def note(self, text: str) -> None:
        self.said.append(text)
