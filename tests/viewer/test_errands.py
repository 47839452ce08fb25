"""What a page asks for on the side: bounded, apart from other pages, and over when the page has gone."""

import threading

import pytest

from lerf.viewer.errands import MOST_WAITING, THREADS, Errands


def unexpected(error):
    raise AssertionError("no errand should fail") from error


@pytest.fixture
def errands():
    made = Errands(unexpected)
    yield made
    made.close()


def test_one_page_keeps_no_other_waiting_and_gets_no_more_than_its_own(errands):
    gate, begun, log, other = threading.Event(), threading.Semaphore(0), [], Errands(unexpected)

    def wait():
        begun.release()
        assert gate.wait(20)
        log.append(True)

    for _ in range(1000):
        errands.run(wait)
    for _ in range(THREADS):
        assert begun.acquire(timeout=10)
    done = threading.Event()
    other.run(done.set)
    assert done.wait(10)
    other.close()
    gate.set()
    errands._pool.shutdown(wait=True)
    assert len(log) == THREADS + MOST_WAITING


def test_a_failure_is_told():
    told, heard = [], threading.Event()

    def hear(error):
        told.append(error)
        heard.set()

    errands = Errands(hear)
    errands.run(lambda: 1 // 0)
    assert heard.wait(10)
    assert isinstance(told[0], ZeroDivisionError)
    errands.close()


def test_nothing_is_begun_for_who_has_gone(errands):
    log = []
    errands.close()
    errands.run(lambda: log.append(True))
    errands._pool.shutdown(wait=True)
    assert log == []
