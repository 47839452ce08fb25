"""What differs is told with both values, and no more of it than can be read."""

from dataclasses import replace

from lerf.run.differences import Difference, differences, listed, settings_differences, value_text
from lerf.run.make_settings import make_settings


def test_settings_that_differ_are_named_as_options():
    before = make_settings("/a", preset="lerf-cpu", device="cpu", seed=1)
    assert settings_differences(before, before) == []
    now = replace(before, seed=2, downscale=4, language=replace(before.language, samples=5))
    told = [str(one) for one in settings_differences(before, now)]
    assert told == ["--downscale not given (now 4)", "--seed 1 (now 2)", "--language.samples 8 (now 5)"]
    lifted = make_settings("/a", preset="lerf-cpu", device="cpu", seed=1, language="lift")
    assert [one.name for one in settings_differences(before, lifted)] == ["--language"]


def test_values_within_others_are_named_with_them():
    before = {"a": 1, "b": {"c": [1, 2], "d": True}, "e": None}
    now = {"a": 1.0, "b": {"c": [1, 3], "d": 1}, "f": 2}
    told = [str(one) for one in differences(before, now, "x")]
    assert told == ["x.b.c [1, 2] (now [1, 3])", "x.b.d true (now 1)", "x.e not given (now missing)",
                    "x.f missing (now 2)"]  # fmt: skip
    assert differences(before, {**before}) == []


def test_a_list_says_how_much_it_leaves_out():
    assert listed([1, 2, 3], 3) == "1, 2, 3"
    assert listed([1, 2, 3, 4, 5], 3) == "1, 2, 3 and 2 more"


def test_values_are_short():
    assert value_text("/a" * 100).startswith("/a/a")
    assert len(value_text("/a" * 100)) <= 48
    assert value_text("0123456789abcdef" * 4) == "01234567"
    assert str(Difference("--weights", None, "w")) == "--weights not given (now w)"
