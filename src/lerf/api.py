"""Training from Python in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lerf.loading import load
from lerf.model import Model
from lerf.run.make_settings import make_settings
from lerf.run.report import Reporter
from lerf.stages.train import train as run_training


def train(
    data: str | Path, output: str | Path, *, offline: bool = False, reporter: Reporter | None = None, **settings: Any
) -> Model:
    """Train on a capture and open the result; an unfinished run in `output` is continued.

    Args:
        data: folder or file of the capture.
        output: run folder.
        offline: forbid downloads.
        reporter: hears about progress; silent by default.
        settings: by name, as in `lerf.run.make_settings`: preset, encoder, steps, `**{"language.samples": 8}`, …

    Raises:
        LerfError: bad capture, encoder, settings or disk.
    """
    chosen = make_settings(data, **settings)
    run = run_training(chosen, output, offline=offline, reporter=reporter)
    return load(run.path, offline=offline, device=chosen.device)
