"""The query JSON, field by field, and the cleaning of phrases."""

import json

import pytest

from lerf.errors import QueryError
from lerf.queries.answer import Answer, Geometry, Instance, QueryResult, clean_phrases

GEOMETRY = Geometry((1.0, 2.0, 3.0), 0.5, ((0.0, 1.0, 2.0), (2.0, 3.0, 4.0)), "images/0001.jpg", (10.5, 20.5))


def test_the_json_is_the_contract() -> None:
    fox = Answer("fox", 0.75, GEOMETRY, (Instance(0.75, GEOMETRY),))
    result = QueryResult("conse", ("object", "things"), 10.0, 0.5, (fox, Answer("pizza", 0.25)))
    fields = {
        "point": [1.0, 2.0, 3.0],
        "scale": 0.5,
        "extent": {"min": [0.0, 1.0, 2.0], "max": [2.0, 3.0, 4.0]},
        "view": "images/0001.jpg",
        "pixel": [10.5, 20.5],
    }
    nothing = {"point": None, "scale": None, "extent": None, "view": None, "pixel": None}
    expected = {
        "schema": 1,
        "encoder": "conse",
        "canonical": ["object", "things"],
        "temperature": 10.0,
        "threshold": 0.5,
        "queries": [
            {
                "text": "fox",
                "present": True,
                "relevancy": 0.75,
                **fields,
                "instances": [{"relevancy": 0.75, **fields}],
            },
            {"text": "pizza", "present": False, "relevancy": 0.25, **nothing, "instances": []},
        ],
    }
    assert result.to_dict() == expected
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == expected
    assert list(result.to_dict()["queries"][0])[:4] == ["text", "present", "relevancy", "point"]


def test_a_point_that_no_photo_shows_has_no_view() -> None:
    fields = Geometry((1.0, 2.0, 3.0), 0.5, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), None, None).to_dict()
    assert fields["view"] is None
    assert fields["pixel"] is None
    assert fields["point"] == [1.0, 2.0, 3.0]


def test_an_absent_phrase_cannot_have_instances() -> None:
    with pytest.raises(ValueError, match="no geometry"):
        Answer("fox", 0.4, None, (Instance(0.4, GEOMETRY),))


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
