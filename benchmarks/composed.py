"""Which of two known things is where: photographs of two classes of ImageNet side by side in one picture.

    python benchmarks/composed.py PHOTOS [--encoder conse] [--half reported] [--kin 120] [--others 120] [--json]

PHOTOS holds photographs whose class is known by their names: nWWWWWWWW_anything.jpg with the WordNet number of a class,
or anything_CLASS.jpg with its number in ILSVRC2012, as in the package foolbox (`--half all`). They are no part of lerf.

Pairs are drawn before anything is looked at, from a fixed seed: half of them from one family of at most thirty classes
each, half of classes that have next to nothing in common. Classes of even numbers are for choosing constants
(`--half tuning`), the odd ones for reporting. A picture counts as right when the most relevant pixel of each of the two
names lies on its own photograph. Of every picture ten names of its classes' kin and ten others, none of them shown, are
asked too, for the average precision of presence. The rule is that of the 2D baseline (`evaluation/baseline.py`).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import lerf
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.encoders.taxonomy import CLASSES, load_taxonomy
from lerf.evaluation.baseline import table_maps
from lerf.evaluation.metrics import average_precision
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids
from lerf.queries.phrases import PEAK_POINTS, embed_phrases, presence

WIDTH, HEIGHT = 448, 320
SIDES = (150, 210)
"""Smallest and largest side of a photograph in the picture."""
FAMILY = (3, 30)
"""Classes below a node that makes a family."""
STRANGERS = 0.3
"""Information of the closest common node up to which classes have next to nothing in common."""
SEED = 12
ABSENT = 10
"""Names of kin, and others, that a picture does not show."""


@dataclass(frozen=True)
class Pair:
    """Two classes, left and right."""

    left: int
    right: int
    kin: bool


@dataclass(frozen=True)
class CellSearch:
    """The cells of a pyramid as a scene in which rivals are looked for."""

    cells: Tensor
    """Embeddings, [cells, width]."""

    def peaks(self, texts: Tensor, canonical: Tensor) -> Tensor:
        """See `queries.rivals.SceneSearch`."""
        margins = self.cells @ texts.T - (self.cells @ canonical.T).amax(dim=1, keepdim=True)
        return margins.topk(min(PEAK_POINTS, len(self.cells)), dim=0).values.mean(dim=0)


def photos_of(folder: Path) -> dict[int, list[Path]]:
    """Photographs by class."""
    numbers = {}
    rows = (Path(lerf.__file__).parent / "encoders" / "data" / "imagenet_wordnet.tsv").read_text().splitlines()
    for number, row in enumerate([row for row in rows if not row.startswith("#")][:CLASSES]):
        numbers[row.split("\t")[0]] = number
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            continue
        wordnet, plain = re.match(r"(n\d{8})", path.name), re.search(r"imagenet.*_(\d+)$", path.stem)
        number = numbers.get(wordnet[1]) if wordnet else int(plain[1]) if plain else None
        if number is not None and number < CLASSES:
            found.setdefault(number, []).append(path)
    return found


def common_information() -> Tensor:
    """Information of the closest common node of every two classes, [classes, classes]."""
    taxonomy = load_taxonomy()
    above, best = taxonomy.above[:CLASSES], torch.zeros(CLASSES, CLASSES)
    for node, information in enumerate(taxonomy.information.tolist()):
        below = above[:, node]
        best[below.nonzero(), below.nonzero().T] = best[below.nonzero(), below.nonzero().T].clamp_min(information)
    return best


def draw_pairs(classes: list[int], kin: int, others: int) -> list[Pair]:
    """Pairs of these classes, families first, as many as there are of each kind at most."""
    taxonomy, common, rng = load_taxonomy(), common_information(), random.Random(SEED)
    below = taxonomy.above[:CLASSES].T
    families = []
    for node in range(CLASSES, len(below)):
        members = [number for number in classes if below[node, number]]
        if FAMILY[0] <= int(below[node].sum()) <= FAMILY[1] and len(members) > 1:
            families.append(members)
    close, far = [], []
    for _ in range(200 * (kin + others)):
        if families and len(close) < kin:
            close.append(tuple(rng.sample(rng.choice(families), 2)))
            close = list(dict.fromkeys(close))
        left, right = rng.sample(classes, 2)
        if len(far) < others and common[left, right] <= STRANGERS:
            far.append((left, right))
            far = list(dict.fromkeys(far))
    return [Pair(*pair, True) for pair in close] + [Pair(*pair, False) for pair in far]


def compose(pair: Pair, photos: dict[int, list[Path]], number: int) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """A picture, [height, width, 3], and the boxes (left, top, right, bottom) of its two photographs."""
    rng, noise = random.Random(1000 * SEED + number), np.random.default_rng(number)
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:] = [rng.uniform(90, 200) for _ in range(3)]
    picture += np.linspace(-15, 15, HEIGHT)[:, None, None] + noise.normal(0, 4, (HEIGHT, WIDTH, 1))
    boxes = []
    for half, label in enumerate((pair.left, pair.right)):
        photo, side = Image.open(rng.choice(photos[label])).convert("RGB"), rng.randint(*SIDES)
        short = min(photo.size)
        x, y = (photo.width - short) // 2, (photo.height - short) // 2
        square = photo.crop((x, y, x + short, y + short)).resize((side, side), Image.Resampling.LANCZOS)
        left, top = half * WIDTH // 2 + rng.randint(0, WIDTH // 2 - side), rng.randint(0, HEIGHT - side)
        picture[top : top + side, left : left + side] = np.asarray(square)
        boxes.append((left, top, left + side, top + side))
    return picture.clip(0, 255).astype(np.uint8), boxes


def absent_of(pair: Pair, common: Tensor, number: int) -> list[int]:
    """Classes that the picture does not show: the closest kin of its two, then others."""
    closest = torch.maximum(common[pair.left], common[pair.right])
    order = closest.argsort(descending=True, stable=True).tolist()
    order = [label for label in order if label not in (pair.left, pair.right)]
    return order[:ABSENT] + random.Random(number).sample(order[len(order) // 2 :], ABSENT)


def measure(
    encoder: ImageTextEncoder,
    canonical: tuple[str, ...],
    pairs: list[Pair],
    photos: dict[int, list[Path]],
    ratios: tuple[float, ...] | None = None,
) -> dict[str, Any]:
    """What the encoder makes of the pictures of these pairs, in tiles of these shares of their height."""
    options = PyramidOptions(tile_ratios=ratios)
    names, common = [lemmas[0] for lemmas in load_taxonomy().lemmas[:CLASSES]], common_information()
    right: dict[bool, list[float]] = {True: [], False: []}
    single: dict[bool, list[float]] = {True: [], False: []}
    scores: list[float] = []
    present: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, pair in enumerate(pairs):
            picture, boxes = compose(pair, photos, number)
            table = PyramidTable.from_store(
                build_pyramids([lambda picture=picture: picture], encoder, options, root=Path(folder))
            )
            asked = [names[label] for label in (pair.left, pair.right, *absent_of(pair, common, number))]
            phrases = embed_phrases(
                encoder, asked, canonical, encoder.defaults.temperature, scene=partial(CellSearch, table.cells.float())
            )
            maps = table_maps(table, WIDTH, HEIGHT, phrases)
            hits = []
            for (left, top, end, bottom), found in zip(boxes, maps[:2], strict=True):
                y, x = divmod(int(found.argmax()), WIDTH)
                hits.append(float(left <= x < end and top <= y < bottom))
            right[pair.kin].append(min(hits))
            single[pair.kin].append(mean(hits))
            scores += [presence(found.flatten()) for found in maps]
            present += [True, True] + [False] * (len(asked) - 2)
    kinds = {"kin": True, "others": False}
    return {
        "pictures": len(pairs),
        "which_is_where": mean(right[True] + right[False]),
        "one_name": mean(single[True] + single[False]),
        **{f"which_is_where_{name}": mean(right[kind]) if right[kind] else None for name, kind in kinds.items()},
        **{f"one_name_{name}": mean(single[kind]) if single[kind] else None for name, kind in kinds.items()},
        "average_precision": average_precision(scores, present),
        "present_median": median(score for score, there in zip(scores, present, strict=True) if there),
        "absent_median": median(score for score, there in zip(scores, present, strict=True) if not there),
        "at_threshold": {
            "found": mean(s >= encoder.defaults.threshold for s, there in zip(scores, present, strict=True) if there),
            "invented": mean(
                s >= encoder.defaults.threshold for s, there in zip(scores, present, strict=True) if not there
            ),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--encoder", default="conse")
    parser.add_argument("--canonical", nargs="+", help="phrases to beat; by default the encoder's")
    parser.add_argument("--half", choices=("tuning", "reported", "all"), default="reported")
    parser.add_argument("--ratios", nargs="+", type=float, help="tile heights; by default the encoder's pyramid")
    parser.add_argument("--kin", type=int, default=120)
    parser.add_argument("--others", type=int, default=120)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos, encoder = photos_of(arguments.photos), load_encoder(arguments.encoder)
    rest = {"tuning": (0,), "reported": (1,), "all": (0, 1)}[arguments.half]
    names = [lemmas[0] for lemmas in load_taxonomy().lemmas[:CLASSES]]
    # Two classes are called crane: asked for one of them, either is right.
    classes = [label for label in sorted(photos) if label % 2 in rest and names.count(names[label]) == 1]
    if len(classes) < 2:
        parser.error(f"{arguments.photos} has no two photographs whose names tell their class.")
    pairs = draw_pairs(classes, arguments.kin, arguments.others)
    canonical = tuple(arguments.canonical or encoder.defaults.canonical)
    found = measure(encoder, canonical, pairs, photos, arguments.ratios and tuple(arguments.ratios))
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:22} {value if isinstance(value, int | dict) or value is None else round(value, 3)}")


if __name__ == "__main__":
    main()
