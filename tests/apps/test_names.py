"""Names of files: every photo and phrase has its own."""

import pytest

from lerf.apps.names import distinct, file_stem


def test_distinct_names():
    assert distinct(["c", "c", "C", "c_2", "d", "c_2"]) == ["c", "c_3", "C_4", "c_2", "d", "c_2_2"]
    assert distinct([]) == []


@pytest.mark.parametrize(
    ("name", "stem"),
    [("images/0001.png", "images_0001"), ("a b/ü.x.JPG", "a_b_ü.x"), ("plain", "plain"), ("a//b.png", "a_b")],
)
def test_the_stem_of_a_photos_files(name, stem):
    assert file_stem(name) == stem
