"""Training watched in the browser: how far it is, its curves, and a button that holds it."""

from __future__ import annotations

import html
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lerf.run.report import Reporter
from lerf.viewer.page_server import PageServer

POINTS = 400
"""Most points of a curve; older ones are thinned."""
REFRESH_SECONDS = 0.5
CURVES = {"psnr": "dB", "cosine": "", "clip_loss": "", "dense_loss": ""}
"""What is drawn when a stage reports it, and its unit; every other number is listed."""
LINE = "#1c7ed6"


class TrainingPage:
    """Implements `Reporter`: tells another reporter everything, and a page that those may open who have its address.

    Steps wait inside `advance` while the page holds them, so that nothing of the training is lost or repeated.
    """

    def __init__(self, inner: Reporter, *, title: str, host: str = "127.0.0.1", port: int = 7007) -> None:
        """Start serving.

        Raises:
            ConfigError: when viser is not installed, or the address cannot be listened on.
        """
        self.inner, self.title = inner, title
        self.page = PageServer(host=host, port=port, label=f"lerf train · {title}", title=title)
        self.server, self.url = self.page.server, self.page.url
        self.stage, self.total, self.done = "starting", 0, 0
        self._facts: dict[str, float] = {}
        self._series: dict[str, list[tuple[float, float]]] = {}
        self._plots: dict[str, Any] = {}
        self._finished: list[str] = []
        self._notes: list[str] = []
        self._drawn = self._since = time.monotonic()
        self._running = threading.Event()
        self._running.set()
        # The training reports from its thread, the button answers from another: both draw.
        self._drawing = threading.RLock()
        gui = self.server.gui
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
        self._words = gui.add_html("")
        self._bar = gui.add_progress_bar(0.0)
        self._button = gui.add_button("Pause")
        self._curves = gui.add_folder("Curves")
        self._draw()
        self._button.on_click(lambda _: self.hold() if self._running.is_set() else self.go_on())

    @property
    def held(self) -> bool:
        """Whether the training waits."""
        return not self._running.is_set()

    def hold(self) -> None:
        """Let the training wait at its next report."""
        with self._drawing:
            self._running.clear()
            self._button.label = "Resume"
            self._draw()

    def go_on(self) -> None:
        """Let it go on."""
        with self._drawing:
            self._running.set()
            self._button.label = "Pause"
            self._draw()

    def begin(self, stage: str, total: int) -> None:
        self.inner.begin(stage, total)
        with self._drawing:
            self.stage, self.total, self.done, self._facts = stage, total, 0, {}
            self._since = time.monotonic()
            self._clear_curves()
            self._draw()

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None:
        self.inner.advance(done, facts)
        with self._drawing:
            self.done, self._facts = done, facts or self._facts
            self._lengthen_curves(done, facts or {})
            if time.monotonic() - self._drawn > REFRESH_SECONDS or done == self.total:
                self._draw()
        if self.held:
            self._wait()

    def end(self, seconds: float) -> None:
        self.inner.end(seconds)
        with self._drawing:
            self._finished.append(f"{self.stage}: {seconds:.0f} s")
            self.done = self.total
            self._draw()

    def note(self, message: str) -> None:
        self.inner.note(message)
        with self._drawing:
            self._notes.append(message)
            self._draw()

    def close(self) -> None:
        """Stop serving."""
        self.go_on()
        self.page.close()

    def _wait(self) -> None:
        with self._drawing:
            self._draw()
        with _woken_by_interrupts(self._running):
            # In turns, because a wait without a limit is not interrupted on every system.
            while not self._running.wait(0.5):
                pass
        self.go_on()

    def _lengthen_curves(self, done: int, facts: dict[str, float]) -> None:
        for name, value in facts.items():
            if name in CURVES:
                series = self._series.setdefault(name, [])
                series.append((float(done), float(value)))
                if len(series) > POINTS:
                    del series[1:-1:2]

    def _clear_curves(self) -> None:
        for plot in self._plots.values():
            plot.remove()
        self._plots.clear()
        self._series.clear()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        share = 100.0 * self.done / self.total if self.total else 0.0
        self._bar.value = min(share, 100.0)
        self._words.content = self._as_html()
        for name, series in self._series.items():
            if len(series) < 2:
                continue
            data = tuple(np.array(column, np.float64) for column in zip(*series, strict=True))
            if name in self._plots:
                self._plots[name].data = data
                continue
            unit = f" ({CURVES[name]})" if CURVES[name] else ""
            lines = ({"label": "step"}, {"label": name, "stroke": LINE, "width": 2})
            with self._curves:
                self._plots[name] = self.server.gui.add_uplot(
                    data, lines, title=f"{name}{unit}", scales={"x": {"time": False}}, height=170
                )  # fmt: skip

    def _as_html(self) -> str:
        seconds = time.monotonic() - self._since
        left = seconds * (self.total - self.done) / self.done if self.done and self.done < self.total else None
        lines = [f"<b>{html.escape(self.stage)}</b> {self.done} of {self.total}{', held' if self.held else ''}"]
        if left is not None:
            lines.append(f"about {left:.0f} s left")
        shown = {name: value for name, value in self._facts.items() if name not in self._series}
        lines += [f"{html.escape(name.replace('_', ' '))} {value:,.4g}" for name, value in shown.items()]
        lines += [f'<span style="opacity:0.65">{html.escape(text)}</span>' for text in self._finished + self._notes]
        return f'<div style="padding:0 0.6em 0.4em 0.6em;font-size:0.9em">{"<br>".join(lines)}</div>'


@contextmanager
def _woken_by_interrupts(running: threading.Event) -> Iterator[None]:
    """Let Ctrl-C end a pause, and mean what it meant: the training saves itself only between steps."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def wake(number: int, frame: Any) -> None:
        running.set()
        before(number, frame)

    signal.signal(signal.SIGINT, wake)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
