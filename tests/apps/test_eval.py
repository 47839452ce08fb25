"""`lerf eval`: the report of a run's colours, and of a capture that has moved."""

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from annotated import annotated_copy
from command_line import run_json

from lerf.apps.eval import ProtocolName
from lerf.apps.eval_tables import report_tables
from lerf.apps.main import main
from lerf.evaluation.report import PROTOCOLS


def test_eval(drawn_run, capsys):
    report = run_json(capsys, "eval", drawn_run)
    assert set(report) == {"protocol", "settings", "encoder", "checkpoint", "split", "psnr", "ssim", "views"}
    assert report["protocol"] == ["colour"]
    assert report["split"] == [view["photo"] for view in report["views"]]
    assert [view["photo"] for view in report["views"]] == ["images/0000.png", "images/0008.png", "images/0016.png"]
    assert report["psnr"] == pytest.approx(np.mean([view["psnr"] for view in report["views"]]))
    assert all(set(view) == {"photo", "psnr", "ssim"} for view in report["views"])


def test_eval_of_a_capture_that_has_moved(drawn, drawn_run, tmp_path, capsys):
    expected = run_json(capsys, "eval", drawn_run)
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    scene = (run / "scene.json").read_text()
    (run / "scene.json").write_text(scene.replace(str(drawn.folder), "/was/here"))
    moved = Path(shutil.copytree(drawn.folder, tmp_path / "moved"))
    assert main(["eval", str(run)]) == 2
    assert run_json(capsys, "eval", run, "--data", moved) == expected

    document = (moved / "transforms.json").read_text()
    other = moved / "images" / "other.png"
    (moved / "images" / "0003.png").rename(other)
    (moved / "transforms.json").write_text(document.replace("images/0003.png", "images/other.png"))
    capsys.readouterr()
    assert main(["eval", str(run), "--data", str(moved)]) == 2
    assert "are not those of the run (images/0003.png is only in one of them)" in capsys.readouterr().err

    other.rename(moved / "images" / "0003.png")
    (moved / "transforms.json").write_text(document)
    config = json.loads((run / "config.json").read_text())
    config["settings"]["downscale"] = 2
    (run / "config.json").write_text(json.dumps(config))
    assert main(["eval", str(run), "--data", str(moved)]) == 2
    assert "has 48x36 pixels, in the run 96x72" in capsys.readouterr().err


def test_the_command_line_offers_these_protocols() -> None:
    assert get_args(ProtocolName) == tuple(PROTOCOLS)


@pytest.mark.usefixtures("tiny")
def test_command(drawn, drawn_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    scene_folder = annotated_copy(drawn, tmp_path / "capture")
    arguments = ["eval", str(drawn_run), "--labels", str(scene_folder), "--protocol", "lerf-ovs", "3d"]
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["protocol"] == ["lerf-ovs", "3d"]
    assert "psnr" not in report
    assert len(report["checkpoint"]) == 64
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "LERF-OVS mIoU" in shown
    assert "2D baseline" in shown
    assert main(["eval", str(drawn_run), "--protocol", "existence"]) == 2
    assert "no labels are known" in capsys.readouterr().err


def test_the_table_of_depth() -> None:
    worth = {"depth_error_median": 0.0123, "depth_error_p90": 0.1, "depth_points": 7}
    (table,) = report_tables({**worth, "depth_views": [{"photo": "a.png", **worth}]})
    assert [" ".join(map(str, row)) for row in table.rows] == [
        "a.png 7 1.23 % 10.00 %", "all points 7 1.23 % 10.00 %",
    ]  # fmt: skip


def test_what_is_of_phrases_has_no_part_in_colour_and_depth(
    drawn_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["eval", str(drawn_run), "--protocol", "colour", "depth", "--labels", str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--labels is for answers to phrases; leave --protocol colour depth out" in said
    assert main(["eval", str(drawn_run), "--protocol", "depth"]) == 2
    assert "the capture has no sparse 3D points" in " ".join(capsys.readouterr().err.split())
