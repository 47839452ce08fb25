"""Options of `lerf demo`; `demo_report.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lerf.apps.checks import check_cache, check_file, check_folder
from lerf.apps.options import Command, DeviceOption
from lerf.ranges import Count
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Demo(Command, DeviceOption):
    """Train on the scene that comes with the package, measure the answers on held-out views, show them."""

    output: Path = Path("runs/demo")
    """Folder for the run, the pictures and report.json."""
    steps: Annotated[Count | None, optional()] = None
    """Steps of each stage, instead of the preset's."""

    def check(self) -> None:
        for folder in (self.output / "run", self.output / "pictures"):
            check_folder(folder, "output")
        check_file(self.output / "report.json", "output")
        check_cache()
