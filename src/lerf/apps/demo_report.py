"""`lerf demo`: from the photos of the shipped scene to measured answers and pictures of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

import lerf
from lerf.apps.demo import Demo
from lerf.apps.eval_tables import report_tables
from lerf.apps.pictures import write_row
from lerf.apps.progress import TerminalReporter
from lerf.apps.suggest import suggested
from lerf.apps.tables import Listing, show
from lerf.encoders.published import title_of
from lerf.evaluation.existence import thinned
from lerf.evaluation.report import evaluate
from lerf.files import write_json
from lerf.model import Model
from lerf.rendering.outputs import ViewMaps, paint
from lerf.run.folder import RunFolder
from lerf.run.make_settings import preset_settings
from lerf.scenes.demo import demo_capture

SHOWN = {"name": 4, "synonym": 2, "colour": 4, "material": 2, "part": 4, "use": 3, "hypernym": 1, "absent": 3}
"""Phrases of the table, by type; the report has all."""
PICTURED = ("name", "colour", "part", "use")
"""Types of the pictures' phrases, one of each."""
PICTURES = 4
"""Held-out views that are drawn."""


def demo(command: Demo, console: Console) -> dict[str, Any]:
    """Train, measure, draw, and say how to go on; the report is also written to `report.json`."""
    run, pictures = command.output / "run", command.output / "pictures"
    capture = demo_capture()
    preset = preset_settings("lerf-demo")
    console.print(f"Encoder {title_of(preset.encoder)}, preset {preset.preset}. The scene: {capture}")
    reporter = TerminalReporter(console)
    try:
        model = lerf.train(
            capture, run, preset="lerf-demo", encoder=preset.encoder, steps=command.steps, device=command.device,
            offline=True, reporter=reporter,
        )  # fmt: skip
        timings = RunFolder(run).read_timings()
        seconds: dict[str, float] = dict(timings.seconds)
        start = time.perf_counter()
        report = evaluate(model, progress=reporter.show)
    finally:
        reporter.close()
    seconds["evaluation"] = round(time.perf_counter() - start, 3)
    start = time.perf_counter()
    drawn = _pictured(report["phrases"])
    files = write_pictures(model, [row["text"] for row in drawn], pictures)
    seconds["pictures"] = round(time.perf_counter() - start, 3)
    report |= {"seconds": seconds, "peak_memory_bytes": timings.peak_memory_bytes}
    write_json(command.output / "report.json", report)
    if not command.json:
        for table in (phrase_table(report["phrases"]), *report_tables(report)):
            show(console, table)
    example = drawn[-1]["text"]
    console.print(
        f"{len(files)} pictures in {pictures}, all scores in {command.output / 'report.json'}.\n"
        f"Open it: {suggested('view', run)}\n"
        f"Ask it: {suggested('query', run, example)}\n"
        f"See it: {suggested('render', run, '--query', example, '--output', command.output / 'more')}",
    )
    return report


def _chosen(rows: list[dict[str, Any]], wanted: dict[str, int]) -> list[dict[str, Any]]:
    """So many phrases of each type, spread over those that the report has: chosen by place, never by score."""
    chosen = []
    for type_, count in wanted.items():
        listed = [row for row in rows if row["type"] == type_]
        chosen += thinned(listed, count)
    return chosen


def _pictured(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One phrase of each type of `PICTURED`, by place as well: further on in every next list, for different things."""
    chosen = []
    for place, type_ in enumerate(PICTURED):
        listed = [row for row in rows if row["type"] == type_]
        chosen += listed[int((place + 0.5) / len(PICTURED) * len(listed)) :][:1]
    return chosen


def phrase_table(rows: list[dict[str, Any]]) -> Listing:
    """Phrase, type, relevancy, share of held-out views in which the peak is on the thing, IoU."""
    table = Listing(("phrase", "type", "relevancy", "hit", "IoU"))
    for row in _chosen(rows, SHOWN):
        table.add(
            row["text"], row["type"],
            *(f"{row[name]:.2f}" if name in row else "" for name in ("score", "localisation", "iou")),
        )  # fmt: skip
    return table


def write_pictures(model: Model, phrases: list[str], folder: Path) -> list[Path]:
    """A row each for some held-out views: colour, depth, and where relevancy of each phrase passes indifference."""
    files = []
    for index in thinned(model.scene.test, PICTURES):
        view = model.render(index, phrases)
        picture, maps = view.picture, dict(enumerate(view.relevancy[phrase] for phrase in phrases))
        seen = ViewMaps(picture.colour, picture.depth, picture.accumulation, maps)
        names = ["rgb", "depth", *(f"composited_{number}" for number in maps)]
        path = folder / f"{Path(model.scene.photos[index].name).stem}.png"
        write_row(path, [paint(name, seen)[0] for name in names], ["colour", "depth", *phrases])
        files.append(path)
    return files
