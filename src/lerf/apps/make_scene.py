"""`lerf make-scene`: a capture with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import check_folder
from lerf.apps.options import Command
from lerf.apps.progress import TerminalReporter
from lerf.apps.suggest import suggested
from lerf.errors import ConfigError
from lerf.files import resolved
from lerf.ranges import Range
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class MakeScene(Command):
    """Make a capture with known answers: everyday objects, modelled, arranged and photographed by path tracing."""

    output: Annotated[Path, Positional, arg(metavar="OUTPUT")]
    """Folder to write; a scene that was interrupted there is completed."""
    seed: Annotated[int, Range(0, 2**20 - 1)]
    """Everything follows from it."""
    kind: Annotated[Literal["table", "shelf", "desk"] | None, optional()] = None
    """What the objects stand on; by default drawn with the seed."""
    views: Annotated[int, Range(2, 2000)] = 60
    """Photos to train on."""
    held_out: Annotated[int, Range(0, 2000)] = 8
    """Photos to measure on."""
    width: Annotated[int, Range(32, 4096)] = 320
    """Of every photo, in pixels."""
    height: Annotated[int, Range(32, 4096)] = 240
    """Of every photo, in pixels."""
    spp: Annotated[int, Range(2, 4096)] = 16
    """Light paths a pixel: less noise for more time."""

    def check(self) -> None:
        if self.held_out > self.views:
            raise ConfigError(
                f"--held-out {self.held_out} is more than --views {self.views}; give at most as many held out."
            )
        check_folder(self.output, "OUTPUT")


def make_scene(command: MakeScene, console: Console) -> dict[str, Any]:
    """A generated capture."""
    from lerf_scenes.write import Photography, write_scene

    reporter = TerminalReporter(console)
    reporter.begin("photographs", command.views + command.held_out)
    try:
        annotation = write_scene(
            command.output,
            command.seed,
            command.kind,
            Photography(command.views, command.held_out, command.width, command.height, command.spp),
            report=lambda done, _: reporter.advance(done),
        )
    finally:
        reporter.close()
    run = command.output.with_name(f"{resolved(command.output).name}-run")
    objects = [f"{thing.colour} {thing.kind}" for thing in annotation.objects]
    console.print(
        f"{command.output}: {', '.join(objects)}.\n"
        f"Train on it: {suggested('train', command.output, '--preset', 'lerf-demo', '--output', run)}",
    )
    return {
        "scene": str(command.output),
        "seed": annotation.seed,
        "kind": annotation.setting,
        "objects": objects,
        "phrases": len(annotation.phrases),
    }
