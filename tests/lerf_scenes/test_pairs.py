"""Pairs set aside: a fifth, always the same, and never in compositions for training."""

import pytest

from lerf_scenes.arrange import compose
from lerf_scenes.kind import COLOURS, MATERIALS
from lerf_scenes.kinds import all_kinds
from lerf_scenes.pairs import held_out

KINDS = all_kinds()


def sayable(kind):
    """Words that are joined with the kind."""
    return list(kind.colours) + [m for m in kind.materials if m in MATERIALS]


def test_a_fifth_is_set_aside():
    every = [held_out(kind, word) for kind in KINDS for word in (*COLOURS, *MATERIALS)]
    assert 0.16 < sum(every) / len(every) < 0.24
    said = [held_out(kind.name, word) for kind in KINDS.values() for word in sayable(kind)]
    assert 0.14 < sum(said) / len(said) < 0.26


def test_always_the_same_pairs():
    # Files of scenes and trained encoders rely on these never changing.
    assert [word for word in (*COLOURS, *MATERIALS) if held_out("mug", word)] == ["blue", "black"]
    car = ["yellow", "blue", "brown", "black", "metal", "plastic"]
    assert [word for word in (*COLOURS, *MATERIALS) if held_out("toy car", word)] == car


def drawn_for_training(seed, setting):
    """Pairs that phrases would join, of a composition with as many objects as there may be."""
    things = compose(seed, setting, training=True, objects=(24, 24)).objects
    words = [(thing.kind, word) for thing in things for word in (thing.colour, thing.material)]
    return {(kind, word) for kind, word in words if word in sayable(KINDS[kind])}


@pytest.mark.parametrize("setting", ["table", "shelf"])
def test_compositions_for_training_draw_none(setting):
    joined = drawn_for_training(0, setting)
    assert len(joined) > 10
    assert [pair for pair in sorted(joined) if held_out(*pair)] == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_training_has_a_colour_and_a_material_left_for_every_kind(kind):
    for words in (kind.colours, kind.materials):
        assert not words or any(not held_out(kind.name, word) for word in words)


def test_compositions_for_evaluation_draw_some():
    things = compose(0, "table", objects=(24, 24)).objects
    words = [(thing.kind, word) for thing in things for word in (thing.colour, thing.material)]
    assert any(held_out(kind, word) for kind, word in words if word in sayable(KINDS[kind]))
