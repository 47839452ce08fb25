"""The controls of one page. They hold no state of their own beyond what the widgets show.

Everything that people typed is escaped before it is written as HTML; labels and lists are plain text to the browser.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

from lerf.queries.answer import Answer
from lerf.viewer.display import COLORMAPS, RANGES, Display, Legend, color_table
from lerf.viewer.prompt import escaped, label
from lerf.viewer.stage import PHRASE_COLOURS
from lerf.viewer.world import Reply

MOST_BUTTONS = 8
"""Instances of one phrase that get a button."""
SHOWS = ("picture", "points")
UPS = ("cameras", "this view", "capture +x", "capture -x", "capture +y", "capture -y", "capture +z", "capture -z")
SMALL = "font-size:0.85em;line-height:1.35;padding:0 0.6em 0.2em 0.6em;overflow-wrap:anywhere"
GREY = "opacity:0.65"
# viser sends what was typed at most every 50 ms and drops what is waiting when a form is submitted: who types fast and
# presses Enter would ask for all but the last letters. So Enter waits until the letters have gone.
ENTER_WAITS = """<img alt="" src="data:," style="display:none" onerror="
if (!window.lerfEnter) { window.lerfEnter = true; document.title = 'lerf';
document.addEventListener('keydown', function (event) {
  var form = event.target && event.target.form;
  if (event.key !== 'Enter' || event.isComposing || !form) return;
  event.preventDefault(); event.stopPropagation();
  setTimeout(function () { form.requestSubmit(); }, 120);
}, true); }">"""


@runtime_checkable
class Actions(Protocol):
    """What the controls can ask for."""

    def ask(self, text: str) -> None:
        """Phrases to look for."""

    def set_query(self, canonical: str, temperature: float, threshold: float) -> None:
        """What phrases must beat, and from when they count as present."""

    def set_scale(self, row: int, scale: float | None) -> None:
        """Scale of a phrase in capture units; None for the one that answers best."""

    def set_display(self, display: Display) -> None:
        """How things are shown."""

    def set_show(self, show: str, point_size: float) -> None:
        """A picture or points."""

    def set_limit(self, height: int) -> None:
        """Rows of the sharpest picture."""

    def set_markers(self, visible: bool) -> None:
        """Markers at the best points."""

    def set_photos(self, visible: bool) -> None:
        """Frustums of the photos."""

    def fly_to_instance(self, row: int, instance: int) -> None:
        """The view that shows an instance best."""

    def reset_view(self) -> None:
        """Where the page opened."""

    def set_up(self, choice: str) -> None:
        """One of `UPS`."""

    def set_angle(self, degrees: float) -> None:
        """Vertical field of view."""

    def save_screenshot(self) -> None:
        """Download what the page shows."""

    def add_keyframe(self) -> None:
        """This view becomes part of the path."""

    def remove_keyframe(self, everything: bool) -> None:
        """The last keyframe goes, or all."""

    def play_path(self, seconds: float, loop: bool) -> None:
        """Fly along the path."""

    def save_path(self, seconds: float, rate: float, loop: bool, height: int) -> None:
        """Download the path."""


@dataclass(frozen=True)
class Facts:
    """What the controls start with."""

    title: str
    canonical: tuple[str, ...]
    temperature: float
    threshold: float
    scales: tuple[float, float]
    """Smallest and largest scale in capture units; equal without language."""
    limit: int
    angle: float
    """Vertical field of view in degrees."""
    outputs: tuple[str, ...]


@dataclass
class _Row:
    """The widgets of one phrase."""

    text: str
    folder: Any
    about: Any
    scale: Any
    automatic: Any
    buttons_folder: Any
    buttons: list[Any] = field(default_factory=list)


