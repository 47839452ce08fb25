"""Text of users and files becomes one line that a terminal can show, in errors, warnings and what commands print."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from lerf.apps.console import PlainConsole
from lerf.apps.progress import TerminalReporter
from lerf.errors import LerfWarning, SceneError
from lerf.text import LONGEST, message_line, printable

ODD = st.text(st.characters(codec=None), max_size=800)


@given(ODD)
def test_messages_are_one_printable_line_of_bounded_length(text: str) -> None:
    for message in (str(SceneError(text)), str(LerfWarning(text)), message_line(text)):
        assert len(message) <= LONGEST
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in message)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=200))
def test_text_that_can_be_shown_stays(text: str) -> None:
    assert printable(text) == text


def test_a_long_path_loses_its_middle_and_the_remedy_stays() -> None:
    said = message_line(f"Photo /{'folder/' * 80}0001.jpg does not exist: restore it.")
    assert said.startswith("Photo /folder/")
    assert said.endswith("/0001.jpg does not exist: restore it.")
    assert len(said) == LONGEST


def test_escape_sequences_and_turned_text_are_spelt_out() -> None:
    assert printable("a\x1b[2Jb\n\u202ec\udc80") == r"a\x1b[2Jb\n\u202ec\udc80"


@pytest.mark.parametrize("text", ["cup [/b]", "[red]mug", "[/]", ":mug:", "a \\[b]", "[link=x]y[/link]"])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_text_of_a_user_is_markup(text: str, terminal: bool) -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=100, force_terminal=terminal, color_system=None)
    table = Table("phrase")
    table.add_row(text)
    console.print(text)
    console.print(table)
    reporter = TerminalReporter(console)
    reporter.begin(text, 2)
    reporter.advance(1)
    reporter.note(text)
    reporter.end(1.0)
    assert file.getvalue().count(text) >= 4


def test_what_is_printed_commands_no_terminal() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=100)
    table = Table("view")
    table.add_row("\x1b]0;title\x07.jpg")
    console.print("\x1b[31m.jpg")
    console.print(table)
    assert "\x1b" not in file.getvalue()
    assert "\x07" not in file.getvalue()
