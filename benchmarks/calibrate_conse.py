"""Calibrate `conse` on photos inside the wheels of scikit-image and scikit-learn: which threshold parts present from
absent phrases?

Each photo is a scene. A phrase's score is its highest relevancy over the pyramid. The phrases
(tests/data/calibration_phrases.json) were written before the first run. The threshold is the midpoint between the two
neighbouring scores that gives the best F1 over all photos together. Run: python benchmarks/calibrate_conse.py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import lerf  # noqa: F401
from composed import CellSearch
from lerf.encoders.conse import SpaceSettings, projected_classes
from lerf.encoders.efficientnet_lite import load_network
from lerf.encoders.mid_level import raw_map
from lerf.encoders.minilm import SentenceEncoder
from lerf.encoders.names import embed_names
from lerf.encoders.registry import load_encoder
from lerf.evaluation.metrics import average_precision
from lerf.queries.phrases import embed_phrases

PHRASES = Path(__file__).parents[1] / "tests" / "data" / "calibration_phrases.json"
DATA = Path(__file__).parents[1] / "src" / "lerf" / "encoders" / "data"


def photo(name: str) -> torch.Tensor:
    """RGB in 0..1, [3, height, width], from inside an installed package."""
    package, _, rest = name.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed.")
    pixels = np.asarray(Image.open(Path(found.origin).parent / rest).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255.0


def best_threshold(present: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Threshold with the best F1, and that F1."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(present[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + present.sum())
    best = int(np.argmax(f1[:-1]))
    return float(score[order][best : best + 2].mean()), float(f1[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="conse")
    parser.add_argument("--write-data", action="store_true", help="write conse_*.npy and conse_mid.tsv again")
    arguments = parser.parse_args()
    scenes = json.loads(PHRASES.read_text())
    if arguments.write_data:
        write_data(list(scenes["scenes"]))
    encoder = load_encoder(arguments.encoder)
    present_all, score_all, means = [], [], []
    for name, scene in scenes["scenes"].items():
        image = photo(name)
        pool = [*scenes["absent_everywhere"], *scenes["absent_inexact"]]
        absent = [phrase for phrase in pool if phrase not in scene["unsure"]]
        phrases = [*scene["present"], *absent]
        start = time.perf_counter()
        cells = torch.cat(
            [encoder.encode_photo_at(image, ratio).features.flatten(0, 1) for ratio in encoder.defaults.tile_ratios]
        )
        seconds = time.perf_counter() - start
        temperature, scene_cells = encoder.defaults.temperature, partial(CellSearch, cells)
        asked = embed_phrases(encoder, phrases, encoder.defaults.canonical, temperature, scene=scene_cells)
        score = torch.sigmoid(asked.odds((cells @ asked.vectors.T).T)).amax(dim=1).numpy()
        present = np.arange(len(phrases)) < len(scene["present"])
        present_all.append(present)
        score_all.append(score)
        means.append(average_precision(score.tolist(), present.tolist()))
        print(f"\n{name}: average precision {means[-1]:.2f}, pyramid of {len(cells)} cells in {seconds:.2f} s")
        print(
            "  present:",
            ", ".join(f"{p} {s:.2f}" for p, s in zip(phrases, score, strict=True) if p in scene["present"]),
        )
        top = np.argsort(-np.where(present, -1.0, score))[:4]
        print("  highest absent:", ", ".join(f"{phrases[i]} {score[i]:.2f}" for i in top))
    present, score = np.concatenate(present_all), np.concatenate(score_all)
    threshold, f1 = best_threshold(present, score)
    above = score >= threshold
    print(f"\n{len(means)} photos, {present.sum()} present and {(~present).sum()} absent phrases")
    together = average_precision(score.tolist(), present.tolist())
    print(f"average precision, all together {together:.3f}, mean of photos {np.mean(means):.3f}")
    print(
        f"threshold {threshold:.3f}: F1 {f1:.2f}, "
        f"precision {present[above].mean():.2f}, recall {above[present].mean():.2f}"
    )
    for level in (0.3, 0.4, 0.5, 0.6, 0.7):
        above = score >= level
        print(f"  at {level}: precision {present[above].mean():.2f}, recall {above[present].mean():.2f}")
    print(f"in use: temperature {encoder.defaults.temperature}, threshold {encoder.defaults.threshold}")


def write_data(names: list[str]) -> None:
    """The data files that the encoders read."""
    np.save(DATA / "conse_names.npy", embed_names(SentenceEncoder()))
    np.save(DATA / "conse_axes.npy", projected_classes(SpaceSettings()))
    network, _ = load_network("lite0")
    with torch.inference_mode():
        cells = torch.cat([raw_map(network, photo(name))[0].flatten(1).T for name in names])
    lines = [f"{mean:.4f} {std:.4f}" for mean, std in zip(cells.mean(0).tolist(), cells.std(0).tolist(), strict=True)]
    header = "# Mean and standard deviation of each channel of conse-mid over the calibration photos."
    (DATA / "conse_mid.tsv").write_text("\n".join([header, *lines]) + "\n")


if __name__ == "__main__":
    main()
