"""Phrases about a generated scene, with the things that each is true of, and as many that are true of nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lerf.evaluation.annotations import Phrase, Thing
from lerf_scenes.kind import COLOURS, MATERIALS, Kind
from lerf_scenes.kinds import all_kinds
from lerf_scenes.pairs import held_out

TYPES = ("name", "synonym", "hypernym", "colour", "material", "part", "use")
"""Types of phrases that are true of something, in the order of reports."""


def phrases_of(kind: Kind, colour: str, material: str) -> list[tuple[str, str, str, bool]]:
    """(text, type, part, unseen) of all phrases that are true of one thing.

    Phrases name a colour where the kind has several, and a material that is in `MATERIALS`.
    """
    said: list[tuple[str, str, str, bool]] = [(kind.name, "name", "", False)]
    said += [(word, "synonym", "", False) for word in kind.synonyms]
    said += [(word, "hypernym", "", False) for word in kind.hypernyms]
    if colour in COLOURS and len(kind.colours) > 1:
        said.append((f"{colour} {kind.name}", "colour", "", held_out(kind.name, colour)))
    if material in MATERIALS:
        said.append((f"{material} {kind.name}", "material", "", held_out(kind.name, material)))
    said += [(f"{kind.name} {part}", "part", part, False) for part in kind.askable_parts]
    said += [(use, "use", "", False) for use in kind.uses]
    return said


def scene_phrases(things: Iterable[Thing], seed: int) -> tuple[Phrase, ...]:
    """All phrases of a scene's objects, then as many of kinds that are not in it, drawn with the seed.

    The absent ones repeat the types of the present ones as far as absent kinds have phrases left that nothing in the
    scene makes true ("fruit" is not absent because the banana is).
    """
    kinds = all_kinds()
    objects = [thing for thing in things if not thing.furniture]
    found: dict[tuple[str, str], tuple[list[int], str, bool]] = {}
    for thing in objects:
        for text, type_, part, unseen in phrases_of(kinds[thing.kind], thing.colour, thing.material):
            if type_ == "part" and part not in {piece.name for piece in thing.parts}:
                continue
            found.setdefault((type_, text), ([], part, unseen))[0].append(thing.identifier)
    present = [
        Phrase(text, type_, tuple(owners), part, unseen)
        for (type_, text), (owners, part, unseen) in sorted(found.items(), key=lambda row: TYPES.index(row[0][0]))
    ]
    return (*present, *_absent(present, {thing.kind for thing in objects}, kinds, seed))


def _absent(present: list[Phrase], shown: set[str], kinds: dict[str, Kind], seed: int) -> list[Phrase]:
    random = np.random.default_rng([seed, 7])
    true = {phrase.text for phrase in present}
    pools: dict[str, list[str]] = {}
    for kind in kinds.values():
        if kind.name in shown:
            continue
        looks = [(str(colour), str(material)) for colour in kind.colours for material in kind.materials or ("natural",)]
        colour, material = looks[random.integers(len(looks))]
        for text, type_, _, _ in phrases_of(kind, colour, material):
            if text not in true and text not in pools.setdefault(type_, []):
                pools[type_].append(text)
    for pool in pools.values():
        random.shuffle(pool)
    wanted = [phrase.type for phrase in present]
    texts: list[str] = []
    for type_ in [*wanted, *(["name", "colour", "material", "part"] * len(wanted))]:
        if len(texts) == len(wanted):
            break
        pool = pools.get(type_, [])
        if pool:
            text = pool.pop()
            if text not in texts:
                texts.append(text)
    return [Phrase(text, "absent", ()) for text in texts]
