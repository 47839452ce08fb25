"""Captions of the encoder's training: what windows show, what is true of them, what is never said."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from canvas import Canvas, collated
from captions import (
    FURNITURE,
    Caption,
    Claim,
    Sight,
    Truth,
    all_words,
    caption,
    hypernyms,
    loose_captions,
    sights,
    uses,
)
from lerf.encoders.mini_text import words_of
from lerf.evaluation.annotations import LabelledPart, Thing
from lerf_scenes.kind import COLOURS, MATERIALS
from lerf_scenes.kinds import all_kinds
from lerf_scenes.pairs import held_out
from siblings import choices_of, contrast_siblings, names_of_kinds, rivals, texts_of
from train import contrast
from windows import LARGEST, SMALLEST, Labels, draw_windows, whole_windows

CORNER = (0.0, 0.0, 0.0)
KINDS = all_kinds()


def thing(identifier, kind, colour="red", material="plastic", pattern="plain", parts=("body",), first=1):
    labelled = tuple(LabelledPart(first + number, name, CORNER, CORNER) for number, name in enumerate(parts))
    return Thing(identifier, kind, colour, material, pattern, "", kind in FURNITURE, labelled, CORNER, CORNER)


TABLE = thing(1, "table", "brown", "wooden", first=1)
MUG = thing(2, "mug", "red", "ceramic", parts=("body", "handle"), first=2)
BANANA = thing(3, "banana", "yellow", "natural", first=4)


def picture():
    """A table, a mug of 40 x 30 pixels with a handle at its right, a banana of 20 x 20."""
    labels = np.full((120, 160), 1, dtype=np.uint8)
    labels[40:70, 20:60] = 2
    labels[50:62, 60:70] = 3
    labels[40:60, 76:96] = 4
    return labels


def test_a_window_shows_what_its_tent_weighs():
    labels = Labels(picture(), (TABLE, MUG, BANANA))
    inside = labels.sights(40.0, 55.0, 16.0)
    assert [(s.thing.kind, s.part) for s in inside] == [("mug", "body")]
    assert next((s.thing.kind, s.part) for s in labels.sights(65.0, 56.0, 14.0)) == ("mug", "handle")
    whole = labels.sights(45.0, 55.0, 50.0)
    assert (whole[0].thing.kind, whole[0].part) == ("mug", "")
    assert {s.thing.kind for s in labels.sights(68.0, 53.0, 80.0)} >= {"mug", "banana"}
    assert [s.thing.kind for s in labels.sights(20.0, 110.0, 16.0)] == ["table"]


def test_objects_count_more_than_furniture():
    seen = sights({1: 1.0, 2: 1.0}, {(1, "body"): 1.0, (2, "body"): 1.0}, {1: 100.0, 2: 10.0}, 30.0, {1: TABLE, 2: MUG})
    assert [s.thing.kind for s in seen] == ["mug", "table"]
    assert seen[0].share == pytest.approx(2.5 / 3.5)


def true_by_hand(seen, said):
    """The definition, one claim and one thing at a time."""

    def holds(claim, sight):
        parts = not claim.part or claim.part == sight.part or (claim.part == "*" and sight.part)
        return (
            (not claim.kinds or sight.thing.kind in claim.kinds)
            and claim.colour in ("", sight.thing.colour)
            and claim.material in ("", sight.thing.material)
            and claim.pattern in ("", sight.thing.pattern)
            and bool(parts)
        )

    return all(any(holds(claim, sight) for sight in seen) for claim in said.claims)


def random_windows(count, random):
    things = []
    for number, kind in enumerate(KINDS.values()):
        colour, material = random.choice(kind.colours), random.choice(kind.materials or ("natural",))
        pattern = random.choice(["plain", "striped", "dotted"])
        parts = ("body", *kind.askable_parts)
        things.append(thing(number + 2, kind.name, str(colour), str(material), str(pattern), parts))
    windows = []
    for _ in range(count):
        chosen = random.choice(len(things), random.integers(1, 4), replace=False)
        parts = ["", *(part.name for part in things[chosen[0]].parts), "*"]
        seen = [Sight(things[k], 0.3, "") for k in chosen]
        if len(seen) == 1:
            seen = [Sight(things[chosen[0]], 1.0, str(random.choice(parts)))]
        windows.append(seen if random.random() < 0.9 else [Sight(TABLE, 1.0, "")])
    return windows


def test_truth_is_its_definition():
    random = np.random.default_rng(0)
    windows = random_windows(60, random)
    captions = [caption(seen, random) for seen in windows] + loose_captions(random, 30)
    table = Truth().table(windows, captions)
    for row, seen in enumerate(windows):
        for column, said in enumerate(captions):
            expected = -1 if not said.claims else int(true_by_hand(seen, said))
            assert table[row, column] == expected, (seen, said)


def test_what_is_said_of_a_window_is_true_of_it():
    random = np.random.default_rng(1)
    windows = random_windows(300, random)
    captions = [caption(seen, random) for seen in windows]
    assert all(true_by_hand(seen, said) for seen, said in zip(windows, captions, strict=True))
    assert {said.text for said in captions if not said.claims} <= {"object", "objects", "things", "stuff", "texture"}


def test_every_word_said_is_in_the_vocabulary():
    random = np.random.default_rng(2)
    windows = random_windows(300, random)
    texts = [caption(seen, random).text for seen in windows] + [c.text for c in loose_captions(random, 100)]
    texts += texts_of(choices_of(windows, names_of_kinds(random), random))
    assert {word for text in texts for word in words_of(text)} <= set(all_words())


def test_siblings_differ_from_the_right_caption_and_never_join_a_held_out_pair():
    random = np.random.default_rng(3)
    windows = random_windows(300, random)
    choices = choices_of(windows, names_of_kinds(random), random)
    assert len({choice.texts for choice in choices}) > 20
    for choice in choices:
        seen = windows[choice.window][0].thing
        right = choice.texts[choice.right]
        assert len(set(choice.texts)) == len(choice.texts)
        if seen.kind in FURNITURE:
            assert right == seen.kind
            continue
        if right in uses() or right in hypernyms():
            sort = uses() if right in uses() else hypernyms()
            assert seen.kind in sort[right]
            assert all(seen.kind not in sort[text] for text in choice.texts if text != right)
            continue
        names = (seen.kind, *KINDS[seen.kind].synonyms)
        assert any(name in right for name in names)
        for text in choice.texts:
            first = text.split(" ")[0]
            if text != right and first in (*COLOURS, *MATERIALS) and text.endswith(names) and text not in names:
                assert not held_out(seen.kind, first)


def test_contrast_is_its_definition():
    torch.manual_seed(0)
    image, text, loose = (F.normalize(torch.randn(n, 8), dim=-1) for n in (5, 5, 3))
    true = np.random.default_rng(0).random((5, 8)) < 0.3
    factor = torch.tensor(7.0)
    found = contrast(image, text, loose, factor, true)
    both, total = torch.cat([text, loose]), 0.0
    for i in range(5):
        logits = factor * image[i] @ both.T
        rivals = [logits[j] for j in range(8) if j == i or not true[i, j]]
        total += torch.logsumexp(torch.stack(rivals), 0) - logits[i]
        logits = factor * image @ text[i]
        rivals = [logits[j] for j in range(5) if j == i or not true[j, i]]
        total += torch.logsumexp(torch.stack(rivals), 0) - logits[i]
    assert float(found) == pytest.approx(float(total) / 10, rel=1e-5)


def test_rivals_of_a_use_are_not_true_of_the_kind():
    assert rivals("mug", "something to drink from")[-1] == "something to drink from"
    assert "something to drink coffee from" not in rivals("mug", "something to drink from")
    assert set(rivals("mug", "drinkware")) <= set(hypernyms())


def test_contrast_of_siblings_is_a_weighted_cross_entropy_a_window():
    random = np.random.default_rng(4)
    choices = choices_of(random_windows(12, random), names_of_kinds(random), random)
    texts = texts_of(choices)
    torch.manual_seed(0)
    image, text = (F.normalize(torch.randn(n, 8), dim=-1) for n in (12, len(texts)))
    expected = sum(
        c.weight
        * F.cross_entropy(
            (3.0 * image[c.window] @ torch.stack([text[texts.index(t)] for t in c.texts]).T)[None],
            torch.tensor([c.right]),
        )
        for c in choices
    ) / len({c.window for c in choices})
    found = contrast_siblings(image, text, texts, choices, torch.tensor(3.0))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_drawn_windows_lie_in_their_picture_and_say_what_they_show():
    labels = Labels(picture(), (TABLE, MUG, BANANA))
    windows = draw_windows(labels, 50, np.random.default_rng(5))
    assert len(windows) == 50
    assert all(0 <= w.x <= 160 and 0 <= w.y <= 120 and SMALLEST <= w.side <= LARGEST for w in windows)
    assert all(true_by_hand(w.seen, w.caption) for w in windows)


def test_parts_that_may_be_asked_for_have_their_middles():
    ((found, part, x, y, side),) = Labels(picture(), (TABLE, MUG, BANANA)).parts
    assert (found.kind, part) == ("mug", "handle")
    assert (x, y) == pytest.approx((65.0, 56.0))
    assert side == SMALLEST


def ramp_and_cut(x, y, side, shift=(0.0, 0.0)):
    """A crop of a picture whose red and green are the place in it."""
    columns, rows = np.meshgrid(np.arange(160), np.arange(120))
    pixels = np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)
    return Canvas(pixels, 80.0, 48).cut(x, y, side, *shift)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (5.0, -6.0)])
def test_a_crop_shows_its_window_where_it_says(shift):
    cut = ramp_and_cut(80.0, 60.0, 64.0, shift)
    assert (cut.x, cut.y) == (24.0 + shift[0], 24.0 + shift[1])
    middle = cut.pixels[int(cut.y) - 1 : int(cut.y) + 1, int(cut.x) - 1 : int(cut.x) + 1].reshape(-1, 3).mean(0)
    # Pixel 0 has its middle at 0.5.
    assert middle[:2] + 0.5 == pytest.approx((80.0, 60.0), abs=1.0)


def test_what_lies_beyond_the_picture_has_no_weight():
    cut = ramp_and_cut(0.0, 60.0, 64.0)
    assert cut.inside == pytest.approx((24.0, 104.0, -6.0, 54.0))
    crops, across, down = collated([cut])
    assert crops.shape == (1, 3, 48, 48)
    assert torch.count_nonzero(across[0, :3]) == 0
    assert float(across.sum()) == pytest.approx(1.0)
    assert down[0].tolist() == pytest.approx(down[0].flip(0).tolist(), abs=1e-6)


def test_whole_windows_cover_the_objects():
    found = whole_windows(Labels(picture(), (TABLE, MUG, BANANA)))
    assert [(t.kind, round(side)) for t, _, _, side in found] == [("mug", round((50 * 30) ** 0.5)), ("banana", 20)]
    assert found[1][1:3] == pytest.approx((86.0, 50.0))


def test_a_generic_caption_claims_nothing():
    assert Truth().table(
        [[Sight(MUG, 1.0, "")]], [Caption("object", ()), Caption("x", (Claim(("mug",)),))]
    ).tolist() == [[-1, 1]]
