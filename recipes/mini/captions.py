"""Captions of windows: what a window shows, said in many ways, and whether another caption is true of it as well.

A window shows things with shares: the weight of its tent on each thing's visible pixels, objects counting
`OBJECT_FACTOR` times as much as furniture. A caption is a list of claims ("red mug", "mug handle", "something to drink
from"), each a test on kind, colour, material, pattern and part; it is true of a window when every claim is true of
something that the window shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lerf.evaluation.annotations import Thing
from lerf_scenes.kind import COLOURS, MATERIALS, Kind
from lerf_scenes.kinds import all_kinds

FURNITURE = ("table", "desk", "shelf", "floor", "wall", "picture")
FURNITURE_WORDS = {
    "table": ("tabletop",),
    "desk": (),
    "shelf": ("board",),
    "floor": ("ground",),
    "wall": (),
    "picture": ("poster", "painting"),
}
OBJECT_FACTOR = 2.5
SHOWN = 0.14
"""Share from which a thing counts as shown."""
ALONE = 0.62
"""Share from which a window shows one thing only."""
INSIDE = 0.55
"""Windows smaller than this share of a thing look into it: captions may name its part."""
GENERIC = ("object", "objects", "things", "stuff", "texture")
MATERIAL_FORMS = {
    "wooden": ("wooden {}", "{} made of wood", "wood {}"),
    "metal": ("metal {}", "{} made of metal", "metallic {}"),
    "glass": ("glass {}", "{} made of glass"),
    "ceramic": ("ceramic {}", "{} made of ceramic", "porcelain {}"),
    "plastic": ("plastic {}", "{} made of plastic"),
    "fabric": ("fabric {}", "{} made of cloth", "cloth {}"),
}
PATTERN_FORMS = {"striped": ("striped {}", "{} with stripes"), "dotted": ("dotted {}", "{} with dots", "spotted {}")}


@dataclass(frozen=True)
class Claim:
    """True of a thing of one of `kinds` (all where empty), with the other attributes where they are given."""

    kinds: tuple[str, ...] = ()
    colour: str = ""
    material: str = ""
    pattern: str = ""
    part: str = ""
    """The window must look at this part of it; "*" is any window that looks into it."""


@dataclass(frozen=True)
class Caption:
    """A text and what it claims; a generic caption claims nothing, and is neither true nor false of other windows."""

    text: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Sight:
    """One thing that a window shows."""

    thing: Thing
    share: float
    part: str
    """The part that the window looks at, where it looks into the thing; else empty."""


def sights(
    shares: dict[int, float],
    part_shares: dict[tuple[int, str], float],
    sides: dict[int, float],
    side: float,
    things: dict[int, Thing],
) -> list[Sight]:
    """What a window shows, the most first.

    Args:
        shares: weight on each thing, any unit.
        part_shares: weight on each (thing, part name).
        sides: side in pixels of a square of each thing's visible extent.
        side: of the window, in pixels.
        things: by identifier.
    """
    weighed = {i: s * (1.0 if things[i].furniture else OBJECT_FACTOR) for i, s in shares.items()}
    total = sum(weighed.values())
    seen = []
    for identifier, weight in sorted(weighed.items(), key=lambda row: -row[1]):
        if weight < SHOWN * total:
            break
        thing, part = things[identifier], ""
        if not thing.furniture and side < INSIDE * sides[identifier] and weight >= 0.5 * total:
            name, most = max(((p, s) for (i, p), s in part_shares.items() if i == identifier), key=lambda row: row[1])
            part = name if most >= 0.6 * shares[identifier] else "*"
        seen.append(Sight(thing, weight / total, part))
    return seen


@cache
def hypernyms() -> dict[str, tuple[str, ...]]:
    """Kinds of which a wider word is true."""
    return _shared("hypernyms")


@cache
def uses() -> dict[str, tuple[str, ...]]:
    """Kinds of which a use is true."""
    return _shared("uses")


def _shared(attribute: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for kind in all_kinds().values():
        for text in getattr(kind, attribute):
            found[text] = (*found.get(text, ()), kind.name)
    return found


def caption(seen: list[Sight], random: np.random.Generator) -> Caption:
    """One caption of a window, drawn among all that may be said of it."""
    objects = [sight for sight in seen if not sight.thing.furniture]
    if random.random() < 0.08:
        if not objects:
            word = ("texture", "stuff")[random.integers(2)]
        elif len(objects) == 1:
            word = ("object", "object", "stuff")[random.integers(3)]
        else:
            word = ("things", "things", "stuff", "objects")[random.integers(4)]
        return Caption(word, ())
    if not objects or (seen[0].thing.furniture and seen[0].share >= ALONE):
        return _joined([_furniture(seen[0].thing, random)], random)
    first = seen[0]
    if first.share >= ALONE or len(seen) == 1:
        claim = _part(first, random) if first.part and random.random() < 0.75 else _thing(first.thing, random)
        if random.random() < 0.1 and len(seen) > 1 and seen[1].thing.furniture:
            return _on(claim, _furniture(seen[1].thing, random), random)
        return _joined([claim], random)
    chosen = objects[:3]
    claims = [_thing(sight.thing, random, short=True) for sight in chosen]
    if len(chosen) == 1 or random.random() < 0.1:
        ground = [sight for sight in seen if sight.thing.furniture]
        if ground and random.random() < 0.5:
            return _on(claims[0], _furniture(ground[0].thing, random), random)
    return _joined(claims, random)


Said = tuple[str, Claim]


def _thing(thing: Thing, random: np.random.Generator, short: bool = False) -> Said:
    """A way to speak of a thing; `short` leaves wider words and uses out."""
    kind = all_kinds()[thing.kind]
    draw = random.random()
    if not short:
        if draw < 0.10 and kind.hypernyms:
            word = kind.hypernyms[random.integers(len(kind.hypernyms))]
            return word, Claim(hypernyms()[word])
        if draw < 0.22 and kind.uses:
            use = kind.uses[random.integers(len(kind.uses))]
            return use, Claim(uses()[use])
        if draw < 0.27 and thing.colour in COLOURS:
            wide = kind.hypernyms[random.integers(len(kind.hypernyms))] if kind.hypernyms else "object"
            return f"{thing.colour} {wide}", Claim(hypernyms().get(wide, ()), thing.colour)
        if draw < 0.30 and thing.material in MATERIALS:
            return _material("object", thing.material, random), Claim((), "", thing.material)
    return _described(thing, kind, spoken(kind, random), random)


def spoken(kind: Kind, random: np.random.Generator) -> str:
    """The kind's name or, less often, a synonym."""
    if kind.synonyms and random.random() < 0.3:
        return kind.synonyms[random.integers(len(kind.synonyms))]
    return kind.name


