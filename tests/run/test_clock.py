"""Seconds of stages and peak memory, kept in the run."""

import time
from types import SimpleNamespace

import pytest

from lerf.run.clock import Clock, peak_memory
from lerf.run.folder import RunFolder


def test_time_up_to_a_mark_survives(tmp_path):
    clock = Clock(RunFolder(tmp_path))
    with clock.stage("radiance"):
        time.sleep(0.02)
        clock.mark()
        marked = clock.run.read_json("timings.json")["seconds"]["radiance"]
        assert 0.02 <= marked < 5
    with Clock(RunFolder(tmp_path)).stage("radiance"):  # another process
        time.sleep(0.02)
    assert clock.run.read_json("timings.json")["seconds"]["radiance"] >= marked + 0.02


def test_what_is_timed_inside_a_stage_counts_for_itself_alone(tmp_path):
    clock = Clock(RunFolder(tmp_path))
    with clock.stage("radiance"):
        time.sleep(0.02)
        with clock.stage("decode"):
            time.sleep(0.2)
        time.sleep(0.02)
    seconds = clock.run.read_json("timings.json")["seconds"]
    assert list(seconds) == ["decode", "radiance"]
    assert seconds["decode"] >= 0.2
    assert 0.04 <= seconds["radiance"] < 0.2


def test_a_stage_that_fails_has_its_time(tmp_path):
    clock = Clock(RunFolder(tmp_path))

    def fail():
        with clock.stage("features"):
            time.sleep(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert clock.run.read_json("timings.json")["seconds"]["features"] >= 0.01


def test_peak_memory_is_the_largest_that_linux_saw(monkeypatch, tmp_path):
    (tmp_path / "status").write_text("Name:\tlerf\nVmHWM:\t    123 kB\nVmRSS:\t    45 kB\n")
    monkeypatch.setattr("lerf.run.clock.PROCESS_STATUS", tmp_path / "status")
    assert peak_memory() == 123 * 1024


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_elsewhere_is_in_bytes(monkeypatch, tmp_path, platform, unit):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr("lerf.run.clock.PROCESS_STATUS", tmp_path / "absent")
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=123))
    assert peak_memory() == 123 * unit
