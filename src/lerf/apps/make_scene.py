"""`lerf make-scene`: a capture with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.options import JsonOption
from lerf.apps.progress import TerminalReporter
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class MakeScene(JsonOption):
    """Make a capture with known answers: everyday objects, modelled, arranged and photographed by path tracing."""

    output: Annotated[Path, Positional, arg(metavar="OUTPUT")]
    """Folder to write; a scene that was interrupted there is completed."""
    seed: int
    """Everything follows from it."""
    kind: Annotated[Literal["table", "shelf", "desk"] | None, optional()] = None
    """What the objects stand on; by default drawn with the seed."""
    views: int = 60
    """Photos to train on."""
    held_out: int = 8
    """Photos to measure on."""
    width: int = 320
    """Of every photo, in pixels."""
    height: int = 240
    """Of every photo, in pixels."""
    spp: int = 16
    """Light paths a pixel: less noise for more time."""


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
    objects = [f"{thing.colour} {thing.kind}" for thing in annotation.objects]
    console.print(
        f"{command.output}: {', '.join(objects)}.\nTrain on it: lerf train {command.output} --preset lerf-demo "
        f"--output RUN",
    )
    return {
        "scene": str(command.output),
        "seed": annotation.seed,
        "kind": annotation.setting,
        "objects": objects,
        "phrases": len(annotation.phrases),
    }
