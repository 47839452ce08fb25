"""Options of `lerf demo`; `demo_report.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lerf.apps.options import DeviceOption, JsonOption
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Demo(JsonOption, DeviceOption):
    """Train on the scene that comes with the package, measure the answers on held-out views, show them."""

    output: Path = Path("runs/demo")
    """Folder for the run, the pictures and report.json."""
    steps: Annotated[int | None, optional()] = None
    """Steps of each stage, instead of the preset's."""
