"""LERF as methods of nerfstudio: `ns-train lerf`, `lerf-lite`, `lerf-big`, `lerf-cpu`.

nerfstudio's Trainer, data managers, viewer and commands; our fields, pyramids, kernels and queries inside. nerfstudio
imports what is named below whenever any of its commands starts, and guards nothing: so this module imports nothing
that may fail before it is asked, and what fails then is said in one sentence and leaves the other commands alone.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

Method = Literal["lerf", "lerf-lite", "lerf-big", "lerf-cpu"]
METHODS: dict[str, Method] = {"lerf": "lerf", "lerf_lite": "lerf-lite", "lerf_big": "lerf-big", "lerf_cpu": "lerf-cpu"}
"""Names of the methods by those of the objects that the entry points name."""
_told: set[str] = set()


class Unavailable:
    """In place of a method that could not be made; nerfstudio shows it in a warning and goes on without it."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __repr__(self) -> str:
        return f"'{self.method}' (see above)"


def __getattr__(name: str) -> Any:
    if name not in METHODS:
        raise AttributeError(f"module 'lerf.nerfstudio' has no attribute '{name}'")
    try:
        from lerf.nerfstudio.methods import method

        return method(METHODS[name])
    except Exception as error:  # nothing that is wrong here may keep a user from their other methods
        _tell(error)
        return Unavailable(METHODS[name])


def _tell(error: Exception) -> None:
    from lerf.text import message_line

    said = (str(error).splitlines() or [""])[0]
    sentence = message_line(
        f"lerf cannot be used in nerfstudio ({type(error).__name__}: {said}): install it again with "
        "pip install 'lerf[nerfstudio]'; other methods are not affected."
    )
    if sentence not in _told:
        _told.add(sentence)
        print(sentence, file=sys.stderr)
