"""What else is seen in a scene as phrases to beat, against the definition one number at a time."""

import math

import pytest
import torch
from colour_words import ColourWords
from sources import KINDS, WIDTH, source_on, traced, unit

from lerf.encoders.rivals import NamedThings, named_things
from lerf.errors import QueryError
from lerf.queries.phrases import PEAK_POINTS, Phrases, embed_phrases
from lerf.queries.rivals import MOST, RIVALRY, Rivals, rivals_in
from lerf.queries.scales import LOOKS, ScaleSearch, choose_scales, relevancy_at
from lerf.steps import finish

RAYS = traced(90)
AXES = torch.eye(4)


class Four(ColourWords):
    """An encoder that names three things, and means the second with any phrase."""

    name, width, fingerprint = "four", 4, "four"

    def named_things(self):
        return NamedThings(("first", "second", "third"), AXES[:3])

    def akin(self, phrases):
        return torch.tensor([[False, True, False]] * len(phrases))


class Shown:
    """A scene that shows each text as much as its first numbers say."""

    def peaks(self, texts, canonical):
        return texts @ torch.tensor([0.5, 0.4, -0.1, 0.0])


def test_what_is_seen_and_cannot_be_meant_must_be_beaten():
    found = rivals_in(Shown, Four(), ["a", "b"], AXES[[1, 1]], AXES[[3]])
    assert found.names == ("first", "second"), "the third is not seen"
    torch.testing.assert_close(found.vectors, RIVALRY * AXES[:2])
    assert found.beaten.tolist() == [[True, False], [True, False]]


def test_a_scene_that_shows_nothing_by_name_has_no_rivals():
    class Empty:
        def peaks(self, texts, canonical):
            return torch.full((len(texts),), -0.1)

    assert rivals_in(Empty, Four(), ["a"], AXES[[1]], AXES[[3]]) is None


def test_odds_are_against_the_best_of_canonical_phrases_and_rivals():
    queries, canonical, others = unit(3, WIDTH, seed=1), unit(2, WIDTH, seed=2), unit(4, WIDTH, seed=3)
    beaten = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])
    phrases = Phrases(("a", "b", "c"), queries, canonical, 7.0, rivals=Rivals(tuple("wxyz"), others, beaten))
    points = unit(30, WIDTH, seed=4)
    odds = phrases.odds(phrases.vectors @ points.T)
    for row in range(3):
        for point in range(30):
            against = [float(points[point] @ one) for one in [*canonical, *others[beaten[row]]]]
            assert float(odds[row, point]) == pytest.approx(
                7.0 * (float(points[point] @ queries[row]) - max(against)), abs=1e-4
            )
    torch.testing.assert_close(phrases.chosen([2, 0]).odds(phrases.chosen([2, 0]).vectors @ points.T), odds[[2, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_every_language_source_answers_with_rivals(kind):
    source = source_on(RAYS, kind)
    latent = source.encode(RAYS)
    plain = Phrases(("a",), unit(1, WIDTH, seed=5), unit(2, WIDTH, seed=6), 6.0)
    # Like the phrase itself, so that it is the best everywhere.
    against = Rivals(("x",), plain.queries * 1.0, torch.tensor([[True]]))
    with_one = Phrases(plain.texts, plain.queries, plain.canonical, 6.0, rivals=against)
    as_canonical = Phrases(plain.texts, plain.queries, torch.cat([plain.canonical, against.vectors]), 6.0)
    wanted = relevancy_at(source, latent, as_canonical, 0.3)
    torch.testing.assert_close(relevancy_at(source, latent, with_one, 0.3), wanted)
    assert (wanted < relevancy_at(source, latent, plain, 0.3) - 1e-4).any()
    search = ScaleSearch(source, latent)
    assert finish(choose_scales(search, with_one)) == finish(choose_scales(search, as_canonical))


@pytest.mark.parametrize("kind", KINDS)
def test_peaks_are_means_over_the_best_points_of_the_best_scale(kind, monkeypatch):
    monkeypatch.setattr("lerf.queries.scales.TEXTS_AT_ONCE", 2)
    search = ScaleSearch(source_on(RAYS, kind), source_on(RAYS, kind).encode(RAYS))
    texts, canonical = unit(5, WIDTH, seed=8), unit(2, WIDTH, seed=9)
    scales = search.language.scales.tolist()
    best = [-math.inf] * 5
    for scale in [scales[(2 * look + 1) * len(scales) // (2 * LOOKS)] for look in range(LOOKS)]:
        cells = search.language.embed(search.latent, scale)[search.latent.supported]
        for row in range(5):
            margins = sorted(((cells @ texts[row]) - (cells @ canonical.T).amax(dim=1)).tolist())[-PEAK_POINTS:]
            best[row] = max(best[row], sum(margins) / len(margins))
    torch.testing.assert_close(search.peaks(texts, canonical), torch.tensor(best), atol=2e-3, rtol=0)


def test_auto_stands_for_the_encoders_own_phrases_and_what_is_seen():
    encoder = ColourWords()
    alone = embed_phrases(encoder, ["red"], ["auto"], 10.0, scene=lambda: _All())
    own = [text for text in encoder.defaults.canonical if text != "auto"]
    assert alone.canonical_texts == (*own, "auto")
    assert len(alone.rivals.names) <= MOST
    beside = embed_phrases(encoder, ["red"], ["blue", "auto"], 10.0, scene=lambda: _All())
    assert beside.canonical_texts == ("blue", "auto")
    assert embed_phrases(encoder, ["red"], ["blue"], 10.0).rivals is None
    with pytest.raises(QueryError, match="needs a scene"):
        embed_phrases(encoder, ["red"], ["auto"], 10.0)


class _All:
    """A scene that shows everything."""

    def peaks(self, texts, canonical):
        return torch.ones(len(texts))


def test_without_names_of_its_own_an_encoder_gets_those_of_imagenet():
    things = named_things(ColourWords())
    assert len(things.names) == len(set(things.names)) > 900
    assert things.vectors.shape == (len(things.names), ColourWords().width)
