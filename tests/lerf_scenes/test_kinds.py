"""Every kind of object: sound specimens, the looks and parts it promises, words that tell it from all others."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from lerf_scenes.kind import COLOURS, FINISHES, MATERIALS, Look, bounds, normalised
from lerf_scenes.kinds import ORDER, SUBJECTS, all_kinds

KINDS = all_kinds()
SEEDS = (0, 1, 2)
SILENT_COLOURS = ("gold", "silver", "beige", "skin")
MOST_FACES = 8000
FURNITURE = {"table", "wall", "floor", "shelf", "desk", "picture"}


@cache
def specimens(name):
    return [KINDS[name].model(np.random.default_rng(seed)) for seed in SEEDS]


def test_no_name_is_used_twice():
    assert sorted(kind.name for subject in SUBJECTS for kind in subject.KINDS) == sorted(ORDER)
    assert tuple(KINDS) == ORDER
    names = Counter(word for kind in KINDS.values() for word in (kind.name, *kind.synonyms))
    assert [word for word, number in names.items() if number > 1] == []
    assert not FURNITURE & names.keys()


def test_wider_words_and_uses_are_no_names():
    names = {word for kind in KINDS.values() for word in (kind.name, *kind.synonyms)}
    wider = {word for kind in KINDS.values() for word in kind.hypernyms}
    uses = {word for kind in KINDS.values() for word in kind.uses}
    assert not names & wider
    assert not names & uses
    assert not wider & uses
    assert not wider & (FURNITURE | {"furniture"}), "it would be true of the background"


def test_phrases_of_looks_and_parts_are_no_names():
    names = {word for kind in KINDS.values() for word in (kind.name, *kind.synonyms, *kind.hypernyms, *kind.uses)}
    looks = {f"{word} {kind.name}" for kind in KINDS.values() for word in (*COLOURS, *MATERIALS)}
    parts = {f"{kind.name} {part}" for kind in KINDS.values() for part in kind.askable_parts}
    assert not names & looks
    assert not names & parts
    assert not looks & parts


@pytest.mark.parametrize("name", KINDS)
def test_the_record(name):
    kind = KINDS[name]
    assert kind.name == name
    assert 0.02 < kind.size[0] <= kind.size[1] < 0.6
    assert kind.colours
    assert set(kind.colours) <= set(COLOURS)
    assert set(kind.accents) <= {*COLOURS, *SILENT_COLOURS}
    assert set(kind.materials) <= set(FINISHES)
    assert "body" not in kind.askable_parts
    # Colours and accents may repeat: what is listed twice is drawn twice as often.
    for words in (kind.materials, kind.synonyms, kind.hypernyms, kind.uses, kind.askable_parts):
        assert len(set(words)) == len(words)
        assert all(word == word.strip() and word for word in words)


@pytest.mark.parametrize("name", KINDS)
def test_specimens_are_sound(name):
    for parts in specimens(name):
        for part in parts:
            mesh = part.mesh
            assert np.isfinite(mesh.vertices).all()
            assert len(mesh.faces) > 0
            assert mesh.faces.min() >= 0
            assert mesh.faces.max() < len(mesh.vertices)
            a, b, c = (mesh.vertices - mesh.box.mean(0))[mesh.faces].transpose(1, 0, 2)
            assert np.einsum("ij,ij->", a, np.cross(b, c)) > 0, f"{part.name} is inside out"
        assert sum(len(part.mesh.faces) for part in parts) < MOST_FACES


@pytest.mark.parametrize("name", KINDS)
def test_specimens_have_their_parts_and_looks(name):
    kind = KINDS[name]
    for parts in specimens(name):
        names = {part.name for part in parts}
        assert set(kind.askable_parts) <= names
        assert any(part.look == "main" for part in parts), "a colour is said of it"
        for part in parts:
            if isinstance(part.look, Look):
                assert part.look.finish in FINISHES
                assert {part.look.colour, part.look.second} <= {*COLOURS, *SILENT_COLOURS}
            else:
                assert part.look in ("main", "accent")


@pytest.mark.parametrize("name", KINDS)
def test_normalised_specimens_stand_at_the_origin(name):
    for parts in specimens(name):
        before = bounds(parts)
        low, high = bounds(normalised(parts))
        np.testing.assert_allclose(np.max(high - low), 1)
        np.testing.assert_allclose(low[2], 0, atol=1e-12)
        np.testing.assert_allclose((low + high)[:2], 0, atol=1e-12)
        np.testing.assert_allclose(high - low, (before[1] - before[0]) / np.max(before[1] - before[0]))


@pytest.mark.parametrize("name", KINDS)
def test_the_generator_decides_alone(name):
    for first, seed in zip(specimens(name), SEEDS, strict=True):
        second = KINDS[name].model(np.random.default_rng(seed))
        assert [(part.name, part.look) for part in first] == [(part.name, part.look) for part in second]
        for part, again in zip(first, second, strict=True):
            np.testing.assert_array_equal(part.mesh.vertices, again.mesh.vertices)
            np.testing.assert_array_equal(part.mesh.faces, again.mesh.faces)


def test_specimens_of_a_kind_differ():
    same = []
    for name in KINDS:
        first, second, _ = (np.concatenate([p.mesh.vertices for p in normalised(parts)]) for parts in specimens(name))
        if first.shape == second.shape and np.allclose(first, second):
            same.append(name)
    assert same == []
