"""Splat runs beside the hash grids that their splats were made of.

    python benchmarks/splats.py OUT CAPTURE=RUN... [--cut-out mug "teddy bear"] [--json]

CAPTURE has known answers (`lerf make-scene`) and RUN is a finished hash-grid run of it. Of each run a splat is exported
as `lerf export --what splat` does by default, language is lifted onto it, and both are evaluated by the same protocols;
OUT keeps what is done. For the phrases of `--cut-out` it also measures, in held-out views and against true masks, what
`--crop` leaves (IoU of its alpha over 0.5) and what `--without` takes away: the share of the thing's pixels, and of all
others, whose light now comes from at least 2 % farther behind, or from nowhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import lerf
from lerf.evaluation.metrics import iou
from lerf.evaluation.report import evaluate
from lerf.evaluation.truth import find_truth
from lerf.exports.splat import ask, build_splats
from lerf.files import write_json
from lerf.geometry.camera_table import CameraTable
from lerf.model import Model
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.run.folder import RunFolder
from lerf.splats.files import read_splats, write_splats
from lerf.steps import finish

PROTOCOLS = ("colour", "lerf-localisation", "lerf-ovs", "existence", "3d", "lerf-3d")
SCORES = ("psnr", "localisation", "ovs_localisation", "miou", "average_precision", "point_accuracy", "count_accuracy")
PRESETS = ("opengaussian", "vala", "laga")
OPAQUE = 0.5
FARTHER = 1.02


def compared(out: Path, capture: Path, run: Path, phrases: Sequence[str]) -> dict[str, Any]:
    """Scores of a run and of its splat, as far as they were not computed before."""
    path = out / f"{run.parent.name}-{run.name}.json"
    if path.is_file():
        return json.loads(path.read_text())
    splat, lifted = path.with_suffix(".ply"), path.with_suffix("")
    model = lerf.load(run)
    seconds: dict[str, float] = {}
    if not splat.is_file():
        start = time.perf_counter()
        write_splats(splat, build_splats(model).splats)
        seconds["export"] = time.perf_counter() - start
    own: Model = lerf.train(capture, lifted, preset="lerf-demo", offline=True, radiance_run=splat)
    seconds |= RunFolder(lifted).read_timings().seconds
    report = {
        "gaussians": len(read_splats(splat)),
        "hash grid": _scores(evaluate(model, protocols=PROTOCOLS)),
        "splat": _scores(evaluate(own, protocols=PROTOCOLS)),
        "cut out": cut_out(own, phrases) if phrases else {},
        "seconds": seconds,
    }
    write_json(path, report)
    return report


def _scores(report: dict[str, Any]) -> dict[str, float]:
    of_presets = {f"3D selection, {preset}": report["lerf_3d_miou"][preset] for preset in PRESETS}
    return {**{name: report[name] for name in SCORES}, **of_presets}


@torch.no_grad()
def cut_out(model: Model, phrases: Sequence[str]) -> dict[str, dict[str, float]]:
    """What cropping and leaving out do in held-out views, by phrase: means over the views that show the thing."""
    plain, truth = build_splats(model), find_truth(model.scene, None)
    gaussians = model.radiance.gaussians
    numbers = {question.text: number for number, question in enumerate(truth.questions)}
    asked = [phrase for phrase in phrases if phrase in numbers]
    named = ask(model, plain, finish(model.answer(model.phrases(asked))))
    found: dict[str, list[tuple[float, float, float]]] = {phrase: [] for phrase in asked}
    for photo in model.scene.test:
        view = truth.view(photo)
        table = CameraTable.from_cameras([model.scene.normalised_camera(photo)])
        whole = finish(SplatRadiance(gaussians).render(table, 0))
        for row, phrase in enumerate(asked):
            if numbers[phrase] not in view.targets:
                continue
            mask, members = view.targets[numbers[phrase]].mask, named.instances[row] >= 0
            alpha = finish(SplatRadiance(gaussians[members]).render(table, 0)).accumulation
            rest = finish(SplatRadiance(gaussians[~members]).render(table, 0))
            gone = (rest.depth > FARTHER * whole.depth) | (rest.accumulation < OPAQUE)
            shares = (float(gone[mask].float().mean()), float(gone[~mask].float().mean()))
            found[phrase].append((iou(alpha > OPAQUE, mask), *shares))
    names = ("crop", "gone of the thing", "gone of the rest")
    return {
        p: dict(zip(names, (mean(n) for n in zip(*rows, strict=True)), strict=True))
        for p, rows in found.items()
        if rows
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="CAPTURE=RUN")
    parser.add_argument("--cut-out", nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pairs = [tuple(map(Path, pair.split("=", 1))) for pair in given.runs]
    reports = [compared(given.out, capture, run, given.cut_out) for capture, run in pairs]
    if given.json:
        print(json.dumps(reports, indent=2))
        return
    for (capture, _), report in zip(pairs, reports, strict=True):
        print(f"{capture}: {report['gaussians']} Gaussians; seconds: {report['seconds']}")
        for name, value in report["hash grid"].items():
            print(f"  {name:30} {value:7.3f} {report['splat'][name]:7.3f}")
        for phrase, shares in report["cut out"].items():
            print(f"  {phrase:30} " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))


if __name__ == "__main__":
    main()
