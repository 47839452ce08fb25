"""Phrases of scenes: each one's truth worked out again from the records of kinds, absent ones true of nothing."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from lerf_scenes.arrange import compose
from lerf_scenes.composition import SETTINGS
from lerf_scenes.kind import COLOURS, MATERIALS
from lerf_scenes.kinds import all_kinds
from lerf_scenes.pairs import held_out
from lerf_scenes.phrases import TYPES, phrases_of, scene_phrases

KINDS = all_kinds()
SCENES = [(seed, setting) for setting in SETTINGS for seed in (0, 1)]


@cache
def things_of(seed, setting):
    return tuple(thing.described() for thing in compose(seed, setting).things)


def sayings(thing):
    """(type, text, part, unseen) of all that is true of a thing."""
    kind = KINDS[thing.kind]
    said = {("name", kind.name, "", False)}
    said |= {("synonym", word, "", False) for word in kind.synonyms}
    said |= {("hypernym", word, "", False) for word in kind.hypernyms}
    said |= {("use", word, "", False) for word in kind.uses}
    if len(kind.colours) > 1 and thing.colour in COLOURS:
        said.add(("colour", f"{thing.colour} {kind.name}", "", held_out(kind.name, thing.colour)))
    if thing.material in MATERIALS:
        said.add(("material", f"{thing.material} {kind.name}", "", held_out(kind.name, thing.material)))
    shown = {part.name for part in thing.parts}
    said |= {("part", f"{kind.name} {part}", part, False) for part in kind.askable_parts if part in shown}
    return said


def true_of(text, thing):
    """Whether a text fits a thing in any way, said or not."""
    kind = KINDS[thing.kind]
    names = (kind.name, *kind.synonyms)
    looks = {f"{word} {name}" for name in names for word in (thing.colour, thing.material)}
    parts = {f"{name} {part.name}" for name in names for part in thing.parts}
    return text in {*names, *kind.hypernyms, *kind.uses, *looks, *parts}


@pytest.mark.parametrize(("seed", "setting"), SCENES)
def test_present_phrases_are_just_what_is_true(seed, setting):
    things = things_of(seed, setting)
    expected = {}
    for thing in things:
        if not thing.furniture:
            for saying in sayings(thing):
                expected.setdefault(saying, set()).add(thing.identifier)
    present = [phrase for phrase in scene_phrases(things, seed) if phrase.type != "absent"]
    found = {(phrase.type, phrase.text, phrase.part, phrase.unseen): set(phrase.things) for phrase in present}
    assert found == expected
    assert len(found) == len(present)
    assert all(len(set(phrase.things)) == len(phrase.things) for phrase in present)


@pytest.mark.parametrize(("seed", "setting"), SCENES)
def test_absent_phrases_are_true_of_nothing(seed, setting):
    things = things_of(seed, setting)
    phrases = scene_phrases(things, seed)
    absent = [phrase for phrase in phrases if phrase.type == "absent"]
    assert len(absent) == len(phrases) - len(absent)
    assert len({phrase.text for phrase in absent}) == len(absent)
    furniture = {thing.kind for thing in things if thing.furniture} | {"furniture"}
    for phrase in absent:
        assert phrase.things == ()
        assert (phrase.part, phrase.unseen) == ("", False)
        assert phrase.text not in furniture
        assert not any(true_of(phrase.text, thing) for thing in things if not thing.furniture)


def test_absent_phrases_repeat_the_types_of_the_present():
    texts = {}
    for kind in KINDS.values():
        for colour in kind.colours:
            for material in kind.materials or ("natural",):
                texts |= {text: type_ for text, type_, _, _ in phrases_of(kind, colour, material)}
    phrases = scene_phrases(things_of(0, "table"), 0)
    counts = Counter(phrase.type for phrase in phrases if phrase.type != "absent")
    absent = Counter(texts[phrase.text] for phrase in phrases if phrase.type == "absent")
    assert {"name", "colour", "part"} <= absent.keys()
    # Pools of names, colours and parts never run out; where another does, these stand in.
    assert all(absent[type_] >= counts[type_] for type_ in ("name", "colour", "material", "part"))


def test_types_come_in_the_order_of_reports():
    order = [*TYPES, "absent"]
    types = [phrase.type for phrase in scene_phrases(things_of(1, "desk"), 1)]
    assert types == sorted(types, key=order.index)
    assert {"name", "synonym", "hypernym", "colour", "part", "use", "absent"} <= set(types)


def test_the_seed_decides():
    things = things_of(1, "shelf")
    assert scene_phrases(things, 2) == scene_phrases(list(things), 2)
    assert scene_phrases(things, 2) != scene_phrases(things, 3)


def test_a_part_that_no_view_shows_is_not_asked_for():
    thing = next(t for t in things_of(0, "table") if not t.furniture and KINDS[t.kind].askable_parts)
    part = KINDS[thing.kind].askable_parts[0]
    hidden = replace(thing, parts=tuple(p for p in thing.parts if p.name != part))
    asked = {phrase.part for phrase in scene_phrases([thing], 0)}
    assert part in asked
    assert {phrase.part for phrase in scene_phrases([hidden], 0)} == asked - {part}


def test_furniture_is_not_asked_for():
    furniture = [thing for thing in things_of(0, "desk") if thing.furniture]
    assert furniture
    assert scene_phrases(furniture, 0) == ()


def test_sayings_of_one_kind():
    said = phrases_of(KINDS["mug"], "red", "ceramic")
    assert ("mug", "name", "", False) in said
    assert ("cup", "synonym", "", False) in said
    assert ("red mug", "colour", "", held_out("mug", "red")) in said
    assert ("ceramic mug", "material", "", held_out("mug", "ceramic")) in said
    assert ("mug handle", "part", "handle", False) in said
    # A lemon is yellow anyway, and nobody says what it is made of.
    assert {type_ for _, type_, _, _ in phrases_of(KINDS["lemon"], "yellow", "natural")} == {"name", "hypernym", "use"}
