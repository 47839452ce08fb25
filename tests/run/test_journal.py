"""Timings and metrics: whatever is in their files, training goes on."""

import json
import os

import pytest

from lerf.errors import LerfWarning
from lerf.run.clock import Clock
from lerf.run.folder import RunFolder
from lerf.run.journal import LARGEST, Timings, append_metrics, read_timings, trim_metrics, write_timings

DAMAGED = {
    "empty": b"",
    "half": b'{"seconds": {"radi',
    "list": b"[]",
    "number": b"7",
    "text": b'{"seconds": "long"}',
    "null": b'{"seconds": null}',
    "negative": b'{"seconds": {"radiance": -5}}',
    "huge": b'{"seconds": {"radiance": 1e300}}',
    "infinite": b'{"seconds": {"radiance": Infinity}}',
    "nested": b'{"seconds": {"radiance": {"a": 1}}}',
    "memory": b'{"seconds": {}, "peak_memory_bytes": "much"}',
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 5000,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_timings_begin_anew(tmp_path, case):
    (tmp_path / "timings.json").write_bytes(DAMAGED[case])
    clock = Clock(RunFolder(tmp_path))
    with pytest.warns(LerfWarning, match=r"timings\.json .*its timings begin anew"), clock.stage("radiance"):
        pass
    timings = RunFolder(tmp_path).read_timings()
    assert list(timings.seconds) == ["radiance"]
    assert timings.peak_memory_bytes > 0


def test_timings_without_an_entry_are_whole(tmp_path):
    """Older versions did not write the memory."""
    (tmp_path / "timings.json").write_text('{"seconds": {"radiance": 3.0}}')
    assert read_timings(tmp_path / "timings.json") == Timings({"radiance": 3.0}, 0)
    assert read_timings(tmp_path / "gone.json") == Timings()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_stops_nothing(tmp_path, make):
    timings, metrics = tmp_path / "timings.json", tmp_path / "metrics.jsonl"
    for path in (timings, metrics):
        make(path)
    with pytest.warns(LerfWarning, match="is not a regular file: what belongs there is left out"):
        write_timings(timings, Timings())
    with pytest.warns(LerfWarning, match="is not a regular file: what belongs there is left out"):
        append_metrics(metrics, {"stage": "radiance", "step": 1})
    trim_metrics(metrics, "radiance", 1)
    with pytest.warns(LerfWarning, match="begin anew"):
        assert read_timings(timings) == Timings()


LINES = [
    b"nonsense", b"[]", b"{}", b'{"stage": 3, "step": 1}', b'{"stage": "radiance", "step": "x"}', b"\xff\xfe",
    b'{"stage": "radiance", "step": NaN}', b'{"stage": "radiance", "step": -1}', b"[" * 5000, b"",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(LINES)))
def test_damaged_lines_are_forgotten(tmp_path, number):
    path = tmp_path / "metrics.jsonl"
    good = [{"stage": "language", "step": 40, "loss": 0.5}, {"stage": "radiance", "step": 20}]
    whole = [json.dumps(line).encode() for line in good]
    path.write_bytes(b"\n".join([whole[0], LINES[number], whole[1], b""]))
    with pytest.warns(LerfWarning, match="has 1 damaged lines: they are forgotten"):
        trim_metrics(path, "radiance", 20)
    assert [json.loads(line) for line in path.read_text().splitlines()] == good
    before = path.stat().st_mtime_ns
    trim_metrics(path, "radiance", 20)
    assert path.stat().st_mtime_ns == before, "nothing to forget, nothing to write"


def test_metrics_too_large_to_be_true_begin_anew(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.touch()
    os.truncate(path, LARGEST + 1)
    with pytest.warns(LerfWarning, match="its metrics begin anew"):
        trim_metrics(path, "radiance", 20)
    assert path.read_bytes() == b""
