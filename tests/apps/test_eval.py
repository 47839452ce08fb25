"""`lerf eval` on a scene whose truth is known."""

import json
from pathlib import Path
from typing import get_args

import pytest
from annotated import annotated_copy

from lerf.apps.main import ProtocolName, main
from lerf.evaluation.report import PROTOCOLS


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
