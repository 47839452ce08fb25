"""The scale of a phrase, against a loop over scales and points, for every language source."""

import math

import pytest
import torch
from sources import KINDS, WIDTH, source_on, traced, unit

from lerf.language.protocol import LanguageSource, Latent, coarse
from lerf.queries.phrases import AS_GOOD, PEAK_POINTS, PEAK_SHARE, Phrases
from lerf.queries.scales import ScaleSearch, at_equal_scales, choose_scales, relevancy_at
from lerf.steps import finish

RAYS = traced(90)


@pytest.fixture(params=KINDS)
def source(request) -> LanguageSource:
    return source_on(RAYS, request.param)


@pytest.fixture
def phrases() -> Phrases:
    return Phrases(("a", "b", "c"), unit(3, WIDTH, seed=5), unit(4, WIDTH, seed=6), 6.0)


def slow_relevancy(source: LanguageSource, latent: Latent, phrases: Phrases, scale: float) -> list[list[float]]:
    """Of each phrase along each ray: the definition, one number at a time."""
    cosines = (phrases.vectors.double() @ source.embed(latent, scale).double().T).tolist()
    scores = []
    for row in range(len(phrases)):
        own = []
        for ray, known in enumerate(latent.supported.tolist()):
            q = math.exp(phrases.temperature * cosines[row][ray])
            others = [math.exp(phrases.temperature * other[ray]) for other in cosines[len(phrases) :]]
            own.append(min(q / (q + other) for other in others) if known else 0.0)
        scores.append(own)
    return scores


def slow_scale(margins: list[float]) -> tuple[int, float]:
    """Of the logarithmic odds of the peaks, which is chosen, and by how much that is sure."""
    least = max(margins) - AS_GOOD * abs(max(margins))
    chosen = next(number for number, margin in enumerate(margins) if margin >= least)
    return chosen, min(abs(margin - least) for margin in margins)


@pytest.mark.parametrize("scale", [0.05, 0.3, 2.0])
def test_relevancy_is_the_definition_and_zero_where_nothing_was_supervised(source, phrases, scale) -> None:
    latent = source.encode(RAYS)
    scores = relevancy_at(source, latent, phrases, scale)
    assert scores.shape == (3, len(RAYS))
    assert torch.equal(scores.amin(0) > 0, latent.supported)
    assert (~latent.supported).any()
    torch.testing.assert_close(scores, torch.tensor(slow_relevancy(source, latent, phrases, scale)), atol=1e-4, rtol=0)


def test_relevancy_in_parts_is_that_at_once(source, phrases, monkeypatch) -> None:
    latent = source.encode(RAYS)
    whole = relevancy_at(source, latent, phrases, 0.3)
    monkeypatch.setattr(source, "rays_at_once", 7, raising=False)
    torch.testing.assert_close(relevancy_at(source, latent, phrases, 0.3), whole, atol=1e-6, rtol=0)
    assert relevancy_at(source, latent[:0], phrases, 0.3).shape == (3, 0)


def test_the_scale_is_the_smallest_of_those_that_peak_as_high(source, phrases) -> None:
    search = ScaleSearch(source, source.encode(RAYS))
    chosen = finish(choose_scales(search, phrases))
    assert len(chosen) == 3
    margins: list[list[float]] = [[], [], []]
    count = max(PEAK_POINTS, round(PEAK_SHARE * len(search.latent)))
    for scale in source.scales.tolist():
        for row, scores in enumerate(slow_relevancy(source, search.latent, phrases, scale)):
            top = sum(sorted(scores)[-count:]) / count
            margins[row].append(math.log(top / (1 - top)))
    wanted = [slow_scale(own) for own in margins]
    # Codes that are kept have half precision, which may decide between scales that are as good.
    clear = [row for row, (_, sure) in enumerate(wanted) if sure > (5e-3 if source.kept_code else 1e-4)]
    assert clear
    for row in clear:
        assert chosen[row] == source.scales.tolist()[wanted[row][0]]
    assert len(set(chosen)) > 1


def test_scales_do_not_depend_on_what_else_is_asked(source, phrases) -> None:
    search = ScaleSearch(source, source.encode(RAYS))
    together = finish(choose_scales(search, phrases))
    alone = [finish(choose_scales(search, phrases.chosen([row])))[0] for row in range(3)]
    assert together == alone


def test_every_scale_that_is_tried_is_a_step(source, phrases) -> None:
    steps = choose_scales(ScaleSearch(source, source.encode(RAYS)), phrases)
    assert sum(1 for _ in steps) == len(source.scales)


def test_a_coarse_latent_is_evenly_spaced(source) -> None:
    latent = source.encode(RAYS)
    assert len(coarse(latent)) == len(RAYS)
    some = coarse(latent, 30)
    assert len(some) == 30
    assert torch.equal(some.low, latent.low[::3])
    assert 25 <= len(coarse(latent, 26)) <= 45


def test_phrases_of_one_scale_are_asked_together() -> None:
    assert at_equal_scales([0.1, 0.3, 0.1, 0.2]) == {0.1: [0, 2], 0.3: [1], 0.2: [3]}
    assert at_equal_scales([]) == {}
