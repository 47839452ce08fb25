"""Windows over a feature map, the image tower and the text tower."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.encoders.mini_text import PAD, UNKNOWN, TextTower, Vocabulary, words_of
from lerf.encoders.mini_tower import MARGIN, STRIDE, WINDOW, ImageTower, framed, tent


def borders(left, right):
    return torch.tensor([float(left)]), torch.tensor([float(right)])


@given(centre=st.floats(0.0, 160.0), right=st.integers(16, 160), first=st.sampled_from([0.0, -8.0, -16.0]))
@settings(max_examples=60, deadline=None)
def test_a_tent_is_a_mean_of_what_lies_inside(centre, right, first):
    weights = tent(torch.tensor([centre]), 24, borders(0, right), first)[0].double().numpy()
    middles = (np.arange(24) + 0.5) * STRIDE + first
    expected = np.maximum(1 - np.abs(middles - centre) / (WINDOW / 2), 0.0) * (middles > 0) * (middles < right)
    if expected.sum() < 1e-3:
        return
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-5)


def test_every_window_in_the_picture_sees_a_cell():
    centres = torch.arange(0.0, 160.0, 0.37)
    assert torch.allclose(tent(centres, 20, borders(0, 160)).sum(1), torch.ones(len(centres)))


def test_a_window_in_the_middle_of_a_ramp_reads_its_middle():
    ramp = torch.arange(20.0) * STRIDE + STRIDE / 2
    weights = tent(torch.tensor([80.0, 61.0]), 20, borders(0, 160))
    assert torch.allclose(weights @ ramp, torch.tensor([80.0, 61.0]), atol=0.7)


def test_the_map_has_an_eighth_of_the_resolution_and_embeddings_are_unit():
    tower = ImageTower(16).eval()
    with torch.inference_mode():
        features = tower.feature_map(framed(torch.rand(1, 3, 50, 70)))
        embedded = tower.embed(features.permute(0, 2, 3, 1), torch.full(features.shape[:1] + features.shape[2:], 20.0))
    assert features.shape == (1, 256, (56 + 2 * MARGIN) // STRIDE, (72 + 2 * MARGIN) // STRIDE)
    assert torch.allclose(embedded.norm(dim=-1), torch.ones(embedded.shape[:-1]), atol=1e-5)


def test_a_frame_continues_the_edge():
    picture = torch.rand(1, 3, 33, 64)
    padded = framed(picture)
    assert padded.shape == (1, 3, 40 + 2 * MARGIN, 64 + 2 * MARGIN)
    assert torch.equal(padded[..., MARGIN : MARGIN + 33, MARGIN : MARGIN + 64], picture)
    assert torch.equal(padded[..., 50, MARGIN:-MARGIN], picture[..., 32, :])
    assert torch.equal(padded[..., MARGIN : MARGIN + 33, 0], picture[..., 0])


def test_words_and_plurals():
    vocabulary = Vocabulary(["berry", "box", "glass", "mug", "knife"])
    assert words_of("The RED mug's handle!") == ["the", "red", "mug", "s", "handle"]
    for word, known in (("mugs", "mug"), ("boxes", "box"), ("berries", "berry"), ("knives", "knife")):
        assert vocabulary.index(word) == vocabulary.index(known) != UNKNOWN
    assert vocabulary.index("glass") != UNKNOWN
    assert vocabulary.index("zebra") == UNKNOWN
    assert vocabulary.unknown("a zebra and mugs") == ["a", "zebra", "and"]


def test_spelling_is_not_a_word_of_its_own():
    assert words_of("gray") == words_of("grey")


def test_a_phrase_without_letters_is_one_unknown_word():
    assert Vocabulary(["mug"]).encode(["42 !"]).tolist() == [[UNKNOWN]]


def test_padding_does_not_change_an_embedding():
    tower = TextTower(6, 16).eval()
    with torch.inference_mode():
        alone = tower(torch.tensor([[2, 3]]))
        beside = tower(torch.tensor([[2, 3, PAD, PAD], [2, 3, 4, 5]]))[:1]
    assert torch.allclose(alone, beside, atol=1e-6)
    assert torch.allclose(alone.norm(dim=-1), torch.ones(1), atol=1e-5)


@pytest.mark.parametrize("count", [1, 60])
def test_long_phrases_are_cut(count):
    assert Vocabulary(["mug"]).encode(["mug " * count]).shape[1] == min(count, 24)
