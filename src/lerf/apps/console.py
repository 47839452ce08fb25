"""Terminals that show text as it is: a phrase or a file name is never markup, and sends no commands to the terminal."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Sequence
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


@contextlib.contextmanager
def printable_errors(arguments: Sequence[str]) -> Iterator[None]:
    """What anybody says of these arguments on standard error meanwhile is as printable as on a `PlainConsole`."""
    if all(printable(argument) == argument for argument in arguments):
        yield
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    finally:
        sys.stderr.write("\n".join(printable(line) for line in said.getvalue().split("\n")))
