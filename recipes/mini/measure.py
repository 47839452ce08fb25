"""How well `mini` names what it sees on pictures that it was not trained on: the numbers of its model card.

    python recipes/mini/measure.py PICTURES [--weights FILE] [--json]

`PICTURES` holds scenes of `render_data.py --measure`: other seeds, and pairs that training never joined. Every object
with 150 visible pixels or more gives one window, as large as the object and centred on its pixels.

- name, synonym: the share of windows whose highest cosine over all names (or one synonym a kind) is the right one;
- colour, material: the same over the colours (materials) that the kind may have, said with its name; pairs that
  training had and pairs that it had not are counted apart;
- part: for windows on parts that may be asked for, over all such parts of the kind;
- use: the share of windows whose best use, over all uses, is true of them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from canvas import Canvas, collated
from captions import uses
from lerf.encoders.mini import Mini
from lerf.evaluation.annotations import Thing
from lerf_scenes.kind import COLOURS, MATERIALS
from lerf_scenes.kinds import all_kinds
from lerf_scenes.pairs import held_out
from train import Pictures
from windows import LARGEST, whole_windows

CROP = 96
"""Pixels across a crop: about as much as the network sees."""


class Choices:
    """Phrase embeddings, made once each."""

    def __init__(self, encoder: Mini) -> None:
        self._encoder, self._known = encoder, {}

    def best(self, embedding: torch.Tensor, texts: list[str]) -> str:
        missing = [text for text in texts if text not in self._known]
        if missing:
            self._known |= dict(zip(missing, self._encoder.encode_text(missing), strict=True))
        return texts[int((torch.stack([self._known[text] for text in texts]) @ embedding).argmax())]


def score_thing(embedding: torch.Tensor, thing: Thing, choices: Choices, hits: dict[str, list[bool]]) -> None:
    """Ask everything that has one answer about a window on one thing."""
    kinds = all_kinds()
    kind = kinds[thing.kind]
    hits["name"].append(choices.best(embedding, list(kinds)) == kind.name)
    if kind.synonyms:
        listed = [k.synonyms[0] for k in kinds.values() if k.synonyms]
        hits["synonym"].append(choices.best(embedding, listed) == kind.synonyms[0])
    if kind.uses:
        hits["use"].append(choices.best(embedding, list(uses())) in kind.uses)
    colours = [colour for colour in kind.colours if colour in COLOURS]
    if len(colours) > 2 and thing.colour in colours:
        found = choices.best(embedding, [f"{colour} {kind.name}" for colour in colours])
        hits[f"colour, {pair(kind.name, thing.colour)}"].append(found == f"{thing.colour} {kind.name}")
    materials = [material for material in kind.materials if material in MATERIALS]
    if len(materials) > 1 and thing.material in materials:
        found = choices.best(embedding, [f"{material} {kind.name}" for material in materials])
        hits[f"material, {pair(kind.name, thing.material)}"].append(found == f"{thing.material} {kind.name}")


def pair(kind: str, word: str) -> str:
    """Whether training joined the two."""
    return "unseen pairs" if held_out(kind, word) else "seen pairs"


@torch.inference_mode()
def measure(encoder: Mini, pictures: Pictures) -> dict[str, dict[str, float]]:
    """Share of right answers and number of windows of every question."""
    hits: dict[str, list[bool]] = defaultdict(list)
    choices = Choices(encoder)
    for index in range(len(pictures)):
        labels = pictures.labels(index)
        canvas = Canvas(pictures.picture(index), LARGEST, CROP)
        wholes = whole_windows(labels)
        windows = [(x, y, side) for _, x, y, side in wholes] + [(x, y, side) for *_, x, y, side in labels.parts]
        if not windows:
            continue
        crops, across, down = collated([canvas.cut(*window) for window in windows])
        embeddings = encoder.embed_crops(crops, across, down, torch.tensor([side for *_, side in windows]))
        for (thing, *_), embedding in zip(wholes, embeddings, strict=False):
            score_thing(embedding, thing, choices, hits)
        for (thing, part, *_), embedding in zip(labels.parts, embeddings[len(wholes) :], strict=True):
            names = all_kinds()[thing.kind].askable_parts
            if len(names) > 1:
                said = [f"{thing.kind} {name}" for name in names]
                hits["part"].append(choices.best(embedding, said) == f"{thing.kind} {part}")
    return {name: {"right": float(np.mean(rows)), "windows": len(rows)} for name, rows in sorted(hits.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(Mini(arguments.weights), Pictures(arguments.pictures))
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found.items():
        print(f"{name:24} {100 * row['right']:5.1f} %  of {row['windows']}")


if __name__ == "__main__":
    main()
