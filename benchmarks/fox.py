"""How well a run on the fox capture answers: localisation on held-out views, presence of phrases.

    python benchmarks/fox.py RUN [--json]

The masks (`benchmarks/labels/fox`) were drawn by hand on the seven held-out photos; the phrases
(`tests/data/fox_phrases.json`) were written before the first run. Beside the trained field stand two baselines: a guess
that relevancy falls off from the centre of the picture, and the encoder's pyramid of the held-out photo itself, no 3D.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import lerf
from lerf.apps.pictures import write_row
from lerf.evaluation.baseline import pyramid_map
from lerf.evaluation.labels import read_labels
from lerf.evaluation.metrics import average_precision, best_iou, iou_at, pixel_auc
from lerf.model import Model
from lerf.rendering.outputs import ViewMaps, paint

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
LABELS = Path(__file__).resolve().parent / "labels/fox"
INDIFFERENCE = 0.5
"""Relevancy at which a place is as close to the phrase as to the nearest canonical phrase."""


def resized(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A mask drawn on the original photo at the resolution of the rendered view."""
    return F.interpolate(mask[None, None].float(), (height, width), mode="area")[0, 0] > 0.5


def centre_map(height: int, width: int) -> torch.Tensor:
    """The guess that what matters is in the middle."""
    y = (torch.arange(height) + 0.5) / height - 0.5
    x = (torch.arange(width) + 0.5) / width - 0.5
    return 1.0 - (y[:, None] ** 2 + x[None] ** 2).sqrt() / 0.7072


def localisation(model: Model) -> dict[str, Any]:
    """Pixel AUC of "fox" on each held-out view, IoU where relevancy passes 0.5, and at the best threshold."""
    phrases = model.phrases("fox")
    scales = model.scales(phrases)
    views = []
    for photo in model.scene.test:
        name = Path(model.scene.photos[photo].name).stem
        truth = read_labels(LABELS / f"{name}.json").masks()["fox"]
        width, height = model.cameras.sizes[photo].tolist()
        mask = resized(torch.as_tensor(truth), height, width)
        maps = {
            "field": model.relevancy_maps(model.cameras, photo, phrases, scales)[0].cpu(),
            "pyramid_2d": pyramid_map(model, phrases, photo),
            "centre_guess": centre_map(height, width),
        }
        view: dict[str, Any] = {"view": name}
        for method, scores in maps.items():
            view[method] = {
                "auc": pixel_auc(scores, mask),
                "iou": iou_at(scores, mask, INDIFFERENCE),
                "best_iou": best_iou(scores, mask)[0],
            }
        views.append(view)
    means = {
        method: {score: sum(view[method][score] for view in views) / len(views) for score in ("auc", "iou", "best_iou")}
        for method in ("field", "pyramid_2d", "centre_guess")
    }
    scale = scales[0] / model.scene.similarity.scale
    return {"threshold": model.defaults.threshold, "scale": scale, "mean": means, "views": views}


def presence(model: Model) -> dict[str, Any]:
    """Average precision of presence, and which phrases pass the encoder's threshold."""
    listed = json.loads((DATA / "fox_phrases.json").read_text())
    texts = [*listed["present"], *listed["absent"]]
    answers = model.query(texts).queries
    truth = torch.tensor([True] * len(listed["present"]) + [False] * len(listed["absent"]))
    scores = torch.tensor([answer.relevancy for answer in answers])
    return {
        "average_precision": average_precision(scores, truth),
        "threshold": model.defaults.threshold,
        "phrases": {
            answer.text: {"relevancy": round(answer.relevancy, 4), "said": answer.present, "true": bool(true)}
            for answer, true in zip(answers, truth, strict=True)
        },
    }


def write_figure(model: Model, path: Path, name: str = "0012", phrases: tuple[str, ...] = ("fox", "pizza")) -> None:
    """The picture of the README: a held-out photo, what the field renders, and the relevancy of two phrases."""
    photo = next(i for i in model.scene.test if Path(model.scene.photos[i].name).stem == name)
    truth = torch.from_numpy(model.scene.pixels(photo)).float() / 255.0
    view = model.render(photo, phrases)
    colour = view.picture.colour
    maps = dict(enumerate(view.relevancy.values()))
    seen = ViewMaps(colour, view.picture.depth, view.picture.accumulation, maps)
    pictures = [truth, colour, paint("depth", seen)[0]]
    captions = ["held-out photo", "rendered", "depth"]
    for number, phrase in enumerate(phrases):
        pictures += [paint(f"{kind}_{number}", seen)[0] for kind in ("relevancy", "composited")]
        captions += [f'"{phrase}", relevancy', f'"{phrase}", over 0.5']
    write_row(path, pictures, captions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path, help="write the README's picture here and measure nothing")
    arguments = parser.parse_args()
    model = lerf.load(arguments.run, offline=True)
    if arguments.figure:
        write_figure(model, arguments.figure)
        return
    report = {"localisation": localisation(model), "presence": presence(model)}
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    found = report["localisation"]
    print(
        f"'fox' at scale {found['scale']:.2f}, threshold {found['threshold']:.3f}, {len(found['views'])} held-out views"
    )
    for method, mean in found["mean"].items():
        bound = f"(at the best threshold {mean['best_iou']:.3f})"
        print(f"  {method:14} pixel AUC {mean['auc']:.3f}   IoU {mean['iou']:.3f}   {bound}")
    heard = report["presence"]
    print(f"presence: average precision {heard['average_precision']:.3f}, threshold {heard['threshold']:.3f}")
    for text, row in sorted(heard["phrases"].items(), key=lambda item: -item[1]["relevancy"]):
        said, truth = "yes" if row["said"] else "no", "in it" if row["true"] else "not in it"
        print(f"  {row['relevancy']:.3f}  {said:3}  {truth:9}  {text}")


if __name__ == "__main__":
    main()
