"""Terminals that show text as it is: a phrase or a file name is never markup, and sends no commands to the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from lerf.text import printable


class PlainConsole(Console):
    """A console on which no text is markup, emoji code or something to colour, and control characters are escaped."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Everything that is printed as a `str` comes through here, cells of tables too."""
        return super().render_str("\n".join(printable(line) for line in text.split("\n")), **options)
