"""`lerf eval`: a run measured on its held-out views."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console
from tyro.conf import arg

from lerf.apps.checks import check_cache, only_with
from lerf.apps.eval_tables import report_tables
from lerf.apps.options import RunOptions
from lerf.apps.progress import TerminalReporter, capture_progress
from lerf.apps.tables import show
from lerf.errors import ConfigError
from lerf.files import is_folder
from lerf.run.checks import option
from lerf.run.settings import optional

ProtocolName = Literal["colour", "depth", "lerf-localisation", "lerf-ovs", "existence", "3d", "lerf-3d", "margin-sign"]


@dataclass(frozen=True, kw_only=True)
class Eval(RunOptions):
    """Measure a run on its held-out views: their colour, their depth where the capture has sparse
    points and, where the truth is known, its answers to phrases."""

    protocol: Annotated[tuple[ProtocolName, ...], arg(metavar="NAME [NAME ...]", help_behavior_hint="")] = ()
    """What to measure: colour, depth, lerf-localisation, lerf-ovs, existence, 3d, lerf-3d, margin-sign; by default all
    that the scene allows but lerf-3d: always colour, depth where it has sparse points, all of a generated scene."""
    labels: Annotated[Path | None, optional("DIR")] = None
    """Folder of truth: LangSplat's label files, box files, or a generated scene; by default the capture's own."""
    maps: Annotated[Path | None, optional("DIR")] = None
    """Score another method's relevancy maps, DIR/<view stem>/<phrase>.npy, instead of the run's."""
    absent: Annotated[Path | None, optional("FILE")] = None
    """Text file of phrases not in the scene, one a line; by default what the label folders beside --labels name."""
    data: Annotated[Path | None, optional("CAPTURE")] = None
    """The capture, where it is not where it was when the run was trained."""
    lpips_weights: Annotated[Path | None, optional("PATH")] = None
    """AlexNet's LPIPS weights, a file or a folder; adds LPIPS to the report."""

    def check(self) -> None:
        asked = set(self.protocol)
        only_with(self, ("absent",), self.labels is not None, "for label files; give their folder as --labels")
        only_with(self, ("absent",), not asked or "existence" in asked, "for the protocol existence; choose it")
        phrases = not asked or not asked <= {"colour", "depth"}
        given = " ".join(self.protocol)
        only_with(self, ("labels", "maps"), phrases, f"for answers to phrases; leave --protocol {given} out")
        colour = not asked or "colour" in asked
        only_with(self, ("lpips_weights",), colour, "for the protocol colour; choose it")
        only_with(self, ("lpips_weights",), self.maps is None, "for the run's colour; leave --maps out")
        for name in ("labels", "maps"):
            folder = getattr(self, name)
            if folder is not None and not is_folder(folder):
                raise ConfigError(f"{folder} is no folder; give the one that {option(name)} is to read.")
        if phrases:
            check_cache()


def evaluate(command: Eval, console: Console) -> dict[str, Any]:
    """The protocols asked for, or all that the scene's material allows."""
    from lerf.evaluation.lpips import load_lpips
    from lerf.evaluation.report import evaluate as evaluate_run
    from lerf.evaluation.truth import read_absent
    from lerf.run.folder import RunFolder
    from lerf.scenes.load import load_scene

    model = command.open_model(console)
    capture = None
    if command.data is not None:
        settings = RunFolder(command.run).read_config()["settings"]
        with capture_progress() as progress:
            capture = load_scene(command.data, settings.downscale, settings.missing, progress)
    lpips = None if command.lpips_weights is None else load_lpips(command.lpips_weights, model.device)
    reporter = TerminalReporter(console)
    try:
        report = evaluate_run(
            model,
            command.protocol or None,
            labels=command.labels,
            maps=command.maps,
            absent=None if command.absent is None else read_absent(command.absent),
            capture=capture,
            lpips=lpips,
            progress=reporter.show,
        )
    finally:
        reporter.close()
    if not command.json:
        for table in report_tables(report):
            show(console, table)
    for view in report.get("left_out", []):
        console.print(f"{view['photo']} is left out: {view['reason']}.")
    return report
