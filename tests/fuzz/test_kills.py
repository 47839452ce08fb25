"""The commands that write survive kills; what tells damage and differences apart can tell them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from killing.command import main as kills
from killing.contents import contents_of, damage_of, difference_of
from killing.episodes import Episode, watched

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of some kinds."""
    root = tmp_path / "output"
    root.mkdir()
    (root / "facts.json").write_text('{"a": 1, "seconds": 3}')
    (root / "metrics.jsonl").write_text('{"stage": "radiance", "step": 20, "loss": 1}\n{"stage": "rad')
    np.save(root / "map.npy", np.arange(6.0))
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nend_header\n"
    (root / "cloud.ply").write_bytes(header + bytes(8))
    return root


def test_whole_files_are_not_damaged(folder):
    assert damage_of(folder) == ""
    before = contents_of(folder)
    (folder / "facts.json").write_text('{"a": 1, "seconds": 4}')
    assert difference_of(contents_of(folder), before) == ""


@pytest.mark.parametrize("name", ["facts.json", "map.npy", "cloud.ply"])
def test_files_that_are_cut_off_are_damaged(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-2])
    assert name in damage_of(folder)


def test_differences_are_found(folder):
    before = contents_of(folder)
    (folder / ".facts.json.ab12").write_text("{")
    assert ".facts.json.ab12 is left over" in difference_of(contents_of(folder), before)
    (folder / ".facts.json.ab12").unlink()
    np.save(folder / "map.npy", np.arange(6.0) + 1)
    assert "map.npy differs" in difference_of(contents_of(folder), before)
    (folder / "map.npy").unlink()
    assert "map.npy is missing" in difference_of(contents_of(folder), before)


def test_a_journal_goes_on(tmp_path, capsys, monkeypatch):
    """Enough kills are in it already; a line that was cut off is forgotten; a problem of before still counts."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "HF_HUB_OFFLINE", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr("killing.command._make", lambda valid: None)
    journal = tmp_path / "kills.jsonl"
    line = json.dumps(vars(Episode("bake", 0, [0.1, 0.2])))
    journal.write_text(f'{line}\n{{"stage": "tr')
    assert kills(["--kills", "2", "--journal", str(journal)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["bake", "2", "1", "0", "0"]
    journal.write_text(json.dumps(vars(Episode("bake", 0, [0.1, 0.2], problem="x.json is missing"))) + "\n")
    assert kills(["--kills", "2", "--journal", str(journal)]) == 1
    assert "bake 0: x.json is missing" in capsys.readouterr().out


class Child:
    """A process that ends after so many calls of `join`, and waits for a processor most of the time."""

    def __init__(self, calls):
        self.pid, self.calls = -1, calls

    def is_alive(self):
        return self.calls > 0

    def join(self, seconds):
        time.sleep(seconds)
        self.calls -= 1


def test_time_without_a_processor_does_not_count(monkeypatch):
    assert 0.0 < watched(Child(4), 60.0) < 5.0
    slow = Child(10_000)
    assert watched(slow, 0.1) >= 0.1
    assert slow.is_alive()
    started = time.perf_counter()
    monkeypatch.setattr("killing.episodes.waited", lambda process: time.perf_counter() - started - 0.001)
    starved = Child(20)
    assert watched(starved, 0.05) < 0.05
    assert not starved.is_alive()


@pytest.mark.timeout(600)
def test_commands_survive_kills():
    """Ten over all stages; with those of `tests/stages` and `tests/pyramids` these are twenty. A thousand are a night's
    work: CONTRIBUTING.md."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "fuzz/kills.py"), "--kills", "10"],
        capture_output=True, text=True, timeout=580,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
