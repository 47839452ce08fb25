"""What the machine does to a command: a full standard output and too little memory end in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import refused

import lerf
from lerf.apps import main as command_line
from lerf.apps.failures import failure_of

FULL = Path("/dev/full")
PATH = os.pathsep.join([str(Path(lerf.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["info", "CAPTURE"], ["info", "CAPTURE", "--json"]])
def test_a_full_standard_output(drawn, arguments):
    arguments = [str(drawn.folder) if part == "CAPTURE" else part for part in arguments]
    with FULL.open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "lerf", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": PATH},
        )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("Error: Cannot use the output (No space left on device); ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_nothing_can_be_said(drawn):
    with FULL.open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "lerf", "info", str(drawn.folder)], stdout=full, stderr=full, timeout=120,
            env={**os.environ, "PYTHONPATH": PATH},
        )  # fmt: skip
    assert ended.returncode == 2


def out_of_memory(kind):
    if kind == "torch":
        torch.empty(1 << 60)
    if kind == "numpy":
        np.empty(1 << 55)
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


@pytest.mark.parametrize("kind", ["torch", "numpy", "cuda"])
def test_too_little_memory(drawn, capsys, monkeypatch, kind):
    monkeypatch.setattr(command_line, "_runner", lambda command: lambda *_: out_of_memory(kind))
    error = refused(capsys, "info", drawn.folder)
    assert error.startswith("Error: There is not enough memory; ")
    assert "Traceback" not in error


def test_a_file_that_may_not_be_used(drawn, capsys, monkeypatch):
    def refuse(command, console):
        raise PermissionError(13, "Permission denied", "/a/b\x1b[31m")

    monkeypatch.setattr(command_line, "_runner", lambda command: refuse)
    assert "Cannot use /a/b\\x1b[31m (Permission denied); " in refused(capsys, "info", drawn.folder)


def test_other_errors_are_ours(drawn, monkeypatch):
    assert failure_of(RuntimeError("shape mismatch")) is None
    assert failure_of(KeyError("x")) is None

    def stumble(command, console):
        raise KeyError("x")

    monkeypatch.setattr(command_line, "_runner", lambda command: stumble)
    with pytest.raises(KeyError):
        command_line.main(["info", str(drawn.folder)])
