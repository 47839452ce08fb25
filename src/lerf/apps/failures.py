"""What ends a command and is nobody's fault in the code: a full disk behind standard output, too little memory."""

from __future__ import annotations

import os
import sys

from lerf.errors import is_out_of_memory
from lerf.text import message_line


def failure_of(error: BaseException) -> str | None:
    """The sentence for an error that the machine causes; None for any other."""
    if is_out_of_memory(error):
        return (
            "There is not enough memory; close other programs, or ask for less: a smaller --preset, --memory or size "
            "of pictures, a larger --downscale."
        )
    if isinstance(error, OSError):
        what = "the output" if error.filename is None else os.fsdecode(error.filename)
        return message_line(
            f"Cannot use {what} ({error.strerror or error}); make room, give access to it, or choose another place."
        )
    return None


def give_up_output() -> None:
    """Let what could not be written go, so that the end of the process does not try it again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
