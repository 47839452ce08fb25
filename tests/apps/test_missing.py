"""`--missing skip` through the command line: what is left out is said, and every command reads the same photos."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import refused, run_json
from PIL import Image
from tiny import tiny_preset

from lerf.apps.main import main, parse
from lerf.run.folder import RunFolder
from lerf.run.settings import PRESETS

pytestmark = pytest.mark.usefixtures("tiny")
SKIP = ("--missing", "skip")
GONE = ("images/0003.png", "images/0011.png")


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    """A folder with `capture`, 24 photos two of which are not there and one of which has no pose that can be used, and
    with `run`, which was trained on it."""
    place = tmp_path_factory.mktemp("missing")
    folder = Path(shutil.copytree(drawn.folder, place / "capture"))
    for name in GONE:
        (folder / name).unlink()
    document = json.loads((folder / "transforms.json").read_text())
    document["frames"][5]["transform_matrix"][0] = [0.0, 0.0, 0.0, 0.0]
    (folder / "transforms.json").write_text(json.dumps(document))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        assert main(command(folder, place / "run", *SKIP)) == 0
    return place


@pytest.fixture
def capture(trained):
    """The capture; not to be written to."""
    return trained / "capture"


def command(capture, run, *options):
    return ["train", str(capture), "--output", str(run), "--steps", "2", "--device", "cpu", *options]


def names(run):
    return [photo.name for photo in RunFolder(run).read_scene().photos]


def left(frames=24):
    return [f"images/{n:04d}.png" for n in range(frames) if f"images/{n:04d}.png" not in (*GONE, "images/0005.png")]


def test_every_command_refuses_by_default_and_says_the_way_out(capture, tmp_path, capsys):
    for arguments in (
        ["info", capture], command(capture, tmp_path / "run"), ["features", capture, "--output", tmp_path / "out"],
    ):  # fmt: skip
        error = refused(capsys, *arguments)
        assert "--missing skip leaves" in error
        assert "images/0005.png" in error
    assert not (tmp_path / "run").exists()


def test_info_and_features_leave_them_out(capture, tmp_path, capsys):
    facts = run_json(capsys, "info", capture, *SKIP)
    assert facts["photos"] == 21
    assert any("2 of 24 photos, whose file is not there" in note for note in facts["notes"])
    assert any("1 of 24 photos, whose pose cannot be used" in note for note in facts["notes"])
    made = run_json(
        capsys, "features", capture, *SKIP, "--output", tmp_path / "out", "--encoder", "colour-words", "--no-pictures"
    )
    assert set(made["photos"]) < set(left())


def test_a_run_goes_on_with_the_same_photos(trained, capture, tmp_path, capsys):
    run = Path(shutil.copytree(trained / "run", tmp_path / "run"))
    assert names(run) == left()
    assert json.loads((run / "config.json").read_text())["settings"]["missing"] == "skip"
    before = (run / "radiance.safetensors").read_bytes()
    # The surface alone is made again: nothing that was learnt.
    (run / "surface.safetensors").unlink()
    assert main(command(capture, run, *SKIP)) == 0
    said = capsys.readouterr().err
    assert said.count("whose file is not there, are left out: images/0003.png, images/0011.png") == 1
    assert names(run) == left()
    assert (run / "radiance.safetensors").read_bytes() == before
    assert parse(["train", "--config", str(run), str(capture), "--output", "again"]).settings.missing == "skip"
    assert "--missing skip" in refused(capsys, *command(capture, run))


def test_a_photo_that_came_back_or_went_is_told(drawn, trained, tmp_path, capsys):
    for name in ("capture", "run"):
        shutil.copytree(trained / name, tmp_path / name)
    capture, run = tmp_path / "capture", tmp_path / "run"
    config = (run / "config.json").read_text().replace(str(trained), str(tmp_path))
    (run / "config.json").write_text(config)
    shutil.copy(drawn.folder / GONE[0], capture / GONE[0])
    assert "1 photo is new (images/0003.png)" in refused(capsys, *command(capture, run, *SKIP))
    (capture / GONE[0]).unlink()
    (capture / "images/0007.png").unlink()
    assert "1 photo is gone (images/0007.png)" in refused(capsys, *command(capture, run, *SKIP))


def test_evaluation_and_baking_read_the_same_photos(trained, capture, tmp_path, capsys):
    run = Path(shutil.copytree(trained / "run", tmp_path / "run"))
    expected = run_json(capsys, "eval", run)
    moved = Path(shutil.copytree(capture, tmp_path / "moved"))
    assert run_json(capsys, "eval", run, "--data", moved) == expected
    assert run_json(capsys, "bake", run, "--source", "lift")["cells"] > 0


def test_originals_that_are_missing_are_not_mixed_with_those_that_are_there(drawn, tmp_path, capsys):
    """Where only a reduction of a photo was shipped, features of all photos come from the reductions."""
    capture = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    (capture / "images_2").mkdir()
    for file in sorted((capture / "images").iterdir()):
        with Image.open(file) as image:
            image.reduce(2).save(capture / "images_2" / file.name)
    (capture / "images/0002.png").unlink()
    run = tmp_path / "run"
    assert main(command(capture, run, "--downscale", "2", *SKIP)) == 0
    assert "The originals of 1 photos are not there: images/0002.png." in capsys.readouterr().out
    assert len(names(run)) == 24
    assert run_json(capsys, "bake", run, "--source", "lift")["cells"] > 0
    assert run_json(capsys, "info", capture, *SKIP)["photos"] == 23
