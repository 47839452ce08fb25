"""`lerf info` of captures and runs, and what `lerf train` says of a capture before it works."""

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from colmap_world import enlarge, write_model
from command_line import in_a_process, run_json

from lerf.apps import progress
from lerf.apps.main import main
from lerf.run import report
from lerf.scenes import load
from lerf.scenes.load import load_scene

POINTS = np.random.default_rng(3).normal(0, 0.25, (200, 3)) + np.array([0.0, 0.0, 0.25])


def test_info_of_a_capture(drawn, capsys):
    facts = run_json(capsys, "info", drawn.folder)
    assert (facts["photos"], facts["training_photos"], facts["held_out_photos"]) == (24, 21, 3)
    assert facts["sizes"] == [[96, 72]]
    assert facts["memory_bytes"] > 1e8
    assert facts["disk_bytes"] > 1e5
    assert facts["minutes_on_two_cores"] >= 0
    assert (facts["reader"], facts["pose_file"]) == ("transforms.json", str(drawn.folder / "transforms.json"))
    assert (facts["points"], facts["fit"], facts["overlap"]["source"]) == (None, None, "frusta")
    assert facts["photos_looked_at"] == 24
    assert facts["verdict"] == "Good: 24 photos, sharp and well connected."
    assert (facts["ok"], facts["advice"], facts["notes"]) == (True, [], [])
    assert run_json(capsys, "info", drawn.folder, "--downscale", "2")["sizes"] == [[48, 36]]


def test_a_capture_that_takes_long_tells_how_far_it_is(drawn, capsys, monkeypatch):
    """On the standard error, so that what is printed as JSON stays whole."""

    def slow(*arguments):
        time.sleep(0.5)
        return load_scene(*arguments)

    quick = run_json(capsys, "info", drawn.folder)
    assert main(["info", str(drawn.folder)]) == 0
    assert "photos of the capture" not in capsys.readouterr().err
    monkeypatch.setattr(report, "PATIENCE", 0.01)
    monkeypatch.setattr(progress, "SAID_EVERY", 0.0)
    monkeypatch.setattr(load, "load_scene", slow)
    assert main(["info", str(drawn.folder), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == quick
    assert re.search(r"photos of the capture +24 of 24", shown.err)


def test_the_verdict_is_the_first_row(drawn, capsys):
    capsys.readouterr()
    assert main(["info", str(drawn.folder)]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert re.sub(r"[\s:]+", " ", first).strip() == "verdict Good 24 photos, sharp and well connected."
    assert any(str(drawn.folder / "transforms.json") in line for line in others)


def test_info_of_points(drawn, tmp_path, capsys):
    capture = write_model(Path(shutil.copytree(drawn.folder, tmp_path / "capture")), POINTS)
    facts = run_json(capsys, "info", capture)
    assert (facts["reader"], facts["pose_file"]) == ("colmap", str(capture / "sparse/0"))
    assert facts["points"]["count"] == 200
    assert facts["points"]["mean_reprojection_error"] == facts["points"]["median_reprojection_error"] == 0.4
    assert 1.0 < facts["points"]["near"] < facts["points"]["median_depth"] < facts["points"]["far"] < 3.0
    assert facts["fit"]["median_error"] < 1e-2
    assert facts["overlap"]["source"] == "tracks"
    assert facts["overlap"]["photos_per_place"] > 20
    assert facts["ok"] is True


def test_points_that_cannot_be_read_are_told_and_left(drawn, tmp_path, capsys):
    capture = write_model(Path(shutil.copytree(drawn.folder, tmp_path / "capture")), POINTS)
    (capture / "sparse/0/points3D.txt").write_text("1 2 3\n")
    facts = run_json(capsys, "info", capture)
    assert facts["points"] is None
    assert any("The capture's 3D points cannot be read and are not looked at." in note for note in facts["notes"])


@pytest.mark.parametrize("kind", ["flip", "moved"])
@pytest.mark.parametrize("axis", [0, 2])
def test_a_mirrored_world_is_told_before_training(tiny, drawn, tmp_path, capsys, kind, axis):
    """`tests/scenes/inspection/test_fit.py` has every axis."""
    capture = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    enlarge(capture, 4)
    write_model(capture, POINTS, **{kind: axis})
    capsys.readouterr()
    assert main(["info", str(capture), "--json"]) == 1
    result = capsys.readouterr()
    facts = json.loads(result.out)
    assert facts["ok"] is False
    assert facts["verdict"].startswith("Bad: ")
    assert result.err.startswith("Warning: ")
    assert "do not belong to one world" in result.err.splitlines()[0]
    if kind == "moved" and axis == 2:
        assert main(["train", str(capture), "--output", str(tmp_path / "run"), "--steps", "1", "--device", "cpu",
                     "--downscale", "4"]) == 0  # fmt: skip
        said = capsys.readouterr().err
        assert said.count("do not belong to one world") == 1


def few_with_poses(drawn, tmp_path):
    capture = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    document = json.loads((capture / "transforms.json").read_text())
    document["frames"] = document["frames"][:6]
    (capture / "transforms.json").write_text(json.dumps(document))
    return capture


def test_few_photos_with_a_pose_are_the_first_line(drawn, tmp_path):
    """Of everything that a command prints, on either stream."""
    capture, support = few_with_poses(drawn, tmp_path), Path(__file__).parents[1] / "support"
    first = "Warning: Only 6 of the 24 photos in "
    for arguments, code in (
        (["info", capture], 1),
        (["train", capture, "--output", tmp_path / "run", "--steps", "1", "--device", "cpu"], 0),
    ):
        runner = "import os, sys; os.dup2(1, 2); import runpy; sys.argv[0] = 'lerf'; runpy.run_path(sys.argv.pop(1), "
        done = in_a_process("-c", f"{runner}run_name='__main__')", support / "tiny.py", *arguments)
        assert done.returncode == code, done.stdout
        assert done.stdout.startswith(first), done.stdout
        assert done.stdout.count(first) == 1


def test_photos_that_were_left_out_are_counted(drawn, tmp_path, capsys):
    capture = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    document = json.loads((capture / "transforms.json").read_text())
    document["frames"].pop()  # a photo without a pose
    document["frames"][5]["transform_matrix"][0] = [0.0, 0.0, 0.0, 0.0]
    (capture / "transforms.json").write_text(json.dumps(document))
    (capture / "images/0003.png").unlink()
    facts = run_json(capsys, "info", capture, "--missing", "skip")
    assert (facts["photos"], facts["photos_at_hand"], facts["photos_missing"]) == (21, 23, 1)
    assert (facts["photos_without_pose"], facts["photos_with_unusable_poses"]) == (1, 1)
    assert facts["verdict"].startswith("Fair: 2 of 23 photos have no pose that can be used")


def test_info_of_a_run(drawn_run, capsys):
    facts = run_json(capsys, "info", drawn_run)
    assert (facts["preset"], facts["encoder"], facts["dense"]) == ("lerf-cpu", "colour-words", "colour-map")
    assert facts["stages"] == {"radiance": "250 of 250 steps", "language": "250 of 250 steps"}
    assert {"decode", "radiance", "features", "language"} <= set(facts["seconds"])
    assert facts["peak_memory_bytes"] > 1e7
    assert main(["info", str(drawn_run)]) == 0
    assert "peak memory" in capsys.readouterr().out
