"""nerfstudio's commands within this process: each of them would import for half a minute."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

MODULES = {"ns-train": "train", "ns-eval": "eval", "ns-render": "render", "ns-export": "exporter"}


def require_nerfstudio() -> None:
    """Skip the module that calls where nerfstudio is not there, unless it must be."""
    try:
        importlib.import_module("nerfstudio.configs.method_configs")
    except ImportError as error:
        if os.environ.get("LERF_TEST_NERFSTUDIO") == "required":
            raise
        pytest.skip(f"nerfstudio cannot be imported ({error}): `make test-nerfstudio`", allow_module_level=True)


def run(command: str, *arguments: object) -> None:
    """Run a command; an exit with an error is one here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [command, *map(str, arguments)])
        # ns-render wants ffmpeg there even where it writes pictures.
        patch.setattr("nerfstudio.utils.install_checks.check_ffmpeg_installed", lambda: None)
        importlib.import_module(f"nerfstudio.scripts.{MODULES[command]}").entrypoint()


def train_options(data: Path, output: Path, steps: int) -> Sequence[object]:
    """Options of `ns-train lerf-cpu` for a training of seconds with the encoder that ships with the package."""
    return (
        "lerf-cpu", "--data", data, "--output-dir", output, "--experiment-name", "small", "--timestamp", "now",
        "--vis", "tensorboard", "--machine.device-type", "cpu", "--max-num-iterations", steps,
        "--steps-per-eval-batch", 25, "--steps-per-eval-image", 25,
        "--pipeline.datamanager.encoder", "mini", "--pipeline.datamanager.dense", "mini-map",
        "--pipeline.datamanager.features", "dense", "--pipeline.model.language-start", 20,
        "--pipeline.datamanager.train-num-rays-per-batch", 1024,
        "--pipeline.datamanager.eval-num-rays-per-batch", 256, "--prompt", "fox; pizza",
        "--pipeline.model.eval-num-rays-per-chunk", 2048,
        "--pipeline.model.radiance-config.log2-entries", 14, "--pipeline.model.language-config.log2-entries", 13,
    )  # fmt: skip
