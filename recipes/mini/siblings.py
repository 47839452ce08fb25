"""Sibling captions: what a window on one thing might have been said to show, differing in one word.

A batch of random captions seldom holds the ones that are easily confused. So every window that shows one thing is also
contrasted with all names; with its own name in all colours, and in all materials, that the kind may have; with the
parts of the kind, where it looks at one; and with all uses, and all wider words, that are not true of it. Held-out
pairs of kind and word never occur, not even as negatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from captions import ALONE, FURNITURE, Sight, hypernyms, spoken, uses
from lerf_scenes.kind import COLOURS, MATERIALS
from lerf_scenes.kinds import all_kinds
from lerf_scenes.pairs import held_out

NAME, ATTRIBUTE, PART, USE, WIDER = 1.0, 0.5, 0.7, 0.4, 0.3
"""Weights of the questions."""


@dataclass(frozen=True)
class Choice:
    """A window, the captions that it chooses among, and which is right."""

    window: int
    texts: tuple[str, ...]
    right: int
    weight: float


def names_of_kinds(random: np.random.Generator) -> dict[str, str]:
    """How every kind, and then every piece of furniture, is called this time."""
    return {name: spoken(kind, random) for name, kind in all_kinds().items()} | {name: name for name in FURNITURE}


@cache
def rivals(kind: str, said: str) -> tuple[str, ...]:
    """A use or wider word that is true of the kind, and before it all of its sort that are not."""
    sort = uses() if said in uses() else hypernyms()
    return (*(text for text, kinds in sort.items() if kind not in kinds), said)


def choices_of(
    windows: Sequence[Sequence[Sight]], said: Mapping[str, str], random: np.random.Generator
) -> list[Choice]:
    """All choices of a batch's windows, given by what they show; `said` are the names of all kinds."""
    kinds = all_kinds()
    names, place = tuple(said.values()), {name: number for number, name in enumerate(said)}
    choices = []
    for number, seen in enumerate(windows):
        if seen[0].share < ALONE and len(seen) > 1:
            continue
        thing = seen[0].thing
        choices.append(Choice(number, names, place[thing.kind], NAME))
        if thing.furniture:
            continue
        kind, name = kinds[thing.kind], said[thing.kind]
        for word, words in ((thing.colour, COLOURS), (thing.material, MATERIALS)):
            open_to = dict.fromkeys(kind.colours if words is COLOURS else kind.materials)
            listed = [w for w in open_to if w in words and not held_out(kind.name, w)]
            if len(listed) > 1 and word in listed:
                choices.append(Choice(number, tuple(f"{w} {name}" for w in listed), listed.index(word), ATTRIBUTE))
        if seen[0].part in kind.askable_parts and len(kind.askable_parts) > 1:
            texts = tuple(f"{name} {part}" for part in kind.askable_parts)
            choices.append(Choice(number, texts, kind.askable_parts.index(seen[0].part), PART))
        for sort, weight in ((kind.uses, USE), (kind.hypernyms, WIDER)):
            if sort:
                texts = rivals(kind.name, sort[random.integers(len(sort))])
                choices.append(Choice(number, texts, len(texts) - 1, weight))
    return choices


def texts_of(choices: Sequence[Choice]) -> list[str]:
    """Every caption of the choices once."""
    return list(dict.fromkeys(text for choice in choices for text in choice.texts))


def contrast_siblings(
    image: Float[Tensor, "windows width"],
    text: Float[Tensor, "texts width"],
    texts: Sequence[str],
    choices: Sequence[Choice],
    factor: Tensor,
) -> Tensor:
    """Cross-entropy of the choices, weighted, a window that chooses; `text` are the embeddings of `texts`."""
    place = {name: number for number, name in enumerate(texts)}
    longest = max(len(choice.texts) for choice in choices)
    known: dict[tuple[str, ...], list[int]] = {}
    for choice in choices:
        if choice.texts not in known:
            known[choice.texts] = [place[name] for name in choice.texts] + [-1] * (longest - len(choice.texts))
    columns = torch.tensor([known[choice.texts] for choice in choices])
    logits = (factor * image @ text.T)[torch.tensor([choice.window for choice in choices])]
    rows = logits.gather(1, columns.clamp_min(0)).masked_fill(columns < 0, -1e4)
    losses = F.cross_entropy(rows, torch.tensor([choice.right for choice in choices]), reduction="none")
    weights = torch.tensor([choice.weight for choice in choices])
    return (weights * losses).sum() / len({choice.window for choice in choices})
