"""`lerf poses`: photos or a video in, a capture with poses out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import check_folder
from lerf.apps.options import Command
from lerf.apps.progress import TerminalReporter
from lerf.apps.suggest import suggested
from lerf.errors import SceneError
from lerf.poses.settings import PosesSettings


@dataclass(frozen=True, kw_only=True)
class Poses(Command, PosesSettings):
    """Find out where photos were taken, and write a capture to train on.

    Takes photos, folders of photos (a subfolder is a camera of its own) and videos. What was interrupted continues when
    the same command is given again. Needs the extra lerf[poses]. Exit code 1 when fewer than half of the photos could
    be placed.
    """

    inputs: Annotated[tuple[Path, ...], Positional, arg(metavar="PHOTOS_OR_VIDEO", help_behavior_hint="(required)")]
    """Photos, folders, videos."""
    output: Annotated[Path, arg(metavar="CAPTURE")]
    """Folder to write: images, transforms.json, sparse/0, points, and poses.json with what was done."""
    copy: bool = False
    """Copy the photos; otherwise they are linked, which takes no space, where the file system can."""

    def check(self) -> None:
        if not self.inputs:
            raise SceneError("Say which photos or video, for example: lerf poses PHOTOS --output CAPTURE.")
        check_folder(self.output, "output")


def poses(command: Poses, console: Console) -> dict[str, Any]:
    """Solve, and say what came out."""
    from lerf.poses.solve import solve

    settings = PosesSettings(**{field.name: getattr(command, field.name) for field in fields(PosesSettings)})
    reporter = TerminalReporter(console)
    try:
        outcome = solve(command.inputs, command.output, settings, reporter, copy=command.copy)
    finally:
        reporter.close()
    for sentence in outcome.sentences():
        console.print(sentence)
    if outcome.enough:
        console.print(f"Train on it: {suggested('train', command.output, '--output', 'RUN')}")
    return {"capture": str(command.output), "ok": outcome.enough, **outcome.to_plain()}
