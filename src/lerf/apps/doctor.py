"""Options of `lerf doctor`; `diagnosis.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lerf.apps.options import Command, OfflineOption
from lerf.ranges import Range


@dataclass(frozen=True, kw_only=True)
class Doctor(Command, OfflineOption):
    """Say what is installed and what works here, in one table to paste into a bug report."""

    public: bool = False
    """Leave out what is personal: the home folder, names of the user and of the machine."""
    seconds: Annotated[float, Range(0, 600)] = 4.0
    """How long things may be tried; give more on a busy machine."""
