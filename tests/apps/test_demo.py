"""`lerf demo` from capture to report, on a small scene in place of the shipped one, and `lerf make-scene`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from annotated import PHRASES, annotated_copy
from command_line import SUPPORT
from tiny import tiny_preset

import lerf
from lerf.apps import demo_report
from lerf.apps.main import main
from lerf.evaluation.annotations import read_annotation
from lerf.run.settings import PRESETS
from lerf.scenes.demo import demo_capture
from lerf.scenes.load import load_scene

REPORT_KEYS = {
    "protocol", "settings", "localisation", "miou", "average_precision", "point_accuracy", "count_accuracy",
    "extent_iou", "baseline_2d", "phrases", "seconds", "psnr", "encoder", "checkpoint", "split",
}  # fmt: skip


def test_the_demo_trains_measures_and_draws(drawn, tmp_path, monkeypatch, capsys):
    capture = annotated_copy(drawn, tmp_path / "capture")
    monkeypatch.setattr(demo_report, "demo_capture", lambda: capture)
    monkeypatch.setitem(PRESETS, "lerf-demo", tiny_preset())
    assert main(["demo", "--output", str(tmp_path / "out"), "--device", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) >= REPORT_KEYS
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["seconds"]) >= {"radiance", "language", "evaluation", "pictures"}
    assert [row["text"] for row in report["phrases"]] == [phrase.text for phrase in PHRASES]
    assert len(list((tmp_path / "out" / "pictures").glob("*.png"))) == len(load_scene(capture).test)


def test_the_demo_ends_with_commands_that_work(drawn, tmp_path, monkeypatch, capsys):
    capture = annotated_copy(drawn, tmp_path / "capture")
    monkeypatch.setattr(demo_report, "demo_capture", lambda: capture)
    monkeypatch.setitem(PRESETS, "lerf-demo", tiny_preset())
    assert main(["demo", "--output", str(tmp_path / "it's out"), "--device", "cpu", "--steps", "20"]) == 0
    said = capsys.readouterr().out
    assert "localisation" in said
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    paths = os.pathsep.join([str(SUPPORT), str(Path(lerf.__file__).parents[1])])
    asked = next(line.removeprefix("Ask it: ") for line in said.splitlines() if line.startswith("Ask it: "))
    done = subprocess.run(
        [bash, "-c", f"{asked} --json"], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["queries"][0]["text"] in {phrase.text for phrase in PHRASES}


def test_the_shipped_scene_is_what_it_says():
    folder = demo_capture()
    annotation, scene = read_annotation(folder), load_scene(folder)
    assert len(scene.train) == 60
    assert len(scene.test) >= 6
    assert len(annotation.objects) >= 14
    colours = {}
    for thing in annotation.objects:
        colours.setdefault(thing.kind, set()).add(thing.colour)
    assert any(len(listed) > 1 for listed in colours.values())
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8e6
    types = {phrase.type for phrase in annotation.phrases}
    assert types == {"name", "synonym", "hypernym", "colour", "material", "part", "use", "absent"}


def test_make_scene(tmp_path, capsys):
    pytest.importorskip("mitsuba", reason="photographs need lerf[scenes]")
    options = ["--views", "2", "--held-out", "1", "--width", "48", "--height", "36", "--spp", "2"]
    assert main(["make-scene", str(tmp_path / "scene"), "--seed", "5", *options, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["kind"] in ("table", "shelf", "desk")
    assert len(made["objects"]) == len(read_annotation(tmp_path / "scene").objects)
    assert len(load_scene(tmp_path / "scene").train) == 2
    assert main(["make-scene", str(tmp_path / "scene"), "--seed", "6", *options]) == 2
    assert "other settings" in capsys.readouterr().err