class Panel:
    """Builds the controls and keeps them up to date. Its methods may be called from any thread."""

    def __init__(self, client: Any, actions: Actions, facts: Facts) -> None:
        self.client, self.actions, self.facts = client, actions, facts
        self._rows: list[_Row] = []
        gui = client.gui
        gui.set_panel_label(label(f"lerf · {facts.title}", 40))
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        with gui.add_form(None) as prompt:
            self.prompt = gui.add_text("LERF Positives", "")
        gui.add_html(ENTER_WAITS)
        self.status = gui.add_html("")
        self.warnings = gui.add_html("", visible=False)
        self.say("Type what to look for and press Enter; ; separates phrases.")
        self.output = gui.add_dropdown("Output Render", facts.outputs, initial_value="rgb")
        self.legend = gui.add_html("", visible=False)
        self.answers = gui.add_folder("Answers", visible=False)
        self.picked = gui.add_html("", visible=False)
        self._add_display_controls()
        self._add_query_controls()
        self._add_view_controls()
        self._add_path_controls()

        @prompt.on_submit
        async def _(_: Any) -> None:
            self.actions.ask(self.prompt.value)

        self._on(self.output, self._display_changed)

    def _add_display_controls(self) -> None:
        gui, start = self.client.gui, Display()
        with gui.add_folder("Relevancy", expand_by_default=False):
            self.normalise = gui.add_checkbox(
                "Normalize", start.normalise, hint="Stretch the colours over the values in the picture"
            )
            self.colormap = gui.add_dropdown("Colormap", COLORMAPS, initial_value=start.colormap)
            self.range = gui.add_dropdown(
                "Range", RANGES, initial_value=start.range,
                hint="raw 0..1; centred -1..1; normalised from the tie at 0.5 to the scene's highest",
            )  # fmt: skip
            self.above = gui.add_slider(
                "Show above", 0.0, 1.0, 0.01, start.above, hint="Raw relevancy from which composited shows relevancy"
            )
            self.opacity = gui.add_slider("Opacity", 0.0, 1.0, 0.05, start.opacity, hint="Of relevancy over colour")
            self.markers = gui.add_checkbox("Markers", True, hint="At the best point of each phrase")
        for widget in (self.normalise, self.colormap, self.range, self.above, self.opacity):
            self._on(widget, self._display_changed)
        self._on(self.markers, lambda: self.actions.set_markers(self.markers.value))

    def _add_query_controls(self) -> None:
        gui, facts = self.client.gui, self.facts
        with gui.add_folder("Query", expand_by_default=False):
            with gui.add_form(None) as canonical:
                self.canonical = gui.add_text(
                    "Canonical", "; ".join(facts.canonical), hint="Phrases that a phrase must beat, separated by ;"
                )
            self.temperature = gui.add_number(
                "Temperature", float(facts.temperature), min=0.1, step=0.1, hint="Factor on cosines"
            )
            self.threshold = gui.add_slider(
                "Threshold", 0.0, 1.0, 0.01, float(facts.threshold),
                hint="Relevancy from which a phrase counts as present",
            )  # fmt: skip
            defaults = gui.add_button("Back to the run's own")

        def changed() -> None:
            self.actions.set_query(self.canonical.value, self.temperature.value, self.threshold.value)

        @canonical.on_submit
        async def _(_: Any) -> None:
            changed()

        @defaults.on_click
        async def _(_: Any) -> None:
            self.canonical.value = "; ".join(facts.canonical)
            self.temperature.value, self.threshold.value = float(facts.temperature), float(facts.threshold)
            changed()

        self._on(self.temperature, changed)
        self._on(self.threshold, changed)

    def _add_view_controls(self) -> None:
        gui = self.client.gui
        with gui.add_folder("View"):
            self.show = gui.add_dropdown("Show", SHOWS, hint="A rendered picture, or the surface as points")
            self.photos = gui.add_checkbox("Photos", False, hint="Where the photos were taken; click one to go there")
            reset = gui.add_button("Reset view")
            screenshot = gui.add_button("Screenshot")
        with gui.add_folder("Camera", expand_by_default=False):
            self.up = gui.add_dropdown("Up", UPS)
            self.angle = gui.add_slider("Field of view", 10.0, 120.0, 1.0, round(self.facts.angle, 0))
            self.limit = gui.add_slider(
                "Refine up to", 60, 1080, 20, self.facts.limit, hint="Rows of the sharpest picture, at rest"
            )
            self.point_size = gui.add_slider("Point size", 0.002, 0.05, 0.001, 0.009)
        self._on(self.show, lambda: self.actions.set_show(self.show.value, self.point_size.value))
        self._on(self.point_size, lambda: self.actions.set_show(self.show.value, self.point_size.value))
        self._on_slow(self.photos, lambda: self.actions.set_photos(self.photos.value))
        self._on(self.limit, lambda: self.actions.set_limit(self.limit.value))
        self._on_slow(self.up, lambda: self.actions.set_up(self.up.value))
        self._on_slow(self.angle, lambda: self.actions.set_angle(self.angle.value))
        _clicked(reset, self.actions.reset_view)
        _clicked(screenshot, self.actions.save_screenshot)

    def _add_path_controls(self) -> None:
        gui = self.client.gui
        with gui.add_folder("Camera path", expand_by_default=False):
            self.path_status = gui.add_html(_small("Keyframes make a path for <code>lerf render --path</code>."))
            add = gui.add_button("Add this view")
            drop = gui.add_button("Remove the last")
            clear = gui.add_button("Remove all")
            self.seconds = gui.add_number("Seconds a leg", 2.0, min=0.1, step=0.1)
            self.rate = gui.add_number("Frames a second", 24.0, min=1.0, step=1.0)
            self.path_height = gui.add_number("Rows", 480, min=16, max=4320, step=2, hint="Height of the video")
            self.loop = gui.add_checkbox("Loop", False)
            play = gui.add_button("Play")
            save = gui.add_button("Download camera_path.json")
        _clicked(add, self.actions.add_keyframe)
        _clicked(drop, lambda: self.actions.remove_keyframe(False))
        _clicked(clear, lambda: self.actions.remove_keyframe(True))
        _clicked(play, lambda: self.actions.play_path(self.seconds.value, self.loop.value))
        _clicked(
            save,
            lambda: self.actions.save_path(
                self.seconds.value, self.rate.value, self.loop.value, int(self.path_height.value)
            ),
        )

    @property
    def display(self) -> Display:
        """What the display controls say."""
        return Display(
            self.output.value, self.normalise.value, self.colormap.value, self.range.value, self.above.value,
            self.opacity.value,
        )  # fmt: skip

    def _display_changed(self) -> None:
        self.actions.set_display(self.display)

    @staticmethod
    def _on(widget: Any, changed: Callable[[], None]) -> None:
        """Call when a person changed the widget; in order, because it runs on the server's loop. Must be quick."""

        @widget.on_update
        async def _(event: Any) -> None:
            if event.client is not None:
                changed()

    @staticmethod
    def _on_slow(widget: Any, changed: Callable[[], None]) -> None:
        """As `_on`, on a thread of its own."""

        @widget.on_update
        def _(event: Any) -> None:
            if event.client is not None:
                changed()

    def say(self, text: str) -> None:
        """Progress, below the prompt."""
        self.status.content = _small(f'<span style="{GREY}">{html.escape(text)}</span>' if text else "&nbsp;")

    def complain(self, text: str) -> None:
        """An error, below the prompt."""
        self.status.content = _small(f'<span role="alert" style="color:#d6336c">{html.escape(text)}</span>')

    def warn(self, texts: Sequence[str]) -> None:
        """What somebody should know who reads the answers, for example a word that the encoder never learnt."""
        self.warnings.visible = bool(texts)
        lines = "<br>".join(html.escape(text) for text in texts)
        self.warnings.content = _small(f'<span style="color:#b35900">{lines}</span>')

    def offer(self, outputs: Sequence[str], chosen: str) -> None:
        """What Output Render offers, and what of it is shown."""
        if tuple(self.output.options) != tuple(outputs):
            self.output.options = tuple(outputs)
        self.output.value = chosen

    def show_legend(self, legend: Legend | None) -> None:
        """The colours and what they stand for; none for pictures whose colours are colours."""
        self.legend.visible = legend is not None
        if legend is None:
            return
        stops = ",".join(
            "rgb({:.0f},{:.0f},{:.0f})".format(*(255 * color_table(legend.colormap)[place]).tolist())
            for place in range(0, 256, 17)
        )
        unit = f" {legend.unit}" if legend.unit else ""
        self.legend.content = _small(
            f'<div style="height:0.8em;border-radius:3px;background:linear-gradient(to right,{stops})"></div>'
            f'<div style="display:flex;justify-content:space-between"><span>{legend.low:.3g}{unit}</span>'
            f'<span style="{GREY}">{html.escape(legend.title)}</span><span>{legend.high:.3g}{unit}</span></div>'
        )

    def show_answers(self, replies: Sequence[Reply], unit: float) -> None:
        """One folder a phrase: presence, score, scale, place, instances.

        Widgets of the same phrases are kept, so that a slider in somebody's hand stays.
        """
        texts = [reply.answer.text for reply in replies]
        with self.client.atomic():
            if texts != [row.text for row in self._rows]:
                for row in self._rows:
                    row.folder.remove()
                self._rows = [self._add_row(number, text) for number, text in enumerate(texts)]
            self.answers.visible = bool(replies)
            for row, reply in zip(self._rows, replies, strict=True):
                self._update_row(row, reply, unit)

    def _add_row(self, number: int, text: str) -> _Row:
        gui, (low, high) = self.client.gui, self.facts.scales
        with self.answers:
            folder = gui.add_folder(f"{number}: {label(text)}")
        with folder:
            about = gui.add_html("")
            scale = gui.add_slider(
                "Scale", low, high, _step(low, high), low, hint="Height of what is looked for, capture units"
            )
            automatic = gui.add_button("Automatic scale", disabled=True)
            buttons = gui.add_folder(None)
        self._on(scale, lambda: self.actions.set_scale(number, scale.value))
        _clicked(automatic, lambda: self.actions.set_scale(number, None))
        return _Row(text, folder, about, scale, automatic, buttons)

    def _update_row(self, row: _Row, reply: Reply, unit: float) -> None:
        number, answer, (low, high) = self._rows.index(row), reply.answer, self.facts.scales
        row.about.content = _about(number, reply, unit)
        row.automatic.disabled = reply.automatic
        if reply.automatic:
            row.scale.value = min(max(_rounded(reply.scale / unit), low), high)
        for button in row.buttons:
            button.remove()
        row.buttons.clear()
        with row.buttons_folder:
            for place, instance in enumerate(answer.instances[:MOST_BUTTONS]):
                where = instance.geometry.view or "no photo shows it"
                button = self.client.gui.add_button(
                    f"Fly to {place + 1} · {instance.relevancy:.2f}", hint=f"{where}", disabled=False
                )
                _clicked(button, partial(self.actions.fly_to_instance, number, place))
                row.buttons.append(button)

    def show_picked(self, point: Sequence[float] | None, ranked: Sequence[tuple[str, float]]) -> None:
        """The point that was clicked, capture frame, and how relevant phrases are there, the best first."""
        self.picked.visible = True
        if point is None:
            self.picked.content = _small("Clicked: nothing stands there.")
            return
        x, y, z = point
        lines = "".join(f"<div>{score:.2f} · {escaped(text, 48)}</div>" for text, score in ranked)
        self.picked.content = _small(f"<b>Clicked</b> ({x:.4g}, {y:.4g}, {z:.4g}){lines}")

    def show_path(self, keyframes: int) -> None:
        """How long the path is."""
        count = {0: "No keyframes.", 1: "1 keyframe; a path needs two."}.get(keyframes, f"{keyframes} keyframes.")
        self.path_status.content = _small(count)


