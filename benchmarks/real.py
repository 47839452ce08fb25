"""How good the answers are on captures of the real world, beside those of the photos alone.

    python benchmarks/real.py OUT CAPTURE [CAPTURE ...] [--labels DIR] [--preset lerf-cpu] [--encoder conse]
                              [--radiance RUNS] [--json]

Labels of the held-out photos lie in DIR/NAME/*.json, where NAME is the name of the capture's folder: boxes or masks, in
the layouts that `lerf eval --labels` reads, and in absent.txt phrases that are not in the scene. DIR is by default
`benchmarks/labels`; boxes in it were drawn before the first run. Each capture is trained once as a language field, and
on the same radiance once with lifted language; what is there is kept. RUNS/NAME, where it is given, is a run of the
capture whose radiance both use: its time is not in the table then. Nothing may be tuned on these captures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import lerf
from lerf.encoders.registry import load_encoder
from lerf.evaluation.report import evaluate
from lerf.evaluation.truth import read_absent
from lerf.files import is_file, write_json
from lerf.run.folder import RunFolder

LABELS = Path(__file__).resolve().parent / "labels"
SOURCES = ("field", "lift")
SCORES = {"localisation": "localisation", "average_precision": "presence AP"}


def report_of(
    place: Path, capture: Path, labels: Path, source: str, settings: dict[str, Any], radiance: Path | None = None
) -> dict[str, Any]:
    """Train and evaluate one capture with one source of language, as far as it was not done before.

    `radiance` is a run whose radiance is used; without one the field's is trained, and lent to what is lifted.
    """
    version = load_encoder(settings["encoder"]).fingerprint[:8]
    run = place / f"{source}-{settings['preset']}-{settings['encoder']}-{version}"
    path = run.with_name(f"{run.name}_report.json")
    if path.is_file():
        return json.loads(path.read_text())
    if radiance is None and source != SOURCES[0]:
        radiance = run.with_name(run.name.replace(source, SOURCES[0], 1))
    lent = {} if radiance is None else {"radiance_run": radiance}
    model = lerf.train(capture, run, offline=True, language=source, **settings, **lent)
    absent = labels / "absent.txt"
    report = evaluate(model, labels=labels, absent=read_absent(absent) if is_file(absent) else None)
    timings = RunFolder(run).read_timings()
    report["seconds"], report["peak_memory_bytes"] = dict(timings.seconds), timings.peak_memory_bytes
    report["photos"] = len(model.scene)
    write_json(path, report)
    return report


def row_of(capture: Path, reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the table says of one capture."""
    field = reports["field"]
    row: dict[str, Any] = {"capture": capture.name, "photos": field["photos"], "psnr": field["psnr"]}
    for score in SCORES:
        row[score] = {
            **{source: report.get(score) for source, report in reports.items()},
            "2d": field.get("baseline_2d", {}).get(score),
        }
    row["minutes"] = sum(field["seconds"].values()) / 60
    row["memory_bytes"] = max(report["peak_memory_bytes"] for report in reports.values())
    return row


def shown(value: float | None) -> str:
    """A score in a cell."""
    return "" if value is None else f"{value:.2f}"


def table(rows: list[dict[str, Any]]) -> str:
    """Rows and their means, as docs/quality.md has them."""
    heads = [f"{name}, field / lifted (2D)" for name in SCORES.values()]
    lines = [
        f"| capture | photos | {' | '.join(heads)} | PSNR | minutes, field | GB |",
        f"|{'---|' * (5 + len(heads))}",
    ]
    for row in rows:
        cells = [f"{shown(row[s]['field'])} / {shown(row[s]['lift'])} ({shown(row[s]['2d'])})" for s in SCORES]
        ends = f"{row['psnr']:.1f} | {row['minutes']:.1f} | {row['memory_bytes'] / 1e9:.1f}"
        lines.append(f"| {row['capture']} | {row['photos']} | {' | '.join(cells)} | {ends} |")
    means = []
    for score in SCORES:
        known = [row[score] for row in rows if None not in row[score].values()]
        means.append(
            " / ".join(f"{mean(one[source] for one in known):.2f}" for source in SOURCES)
            + f" ({mean(one['2d'] for one in known):.2f})"
            if known
            else ""
        )
    return "\n".join([*lines, f"| mean | | {' | '.join(means)} | | | |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--preset", default="lerf-cpu")
    parser.add_argument("--encoder", default="conse")
    parser.add_argument("--radiance", type=Path, metavar="RUNS")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = {"preset": arguments.preset, "encoder": arguments.encoder}
    for capture in arguments.captures:
        if not (arguments.labels / capture.name).is_dir():
            parser.error(
                f"{arguments.labels / capture.name} has no labels: draw some, or give their folder as --labels"
            )
    rows = []
    for capture in arguments.captures:
        place, labels = arguments.out / capture.name, arguments.labels / capture.name
        lent = arguments.radiance and arguments.radiance / capture.name
        rows.append(row_of(capture, {s: report_of(place, capture, labels, s, settings, lent) for s in SOURCES}))
    print(json.dumps(rows, indent=2) if arguments.json else table(rows))


if __name__ == "__main__":
    main()
