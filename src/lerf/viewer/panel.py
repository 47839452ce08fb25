"""The controls of one page. They hold no state of their own beyond what the widgets show.

Everything that people typed is escaped before it is written as HTML; labels and lists are plain text to the browser.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lerf.queries.result import QueryDefaults
from lerf.rendering.colour_maps import COLORMAPS, RANGES, Legend, color_table
from lerf.rendering.outputs import Display
from lerf.viewer.answers_panel import AnswerActions, AnswersPanel
from lerf.viewer.errands import Errands
from lerf.viewer.navigation import UPS, Navigation
from lerf.viewer.prompt import escaped, label
from lerf.viewer.widgets import GREY, WARNING, changed, clicked, small

START = Display(range="normalised", opacity=0.8)
"""How a page shows things at first."""
SHOWS = ("picture", "points", "splat")
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
class Actions(AnswerActions, Protocol):
    """What the controls can ask for."""

    def ask(self, text: str) -> None:
        """Phrases to look for."""

    def set_query(self, canonical: str, temperature: float, threshold: float, exclusive: bool) -> None:
        """What phrases must beat, each other too where they are exclusive, and from when they count as present."""

    def set_display(self, display: Display) -> None:
        """How things are shown."""

    def set_show(self, show: str, point_size: float, isolate: bool) -> None:
        """A picture, points or Gaussians; of these only the relevant ones where they are isolated."""

    def set_limit(self, height: int) -> None:
        """Rows of the sharpest picture."""

    def set_markers(self, visible: bool) -> None:
        """Markers at the best points."""

    def set_photos(self, visible: bool) -> None:
        """Frustums of the photos."""


@dataclass(frozen=True)
class PanelStart:
    """What the controls start with."""

    title: str
    encoder: str
    """What answers, in words; empty without language."""
    defaults: QueryDefaults
    scales: tuple[float, float]
    """Smallest and largest scale in capture units; equal without language."""
    limit: int
    angle: float
    """Vertical field of view in degrees."""
    outputs: tuple[str, ...]
    show: str
    """Of `SHOWS`."""


class Panel:
    """Builds the controls and keeps them up to date. Its methods may be called from any thread."""

    def __init__(
        self, client: Any, actions: Actions, navigation: Navigation, errands: Errands, start: PanelStart
    ) -> None:
        """What takes a while is done by `errands`."""
        self.client, self.actions, self.navigation, self.start = client, actions, navigation, start
        self._errands = errands
        gui = client.gui
        gui.set_panel_label(label(f"lerf · {start.title}", 40))
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        with gui.add_form(None) as prompt:
            self.prompt = gui.add_text("LERF Positives", "")
        gui.add_html(ENTER_WAITS)
        if start.encoder:
            gui.add_html(small(f'<span style="{GREY}">Encoder {html.escape(start.encoder)}</span>'))
        self.status = gui.add_html("")
        self.warnings = gui.add_html("", visible=False)
        self.say("Type what to look for and press Enter; ; separates phrases.")
        self.output = gui.add_dropdown("Output Render", start.outputs, initial_value="rgb")
        self.legend = gui.add_html("", visible=False)
        self.answers = AnswersPanel(client, actions, errands, start.scales)
        self.picked = gui.add_html("", visible=False)
        self._add_display_controls()
        self._add_query_controls()
        self._add_view_controls()
        self._add_path_controls()

        @prompt.on_submit
        async def _(_: Any) -> None:
            self.actions.ask(self.prompt.value)

        changed(self.output, self._display_changed)

    def _add_display_controls(self) -> None:
        gui, start = self.client.gui, START
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
            changed(widget, self._display_changed)
        changed(self.markers, lambda: self.actions.set_markers(self.markers.value))

    def _add_query_controls(self) -> None:
        gui, defaults = self.client.gui, self.start.defaults
        with gui.add_folder("Query", expand_by_default=False):
            with gui.add_form(None) as canonical:
                self.canonical = gui.add_text(
                    "Canonical", "; ".join(defaults.canonical), hint="Phrases that a phrase must beat, separated by ;"
                )
            temperature = float(defaults.temperature)
            self.temperature = gui.add_number(
                "Temperature", temperature, min=0.1, max=max(1e4, temperature), step=0.1, hint="Factor on cosines"
            )
            self.threshold = gui.add_slider(
                "Threshold", 0.0, 1.0, 0.01, float(defaults.threshold),
                hint="Relevancy from which a phrase counts as present",
            )  # fmt: skip
            self.exclusive = gui.add_checkbox(
                "Exclusive",
                False,
                hint="Of phrases asked together, every place answers only the one that leads there",
            )
            back = gui.add_button("Back to the run's own")

        def query_changed() -> None:
            settings = self.temperature.value, self.threshold.value, self.exclusive.value
            self.actions.set_query(self.canonical.value, *settings)

        @canonical.on_submit
        async def _(_: Any) -> None:
            query_changed()

        @back.on_click
        async def _(_: Any) -> None:
            self.canonical.value = "; ".join(defaults.canonical)
            self.temperature.value, self.threshold.value = float(defaults.temperature), float(defaults.threshold)
            self.exclusive.value = False
            query_changed()

        changed(self.temperature, query_changed)
        changed(self.threshold, query_changed)
        changed(self.exclusive, query_changed)

    def _add_view_controls(self) -> None:
        gui, start = self.client.gui, self.start
        with gui.add_folder("View"):
            self.show = gui.add_dropdown(
                "Show", SHOWS, initial_value=start.show,
                hint="A rendered picture, the surface as points, or Gaussians that the browser draws",
            )  # fmt: skip
            self.isolate = gui.add_checkbox(
                "Isolate", False, visible=start.show == "splat",
                hint="Hide all Gaussians that are not above 'Show above' for the output's phrase",
            )  # fmt: skip
            self.photos = gui.add_checkbox("Photos", False, hint="Where the photos were taken; click one to go there")
            reset = gui.add_button("Reset view")
            screenshot = gui.add_button("Screenshot")
        with gui.add_folder("Camera", expand_by_default=False):
            self.up = gui.add_dropdown("Up", UPS)
            self.angle = gui.add_slider("Field of view", 10.0, 120.0, 1.0, round(self.start.angle, 0))
            self.limit = gui.add_slider(
                "Refine up to", 60, 1080, 20, self.start.limit, hint="Rows of the sharpest picture, at rest"
            )
            self.point_size = gui.add_slider("Point size", 0.002, 0.05, 0.001, 0.009)
        for widget in (self.show, self.point_size, self.isolate):
            changed(widget, self._show_changed)
        changed(self.photos, self._slowly(lambda: self.actions.set_photos(self.photos.value)))
        changed(self.limit, lambda: self.actions.set_limit(self.limit.value))
        changed(self.up, self._slowly(lambda: self.navigation.set_up(self.up.value)))
        changed(self.angle, self._slowly(lambda: self.navigation.set_angle(self.angle.value)))
        clicked(reset, self._slowly(self.navigation.reset_view))
        clicked(screenshot, self._slowly(self.navigation.save_screenshot))

    def _add_path_controls(self) -> None:
        gui = self.client.gui
        with gui.add_folder("Camera path", expand_by_default=False):
            self.path_status = gui.add_html(small("Keyframes make a path for <code>lerf render --path</code>."))
            add = gui.add_button("Add this view")
            drop = gui.add_button("Remove the last")
            clear = gui.add_button("Remove all")
            self.seconds = gui.add_number("Seconds a leg", 2.0, min=0.1, max=600.0, step=0.1)
            self.rate = gui.add_number("Frames a second", 24.0, min=1.0, max=240.0, step=1.0)
            self.path_height = gui.add_number("Rows", 480, min=16, max=4320, step=2, hint="Height of the video")
            self.loop = gui.add_checkbox("Loop", False)
            play = gui.add_button("Play")
            save = gui.add_button("Download camera_path.json")
        clicked(add, self._slowly(self.navigation.add_keyframe))
        clicked(drop, self._slowly(lambda: self.navigation.remove_keyframe(False)))
        clicked(clear, self._slowly(lambda: self.navigation.remove_keyframe(True)))
        clicked(play, self._slowly(lambda: self.navigation.play_path(self.seconds.value, self.loop.value)))
        clicked(save, self._slowly(self._save_path))

    def _save_path(self) -> None:
        height = int(self.path_height.value)
        self.navigation.save_path(self.seconds.value, self.rate.value, self.loop.value, height)

    def _slowly(self, act: Callable[[], None]) -> Callable[[], None]:
        """As an errand."""
        return lambda: self._errands.run(act)

    def _show_changed(self) -> None:
        self.isolate.visible = self.show.value == "splat"
        self.actions.set_show(self.show.value, self.point_size.value, self.isolate.value)

    @property
    def display(self) -> Display:
        """What the display controls say."""
        return Display(
            self.output.value, self.normalise.value, self.colormap.value, self.range.value, self.above.value,
            self.opacity.value,
        )  # fmt: skip

    def _display_changed(self) -> None:
        self.actions.set_display(self.display)

    def say(self, text: str) -> None:
        """Progress, below the prompt."""
        self.status.content = small(f'<span style="{GREY}">{html.escape(text)}</span>' if text else "&nbsp;")

    def complain(self, text: str) -> None:
        """An error, below the prompt."""
        self.status.content = small(f'<span role="alert" style="color:#d6336c">{html.escape(text)}</span>')

    def warn(self, texts: Sequence[str]) -> None:
        """What somebody should know who reads the answers, for example a word that the encoder never learnt."""
        self.warnings.visible = bool(texts)
        lines = "<br>".join(html.escape(text) for text in texts)
        self.warnings.content = small(f'<span style="{WARNING}">{lines}</span>')

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
        self.legend.content = small(
            f'<div style="height:0.8em;border-radius:3px;background:linear-gradient(to right,{stops})"></div>'
            f'<div style="display:flex;justify-content:space-between"><span>{legend.low:.3g}{unit}</span>'
            f'<span style="{GREY}">{html.escape(legend.title)}</span><span>{legend.high:.3g}{unit}</span></div>'
        )

    def show_picked(self, point: Sequence[float] | None, ranked: Sequence[tuple[str, float]]) -> None:
        """The point that was clicked, capture frame, and how relevant phrases are there, the best first."""
        self.picked.visible = True
        if point is None:
            self.picked.content = small("Clicked: nothing stands there.")
            return
        x, y, z = point
        lines = "".join(f"<div>{score:.2f} · {escaped(text, 48)}</div>" for text, score in ranked)
        self.picked.content = small(f"<b>Clicked</b> ({x:.4g}, {y:.4g}, {z:.4g}){lines}")

    def show_path(self, keyframes: int) -> None:
        """How long the path is."""
        count = {0: "No keyframes.", 1: "1 keyframe; a path needs two."}.get(keyframes, f"{keyframes} keyframes.")
        self.path_status.content = small(count)
