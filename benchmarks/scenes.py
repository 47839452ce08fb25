"""How good the answers are on generated scenes that nothing was trained or tuned on.

    python benchmarks/scenes.py OUT [--seeds 101 102 103 104 105] [--variants] [--json]

Each seed gives a scene (`lerf make-scene`), a run (preset lerf-demo, encoder mini) and a report (`lerf eval`, all
protocols); what is there is kept. Printed are means over the scenes beside the 2D baseline. `--variants` adds, on
the same radiance, lifted language of one tile height, language lifted from the true masks, and trained fields: as they
are, without the dense regulariser, with one tile height, and with the per-sample estimator: what the LERF paper showed
as pictures. Constants were tuned on seeds 201 to 206 only.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import lerf
from lerf.encoders.registry import load_encoder
from lerf.evaluation.annotations import read_annotation, read_labels_of_view
from lerf.evaluation.report import evaluate
from lerf.files import write_atomically, write_json
from lerf.model import Model
from lerf.run.folder import RunFolder
from lerf_scenes.write import Photography, write_scene

SEEDS = (101, 102, 103, 104, 105)
VIEWS, HELD_OUT, SPP = 60, 8, 12
VARIANTS: dict[str, dict[str, Any]] = {
    "one tile height": {"tile_ratios": (0.16,)},
    "true masks": {"masks": True},
    "true masks, crops": {"masks": True, "mask_crops": "black"},
    "true masks, crops with blurred surroundings": {"masks": True, "mask_crops": "blur"},
    "trained field": {"language": "field"},
    "trained field without dense regulariser": {"language": "field", "dense": "none"},
    "trained field with one tile height": {"language": "field", "tile_ratios": (0.16,)},
    "trained field with the per-sample estimator": {"language": "field", "estimator": "per-sample"},
}
EASY, HARD = ("name", "colour", "synonym"), ("part", "use")


def scene_report(folder: Path, seed: int, variant: str | None = None) -> dict[str, Any]:
    """Make the scene, train and evaluate, as far as it was not done before with this encoder.

    The radiance knows nothing of encoders and variants: it is trained once a scene.
    """
    place, version = folder / f"{seed}", load_encoder("mini").fingerprint[:8]
    run = place / f"{(variant or 'default').replace(' ', '_')}-{version}"
    path = run.with_name(run.name + "_report.json")
    if path.is_file():
        return json.loads(path.read_text())
    scene = place / "scene"
    write_scene(scene, seed, photography=Photography(VIEWS, HELD_OUT, spp=SPP))
    settings: dict[str, Any] = {} if variant is None else dict(VARIANTS[variant])
    if settings.get("masks"):
        settings["masks"] = write_true_masks(scene, place / "masks")
    finished = sorted(place.glob("*_report.json"))
    if finished and not run.exists():
        settings["radiance_run"] = Path(str(finished[0]).removesuffix("_report.json"))
    model: Model = lerf.train(scene, run, preset="lerf-demo", offline=True, **settings)
    start = time.perf_counter()
    report = evaluate(model)
    timings = RunFolder(run).read_timings()
    report["seconds"] = {**timings.seconds, "evaluation": round(time.perf_counter() - start, 3)}
    report["peak_memory_bytes"] = timings.peak_memory_bytes
    write_json(path, report)
    return report


def write_true_masks(scene: Path, folder: Path) -> Path:
    """Labels of a generated scene as masks: parts in the first level, whole things in the second."""
    annotation = read_annotation(scene)
    whole = np.full(256, -1, np.int32)
    part = np.full(256, -1, np.int32)
    for number, thing in enumerate(annotation.things):
        for each in thing.parts:
            part[each.label], whole[each.label] = each.label, 256 + number
    for path in sorted((scene / "images").iterdir()):
        labels = read_labels_of_view(scene, path.stem)
        levels = np.stack([part[labels], whole[labels]])
        write_atomically(folder / f"images/{path.stem}.npy", lambda file, levels=levels: np.save(file, levels))
    return folder


def by_types(report: dict[str, Any], types: tuple[str, ...]) -> float:
    """Localisation over the queries of some types of phrases."""
    rows = [row for row in report["phrases"] if row["type"] in types and "localisation" in row]
    return sum(row["localisation"] * row["views"] for row in rows) / sum(row["views"] for row in rows)


def summary(reports: list[dict[str, Any]]) -> dict[str, float]:
    """Means over scenes."""
    return {
        "psnr": mean(r["psnr"] for r in reports),
        "localisation of names, colours, synonyms": mean(by_types(r, EASY) for r in reports),
        "localisation of parts, uses": mean(by_types(r, HARD) for r in reports),
        **{name: mean(r[name] for r in reports) for name in ("localisation", "ovs_localisation", "miou")},
        **{
            name: mean(r[name] for r in reports)
            for name in ("average_precision", "point_accuracy", "count_accuracy", "extent_iou", "part_scale_smaller")
        },
        **{
            f"2D baseline, {name}": mean(r["baseline_2d"][name] for r in reports)
            for name in ("localisation", "ovs_localisation", "miou", "average_precision")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    variants = [None, *(VARIANTS if arguments.variants else [])]
    found: dict[str, dict[str, float]] = {}
    for variant in variants:
        reports = [scene_report(arguments.out, seed, variant) for seed in arguments.seeds]
        found[variant or "as trained by default"] = summary(reports)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found.items():
        print(f"{name}, {len(arguments.seeds)} scenes")
        for score, value in row.items():
            print(f"  {score:45} {value:.3f}")


if __name__ == "__main__":
    main()
