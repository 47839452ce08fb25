"""What nerfstudio finds when one of its commands starts, whether our plug-in can be used or not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import lerf.nerfstudio as plug_in

if sys.version_info >= (3, 11):
    import tomllib

GROUP = "nerfstudio.method_configs"


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(plug_in, "_told", set())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is not there before Python 3.11")
def test_entry_points_name_what_is_there():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][GROUP]
    assert points == {method: f"lerf.nerfstudio:{name}" for name, method in plug_in.METHODS.items()}


@pytest.mark.parametrize("error", [ImportError("no module named nerfstudio"), OSError("cannot load library\nline 2")])
def test_what_fails_is_said_once_and_breaks_nothing(error, monkeypatch, capsys):
    """nerfstudio shows whatever is no method in a warning and goes on; an exception would end all of its commands."""

    class Failing:
        def __getattr__(self, name):
            raise error

    monkeypatch.setitem(sys.modules, "lerf.nerfstudio.methods", Failing())
    found = [getattr(plug_in, name) for name in plug_in.METHODS]
    assert all(isinstance(each, plug_in.Unavailable) for each in found)
    assert [each.method for each in found] == ["lerf", "lerf-lite", "lerf-big", "lerf-cpu"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(error).splitlines()[0] in said
    assert "line 2" not in said
    assert "other methods are not affected" in said


def test_a_module_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lerf.nerfstudio.methods", None)
    assert isinstance(plug_in.lerf_cpu, plug_in.Unavailable)
    assert "lerf cannot be used in nerfstudio" in capsys.readouterr().err


def test_other_names_are_errors():
    with pytest.raises(AttributeError):
        _ = plug_in.nerfacto
