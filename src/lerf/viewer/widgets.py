"""Small pieces that the controls of a page are made of: styled text, and callbacks of widgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SMALL = "font-size:0.85em;line-height:1.35;padding:0 0.6em 0.2em 0.6em;overflow-wrap:anywhere"
GREY = "opacity:0.65"
WARNING = "color:#b35900"


def changed(widget: Any, act: Callable[[], None]) -> None:
    """Call when a person changed the widget; in order, because it runs on the server's loop. Must be quick."""

    @widget.on_update
    async def _(event: Any) -> None:
        if event.client is not None:
            act()


def clicked(button: Any, act: Callable[[], None]) -> None:
    """Call when a button is clicked; as `changed`."""

    @button.on_click
    async def _(_: Any) -> None:
        act()


def small(content: str) -> str:
    """HTML in the panel's small print."""
    return f'<div style="{SMALL}">{content}</div>'
