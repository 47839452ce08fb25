"""`lerf query`: answers as JSON, for people, and as Python gives them."""

import re

import pytest
from command_line import run_json

import lerf
from lerf.apps.main import main

GEOMETRY = {"point", "scale", "extent", "view", "pixel"}


def test_query_json(drawn_run, capsys):
    result = run_json(capsys, "query", drawn_run, "red", "a  yellow ball", "purple")
    assert list(result) == ["schema", "encoder", "canonical", "temperature", "threshold", "exclusive", "queries"]
    assert result["exclusive"] is False
    assert (result["schema"], result["encoder"], result["temperature"], result["threshold"]) == (
        2, "colour-words", 5.0, 0.85,
    )  # fmt: skip
    assert result["canonical"] == ["object", "things", "stuff", "texture"]
    assert [answer["text"] for answer in result["queries"]] == ["red", "a yellow ball", "purple"]
    for answer in result["queries"]:
        assert set(answer) == {"text", "present", "relevancy", "instances", "known"} | GEOMETRY
    red, yellow, purple = result["queries"]
    for answer in (red, yellow):
        assert answer["present"] is True
        assert all(isinstance(value, float) for value in [*answer["point"], *answer["pixel"], answer["scale"]])
        assert set(answer["extent"]) == {"min", "max"}
        assert (len(answer["point"]), len(answer["pixel"]), len(answer["extent"]["min"])) == (3, 2, 3)
        assert answer["view"].startswith("images/")
        assert answer["instances"]
        assert all(set(instance) == {"relevancy"} | GEOMETRY for instance in answer["instances"])
        assert {name: answer["instances"][0][name] for name in GEOMETRY} == {name: answer[name] for name in GEOMETRY}
    assert purple["present"] is False
    assert all(purple[name] is None for name in GEOMETRY)
    assert purple["instances"] == []


def test_query_options(drawn_run, capsys):
    options = ["--threshold", "0.1", "--temperature", "2", "--scale", "0.2", "--canonical", "blue", "green"]
    result = run_json(capsys, "query", drawn_run, "red", *options)
    assert (result["threshold"], result["temperature"], result["canonical"]) == (0.1, 2.0, ["blue", "green"])
    assert result["queries"][0]["scale"] == pytest.approx(0.2)


def test_query_for_people(drawn_run, capsys):
    assert main(["query", str(drawn_run), "red", "purple"]) == 0
    shown = capsys.readouterr().out
    assert "red" in shown
    assert "images/" in shown


def test_python_and_command_line_agree(drawn_run, capsys):
    model = lerf.load(drawn_run, device="cpu", offline=True)
    assert model.query(["red", "green"]).to_dict() == run_json(capsys, "query", drawn_run, "red", "green", "--offline")


def test_a_phrase_that_says_nothing_is_told(drawn_run, capsys):
    answers = run_json(capsys, "query", drawn_run, "the of a", "red")["queries"]
    assert [answer["known"] for answer in answers] == [0.0, None]
    assert main(["query", str(drawn_run), "the of a", "red"]) == 0
    shown = capsys.readouterr()
    assert '"the of a" has no word that says what to look for' in " ".join(shown.err.split())
    said = " ".join(shown.out.split())
    assert said.endswith('so that the answer may mean nothing: "the of a" (0 of 1).')


def test_the_encoder_stands_in_the_first_line(drawn_run, capsys):
    assert main(["query", str(drawn_run), "red"]) == 0
    assert capsys.readouterr().out.startswith("Encoder colour-words.\n")


@pytest.mark.parametrize("option", [("--scale", "1e300"), ("--scale", "nan"), ("--temperature", "1e300")])
def test_numbers_that_overflow_are_refused(drawn_run, capsys, option):
    assert main(["query", str(drawn_run), "red", *option]) == 2
    assert re.search("must be a (positive|number)", capsys.readouterr().err)


def test_phrases_that_exclude_each_other(drawn_run, capsys):
    """What is asked twice leads with itself; one phrase alone excludes nothing, which is refused."""
    asked = ["red", "a yellow ball", "red"]
    free = run_json(capsys, "query", drawn_run, *asked)["queries"]
    result = run_json(capsys, "query", drawn_run, *asked, "--exclusive")
    assert result["exclusive"] is True
    assert [answer["point"] for answer in result["queries"]] == [answer["point"] for answer in free]
    assert main(["query", str(drawn_run), "red", "--exclusive"]) == 2
    assert "for several phrases" in capsys.readouterr().err
