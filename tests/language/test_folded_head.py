"""The head with phrases folded into it says what the head and the formula of relevancy say."""

import pytest
import torch
import torch.nn.functional as F

from lerf.language.field import LanguageConfig, LanguageField, LightStops
from lerf.language.folded_head import Asked, FoldedHead
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy


def field_of(hidden: int, layers: int, width: int, estimator: str = "deferred") -> LanguageField:
    torch.manual_seed(0)
    config = LanguageConfig(
        grids=((3, 4, 16),), features=2, log2_entries=8, hidden=hidden, layers=layers, samples=3, estimator=estimator
    )
    field = LanguageField(config, width, 0, (0.1, 1.0))
    # Biases start small; here they must count.
    torch.nn.init.normal_(field.head[-1].bias, std=0.5)
    return field


def phrases_of(width: int) -> Phrases:
    random = torch.Generator().manual_seed(1)
    texts = F.normalize(torch.randn(6, width, generator=random), dim=-1)
    return Phrases(("a", "b"), texts[:2], texts[2:], 10.0)


@pytest.mark.parametrize(("hidden", "layers", "width"), [(16, 2, 40), (16, 1, 12), (8, 0, 20)])
def test_cosines_are_those_of_the_embeddings(hidden, layers, width) -> None:
    field, phrases = field_of(hidden, layers, width), phrases_of(width)
    texts = torch.cat([phrases.queries, phrases.canonical])
    features, scale = torch.randn(200, 6), torch.rand(200) + 0.05
    expected = field.embed(features, scale) @ texts.T
    torch.testing.assert_close(FoldedHead(field, texts).cosines(features, scale), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("hidden", "layers", "width"), [(16, 2, 40), (16, 1, 12), (8, 0, 20)])
def test_what_is_kept_before_the_texts_serves_any_text(hidden, layers, width) -> None:
    field, phrases = field_of(hidden, layers, width), phrases_of(width)
    features, scale = torch.randn(200, 6), torch.rand(200) + 0.05
    head = FoldedHead(field)
    kept = head.before_texts(head.before_scale(features), scale)
    expected = field.embed(features, scale) @ phrases.canonical.T
    torch.testing.assert_close(head.cosines_of(*kept, head.projected(phrases.canonical)), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_relevancy_is_the_formula_for_either_estimator(estimator) -> None:
    field, phrases = field_of(16, 2, 40, estimator), phrases_of(40)
    weights = F.normalize(torch.rand(50, 3), p=1, dim=-1)
    positions, depths = torch.randn(50, 3, 3), torch.rand(50, 3)
    stops = LightStops(positions, weights, depths, depths[:, 0], positions[:, 0])
    scale = torch.rand(50) + 0.05
    with torch.no_grad():
        features = field.ray_features(stops) if estimator == "deferred" else None
        ours = Asked(field, phrases).relevancy(features, stops, scale)
        expected = relevancy(field.render_at_scale(stops, scale), phrases.queries, phrases.canonical, 10.0)
    torch.testing.assert_close(ours, expected, atol=5e-5, rtol=0)


def test_an_embedding_of_no_length_has_no_direction() -> None:
    field = field_of(8, 1, 20)
    torch.nn.init.zeros_(field.head[-1].weight)
    torch.nn.init.zeros_(field.head[-1].bias)
    cosines = FoldedHead(field, phrases_of(20).queries).cosines(torch.randn(5, 6), torch.ones(5))
    assert torch.equal(cosines, torch.zeros(5, 2))
