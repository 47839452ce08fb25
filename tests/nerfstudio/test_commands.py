"""nerfstudio's own commands with the method `lerf-cpu`: train, resume, evaluate, render, export, import."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import ns_commands
import numpy as np
import pytest
import torch
from PIL import Image
from small_capture import write_small_capture

import lerf
from lerf.apps.main import main
from lerf.errors import RunError
from lerf.run.nerfstudio_run import read_checkpoint, read_nerfstudio_run
from lerf.scenes.camera_path import CameraPath, write_camera_path
from lerf.scenes.load import load_scene

ns_commands.require_nerfstudio()

FIRST, MORE = 60, 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of 60 steps that was resumed for 20 more."""
    root = tmp_path_factory.mktemp("nerfstudio")
    data = write_small_capture(root / "capture")
    options = ns_commands.train_options(data, root / "outputs", FIRST)
    parser = ("nerfstudio-data",)
    ns_commands.run("ns-train", *options, *parser)
    folder = root / "outputs" / "small" / "lerf-cpu" / "now"
    first = read_checkpoint(read_nerfstudio_run(folder))
    before = {name: value.clone() for name, value in first.tensors.items()}
    resumed = ("--load-dir", folder / "nerfstudio_models", "--max-num-iterations", MORE)
    ns_commands.run("ns-train", *options, *resumed, *parser)
    return SimpleNamespace(root=root, data=data, folder=folder, first=first.step, before=before)


def test_a_training_goes_on_where_it_was(trained):
    checkpoint = read_checkpoint(read_nerfstudio_run(trained.folder))
    assert (trained.first, checkpoint.step) == (FIRST - 1, FIRST + MORE - 1)
    assert bool(checkpoint.tensors["language_begun"])
    table = "language.grid.table"
    assert not torch.equal(checkpoint.tensors[table], trained.before[table])
    assert torch.equal(checkpoint.tensors["frame.scale"], trained.before["frame.scale"])


def test_checkpoints_hold_the_fields_alone(trained):
    """No encoder, no data: what is in a checkpoint belongs to the scene."""
    kept = (
        "radiance.",
        "language.",
        "frame.",
        "cut_out",
        "language_begun",
        "device_indicator_param",
        "camera_optimizer.",
        "lent",
        "bounds",
    )
    assert all(name.startswith(kept) for name in trained.before)
    config = read_nerfstudio_run(trained.folder)
    assert config.model["prompt"] == "fox; pizza"


def test_evaluation(trained):
    output = trained.root / "eval.json"
    ns_commands.run("ns-eval", "--load-config", trained.folder / "config.yml", "--output-path", output)
    results = json.loads(output.read_text())["results"]
    assert 8 < results["psnr"] < 40
    assert 0 < results["ssim"] < 1


def test_a_camera_path_of_ours_is_rendered(trained, monkeypatch):
    """With phrases of the environment; each composite follows its own phrase."""
    scene = load_scene(trained.data)
    cameras = tuple(scene.photos[index].camera for index in scene.train[:2])
    path = trained.root / "path.json"
    write_camera_path(path, CameraPath(cameras, 2.0), scene)
    monkeypatch.setenv("LERF_POSITIVES", "a mug;a red apple;a book")
    for name in ("relevancy_2", "composited_0", "clip", "dino", "rgb"):
        ns_commands.run(
            "ns-render", "camera-path", "--load-config", trained.folder / "config.yml", "--camera-path-filename", path,
            "--output-path", trained.root / name, "--output-format", "images", "--image-format", "png",
            "--rendered-output-names", name,
        )  # fmt: skip
        pictures = [np.asarray(Image.open(trained.root / name / f"0000{frame}.png")) for frame in range(2)]
        assert all(picture.shape == (60, 80, 3) and picture.std() > 1 for picture in pictures)
    # The first camera stands where the first photo was taken.
    shown = np.asarray(Image.open(trained.root / "rgb" / "00000.png"), float)
    apart = [np.abs(shown - scene.pixels(index)).mean() for index in scene.train]
    assert int(np.argmin(apart)) == 0


