"""Phrases: cleaned, embedded with what they must beat, and how relevancy at many points becomes one number."""

import pytest
import torch
from colour_words import ColourWords

from lerf.errors import QueryError
from lerf.queries.phrases import (
    AS_GOOD,
    PEAK_POINTS,
    PEAK_SHARE,
    clean_phrases,
    embed_phrases,
    peak,
    presence,
    smallest_as_good,
)


def test_phrases_lose_spare_space_and_keep_their_order() -> None:
    assert clean_phrases(["  a   plant\n", "fox", "fox"]) == ["a plant", "fox", "fox"]
    assert clean_phrases("red fox") == ["red fox"]


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ([], "There is no phrase to look for"),
        (["fox", " \t"], "Phrase 2 is empty"),
        ("", "Phrase 1 is empty"),
        (["fox", 3], "Phrase 2 is 3, not text"),
    ],
)
def test_phrases_that_say_nothing(phrases: str | list[object], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        clean_phrases(phrases)


def test_phrases_are_embedded_before_the_canonical_ones() -> None:
    encoder = ColourWords()
    phrases = embed_phrases(encoder, ["red ", "  blue"], ["stuff", "a  thing"], 7.0)
    assert (phrases.texts, phrases.canonical_texts) == (("red", "blue"), ("stuff", "a thing"))
    assert (len(phrases), phrases.temperature) == (2, 7.0)
    assert torch.equal(phrases.vectors, encoder.encode_text(["red", "blue", "stuff", "a thing"]))
    assert torch.equal(phrases.queries, phrases.vectors[:2])
    assert torch.equal(phrases.canonical, phrases.vectors[2:])
    swapped = phrases.chosen([1, 0])
    assert swapped.texts == ("blue", "red")
    assert torch.equal(swapped.queries, phrases.queries[[1, 0]])
    assert torch.equal(swapped.canonical, phrases.canonical)
    assert len(phrases.chosen([1, 1, 1])) == 3
    assert embed_phrases(encoder, "red", ["stuff"], 7.0).texts == ("red",)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(QueryError, match="temperature must be a positive number"):
        embed_phrases(ColourWords(), "red", ["stuff"], temperature)


def test_without_phrases_or_canonical_ones_there_is_nothing_to_ask() -> None:
    with pytest.raises(QueryError, match="no phrase to look for"):
        embed_phrases(ColourWords(), [], ["stuff"], 1.0)
    with pytest.raises(QueryError, match="no phrase to look for"):
        embed_phrases(ColourWords(), "red", [], 1.0)
    with pytest.raises(QueryError, match="Phrase 1 is empty"):
        embed_phrases(ColourWords(), "red", [" "], 1.0)


@pytest.mark.parametrize("count", [1, 3, 5, 400, 20_000])
def test_a_peak_is_the_mean_of_the_best_points(count: int) -> None:
    scores = torch.rand(2, count, generator=torch.Generator().manual_seed(0))
    best = min(count, max(PEAK_POINTS, round(PEAK_SHARE * count)))
    torch.testing.assert_close(peak(torch.logit(scores)), scores.sort(-1).values[:, -best:].mean(-1))
    assert presence(scores[0]) == pytest.approx(float(scores[0].sort().values[-PEAK_POINTS:].mean()))


def test_one_stray_point_is_no_presence() -> None:
    scores = torch.full((1000,), 0.2)
    scores[0] = 1.0
    assert presence(scores) == pytest.approx(0.2 + 0.8 / PEAK_POINTS)


def test_of_scales_as_good_the_smallest_is_chosen() -> None:
    peaks = torch.tensor([[0.2, 0.93, 0.94, 0.6], [0.2, 0.93, 0.999, 0.6], [0.2, 0.2, 0.2, 0.2]])
    assert smallest_as_good(peaks).tolist() == [1, 2, 0]


def test_as_good_is_counted_in_logarithmic_odds() -> None:
    for best in (3.0, -3.0):
        just, under = (best - share * AS_GOOD * abs(best) for share in (0.99, 1.01))
        odds = torch.tensor([[under, just, best], [just, under, best], [under, under, best]])
        assert smallest_as_good(torch.sigmoid(odds)).tolist() == [1, 0, 2]
