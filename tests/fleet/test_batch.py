"""Many captures in one call: the runs of `lerf train`, whatever fails beside them."""

import json
import os
import shutil
import sys

import pytest
from changed_runs import same_run

from lerf.apps.main import main
from lerf.fleet.jobs import JobReporter, Progress

OPTIONS = "--steps 20 --device cpu --radiance-training.rays 256 --language lift"


@pytest.fixture
def captures(drawn, tmp_path):
    """Two captures, and one whose photos are not there."""
    for name in ("one", "two", "broken"):
        shutil.copytree(drawn.folder, tmp_path / "captures" / name)
    shutil.rmtree(tmp_path / "captures" / "broken" / "images")
    return tmp_path / "captures"


def lines(output):
    return [json.loads(line) for line in (output / "batch.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("tiny")
def test_the_runs_are_those_of_lerf_train_and_a_broken_capture_stops_none(captures, tmp_path, capsys):
    listed = tmp_path / "captures.txt"
    listed.write_text(f"# rooms\n{captures / 'one'} --seed 3\n{captures / 'two'} --stepz 3\n\n")
    output = tmp_path / "runs"
    command = ["batch", str(captures / "[bt]*"), str(listed), f"--options={OPTIONS}", "--output", str(output), "--json"]
    assert main(command) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == {"two": str(output / "two"), "one": str(output / "one")}
    assert set(told["failed"]) == {"broken", "two-2"}
    assert "are not options of lerf train" in told["failed"]["two-2"]
    events = [(line["scene"], line["event"]) for line in lines(output)]
    assert {("one", "finished"), ("two", "finished"), ("broken", "failed"), ("two-2", "failed")} <= set(events)
    alone = tmp_path / "alone"
    assert main(["train", str(captures / "one"), "--seed", "3", *OPTIONS.split(), "--output", str(alone)]) == 0
    assert same_run(output / "one", alone)
    assert not same_run(output / "two", alone)
    written = (output / "one" / "radiance.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert main(command) == 1
    assert (output / "one" / "radiance.safetensors").stat().st_mtime_ns == written
    assert "radiance" not in {line.get("stage") for line in lines(output)[len(events) :]}


def test_nothing_to_train_is_said(tmp_path, capsys):
    assert main(["batch", str(tmp_path / "none*"), "--output", str(tmp_path / "runs")]) == 2
    assert "name no capture" in capsys.readouterr().err


def test_the_time_left_follows_the_pace(monkeypatch):
    monkeypatch.setattr("lerf.fleet.jobs.time.monotonic", lambda: 30.0)
    assert Progress("working", "radiance", 25, 100, since=20.0).seconds_left == 30.0
    assert Progress("working", "radiance", 0, 100, since=20.0).seconds_left is None
    told = []
    reporter = JobReporter(lambda *words: told.append(words), every=1.0)
    reporter.begin("radiance", 9)
    reporter.advance(1)
    assert told == [("radiance", 0, 9, {})]


def test_without_ray_the_extra_is_named(captures, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["batch", str(captures / "one"), "--output", str(tmp_path / "runs"), "--ray"]) == 2
    assert "pip install 'lerf[ray]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("tiny")
def test_a_cluster_trains_what_one_process_does(captures, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'lerf[ray]'")
    support = next(path for path in sys.path if path.endswith("tests/support"))
    monkeypatch.setenv("PYTHONPATH", f"{support}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for name, more in (("here", []), ("there", ["--ray"])):
        monkeypatch.setenv("LERF_CACHE", str(tmp_path / f"cache-{name}"))
        command = ["batch", str(captures / "*"), f"--options={OPTIONS}", "--output", str(tmp_path / name), *more]
        assert main([*command, "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert set(told["runs"]) == {"one", "two"}
        assert set(told["failed"]) == {"broken"}
    for name in ("one", "two"):
        assert same_run(tmp_path / "here" / name, tmp_path / "there" / name)
