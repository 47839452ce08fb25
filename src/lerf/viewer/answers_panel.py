"""The answers on a page: a folder a phrase, with presence, score, scale, place and a button an instance."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

from lerf.queries.result import NOT_KNOWN, Answer
from lerf.viewer.errands import Errands
from lerf.viewer.prompt import escaped, label
from lerf.viewer.scene_state import PhraseState
from lerf.viewer.scene_view import PHRASE_COLOURS
from lerf.viewer.widgets import WARNING, changed, clicked, small

MOST_BUTTONS = 8
"""Instances of one phrase that get a button."""


@runtime_checkable
class AnswerActions(Protocol):
    """What the controls of an answer can ask for."""

    def set_scale(self, row: int, scale: float | None) -> None:
        """Scale of a phrase in capture units; None for the one that answers best."""

    def fly_to_instance(self, row: int, instance: int) -> None:
        """The view that shows an instance best."""


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


class AnswersPanel:
    """Keeps the folders of the answers up to date. Its methods may be called from any thread."""

    def __init__(self, client: Any, actions: AnswerActions, errands: Errands, scales: tuple[float, float]) -> None:
        """What takes a while is done by `errands`; `scales` are the smallest and the largest in capture units."""
        self.client, self.actions, self.scales, self._errands = client, actions, scales, errands
        self.folder = client.gui.add_folder("Answers", visible=False)
        self._rows: list[_Row] = []
        self._lock = threading.Lock()

    def show(self, states: Sequence[PhraseState], unit: float) -> None:
        """One folder a phrase: presence, score, scale, place, instances.

        Widgets of the same phrases are kept, so that a slider in somebody's hand stays.
        """
        texts = [state.answer.text for state in states]
        with self._lock, self.client.atomic():
            if texts != [row.text for row in self._rows]:
                for row in self._rows:
                    row.folder.remove()
                self._rows = [self._add_row(number, text) for number, text in enumerate(texts)]
            self.folder.visible = bool(states)
            for row, state in zip(self._rows, states, strict=True):
                self._update_row(row, state, unit)

    def _add_row(self, number: int, text: str) -> _Row:
        gui, (low, high) = self.client.gui, self.scales
        with self.folder:
            folder = gui.add_folder(f"{number}: {label(text)}")
        with folder:
            about = gui.add_html("")
            scale = gui.add_slider(
                "Scale", low, high, _step(low, high), low, hint="Height of what is looked for, capture units"
            )
            automatic = gui.add_button("Automatic scale", disabled=True)
            buttons = gui.add_folder(None)
        changed(scale, lambda: self.actions.set_scale(number, scale.value))
        clicked(automatic, lambda: self.actions.set_scale(number, None))
        return _Row(text, folder, about, scale, automatic, buttons)

    def _update_row(self, row: _Row, state: PhraseState, unit: float) -> None:
        number, answer, (low, high) = self._rows.index(row), state.answer, self.scales
        row.about.content = _about(number, state, unit)
        row.automatic.disabled = state.automatic
        if state.automatic:
            row.scale.value = min(max(_rounded(state.scale / unit), low), high)
        for button in row.buttons:
            button.remove()
        row.buttons.clear()
        with row.buttons_folder:
            for place, instance in enumerate(answer.instances[:MOST_BUTTONS]):
                where = instance.geometry.view or "no photo shows it"
                button = self.client.gui.add_button(
                    f"Fly to {place + 1} · {instance.relevancy:.2f}", hint=f"{where}", disabled=False
                )
                fly = partial(self.actions.fly_to_instance, number, place)
                clicked(button, partial(self._errands.run, fly))
                row.buttons.append(button)


def _rounded(value: float) -> float:
    """Three digits: what a slider shows without being cut off."""
    return float(f"{value:.3g}")


def _step(low: float, high: float) -> float:
    """A round step of about a five hundredth of the range."""
    return float(f"{max((high - low) / 500.0, 1e-6):.0e}")


def _about(number: int, state: PhraseState, unit: float) -> str:
    answer: Answer = state.answer
    colour = "rgb({},{},{})".format(*PHRASE_COLOURS[number % len(PHRASE_COLOURS)])
    dot = f'<span style="color:{colour}">&#9679;</span>'
    scale = f"{'chosen' if state.automatic else 'given'} scale {state.scale / unit:.3g}"
    whole = "" if label(answer.text) == answer.text else f"{escaped(answer.text)}<br>"
    if answer.known is not None and answer.known < 1:
        whole += f'<span style="{WARNING}">{NOT_KNOWN}.</span><br>'
    if answer.geometry is None:
        return small(f"{whole}{dot} not here: relevancy {answer.relevancy:.2f}<br>{scale}")
    x, y, z = answer.geometry.point
    found = len(answer.instances)
    many = f"{found} instances" if found > 1 else "1 instance"
    return small(f"{whole}{dot} relevancy {answer.relevancy:.2f}, {many}<br>{scale}<br>at ({x:.4g}, {y:.4g}, {z:.4g})")
