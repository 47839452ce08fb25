"""`lerf info`: what a capture or a run holds."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import only_with
from lerf.apps.options import CaptureOptions, Command
from lerf.apps.progress import TerminalReporter, capture_progress
from lerf.apps.sizes import size_text
from lerf.apps.tables import Listing, show
from lerf.errors import LerfWarning
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
    from lerf.apps.estimate import describe_run
    from lerf.run.folder import RunFolder

    run = RunFolder(command.path)
    facts = describe_run(run) if run.exists else _of_capture(command, console)
    if not command.json and run.exists:
        _show(facts.items(), console)
    return facts


def _of_capture(command: Info, console: Console) -> dict[str, Any]:
    """What a capture holds, how good it is, and what training will take."""
    from lerf.apps.estimate import training_needs
    from lerf.run.make_settings import make_settings
    from lerf.scenes.inspection.facts import POSE_FILE, capture_facts, capture_rows
    from lerf.scenes.inspection.fit import note_of, usable_points
    from lerf.scenes.inspection.inspect import inspect
    from lerf.scenes.inspection.verdict import verdict_on
    from lerf.scenes.load import load_scene, pose_place

    settings = make_settings(
        command.path, preset=command.preset, encoder=command.encoder, dense=command.dense, memory=command.memory,
        downscale=command.downscale, missing=command.missing,
    )  # fmt: skip
    with capture_progress() as progress:
        scene = load_scene(command.path, command.downscale, command.missing, progress)
    points, trouble = usable_points(scene)
    reporter = TerminalReporter(console)
    try:
        inspection = inspect(scene, points, lambda done, total: reporter.show("photos looked at", done, total))
    finally:
        reporter.close()
    notes = [*filter(None, [trouble]), *note_of(inspection.fit)]
    for note in notes:
        warnings.warn(note, LerfWarning, stacklevel=2)
    verdict, place = verdict_on(scene, inspection), pose_place(command.path, scene)
    needs = training_needs(settings, scene)
    if not command.json:
        rows = capture_rows(scene, place, inspection, verdict)
        _show([*((name, text if name == POSE_FILE else text.split()) for name, text in rows), *needs.items()], console)
    return {**capture_facts(scene, place, inspection, verdict), "notes": [*scene.notes, *notes], **needs}


def _show(rows: Iterable[tuple[str, Any]], console: Console) -> None:
    table = Listing(("fact", "value"), has_titles=False)
    for name, value in rows:
        shown = size_text(value) if name.endswith("_bytes") else value
        # Paths stay whole; lists of numbers and the like may go over several lines.
        table.add(name.removesuffix("_bytes").replace("_", " "), shown if isinstance(shown, str) else _words(shown))
    show(console, table)


def _words(value: Any) -> tuple[str, ...]:
    """A value in pieces between which a line may end."""
    if isinstance(value, dict):
        *others, last = [f"{name}: {item}" for name, item in value.items()] or [""]
        return (*(f"{other}," for other in others), last)
    if isinstance(value, list):
        return tuple(value)
    return tuple(str(value).split())
