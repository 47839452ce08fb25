"""A training in nerfstudio that starts from the radiance of one of our runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import ns_commands
import pytest
import torch
from small_capture import write_small_capture

import lerf
from lerf.errors import ConfigError, RunError
from lerf.run.folder import RunFolder
from lerf.run.nerfstudio_run import read_checkpoint, read_nerfstudio_run
from lerf.run.open_run import open_radiance
from lerf.stages.nerfstudio_import import import_run
from lerf.steps import finish
from lerf.training.checkpoint import module_state
from lerf.training.pixels import camera_table

ns_commands.require_nerfstudio()

from lerf.nerfstudio.lent import lent_radiance  # noqa: E402 - imports nerfstudio
from lerf.run.nerfstudio_facts import TrainedPhoto  # noqa: E402

STEPS, MORE = 30, 5


def options(lent: SimpleNamespace, *more: object) -> tuple[object, ...]:
    """Of a training of `STEPS` steps from the run."""
    given = ns_commands.train_options(lent.data, lent.root / "outputs", STEPS)
    return (*given, "--pipeline.model.radiance", lent.run, *more, "nerfstudio-data")


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of ours and the one of nerfstudio that started from it. Ours has the near and far of sparse points."""
    root = tmp_path_factory.mktemp("lent")
    data = write_small_capture(root / "capture")
    run = root / "ours"
    lerf.train(
        data, run, preset="lerf-cpu", encoder="mini", dense="none", device="cpu", language_source="lift",
        **{"radiance_training.steps": 60, "radiance_training.rays": 1024, "radiance.log2_entries": 14},
    )  # fmt: skip
    tensors, facts = RunFolder(run).load_stage("radiance")
    RunFolder(run).save_stage("radiance", tensors, {**facts, "bounds": {"near": 0.1, "far": 20.0}})
    found = SimpleNamespace(root=root, data=data, run=run, folder=root / "outputs" / "small" / "lerf-cpu" / "now")
    ns_commands.run("ns-train", *options(found))
    return found


def test_the_radiance_stays_and_language_is_trained_from_the_first_step(lent):
    ours = module_state(RunFolder(lent.run).load_stage("radiance")[0], "field")
    checkpoint = read_checkpoint(read_nerfstudio_run(lent.folder))
    theirs = module_state(checkpoint.tensors, "radiance")
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if name == "log_gain":  # of the photos in nerfstudio's order, without their mean
            tensor = tensor - tensor.mean(0)
        torch.testing.assert_close(theirs[name], tensor, atol=1e-6, rtol=0)
    assert bool(checkpoint.tensors["language_begun"])
    assert bool((module_state(checkpoint.tensors, "language")["bounds.high"] > 0).any())
    assert checkpoint.tensors["bounds"].tolist() == pytest.approx([0.1, 20.0])
    kept = torch.load(checkpoint.path, weights_only=True)
    assert set(kept["optimizers"]) == {"language"}


def test_pictures_are_those_of_the_run_and_the_import_keeps_its_bounds(lent):
    """The frame between nerfstudio's cameras and the field's is right, or nothing would be where it was."""
    run = RunFolder(lent.run)
    scene = run.read_scene()
    index = scene.test[0]
    radiance = open_radiance(run, run.read_config()["settings"], scene, "cpu")
    before = finish(radiance.render(camera_table(scene, "cpu"), index)).colour
    imported = import_run(lent.folder, lent.root / "imported", device="cpu")
    assert RunFolder(imported.path).read_facts("radiance")["bounds"] == {"near": pytest.approx(0.1), "far": 20.0}
    after = lerf.load(imported.path, device="cpu").render(index).picture.colour
    apart = (before - after).abs()
    assert apart.mean() < 1e-3
    assert before.std() > 0.05
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(lent.folder / "config.yml")
    camera, _ = next(iter(pipeline.datamanager.fixed_indices_eval_dataloader))
    theirs = pipeline.model.get_outputs_for_camera(camera)
    assert (before - theirs["rgb"]).abs().mean() < 1e-3
    assert "relevancy_0" in theirs


def test_it_goes_on_when_the_run_is_gone(lent):
    checkpoints = lent.folder / "nerfstudio_models"
    gone = SimpleNamespace(**{**vars(lent), "run": lent.root / "gone"})
    ns_commands.run("ns-train", *options(gone, "--load-dir", checkpoints, "--max-num-iterations", MORE))
    assert read_checkpoint(read_nerfstudio_run(lent.folder)).step == STEPS + MORE - 1


def test_what_cannot_be_is_one_sentence_and_status_2(lent, capsys):
    for more, said in (
        (("--pipeline.model.radiance-config.levels", 7), "has other sizes"),
        (("--pipeline.model.camera-optimizer.mode", "SO3xR3"), "leave --pipeline.model.camera-optimizer.mode off"),
        (("--pipeline.model.radiance", lent.data), "is not a run folder"),
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ns_commands.run("ns-train", *options(lent, *more))
        assert ended.value.code == 2
        told = [line for line in capsys.readouterr().out.splitlines() if said in line]
        assert len(told) == 1
        assert told[0].startswith("lerf: ")


def copied(lent: SimpleNamespace, folder: Path, **training: object) -> Path:
    """A copy of the run with other settings of its radiance's training."""
    shutil.copytree(lent.run, folder)
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["radiance_training"] |= training
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_runs_that_do_not_fit(lent, tmp_path):
    run = RunFolder(lent.run)
    scene, sizes = run.read_scene(), run.read_config()["settings"].radiance
    photos = [
        TrainedPhoto(str(scene.photos[index].path), scene.photos[index].camera.camera_to_world.ravel().tolist())
        for index in scene.train
    ]
    taken = lent_radiance(lent.run, sizes, photos, [photos[0].file, "elsewhere/other.png"])
    assert taken.seen == (Path(photos[0].file).name,)
    assert taken.frame.scale == pytest.approx(scene.similarity.scale)

    with pytest.raises(RunError, match="'lerf import' first"):
        lent_radiance(lent.folder, sizes, photos, [])
    with pytest.raises(ConfigError, match="without --refine-poses"):
        lent_radiance(copied(lent, tmp_path / "refined", refine_poses=True), sizes, photos, [])
    with pytest.raises(ConfigError, match="trained on another capture"):
        lent_radiance(lent.run, sizes, [*photos, TrainedPhoto("other.png", photos[0].camera_to_world)], [])
    turned = [at_the_place_of(photo, photos[-1 - row]) for row, photo in enumerate(photos)]
    with pytest.raises(ConfigError, match="trained on another capture"):
        lent_radiance(lent.run, sizes, turned, [])
    with pytest.raises(ConfigError, match="use ns-train lerf-cpu"):
        lent_radiance(lent.run, dataclasses.replace(sizes, hidden=8), photos, [])
    tensors, facts = run.load_stage("radiance")
    for name, changes, said in (
        ("begun", {"finished": False}, "is not finished"),
        ("nerfacto", {"nerfacto": {}}, "is a nerfacto"),
        ("splat", {"splat": {}}, "is a splat"),
    ):
        folder = RunFolder(copied(lent, tmp_path / name))
        folder.save_stage("radiance", tensors, {**facts, **changes})
        with pytest.raises((ConfigError, RunError), match=said):
            lent_radiance(folder.path, sizes, photos, [])


def at_the_place_of(photo: TrainedPhoto, other: TrainedPhoto) -> TrainedPhoto:
    """The photo at another's place."""
    return TrainedPhoto(photo.file, other.camera_to_world)
