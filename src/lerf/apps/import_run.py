"""`lerf import`: a run of the plug-in for nerfstudio becomes an ordinary run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import check_apart, check_folder
from lerf.apps.options import Command, DeviceOption
from lerf.apps.suggest import suggested
from lerf.ranges import Count
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Import(Command, DeviceOption):
    """Turn a run of ns-train lerf, lerf-lite, lerf-big or lerf-cpu into an ordinary run, without nerfstudio."""

    run: Annotated[Path, Positional, arg(metavar="NS_RUN")]
    """Run folder of nerfstudio, with config.yml and nerfstudio_models."""
    output: Annotated[Path, arg(metavar="RUN")]
    """Run folder to write."""
    data: Annotated[Path | None, optional("CAPTURE")] = None
    """The capture, where it is not at the run's own path any more."""
    downscale: Annotated[Count | None, optional()] = None
    """Divide the photos' size by this; by default until the longest side is at most 1,600 pixels."""

    def check(self) -> None:
        check_apart(self.output, self.run, "output")
        check_folder(self.output, "output")


def import_run(command: Import, console: Console) -> dict[str, Any]:
    """An ordinary run, and what it holds."""
    from lerf.stages.nerfstudio_import import import_run as imported

    run = imported(command.run, command.output, data=command.data, downscale=command.downscale, device=command.device)
    scene, settings = run.read_scene(), run.read_config()["settings"]
    console.print(
        f"{run.path}: encoder {settings.encoder}, {len(scene.train)} photos trained on, {len(scene.test)} held out.\n"
        f"Ask it: {suggested('query', run.path, 'a phrase')}"
    )
    return {"run": str(run.path), "encoder": settings.encoder, "train": len(scene.train), "test": len(scene.test)}
