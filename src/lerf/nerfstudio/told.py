"""What the plug-in says on nerfstudio's terminal, and how a command of nerfstudio ends that cannot go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from nerfstudio.utils.rich_utils import CONSOLE

from lerf.errors import LerfError
from lerf.text import message_line

Work = TypeVar("Work", bound=Callable[..., Any])
LONGEST = 600
"""Characters of a message: some hold two paths."""


def say(text: str) -> None:
    """One line for the user, in which brackets are brackets."""
    CONSOLE.print(message_line(f"lerf: {text}", LONGEST), markup=False, highlight=False, soft_wrap=True)


def ending_in_a_sentence(work: Work) -> Work:
    """A part of a command of nerfstudio, which knows no errors for users: a `LerfError` becomes its sentence and the
    exit status 2, as in our own commands, in place of a traceback."""

    @wraps(work)
    def told(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except LerfError as error:
            say(str(error))
            raise SystemExit(2) from None

    return cast(Work, told)
