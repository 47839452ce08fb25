"""`lerf info`: what a capture or a run holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import only_with
from lerf.apps.options import CaptureOptions, Command
from lerf.apps.progress import capture_progress
from lerf.apps.sizes import size_text
from lerf.apps.tables import Listing, show
from lerf.files import is_file
from lerf.ranges import Positive
from lerf.run.settings import MEMORY, PresetName, optional


@dataclass(frozen=True, kw_only=True)
class Info(Command, CaptureOptions):
    """What a capture or a run holds, and what training it will take."""

    path: Annotated[Path, Positional, arg(metavar="PATH")]
    """Capture or run folder."""
    preset: Annotated[PresetName | None, optional()] = None
    """Preset of the estimate; by default lerf with a GPU, else lerf-cpu."""
    encoder: Annotated[str | None, optional("ENCODER")] = None
    """Image-text encoder of the estimate; by default the preset's."""
    dense: Annotated[str | None, optional("ENCODER")] = None
    """Dense regulariser of the estimate; by default the preset's."""
    memory: Positive = MEMORY
    """What lerf train would be given as --memory."""

    def check(self) -> None:
        options = ("preset", "encoder", "dense", "memory", "downscale", "missing")
        only_with(
            self, options, not is_file(self.path / "config.json"), "for a capture, and this is a run; give a capture"
        )


def info(command: Info, console: Console) -> dict[str, Any]:
    """Facts about a capture or a run."""
    from lerf.apps.estimate import describe_capture, describe_run
    from lerf.run.folder import RunFolder
    from lerf.run.make_settings import make_settings

    run = RunFolder(command.path)
    if run.exists:
        facts = describe_run(run)
    else:
        settings = make_settings(
            command.path, preset=command.preset, encoder=command.encoder, dense=command.dense, memory=command.memory,
            downscale=command.downscale, missing=command.missing,
        )  # fmt: skip
        with capture_progress() as progress:
            facts = describe_capture(settings, progress)
    if not command.json:
        table = Listing(("fact", "value"), has_titles=False)
        for name, value in facts.items():
            if name == "notes":
                continue  # told as warnings while the capture was read
            shown = size_text(value) if name.endswith("_bytes") else value
            # Paths stay whole; lists of numbers and the like may go over several lines.
            table.add(name.removesuffix("_bytes").replace("_", " "), shown if isinstance(shown, str) else _words(shown))
        show(console, table)
    return facts


def _words(value: Any) -> tuple[str, ...]:
    """A value in pieces between which a line may end."""
    if isinstance(value, dict):
        *others, last = [f"{name}: {item}" for name, item in value.items()] or [""]
        return (*(f"{other}," for other in others), last)
    return tuple(str(value).split())