def test_a_cloud_is_exported(trained):
    ns_commands.run(
        "ns-export", "pointcloud", "--load-config", trained.folder / "config.yml",
        "--output-dir", trained.root / "cloud", "--num-points", 3000, "--remove-outliers", False,
        "--normal-method", "open3d", "--save-world-frame", False,
    )  # fmt: skip
    assert (trained.root / "cloud" / "point_cloud.ply").stat().st_size > 3000 * 12


def test_the_run_becomes_one_of_ours(trained, capsys):
    output = trained.root / "imported"
    assert main(["import", str(trained.folder), "--output", str(output), "--device", "cpu"]) == 0
    # With its path, where the command is not on PATH.
    assert re.search(r"Ask it: \S*lerf query", capsys.readouterr().out)
    model = lerf.load(output, device="cpu")
    result = model.query(["a mug", "a book"])
    assert [answer.text for answer in result.queries] == ["a mug", "a book"]
    picture = model.render(model.scene.test[0]).picture
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(trained.folder / "config.yml")
    camera, batch = next(iter(pipeline.datamanager.fixed_indices_eval_dataloader))
    theirs = pipeline.model.get_outputs_for_camera(camera)
    # The frame goes through single precision, which moves a sample of a ray here and there.
    apart = (picture.colour - theirs["rgb"]).abs()
    assert apart.mean() < 1e-3
    assert apart.max() < 0.1
    names = {Path(photo.name).name for photo in (model.scene.photos[index] for index in model.scene.train)}
    assert names == {file.name for file in pipeline.datamanager.train_dataset.image_filenames}
    assert batch["image"].shape[:2] == picture.colour.shape[:2]
    # Going on with it as a training finds everything finished.
    assert main(["query", str(output), "a mug", "--device", "cpu"]) == 0


def test_outputs_and_controls(trained, monkeypatch):
    """Names of outputs as the controls are changed, without another model."""
    from nerfstudio.utils.eval_utils import eval_setup

    monkeypatch.delenv("LERF_POSITIVES", raising=False)
    _, pipeline, _, _ = eval_setup(trained.folder / "config.yml")
    model, controls = pipeline.model, pipeline.model.controls
    camera = pipeline.datamanager.train_dataset.cameras[0:1]
    plain = {"rgb", "depth", "accumulation", "clip", "dino"}
    asked = {f"{kind}_{number}" for kind in ("relevancy", "composited") for number in range(2)}
    outputs = model.get_outputs_for_camera(camera)
    assert set(outputs) == plain | asked
    assert controls.positives.value == "fox; pizza"
    controls.positives.default_value = ""
    assert set(model.get_outputs_for_camera(camera)) == plain
    controls.positives.default_value = "a mug"
    first = model.get_outputs_for_camera(camera)
    controls.scale.default_value = 0.05
    other = model.get_outputs_for_camera(camera)
    assert not torch.equal(first["relevancy_0"], other["relevancy_0"])
    controls.threshold.default_value = 1.0
    assert torch.equal(model.get_outputs_for_camera(camera)["composited_0"], outputs["rgb"])
    controls.stretched.default_value = True
    shown = model.get_outputs_for_camera(camera)["relevancy_0"]
    assert float(shown.max()) in (0.0, pytest.approx(1.0))
    controls.canonical.default_value = " ; "
    assert set(model.get_outputs_for_camera(camera)) == plain


def test_what_cannot_be_answered_is_said_and_the_pictures_stay(trained, monkeypatch, capsys):
    """An error would end the thread in which nerfstudio's viewer renders."""
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(trained.folder / "config.yml")

    def failing():
        raise RunError("No training photo supervised language.")

    monkeypatch.setattr(pipeline.model, "answers", failing)
    outputs = pipeline.model.get_outputs_for_camera(pipeline.datamanager.train_dataset.cameras[0:1])
    assert set(outputs) == {"rgb", "depth", "accumulation"}
    assert "lerf: No training photo supervised language." in capsys.readouterr().out
