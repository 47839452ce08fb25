"""An option that is given again adds up where it takes a list, and is refused where it contradicts itself."""

import pytest
from command_line import refused

from lerf.apps import main as command_line
from lerf.apps.main import COMMANDS, parse
from lerf.apps.repeats import _options, added_up, is_list

NEEDED = {
    "poses": ["PHOTOS", "--output", "CAPTURE"],
    "train": ["CAPTURE", "--output", "RUN", "--device", "cpu"],
    "query": ["RUN", "red"],
    "render": ["RUN", "--output", "OUT"],
    "export": ["RUN", "OUT.ply"],
    "bake": ["RUN"],
    "eval": ["RUN"],
    "info": ["CAPTURE"],
    "features": ["CAPTURE", "--output", "OUT"],
    "batch": ["CAPTURE", "--output", "OUT"],
    "catalogue": ["ls", "--to", "PLACE"],
    "search": ["red", "--in", "PLACE"],
}
VALUES = {
    "--protocol": (["colour"], ["existence", "3d"]),
    "--tile-ratios": (["0.1"], ["0.2", "0.3"]),
    "--distance": (["a.jpg", "b.jpg", "2"], ["b.jpg", "c.jpg", "3"]),
    "--language.grids": (["4", "8", "32"], ["4", "32", "64", "2", "8", "16"]),
}
"""Where not every word will do."""


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "_runner", lambda command: pytest.fail("work began"))


LISTS = [
    (command, name) for command, (kind, _) in COMMANDS.items() for name, hint in _options(kind, "") if is_list(hint)
]


def value_of(command, name):
    parts = name.removeprefix("--").replace("-", "_").split(".")
    for part in parts:
        command = getattr(command, part)
    return command


def test_the_lists_are_those_that_are_known():
    assert set(LISTS) >= {
        ("eval", "--protocol"), ("query", "--canonical"), ("render", "--query"), ("render", "--outputs"),
        ("render", "--views"), ("features", "--views"), ("features", "--tile-ratios"), ("features", "--ray"),
        ("train", "--tile-ratios"), ("train", "--language.grids"), ("bake", "--compare"), ("export", "--query"),
    }  # fmt: skip


@pytest.mark.parametrize(("command", "name"), LISTS, ids=lambda word: word)
def test_every_list_of_every_command_adds_up(command, name):
    first, more = VALUES.get(name, (["a"], ["b", "c"]))
    together = value_of(parse([command, *NEEDED[command], name, *first, *more]), name)
    assert len(together) > 1
    tied = f"{name.replace('-', '_').replace('__', '--', 1)}={more[0]}"
    for words in ([name, *first, name, *more], [name, *first, "--json", tied, *more[1:]]):
        assert value_of(parse([command, *NEEDED[command], *words]), name) == together


def test_what_stands_between_and_behind_stays_where_it_is():
    command = parse(["eval", "--protocol", "colour", "--json", "--protocol", "3d", "RUN"])
    assert (command.protocol, str(command.run), command.json) == (("colour", "3d"), "RUN", True)
    command = parse(["query", "RUN", "--canonical", "a", "--scale", "1", "--canonical=b", "--", "--canonical", "c"])
    assert (command.canonical, command.phrases) == (("a", "b"), ("--canonical", "c"))


def test_a_value_with_a_dash(capsys):
    assert parse(["query", "RUN", "mug", "--canonical=-a", "--canonical", "b"]).canonical == ("-a", "b")
    said = refused(capsys, "query", "RUN", "mug", "--canonical", "a", "--canonical=-b")
    assert "Of the values of --canonical the first alone may begin with a dash, not also '-b'." in said


def test_one_value_is_given_once(capsys):
    said = refused(capsys, "query", "RUN", "--scale", "1", "mug", "--scale", "2", "cup")
    assert "--scale is given as 1 and as 2; give it once." in said
    assert "--pictures and --no-pictures" in refused(capsys, "features", "C", "--output", "O", "--no-pictures",
                                                     "--pictures")  # fmt: skip
    command = parse(["query", "RUN", "mug", "--scale", "1", "--json", "--scale=1", "--json"])
    assert (command.scale, command.json) == (1.0, True)


def test_what_is_no_option_passes():
    words = ["RUN", "--no-such", "1", "--no-such", "2", "--help", "-h"]
    assert added_up(words, COMMANDS["eval"][0]) == words
