"""Work that reports its progress."""

import time

import pytest

from lerf.errors import SceneError
from lerf.run import report
from lerf.run.report import Silent, reported, reported_if_slow


class Heard(Silent):
    def __init__(self):
        self.calls = []

    def begin(self, stage, total):
        self.calls.append(("begin", stage, total))

    def advance(self, done, facts=None):
        self.calls.append(("advance", done))

    def end(self, seconds):
        self.calls.append(("end", seconds >= 0))


def test_begin_and_end_stand_around_the_work():
    heard = Heard()
    with reported(heard, "photos", 2) as progress:
        progress(1, 2)
        progress(2, 2)
    assert heard.calls == [("begin", "photos", 2), ("advance", 1), ("advance", 2), ("end", True)]


def wait_for_begin(heard):
    end = time.monotonic() + 30.0
    while not heard.calls:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_is_said_of_work_that_is_quick():
    heard = Heard()
    with reported_if_slow(heard, "photos") as progress:
        progress(1, 2)
        progress(2, 2)
    assert heard.calls == []


@pytest.mark.parametrize("known", [True, False])
def test_slow_work_is_told_once_it_is_slow(monkeypatch, known):
    """Its total may be known before or only afterwards."""
    monkeypatch.setattr(report, "PATIENCE", 0.2)
    heard = Heard()
    with reported_if_slow(heard, "photos") as progress:
        if known:
            progress(1, 9)
        wait_for_begin(heard)
        progress(2, 9)
        progress(9, 9)
    begun = [("begin", "photos", 9)] if known else [("begin", "photos", 0), ("begin", "photos", 9)]
    assert heard.calls == [*begun, ("advance", 2), ("advance", 9), ("end", True)]


def test_slow_work_that_fails_has_no_end(monkeypatch):
    monkeypatch.setattr(report, "PATIENCE", 0.0)
    heard = Heard()

    def fail():
        with reported_if_slow(heard, "photos"):
            wait_for_begin(heard)
            raise SceneError("no photos")

    with pytest.raises(SceneError):
        fail()
    assert heard.calls == [("begin", "photos", 0)]
