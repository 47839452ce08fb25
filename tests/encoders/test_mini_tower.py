"""Windows over a feature map, the image tower and the text tower."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.encoders.mini_text import PAD, UNKNOWN, TextTower, Vocabulary, words_of
from lerf.encoders.mini_tower import DEEPEST, STRIDE, ImageTower, padded_to, tent


@given(centre=st.floats(0.0, 160.0), side=st.floats(1.0, 200.0), inside=st.integers(8, 160))
@settings(max_examples=60, deadline=None)
def test_a_tent_is_a_mean_of_what_lies_inside(centre, side, inside):
    weights = tent(torch.tensor([centre]), torch.tensor([side]), 40, inside)[0].double().numpy()
    middles = (np.arange(40) + 0.5) * STRIDE
    half = max(side, 2 * STRIDE) / 2
    expected = np.maximum(1 - np.abs(middles - centre) / half, 0.0) * (middles < inside)
    if expected.sum() < 1e-3:
        return
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-5)


def test_a_tent_misses_no_cell_between_windows():
    weights = tent(torch.arange(0.0, 160.0, 0.37), torch.full((433,), 0.1), 40, 160)
    assert torch.allclose(weights.sum(1), torch.ones(433))


def test_a_window_in_the_middle_of_a_ramp_reads_its_middle():
    ramp = torch.arange(40.0) * STRIDE + STRIDE / 2
    weights = tent(torch.tensor([80.0, 61.0]), torch.tensor([40.0, 24.0]), 40, 160)
    assert torch.allclose(weights @ ramp, torch.tensor([80.0, 61.0]), atol=0.7)


def test_the_map_has_a_quarter_of_the_resolution_and_embeddings_are_unit():
    tower = ImageTower(16).eval()
    with torch.inference_mode():
        features = tower.feature_map(padded_to(torch.rand(1, 3, 50, 70)))
        embedded = tower.embed(features.permute(0, 2, 3, 1), torch.full((1, 16, 24), 20.0))
    assert features.shape == (1, 128, 64 // STRIDE, 96 // STRIDE)
    assert torch.allclose(embedded.norm(dim=-1), torch.ones(1, 16, 24), atol=1e-5)


def test_padding_continues_the_edge():
    picture = torch.rand(1, 3, 33, 64)
    padded = padded_to(picture)
    assert padded.shape == (1, 3, 2 * DEEPEST, 64)
    assert torch.equal(padded[..., :33, :], picture)
    assert torch.equal(padded[..., 60, :], picture[..., 32, :])


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