def _clicked(button: Any, act: Callable[[], None]) -> None:
    @button.on_click
    def _(_: Any) -> None:
        act()


def _small(content: str) -> str:
    return f'<div style="{SMALL}">{content}</div>'


def _rounded(value: float) -> float:
    """Three digits: what a slider shows without being cut off."""
    return float(f"{value:.3g}")


def _step(low: float, high: float) -> float:
    """A round step of about a five hundredth of the range."""
    return float(f"{max((high - low) / 500.0, 1e-6):.0e}")


def _about(number: int, reply: Reply, unit: float) -> str:
    answer: Answer = reply.answer
    colour = "rgb({},{},{})".format(*PHRASE_COLOURS[number % len(PHRASE_COLOURS)])
    dot = f'<span style="color:{colour}">&#9679;</span>'
    scale = f"{'chosen' if reply.automatic else 'given'} scale {reply.scale / unit:.3g}"
    whole = "" if label(answer.text) == answer.text else f"{escaped(answer.text)}<br>"
    if answer.geometry is None:
        return _small(f"{whole}{dot} not here: relevancy {answer.relevancy:.2f}<br>{scale}")
    x, y, z = answer.geometry.point
    found = len(answer.instances)
    many = f"{found} instances" if found > 1 else "1 instance"
    return _small(f"{whole}{dot} relevancy {answer.relevancy:.2f}, {many}<br>{scale}<br>at ({x:.4g}, {y:.4g}, {z:.4g})")
