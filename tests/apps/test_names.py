"""Names of files: every photo and phrase has its own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.apps.names import distinct, file_stem, name_part, phrase_stem


def test_distinct_names():
    assert distinct(["c", "c", "C", "c_2", "d", "c_2"]) == ["c", "c_3", "C_4", "c_2", "d", "c_2_2"]
    assert distinct([]) == []


@pytest.mark.parametrize(
    ("name", "stem"),
    [("images/0001.png", "images_0001"), ("a b/ü.x.JPG", "a_b_ü.x"), ("plain", "plain"), ("a//b.png", "a_b")],
)
def test_the_stem_of_a_photos_files(name, stem):
    assert file_stem(name) == stem


@given(st.lists(st.text(st.characters(codec=None), max_size=400), max_size=6))
def test_any_text_gives_a_name_that_every_file_system_takes(texts):
    for stem_of in (file_stem, phrase_stem, name_part):
        for stem in distinct([stem_of(text) for text in texts]):
            assert 0 < len(stem.encode()) <= 125
            assert not set(stem) & set('/\\:*?"<>|\0')
            assert stem[0] not in ".-"
            assert stem[-1] not in ". "
            assert stem.isprintable()
            assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem)
        folded = [stem.casefold() for stem in distinct([stem_of(text) for text in texts])]
        assert len(set(folded)) == len(texts)


@pytest.mark.parametrize(
    ("phrase", "stem"),
    [
        ("a blue box", "a_blue_box"), ("../../etc/passwd", "etc_passwd"), ("a/b", "a_b"), ("..", "phrase"),
        ("?!", "phrase"), ("NUL", "_NUL"), ("com1", "_com1"), ("a\0b", "a_b"), ("-rf", "rf"), ("大きな", "大きな"),
        ("cafe\u0301", "caf\u00e9"),
    ],
)  # fmt: skip
def test_the_stem_of_a_phrases_files(phrase, stem):
    assert phrase_stem(phrase) == stem


@pytest.mark.parametrize("name", ["..", ".hidden.png", "../up.jpg", "con.jpg", "a/../b.png", "", ".", "/x.png"])
def test_odd_names_of_photos(name):
    assert re.fullmatch(r"\w[\w.-]*", file_stem(name))


def test_long_texts_stay_apart():
    ours, theirs = phrase_stem("mug " * 200 + "red"), phrase_stem("mug " * 200 + "blue")
    assert ours != theirs
    assert ours.startswith("mug_mug_")
