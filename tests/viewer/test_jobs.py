"""The scheduler: turns, urgency, replacement, shelter, failure."""

import threading
import time

import pytest

from lerf.viewer.jobs import Scheduler, Urgency


@pytest.fixture
def scheduler():
    made = Scheduler()
    yield made
    made.close()


def unexpected(error):
    raise AssertionError("no step should fail") from error


class Gate:
    """Holds the scheduler's thread until opened, so that a test can queue jobs behind it."""

    def __init__(self, scheduler):
        self.entered, self.opened = threading.Event(), threading.Event()
        scheduler.submit("gate", "gate", self._steps(), Urgency.ANSWER, unexpected)
        assert self.entered.wait(10)

    def _steps(self):
        self.entered.set()
        assert self.opened.wait(10)
        yield Urgency.ANSWER


def steps(log, name, count, urgency=Urgency.REFINING, done=None):
    for number in range(count):
        log.append((name, number))
        yield urgency
    if done is not None:
        done.set()


def test_everybody_gets_a_turn(scheduler):
    log, done = [], [threading.Event(), threading.Event()]
    gate = Gate(scheduler)
    for name, event in zip("ab", done, strict=True):
        scheduler.submit(name, "draw", steps(log, name, 3, done=event), Urgency.REFINING, unexpected)
    gate.opened.set()
    assert all(event.wait(10) for event in done)
    assert log == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_the_more_urgent_goes_first(scheduler):
    log, done = [], threading.Event()
    gate = Gate(scheduler)
    scheduler.submit("a", "draw", steps(log, "a", 2, done=done), Urgency.REFINING, unexpected)
    scheduler.submit("b", "draw", steps(log, "b", 2, Urgency.MOVING), Urgency.MOVING, unexpected)
    scheduler.submit("c", "ask", steps(log, "c", 1), Urgency.ANSWER, unexpected)
    gate.opened.set()
    assert done.wait(10)
    assert [name for name, _ in log] == ["c", "b", "b", "a", "a"]


def test_a_later_job_replaces_an_earlier_one(scheduler):
    log, done = [], threading.Event()
    gate = Gate(scheduler)
    scheduler.submit("a", "draw", steps(log, "old", 5), Urgency.REFINING, unexpected)
    scheduler.submit("a", "draw", steps(log, "new", 1, done=done), Urgency.REFINING, unexpected)
    gate.opened.set()
    assert done.wait(10)
    assert log == [("new", 0)]


def first_picture_then_refinement(log, name, started, go_on):
    log.append((name, "started"))
    started.set()
    assert go_on.wait(10)
    yield Urgency.MOVING
    log.append((name, "picture"))
    yield Urgency.REFINING
    log.append((name, "refined"))
    yield Urgency.REFINING


@pytest.mark.parametrize("now", [False, True])
def test_a_first_picture_is_sheltered_from_all_but_prompts(scheduler, now):
    log, started, go_on, done = [], threading.Event(), threading.Event(), threading.Event()
    first = first_picture_then_refinement(log, "old", started, go_on)
    scheduler.submit("a", "draw", first, Urgency.MOVING, unexpected, sheltered=True)
    assert started.wait(10)
    later = steps(log, "later", 1, done=done)
    scheduler.submit("a", "draw", steps(log, "between", 1), Urgency.MOVING, unexpected, sheltered=True, now=now)
    scheduler.submit("a", "draw", later, Urgency.MOVING, unexpected, sheltered=True, now=now)
    go_on.set()
    assert done.wait(10)
    shown = [("old", "started"), ("later", 0)] if now else [("old", "started"), ("old", "picture"), ("later", 0)]
    assert log == shown


def test_a_failure_is_told_and_others_go_on(scheduler):
    told, done, log = [], threading.Event(), []

    def failing():
        yield Urgency.ANSWER
        raise MemoryError("no more")

    scheduler.submit("a", "ask", failing(), Urgency.ANSWER, told.append)
    scheduler.submit("b", "draw", steps(log, "b", 3, done=done), Urgency.REFINING, unexpected)
    assert done.wait(10)
    assert [type(error) for error in told] == [MemoryError]
    assert not scheduler.busy("a")


def test_who_has_gone_is_not_worked_for(scheduler):
    log, done = [], threading.Event()
    gate = Gate(scheduler)
    scheduler.submit("a", "draw", steps(log, "a", 5), Urgency.REFINING, unexpected)
    scheduler.submit("b", "draw", steps(log, "b", 1, done=done), Urgency.REFINING, unexpected)
    scheduler.drop("a")
    gate.opened.set()
    assert done.wait(10)
    assert log == [("b", 0)]


def prompts_without_end(stop):
    while not stop.is_set():
        time.sleep(0.01)
        yield Urgency.ANSWER


def pictures(steps_left, done):
    for _ in range(steps_left):
        time.sleep(0.01)
        yield Urgency.REFINING
    done.set()


def test_who_asks_without_end_does_not_keep_others_waiting(scheduler):
    stop, done = threading.Event(), threading.Event()
    scheduler.submit("greedy", "answer", prompts_without_end(stop), Urgency.ANSWER, unexpected)
    scheduler.submit("greedy", "click", prompts_without_end(stop), Urgency.ANSWER, unexpected)
    try:
        scheduler.submit("other", "draw", pictures(50, done), Urgency.REFINING, unexpected)
        assert done.wait(10)
    finally:
        stop.set()


def test_who_works_alone_is_not_greedy_when_others_come(scheduler):
    log, done, alone = [], threading.Event(), threading.Event()

    def long():
        time.sleep(1.5)
        alone.set()
        yield Urgency.MOVING
        log.append("old")

    scheduler.submit("old", "draw", long(), Urgency.MOVING, unexpected)
    assert alone.wait(10)
    gate = Gate(scheduler)
    scheduler.submit("new", "draw", steps(log, "new", 1, done=done), Urgency.REFINING, unexpected)
    gate.opened.set()
    assert done.wait(10)
    assert log[0] == "old"


def test_a_closed_scheduler_takes_nothing(scheduler):
    scheduler.close()
    scheduler.submit("a", "draw", steps([], "a", 1), Urgency.REFINING, unexpected)
    assert scheduler.waiting == 0
