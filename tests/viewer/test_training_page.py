"""Training that is watched: told on, drawn, held and let go."""

import signal
import threading

import pytest
from page_support import PATIENCE, wait_for

from lerf.apps.main import main
from lerf.run.report import Silent
from lerf.viewer.training import POINTS, TrainingPage


class Told(Silent):
    """Remembers what it is told."""

    def __init__(self):
        self.log = []

    def begin(self, stage, total):
        self.log.append(("begin", stage, total))

    def advance(self, done, facts=None):
        self.log.append(("advance", done))

    def end(self, seconds):
        self.log.append(("end", seconds))


@pytest.fixture
def page():
    served = TrainingPage(Told(), title="run", port=0)
    yield served
    served.close()


def test_everything_is_told_on_and_drawn(page):
    page.begin("radiance", 100)
    for step in range(20, 101, 20):
        page.advance(step, {"psnr": 10.0 + step, "rays_per_second": 1e4})
    page.end(3.0)
    page.note("Careful <b>now</b>.")
    assert page.inner.log == [
        ("begin", "radiance", 100), *(("advance", step) for step in range(20, 101, 20)), ("end", 3.0),
    ]  # fmt: skip
    steps, values = page._plots["psnr"].data
    assert steps.tolist() == [20, 40, 60, 80, 100]
    assert values.tolist() == [30, 50, 70, 90, 110]
    words = page._words.content
    assert "radiance: 3 s" in words
    assert "rays per second 1e+04" in words
    assert "&lt;b&gt;now" in words
    assert page._bar.value == 100


def test_long_curves_are_thinned_and_keep_their_ends(page):
    page.begin("language", 4 * POINTS)
    for step in range(1, 4 * POINTS + 1):
        page.advance(step, {"cosine": 0.5})
    series = page._series["cosine"]
    assert len(series) <= POINTS
    assert (series[0][0], series[-1][0]) == (1.0, 4.0 * POINTS)


def test_a_new_stage_starts_new_curves(page):
    page.begin("radiance", 2)
    page.advance(1, {"psnr": 1.0})
    page.advance(2, {"psnr": 2.0})
    page.begin("language", 2)
    assert page._plots == {}


def steps_of(page, count, log):
    page.begin("radiance", count)
    for step in range(count):
        page.advance(step + 1, {"psnr": 1.0})
        log.append(step)


def test_a_held_training_waits_and_loses_nothing(page):
    log = []
    page.hold()
    work = threading.Thread(target=steps_of, args=(page, 3, log))
    work.start()
    wait_for(lambda: ("advance", 1) in page.inner.log, "the first step")
    work.join(0.3)
    assert work.is_alive()
    assert log == []
    page.go_on()
    work.join(10)
    assert log == [0, 1, 2]


def test_the_button_may_be_pressed_while_a_curve_is_drawn(page, monkeypatch):
    slow, drawing, draw = threading.Event(), threading.Event(), page.server.gui.add_uplot

    def add_uplot(*args, **kwargs):
        drawing.set()
        slow.wait(0.3)
        return draw(*args, **kwargs)

    monkeypatch.setattr(page.server.gui, "add_uplot", add_uplot)
    log = []
    work = threading.Thread(target=steps_of, args=(page, 3, log))
    work.start()
    assert drawing.wait(PATIENCE)
    page.hold()
    page.go_on()
    work.join(10)
    assert log == [0, 1, 2]
    assert page._plots["psnr"].data[0].tolist() == [1, 2, 3]


def test_ctrl_c_ends_a_pause_and_is_not_swallowed(page):
    page.hold()
    page.begin("radiance", 2)
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    alarm = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    try:
        alarm.start()
        page.advance(1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [True]
    assert not page.held


def test_the_button_holds_and_lets_go(browser, page):
    tab = browser.new_page(viewport={"width": 900, "height": 600})
    try:
        tab.goto(page.url)
        page.begin("radiance", 10)
        tab.get_by_text("0 of 10").wait_for(timeout=1000 * PATIENCE)
        tab.get_by_role("button", name="Pause").click()
        wait_for(lambda: page.held, "the pause")
        tab.get_by_text("held").wait_for(timeout=1000 * PATIENCE)
        tab.get_by_role("button", name="Resume").click()
        wait_for(lambda: not page.held, "the end of the pause")
    finally:
        tab.close()


def test_the_command(tiny, drawn, tmp_path, capsys):
    command = ["train", str(drawn.folder), "--output", str(tmp_path / "run"), "--steps", "3", "--device", "cpu"]
    assert main([*command, "--view", "--port", "0"]) == 0
    assert "Watch it at http://127.0.0.1:" in capsys.readouterr().out
