"""The controls of one page of a capture, and what was found out about it in words.

Names of files are escaped before they are written as HTML.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lerf.scenes.inspection.verdict import Grade
from lerf.viewer.capture_state import Findings
from lerf.viewer.errands import Errands
from lerf.viewer.navigation import UPS, Navigation
from lerf.viewer.prompt import label
from lerf.viewer.widgets import GREY, WARNING, changed, clicked, small

VERDICTS = ("verdict", "what to do")
"""Rows that stand above the others."""
COLOURS = {Grade.GOOD: "#2b8a3e", Grade.FAIR: "#5c940d", Grade.WEAK: "#d9480f", Grade.BAD: "#c92a2a"}
CODE = (
    "font-family:monospace;font-size:0.9em;background:rgba(128,128,128,0.15);border-radius:3px;padding:0.4em;"
    "user-select:all;overflow-wrap:anywhere;white-space:pre-wrap"
)
SMALLER, LARGER = 0.2, 5.0
"""Factors on the sizes of photos and points."""


@runtime_checkable
class CaptureActions(Protocol):
    """What the controls can ask for."""

    def set_photos(self, visible: bool, size: float) -> None:
        """Cameras with their photos, and how large they are drawn."""

    def set_points(self, visible: bool, size: float) -> None:
        """Sparse points, and how large they are drawn."""

    def set_ground(self, visible: bool) -> None:
        """The ground and the capture's axes."""

    def step_photo(self, by: int) -> None:
        """Fly to the photo after or before the one that is looked at."""

    def set_overlay(self, visible: bool) -> None:
        """Whether the photo stands behind the points where the camera is at its place."""


@dataclass(frozen=True)
class CaptureStart:
    """What the controls start with."""

    title: str
    angle: float
    """Vertical field of view in degrees."""
    photos: int
    command: str
    """That trains on the capture."""
    told: tuple[str, ...]
    """What is not shown, sentences."""
    has_points: bool
    point: float
    """Size of a point, normalised units."""


class CapturePanel:
    """Builds the controls and keeps them up to date. Its methods may be called from any thread."""

    def __init__(
        self, client: Any, actions: CaptureActions, navigation: Navigation, errands: Errands, start: CaptureStart
    ) -> None:
        """What takes a while is done by `errands`."""
        self.client, self.actions, self.navigation, self.start = client, actions, navigation, start
        self._errands = errands
        gui = client.gui
        gui.set_panel_label(label(f"lerf · {start.title}", 40))
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
        self.verdict = gui.add_html(small(f'<span style="{GREY}">Looking at the photos…</span>'))
        self.status = gui.add_html("", visible=False)
        self.photo = gui.add_html(small(f"{start.photos} photos; click one to fly there."))
        steps = gui.add_button_group("Photo", ("Previous", "Next"))
        self._add_view_controls()
        with gui.add_folder("Facts"):
            self.facts = gui.add_html(small(f'<span style="{GREY}">…</span>'))
            if start.told:
                gui.add_html(small(f'<span style="{WARNING}">{"<br>".join(map(html.escape, start.told))}</span>'))
        with gui.add_folder("Train"):
            gui.add_html(small(f'<div style="{CODE}">{html.escape(start.command)}</div>'))

        @steps.on_click
        async def _(_: Any) -> None:
            by = 1 if steps.value == "Next" else -1
            self._errands.run(lambda: self.actions.step_photo(by))

    def _add_view_controls(self) -> None:
        gui, start = self.client.gui, self.start
        with gui.add_folder("View"):
            self.photos = gui.add_checkbox("Photos", True, hint="Where the photos were taken; orange are held out")
            self.photo_size = gui.add_slider("Photo size", SMALLER, LARGER, 0.1, 1.0)
            self.points = gui.add_checkbox("Points", True, hint="The pose tool's 3D points", visible=start.has_points)
            self.point_size = gui.add_slider("Point size", SMALLER, LARGER, 0.1, 1.0, visible=start.has_points)
            self.overlay = gui.add_checkbox(
                "Look through", True, hint="At a photo's place it stands behind the points: what fits lies on itself"
            )
            self.ground = gui.add_checkbox("Ground and axes", True, hint="The axes are the capture's")
            self.up = gui.add_dropdown("Up", UPS)
            self.angle = gui.add_slider("Field of view", 10.0, 120.0, 1.0, round(start.angle, 0))
            reset = gui.add_button("Reset view")
            screenshot = gui.add_button("Screenshot")
        act = self.actions
        for widget in (self.photos, self.photo_size):
            changed(widget, lambda: act.set_photos(self.photos.value, self.photo_size.value))
        for widget in (self.points, self.point_size):
            changed(widget, lambda: act.set_points(self.points.value, self.point_size.value * start.point))
        changed(self.overlay, self._slowly(lambda: act.set_overlay(self.overlay.value)))
        changed(self.ground, lambda: act.set_ground(self.ground.value))
        changed(self.up, self._slowly(lambda: self.navigation.set_up(self.up.value)))
        changed(self.angle, self._slowly(lambda: self.navigation.set_angle(self.angle.value)))
        clicked(reset, self._slowly(self.navigation.reset_view))
        clicked(screenshot, self._slowly(self.navigation.save_screenshot))

    def _slowly(self, act: Callable[[], None]) -> Callable[[], None]:
        """As an errand."""
        return lambda: self._errands.run(act)

    def show_findings(self, findings: Findings) -> None:
        """The verdict with what to do, and the facts below."""
        first, *advice = (text for name, text in findings.rows if name in VERDICTS)
        colour = COLOURS[findings.verdict.grade]
        said = [f'<b style="color:{colour}">{html.escape(first)}</b>', *map(html.escape, advice)]
        self.verdict.content = small("<br>".join(said))
        lines = [
            f'<tr><td style="vertical-align:top;white-space:nowrap;padding-right:0.8em;{GREY}">{html.escape(name)}</td>'
            f"<td>{html.escape(text)}</td></tr>"
            for name, text in findings.rows
            if name not in VERDICTS
        ]
        self.facts.content = small(f'<table style="border-spacing:0">{"".join(lines)}</table>')

    def complain(self, text: str) -> None:
        """An error."""
        self.status.visible = bool(text)
        self.status.content = small(f'<span role="alert" style="color:#d6336c">{html.escape(text)}</span>')

    def show_trouble(self, text: str) -> None:
        """Why there are no findings."""
        self.verdict.content = small(f'<span style="{WARNING}">{html.escape(text)}</span>')

    def show_photo(self, name: str, about: str) -> None:
        """The photo that the camera is at."""
        self.photo.content = small(f"<b>{html.escape(label(name, 80))}</b> {html.escape(about)}")

    def show_path(self, keyframes: int) -> None:
        """A page of a capture records no path."""
