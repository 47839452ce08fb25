"""A run is known by its capture too: what changed is said, with the two ways on, and nothing is mixed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import refused
from PIL import Image
from short_runs import Listener, StopAt, settings_of

import lerf
from lerf.apps.main import main
from lerf.errors import ConfigError, LerfWarning, RunError
from lerf.run.folder import RunFolder
from lerf.stages.pipeline import run_stages
from lerf.stages.prepare import open_context
from lerf.stages.train import train, training_stages

pytestmark = pytest.mark.usefixtures("tiny")
COMMAND = ["--steps", "2", "--device", "cpu"]


@pytest.fixture
def capture(drawn, tmp_path):
    return Path(shutil.copytree(drawn.folder, tmp_path / "capture"))


def repaint(photo, value=77):
    pixels = np.asarray(Image.open(photo)).copy()
    pixels[0, 0] = value
    Image.fromarray(pixels).save(photo)


def edit(capture, change):
    file = capture / "transforms.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def move(document):
    for frame in document["frames"][:2]:
        frame["transform_matrix"][0][3] += 0.1


CHANGES = {
    "photos": (
        lambda c: [repaint(c / f"images/000{n}.png") for n in (0, 1, 2)],
        "3 photos changed (images/0000.png, images/0001.png, images/0002.png)",
    ),
    "poses": (
        lambda c: edit(c, move), "2 photos have another pose (images/0000.png, images/0001.png)",
    ),
    "fewer": (lambda c: edit(c, lambda d: d["frames"].pop(3)), "1 photo is gone (images/0003.png)"),
    "lens": (lambda c: edit(c, lambda d: d.update(fl_x=d["fl_x"] * 1.1)), "24 photos have another lens or size"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_what_changed_since_is_said_and_both_ways_lead_on(capture, tmp_path, capsys, monkeypatch, case):
    change, told = CHANGES[case]
    monkeypatch.chdir(tmp_path)
    command = ["train", str(capture), "--output", "run", *COMMAND]
    assert main(command) == 0
    change(capture)
    error = refused(capsys, *command)
    assert f"The capture has changed since run was begun: {told}" in error
    assert "train into another --output, or delete the run to train it again." in error
    assert main(["query", "run", "red"]) == 0, "it still answers, about what it was trained on"
    if case == "photos":
        assert main([*command[:3], "other", *COMMAND]) == 0
        shutil.rmtree("run")
        assert main(command) == 0


def test_a_capture_that_moved_is_gone_on_with(capture, tmp_path, capsys, monkeypatch):
    """Trained for longer at the new place, then only looked at; what reads photos later finds them there."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(capture), "--output", "run", *COMMAND]) == 0
    similarity = json.loads((tmp_path / "run/scene.json").read_text())["similarity"]
    moved = tmp_path / "elsewhere/again"
    moved.parent.mkdir()
    capture.rename(moved)
    shutil.rmtree(tmp_path / "run/surface.safetensors", ignore_errors=True)
    capsys.readouterr()
    command = ["train", str(moved), "--output", "run", *COMMAND]
    assert main(command) == 0
    told = f"The capture has moved from {capture} to {moved}; its content is the same, and the run goes on."
    assert told in " ".join(capsys.readouterr().out.split())
    assert main(command) == 0
    assert "has moved" not in capsys.readouterr().out, "told once: the run knows the new place"
    scene = json.loads((tmp_path / "run/scene.json").read_text())
    assert scene["similarity"] == similarity
    assert {str(Path(photo["path"]).parent) for photo in scene["photos"]} == {str(moved / "images")}
    assert main(["bake", "run", "--source", "lift", "--device", "cpu"]) == 0
    assert main(["query", "run", "red", "--device", "cpu"]) == 0