def _described(thing: Thing, kind: Kind, name: str, random: np.random.Generator) -> Said:
    """The name with none, one or two of its attributes."""
    claim = Claim((kind.name,))
    text = name
    draw = random.random()
    if draw > 0.4:
        colour = thing.colour in COLOURS and (draw < 0.75 or draw > 0.93)
        material = thing.material in MATERIALS and draw >= 0.75
        pattern = thing.pattern != "plain" and random.random() < 0.5
        if pattern:
            forms = PATTERN_FORMS[thing.pattern]
            text, claim = forms[random.integers(len(forms))].format(text), Claim(claim.kinds, pattern=thing.pattern)
        if material:
            text = _material(text, thing.material, random)
            claim = Claim(claim.kinds, material=thing.material, pattern=claim.pattern)
        if colour:
            text = f"{thing.colour} {text}"
            claim = Claim(claim.kinds, thing.colour, claim.material, claim.pattern)
    return text, claim


def _material(name: str, material: str, random: np.random.Generator) -> str:
    forms = MATERIAL_FORMS[material]
    return forms[random.integers(len(forms))].format(name)


def _part(sight: Sight, random: np.random.Generator) -> Said:
    """A piece of a thing, for windows that look into it."""
    thing, kind = sight.thing, all_kinds()[sight.thing.kind]
    name = spoken(kind, random) if random.random() < 0.5 else kind.name
    colour = f"{thing.colour} " if thing.colour in COLOURS and random.random() < 0.25 else ""
    claim = Claim((kind.name,), thing.colour if colour else "", part=sight.part)
    if sight.part in ("body", "*"):
        forms = (f"part of a {colour}{name}", f"side of a {colour}{name}", f"detail of a {colour}{name}")
        return forms[random.integers(3)], Claim(claim.kinds, claim.colour, part="*")
    draw = random.random()
    if draw < 0.15:
        return sight.part, Claim((), part=sight.part)
    if draw < 0.65:
        return f"{colour}{name} {sight.part}", claim
    return f"{sight.part} of a {colour}{name}", claim


def _furniture(thing: Thing, random: np.random.Generator) -> Said:
    words = (thing.kind, *FURNITURE_WORDS[thing.kind])
    name = words[random.integers(len(words))]
    draw = random.random()
    if draw < 0.15:
        return ("background", Claim(FURNITURE))
    if draw < 0.45 and thing.material in MATERIALS:
        return _material(name, thing.material, random), Claim((thing.kind,), material=thing.material)
    return name, Claim((thing.kind,))


