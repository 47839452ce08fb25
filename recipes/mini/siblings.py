"""Sibling captions: what a window on one thing might have been said to show, differing in one word.

A batch of random captions seldom holds the ones that are easily confused. So every window that shows one thing is also
contrasted with all names; with its own name in all colours, and in all materials, that the kind may have; and, where
it looks at a part, with the parts of the kind. Held-out pairs of kind and word never occur, not even as negatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from captions import ALONE, FURNITURE, Sight, spoken
from lerf.generator.kind import COLOURS, MATERIALS
from lerf.generator.kinds import all_kinds
from lerf.generator.pairs import held_out


@dataclass(frozen=True)
class Choice:
    """A window, the captions that it chooses among, and which is right."""

    window: int
    texts: tuple[str, ...]
    right: int


def names_of_kinds(random: np.random.Generator) -> dict[str, str]:
    """How every kind, and then every piece of furniture, is called this time."""
    return {name: spoken(kind, random) for name, kind in all_kinds().items()} | {name: name for name in FURNITURE}


def choices_of(windows: Sequence[Sequence[Sight]], said: Mapping[str, str]) -> list[Choice]:
    """All choices of a batch's windows, given by what they show; `said` are the names of all kinds."""
    kinds = all_kinds()
    names, place = tuple(said.values()), {name: number for number, name in enumerate(said)}
    choices = []
    for number, seen in enumerate(windows):
        if seen[0].share < ALONE and len(seen) > 1:
            continue
        thing = seen[0].thing
        choices.append(Choice(number, names, place[thing.kind]))
        if thing.furniture:
            continue
        kind, name = kinds[thing.kind], said[thing.kind]
        for word, words in ((thing.colour, COLOURS), (thing.material, MATERIALS)):
            open_to = dict.fromkeys(kind.colours if words is COLOURS else kind.materials)
            listed = [w for w in open_to if w in words and not held_out(kind.name, w)]
            if len(listed) > 1 and word in listed:
                choices.append(Choice(number, tuple(f"{w} {name}" for w in listed), listed.index(word)))
        if seen[0].part in kind.askable_parts and len(kind.askable_parts) > 1:
            texts = tuple(f"{name} {part}" for part in kind.askable_parts)
            choices.append(Choice(number, texts, kind.askable_parts.index(seen[0].part)))
    return choices


def contrast_cells(
    image: Float[Tensor, "cells width"],
    kinds: Int[Tensor, " cells"],
    names: Float[Tensor, "names width"],
    factor: Tensor,
) -> Tensor:
    """Cross-entropy of the kinds of single cells of the map over all names, furniture counting as much as objects.

    A cell is the smallest window there is. Every picture has hundreds that show one thing alone, for the price of the
    head.
    """
    losses = F.cross_entropy(factor * image @ names.T, kinds, reduction="none")
    furniture = kinds >= len(all_kinds())
    return 0.5 * sum(losses[side].mean() for side in (furniture, ~furniture) if side.any())


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
    """Mean cross-entropy of the choices; `text` are the embeddings of `texts`."""
    place = {name: number for number, name in enumerate(texts)}
    by_list: dict[tuple[str, ...], list[Choice]] = {}
    for choice in choices:
        by_list.setdefault(choice.texts, []).append(choice)
    losses = []
    logits = factor * image @ text.T
    for listed, group in by_list.items():
        rows = logits[[choice.window for choice in group]][:, [place[name] for name in listed]]
        losses.append(F.cross_entropy(rows, torch.tensor([choice.right for choice in group]), reduction="sum"))
    return torch.stack(losses).sum() / len(choices)
