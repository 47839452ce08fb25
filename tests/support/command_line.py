"""The command line as tests call it: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lerf
from lerf.apps.main import main

SUPPORT = Path(__file__).parent


def run_json(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    """Run a command with --json; stdout must be JSON alone."""
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """The error of a command that must end with code 2, in one line."""
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 2
    return re.sub(r"\s+", " ", capsys.readouterr().err)


def train(folder: Path, output: Path, *options: Any) -> dict[str, Any]:
    """`lerf train` with three steps of each training; returns the saved settings."""
    command = ["train", folder, "--output", output, "--steps", "3", "--device", "cpu", *options]
    assert main([*map(str, command)]) == 0
    return json.loads((output / "config.json").read_text())["settings"]


def in_a_process(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """`python ...` in a process of its own, which imports the same lerf and knows the encoders of the tests."""
    paths = [str(SUPPORT), str(Path(lerf.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