def _articled(text: str, random: np.random.Generator) -> str:
    draw = random.random()
    if draw < 0.45 or text.startswith("something"):
        return text
    if draw < 0.8:
        return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
    return f"the {text}"


def _joined(said: list[Said], random: np.random.Generator) -> Caption:
    texts = [_articled(text, random) for text, _ in said]
    text = texts[0] if len(texts) == 1 else f"{' '.join(texts[:-1])} and {texts[-1]}"
    if random.random() < 0.05:
        text = f"a photo of {text}"
    return Caption(text, tuple(claim for _, claim in said))


def _on(said: Said, ground: Said, random: np.random.Generator) -> Caption:
    place = "on" if ground[1].kinds != ("wall",) else "in front of"
    text = f"{_articled(said[0], random)} {place} {_articled(ground[0], random)}"
    return Caption(text, (said[1], ground[1]))


class Truth:
    """Which captions are true of which windows, for whole batches."""

    def __init__(self) -> None:
        kinds = [*all_kinds(), *FURNITURE]
        self._kinds = {name: index for index, name in enumerate(kinds)}
        self._words: dict[str, int] = {}

    def table(self, windows: list[list[Sight]], captions: list[Caption]) -> np.ndarray:
        """[windows, captions]: 1 where true, 0 where false, -1 where the caption is generic."""
        flat = [sight for seen in windows for sight in seen]
        owner = np.repeat(np.arange(len(windows)), [len(seen) for seen in windows])
        claims = [claim for caption in captions for claim in caption.claims]
        holder = np.repeat(np.arange(len(captions)), [len(caption.claims) for caption in captions])
        kind = np.array([self._kinds[s.thing.kind] for s in flat])
        allowed = np.ones((len(claims), len(self._kinds)), dtype=bool)
        for row, claim in enumerate(claims):
            if claim.kinds:
                allowed[row] = False
                allowed[row, [self._kinds[name] for name in claim.kinds]] = True
        match = allowed[:, kind]
        for attribute in ("colour", "material", "pattern"):
            asked = np.array([self._word(getattr(claim, attribute)) for claim in claims])
            has = np.array([self._word(getattr(s.thing, attribute)) for s in flat])
            match &= (asked[:, None] == 0) | (asked[:, None] == has)
        asked = np.array([self._word(claim.part) for claim in claims])
        has = np.array([self._word(s.part) for s in flat])
        inside = has != 0
        match &= (asked[:, None] == 0) | (asked[:, None] == has) | ((asked[:, None] == self._word("*")) & inside)
        by_window = np.zeros((len(windows), len(claims)), dtype=bool)
        np.logical_or.at(by_window, owner, match.T)
        missing = np.zeros((len(windows), len(captions)), dtype=np.int64)
        np.add.at(missing.T, holder, (~by_window).T.astype(np.int64))
        table = (missing == 0).astype(np.int8)
        table[:, [not caption.claims for caption in captions]] = -1
        return table

    def _word(self, word: str) -> int:
        return 0 if not word else self._words.setdefault(word, len(self._words) + 1)


def loose_captions(random: np.random.Generator, count: int) -> list[Caption]:
    """Captions of things drawn from the vocabulary, not from pictures: more for a batch to tell apart."""
    kinds = list(all_kinds().values())
    drawn = []
    for _ in range(count):
        kind = kinds[random.integers(len(kinds))]
        draw = random.random()
        if draw < 0.5:
            said = (spoken(kind, random), Claim((kind.name,)))
        elif draw < 0.65 and kind.hypernyms:
            word = kind.hypernyms[random.integers(len(kind.hypernyms))]
            said = (word, Claim(hypernyms()[word]))
        elif draw < 0.8 and kind.uses:
            use = kind.uses[random.integers(len(kind.uses))]
            said = (use, Claim(uses()[use]))
        elif kind.askable_parts:
            part = kind.askable_parts[random.integers(len(kind.askable_parts))]
            said = (f"{kind.name} {part}", Claim((kind.name,), part=part))
        else:
            said = (kind.name, Claim((kind.name,)))
        drawn.append(_joined([said], random))
    return drawn


def all_words() -> list[str]:
    """Every word that captions may use, sorted."""
    from lerf.encoders.mini_text import words_of

    texts = [*FURNITURE, *(w for words in FURNITURE_WORDS.values() for w in words), *COLOURS, *GENERIC]
    texts += [form.replace("{}", "") for forms in (*MATERIAL_FORMS.values(), *PATTERN_FORMS.values()) for form in forms]
    texts += ["a an the and on in front of a photo of part of side of detail of background something"]
    for kind in all_kinds().values():
        texts += [kind.name, *kind.synonyms, *kind.hypernyms, *kind.uses, *kind.askable_parts]
    return sorted({word for text in texts for word in words_of(text)})
