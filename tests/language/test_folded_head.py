"""The head with texts folded into it says what the head itself says."""

import pytest
import torch
from sources import unit

from lerf.language.field import LanguageConfig, LanguageField
from lerf.language.folded_head import FoldedHead

SIZES = [(16, 2, 40), (16, 1, 12), (8, 0, 20)]


def field_of(hidden: int, layers: int, width: int) -> LanguageField:
    torch.manual_seed(0)
    config = LanguageConfig(grids=((3, 4, 16),), features=2, log2_entries=8, hidden=hidden, layers=layers)
    field = LanguageField(config, width, 0, (0.1, 1.0))
    # Biases start small; here they must count.
    torch.nn.init.normal_(field.head[-1].bias, std=0.5)
    return field


@pytest.mark.parametrize(("hidden", "layers", "width"), SIZES)
@pytest.mark.parametrize("count", [0, 1, 200])
def test_cosines_are_those_of_the_embeddings(hidden, layers, width, count) -> None:
    field, texts = field_of(hidden, layers, width), unit(6, width, seed=1)
    features, scale = torch.randn(count, 6), torch.rand(count) + 0.05
    expected = field.embed(features, scale) @ texts.T
    torch.testing.assert_close(FoldedHead(field).cosines(features, scale, texts), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("hidden", "layers", "width"), SIZES)
def test_codes_serve_any_text(hidden, layers, width) -> None:
    field = field_of(hidden, layers, width)
    features, scale = torch.randn(200, 6), torch.rand(200) + 0.05
    head = FoldedHead(field)
    codes = head.codes(features, scale)
    for seed in (1, 2):
        texts = unit(4, width, seed=seed)
        expected = field.embed(features, scale) @ texts.T
        torch.testing.assert_close(codes @ head.project(texts).T, expected, atol=2e-5, rtol=0)


def test_nothing_of_width_of_the_embedding_is_needed() -> None:
    """Codes are as wide as the last hidden layer and a bias, however wide embeddings are."""
    head = FoldedHead(field_of(16, 2, 400))
    assert head.codes(torch.randn(5, 6), torch.ones(5)).shape == (5, 17)
    assert head.project(unit(3, 400)).shape == (3, 17)


def test_an_embedding_of_no_length_has_no_direction() -> None:
    field = field_of(8, 1, 20)
    torch.nn.init.zeros_(field.head[-1].weight)
    torch.nn.init.zeros_(field.head[-1].bias)
    head, texts = FoldedHead(field), unit(2, 20)
    assert torch.equal(head.cosines(torch.randn(5, 6), torch.ones(5), texts), torch.zeros(5, 2))
    assert torch.equal(head.codes(torch.randn(5, 6), torch.ones(5)) @ head.project(texts).T, torch.zeros(5, 2))