def test_a_training_that_was_interrupted_ends_as_if_its_capture_had_not_moved(capture, tmp_path):
    train(settings_of(capture), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(settings_of(capture), tmp_path / "run", reporter=StopAt("language"))
    moved = Path(capture.rename(tmp_path / "moved"))
    heard = Listener()
    train(settings_of(moved), tmp_path / "run", reporter=heard)
    assert sum("has moved" in note for note in heard.notes) == 1
    for name in ("radiance", "language"):
        files = [tmp_path / run / f"{name}.safetensors" for run in ("whole", "run")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_another_capture_at_another_path_is_refused(capture, tmp_path, capsys):
    command = ["--output", str(tmp_path / "run"), *COMMAND]
    assert main(["train", str(capture), *command]) == 0
    other = Path(shutil.copytree(capture, tmp_path / "other"))
    repaint(other / "images/0001.png")
    before = (tmp_path / "run/config.json").read_bytes()
    error = " ".join(refused(capsys, "train", other, *command).split())
    assert "is another capture: 1 photo changed (images/0001.png)." in error
    assert "Give that one, train into another --output, or delete the run to train it again." in error
    edit(other, move)
    assert "2 photos have another pose" in refused(capsys, "train", other, *command)
    error = refused(capsys, "train", other, *command, "--seed", "3")
    assert "other settings: --data" in error
    assert "--seed 0 (now 3)" in error
    (tmp_path / "run/capture.json").unlink()
    repaint(other / "images/0001.png", 0)
    assert "did not write down what its photos were" in refused(capsys, "train", other, *command)
    assert (tmp_path / "run/config.json").read_bytes() == before


def test_a_photo_that_came_and_one_that_changed(capture, tmp_path, capsys):
    edit(capture, lambda d: d["frames"].pop(3))
    command = ["train", capture, "--output", tmp_path / "run", *COMMAND]
    assert main([str(part) for part in command]) == 0
    original = json.loads((capture / "transforms.json").read_text())
    repaint(capture / "images/0001.png")
    frame = {**original["frames"][0], "file_path": "images/0003.png"}
    edit(capture, lambda d: d["frames"].append(frame))
    error = refused(capsys, *command)
    assert "1 photo changed (images/0001.png); 1 photo is new (images/0003.png)" in error


def test_an_interrupted_training_is_not_continued_on_other_photos(capture, tmp_path):
    settings = settings_of(capture)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "run", reporter=StopAt("radiance"))
    whole = (capture / "images/0002.png").read_bytes()
    repaint(capture / "images/0002.png")
    before = (tmp_path / "run/radiance.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"1 photo changed \(images/0002\.png\)"):
        train(settings, tmp_path / "run")
    assert (tmp_path / "run/radiance.safetensors").read_bytes() == before
    (capture / "images/0002.png").write_bytes(whole)
    train(settings, tmp_path / "run")


def test_photos_that_change_while_it_trains_are_noticed(capture, tmp_path):
    class Painter(Listener):
        def begin(self, stage, total):
            super().begin(stage, total)
            if stage == "radiance":
                repaint(capture / "images/0001.png")

    with pytest.raises(RunError, match=r"1 photos or masks changed while .* was trained \(images/0001\.png\)"):
        train(settings_of(capture), tmp_path / "run", reporter=Painter())
    assert RunFolder(tmp_path / "run").read_facts("radiance")["finished"], "it saw the photos before"
    assert not RunFolder(tmp_path / "run").has_stage("language")


def test_a_run_of_an_older_version_goes_on_and_says_what_is_not_checked(capture, tmp_path):
    settings, run = settings_of(capture), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(settings, run, reporter=StopAt("language"))
    (run / "capture.json").unlink()
    heard = Listener()
    train(settings, run, reporter=heard)
    notes = [note for note in heard.notes if "by an older lerf" in note]
    assert len(notes) == 1
    assert notes[0].endswith("whether they have changed since cannot be checked.")
    heard = Listener()
    train(settings, run, reporter=heard)
    assert heard.notes == [], "from then on it is"
    (run / "capture.json").unlink()
    edit(capture, move)
    with pytest.raises(RunError, match="2 photos have another pose"):
        train(settings, run)


def test_a_run_keeps_its_own_frame(capture, tmp_path):
    """Whatever the version that continues it would choose."""
    settings, run = settings_of(capture), RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(settings, run.path, reporter=StopAt("language"))
    context = open_context(settings, run, offline=True, reporter=Listener(), save_seconds=30.0)
    own = context.scene.similarity
    context.scene = replace(context.scene, similarity=replace(own, scale=2 * own.scale))
    run_stages(training_stages(settings), context)
    assert context.scene.similarity.to_dict() == own.to_dict()


def test_a_lent_radiance_must_be_of_this_capture(capture, tmp_path):
    settings = settings_of(capture)
    train(settings, tmp_path / "first")
    repaint(capture / "images/0001.png")
    other = settings_of(capture, radiance_run=tmp_path / "first")
    expected = r"was trained on another capture; .*: 1 photo changed \(images/0001\.png\)\. Leave --radiance out\."
    with pytest.raises(ConfigError, match=expected):
        train(other, tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("record", [True, False])
def test_features_are_not_lifted_from_other_photos(drawn_run, capture, tmp_path, capsys, record):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    config = json.loads((run / "config.json").read_text())
    config["settings"]["data"] = str(capture)
    (run / "config.json").write_text(json.dumps(config))
    if not record:
        (run / "capture.json").unlink()
        edit(capture, move)
        assert "2 photos have another pose" in refused(capsys, "bake", run, "--source", "lift")
        return
    repaint(capture / "images/0001.png")
    assert "1 photo changed (images/0001.png)" in refused(capsys, "bake", run, "--source", "lift")


def test_an_evaluation_against_other_photos_says_so(drawn_run, capture, tmp_path):
    model = lerf.load(drawn_run, device="cpu")
    from lerf.evaluation.report import evaluate
    from lerf.scenes.load import load_scene

    held_out = model.scene.photos[model.scene.test[0]].name
    evaluate(model, ["colour"], capture=load_scene(capture))
    repaint(capture / model.scene.photos[model.scene.train[0]].name)
    evaluate(model, ["colour"], capture=load_scene(capture))
    repaint(capture / held_out)
    with pytest.warns(LerfWarning, match=rf"1 photo changed \({held_out}\)"):
        evaluate(model, ["colour"], capture=load_scene(capture))


def test_settings_that_differ_are_told_with_both_values(drawn, drawn_run, capsys):
    error = refused(capsys, "train", drawn.folder, "--output", drawn_run, "--device", "cpu", "--seed", "9",
                    "--language.samples", "2")  # fmt: skip
    assert "--seed 0 (now 9), --language.samples 4 (now 2); give those of the run" in error


def test_other_weights_are_told_with_both_fingerprints(drawn, drawn_run, tmp_path, capsys):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    file = run / "config.json"
    config = json.loads(file.read_text())
    own = config["encoder_fingerprint"]
    file.write_text(json.dumps({**config, "encoder_fingerprint": "f" * 64}))
    error = refused(capsys, "train", drawn.folder, "--output", run, "--device", "cpu")
    assert f"other weights of 'colour-words' ffffffff (now {own[:8]}" in error
    file.write_text(json.dumps({**config, "dense_fingerprint": "e" * 64}))
    assert "other weights of 'colour-map' eeeeeeee" in refused(
        capsys, "train", drawn.folder, "--output", run, "--device", "cpu"
    )
