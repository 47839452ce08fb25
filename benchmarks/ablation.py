"""What each choice in the language field is worth: variants trained on one run's radiance, measured the same way.

    python benchmarks/ablation.py RUN DATA --output FOLDER [--only NAME ...] [--json]

RUN must be a finished run on the fox capture. Every variant is an ordinary `lerf train --radiance RUN`, so an
interrupted benchmark continues. The rows are scored by `benchmarks/fox.py`; times are ratios to the first row's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import lerf
import lerf.encoders.registry
from fox import localisation, presence
from lerf.run.folder import RunFolder
from lerf.run.settings import TrainSettings
from lerf.stages.train import train


def variants(base: TrainSettings) -> dict[str, TrainSettings]:
    """Settings by name; the first is the default, every other changes one thing."""
    language = base.language
    paper = dataclasses.replace(language, hidden=256, layers=4, dense_hidden=256, estimator="per-sample")
    middle = sorted(lerf.encoders.registry.load_encoder(base.encoder, offline=True).defaults.tile_ratios)[1]
    other = "per-sample" if language.estimator == "deferred" else "deferred"
    return {
        f"default ({language.estimator})": base,
        other: dataclasses.replace(base, language=dataclasses.replace(language, estimator=other)),
        "per-sample, paper's heads": dataclasses.replace(base, language=paper),
        "no dense regulariser": dataclasses.replace(base, dense="none"),
        "one scale": dataclasses.replace(base, tile_ratios=(middle, middle * 1.001)),
        "tiles, edge continued": dataclasses.replace(base, features="tiles", border="edge"),
        "tiles, black border": dataclasses.replace(base, features="tiles", border="zero"),
    }


def measure(settings: TrainSettings, output: Path) -> dict[str, Any]:
    """Train one variant if it is not there, and score it."""
    run = RunFolder(output)
    train(settings, output, offline=True)
    model = lerf.load(output, offline=True)
    start = time.perf_counter()
    model.query("fox")
    first = time.perf_counter() - start
    start = time.perf_counter()
    model.query("a plant")
    following = time.perf_counter() - start
    found, heard = localisation(model)["mean"]["field"], presence(model)
    return {
        **found,
        "average_precision": heard["average_precision"],
        "train_seconds": run.read_timings().seconds["language"],
        "first_query_seconds": first,
        "next_query_seconds": following,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--steps", type=int, help="language steps of every variant, instead of the run's")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings: TrainSettings = RunFolder(arguments.run).read_config()["settings"]
    training = settings.language_training
    if arguments.steps:
        training = dataclasses.replace(training, steps=arguments.steps, decay_steps=arguments.steps)
    base = dataclasses.replace(
        settings,
        language_training=training,
        data=str(arguments.data.resolve()),
        radiance_run=str(arguments.run.resolve()),
    )
    rows: dict[str, Any] = {}
    for name, variant in variants(base).items():
        if arguments.only and name not in arguments.only:
            continue
        rows[name] = measure(variant, arguments.output / name.replace(" ", "_").replace("'", "").replace(",", ""))
        if not arguments.json:
            show(name, rows[name], next(iter(rows.values())))
    if arguments.json:
        print(json.dumps(rows, indent=2))


def show(name: str, row: dict[str, Any], first: dict[str, Any]) -> None:
    """One row of the table; times as ratios to the first row's."""
    ratios = (row[key] / first[key] for key in ("train_seconds", "first_query_seconds", "next_query_seconds"))
    times = "  ".join(f"{ratio:5.2f}" for ratio in ratios)
    print(
        f"{name:28} AUC {row['auc']:.3f}  IoU {row['iou']:.3f}  presence AP {row['average_precision']:.3f}  "
        f"time of training, first query, next query: {times}",
        flush=True,
    )


if __name__ == "__main__":
    main()
