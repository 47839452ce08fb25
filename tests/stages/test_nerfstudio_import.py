"""`lerf import`: what the plug-in trained answers here, without nerfstudio."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plug_in_run import write_plug_in_run

import lerf
from lerf.apps.main import main
from lerf.errors import ConfigError, RunError
from lerf.geometry.similarity import Similarity, rotation_to_z
from lerf.run.folder import RunFolder
from lerf.run.nerfstudio_facts import TrainedPhoto
from lerf.stages.nerfstudio_import import import_run, match_photos

FRAME = Similarity(rotation_to_z(np.array([0.4, -0.3, 0.8])), np.array([0.2, 0.1, -0.7]), 0.3)


@pytest.fixture(scope="module")
def order(drawn_run) -> list[int]:
    count = len(RunFolder(drawn_run).read_scene().train)
    return torch.randperm(count, generator=torch.Generator().manual_seed(3)).tolist()


@pytest.fixture(scope="module")
def theirs(drawn_run, order, tmp_path_factory) -> Path:
    return write_plug_in_run(tmp_path_factory.mktemp("plug-in") / "now", drawn_run, FRAME, order)


def test_the_imported_run_is_the_same_scene(theirs, drawn_run, tiny, tmp_path, capsys):
    output = tmp_path / "run"
    assert main(["import", str(theirs), "--output", str(output), "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    ours, original = lerf.load(output, device="cpu"), lerf.load(drawn_run, device="cpu")
    assert (told["train"], told["test"]) == (len(original.scene.train), len(original.scene.test))
    assert ours.scene.train == original.scene.train
    np.testing.assert_allclose(ours.scene.similarity.rotation, original.scene.similarity.rotation, atol=1e-5)
    assert ours.scene.similarity.scale == pytest.approx(original.scene.similarity.scale, rel=1e-5)
    photo = original.scene.test[0]
    mine, others = (model.render(photo, "red") for model in (ours, original))
    torch.testing.assert_close(mine.picture.colour, others.picture.colour, atol=2e-3, rtol=0)
    assert (mine.relevancy["red"] - others.relevancy["red"]).abs().mean() < 1e-2
    first, second = (model.query("red").queries[0] for model in (ours, original))
    assert first.relevancy == pytest.approx(second.relevancy, abs=1e-2)
    gains = [RunFolder(path).load_stage("radiance")[0]["field.log_gain"] for path in (output, drawn_run)]
    assert torch.equal(*gains)


@pytest.mark.parametrize("mode", ["SO3xR3", "SE3"])
def test_corrected_poses_are_taken_over(mode, drawn_run, order, tiny, tmp_path):
    moves = torch.zeros(len(order), 6)
    moves[0] = torch.tensor([0.01, -0.02, 0.03, 0.0, 0.0, 0.1])
    # As a twist this is a screw: about z the way is bent by half of the angle and shortened to its chord.
    bent = np.array([[np.cos(0.05), -np.sin(0.05)], [np.sin(0.05), np.cos(0.05)]]) * np.sin(0.05) / 0.05
    way = [0.01, -0.02, 0.03] if mode == "SO3xR3" else [*(bent @ [0.01, -0.02]), 0.03]
    source = write_plug_in_run(tmp_path / "now", drawn_run, FRAME, order, **{"camera_optimizer.pose_adjustment": moves})
    config = (source / "config.yml").read_text()
    assert config.count("    preset:") == 1
    config = config.replace("    preset:", f"    camera_optimizer: {{mode: {mode}}}\n    preset:")
    (source / "config.yml").write_text(config)
    scene = import_run(source, tmp_path / "run", device="cpu").read_scene()
    before = RunFolder(drawn_run).read_scene()
    for place, index in enumerate(before.train):
        apart = FRAME.apply_poses(scene.photos[index].camera.camera_to_world[None])[0]
        was = FRAME.apply_poses(before.photos[index].camera.camera_to_world[None])[0]
        if place != order[0]:
            np.testing.assert_allclose(apart, was, atol=1e-6)
            continue
        np.testing.assert_allclose(apart[:, 3] - was[:, 3], way, atol=1e-6)
        turn = apart[:, :3] @ was[:, :3].T
        expected = [[np.cos(0.1), -np.sin(0.1), 0], [np.sin(0.1), np.cos(0.1), 0], [0, 0, 1]]
        np.testing.assert_allclose(turn, expected, atol=1e-6)


def test_what_cannot_be_imported(theirs, drawn_run, drawn, order, tiny, tmp_path):
    def refused(source: Path, says: str, kind: type[Exception] = RunError, **options) -> None:
        with pytest.raises(kind, match=says):
            import_run(source, tmp_path / "run", device="cpu", **options)
        assert not (tmp_path / "run").exists()

    early = write_plug_in_run(tmp_path / "early", drawn_run, FRAME, order, language_begun=torch.tensor(False))
    refused(early, "has no language yet")
    bare = Path(shutil.copytree(theirs, tmp_path / "bare"))
    (bare / "lerf.json").unlink()
    refused(bare, r"lerf\.json cannot be read")
    other = Path(shutil.copytree(theirs, tmp_path / "other"))
    (other / "config.yml").write_text((theirs / "config.yml").read_text().replace("LerfModel ''", "Other ''"))
    refused(other, "no run of this package's plug-in")
    for name, corrections in (("six", torch.zeros(len(order), 5)), ("finite", torch.full((len(order), 6), torch.nan))):
        changes = {"camera_optimizer.pose_adjustment": corrections}
        source = write_plug_in_run(tmp_path / name, drawn_run, FRAME, order, **changes)
        refused(source, f"corrections of poses are not {name}")
    moved = Path(shutil.copytree(drawn.folder, tmp_path / "moved"))
    document = json.loads((moved / "transforms.json").read_text())
    for number, frame in enumerate(document["frames"]):
        frame["transform_matrix"][0][3] += 0.3 * number
    (moved / "transforms.json").write_text(json.dumps(document))
    refused(theirs, "stand elsewhere", ConfigError, data=moved)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        import_run(theirs, tmp_path / "full", device="cpu")


def test_photos_are_found_where_the_capture_has_moved(drawn_run):
    scene = RunFolder(drawn_run).read_scene()
    pose = [0.0] * 12
    trained = [TrainedPhoto(f"/elsewhere/{scene.photos[index].name}", pose) for index in (3, 1)]
    assert match_photos(scene, trained) == {3: 0, 1: 1}
    reduced = TrainedPhoto(f"/elsewhere/images_4/{Path(scene.photos[2].name).name}", pose)
    assert match_photos(scene, [reduced]) == {2: 0}
    with pytest.raises(ConfigError, match="is not in"):
        match_photos(scene, [TrainedPhoto("/elsewhere/none.png", pose)])
    twins = replace(
        scene, photos=(*scene.photos, replace(scene.photos[2], name=f"b/{Path(scene.photos[2].name).name}"))
    )
    with pytest.raises(ConfigError, match="is more than one"):
        match_photos(twins, [reduced])
