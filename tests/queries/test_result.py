"""The query JSON, field by field."""

import json

import pytest

from lerf.queries.result import Answer, Geometry, IndexNote, Instance, QueryResult

GEOMETRY = Geometry((1.0, 2.0, 3.0), 0.5, ((0.0, 1.0, 2.0), (2.0, 3.0, 4.0)), "images/0001.jpg", (10.5, 20.5))


def test_the_json_is_the_contract() -> None:
    fox = Answer("fox", 0.75, GEOMETRY, (Instance(0.75, GEOMETRY),))
    result = QueryResult("conse", ("object", "things"), 10.0, 0.5, (fox, Answer("pizza", 0.25, known=0.0)))
    fields = {
        "point": [1.0, 2.0, 3.0],
        "scale": 0.5,
        "extent": {"min": [0.0, 1.0, 2.0], "max": [2.0, 3.0, 4.0]},
        "view": "images/0001.jpg",
        "pixel": [10.5, 20.5],
    }
    nothing = {"point": None, "scale": None, "extent": None, "view": None, "pixel": None}
    expected = {
        "schema": 2,
        "encoder": "conse",
        "canonical": ["object", "things"],
        "temperature": 10.0,
        "threshold": 0.5,
        "exclusive": False,
        "queries": [
            {
                "text": "fox",
                "present": True,
                "relevancy": 0.75,
                **fields,
                "instances": [{"relevancy": 0.75, **fields}],
                "known": None,
            },
            {"text": "pizza", "present": False, "relevancy": 0.25, **nothing, "instances": [], "known": 0.0},
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


def test_what_is_said_of_an_index_is_there_only_where_one_answered() -> None:
    result = QueryResult("conse", ("object",), 10.0, 0.5, (Answer("pizza", 0.25),), IndexNote("field", 7, 0.99, 0.9))
    facts = {"source": "field", "cells": 7, "cosine": 0.99, "lowest_cosine": 0.9}
    assert result.to_dict()["index"] == facts
    compared = IndexNote("lift", 7, None, None, {"pizza": 0.01})
    assert compared.to_dict() == {
        "source": "lift", "cells": 7, "cosine": None, "lowest_cosine": None, "differences": {"pizza": 0.01},
    }  # fmt: skip
    assert "index" not in QueryResult("conse", ("object",), 10.0, 0.5, ()).to_dict()
