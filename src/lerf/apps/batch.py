"""Options of `lerf batch`; `batch_work.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lerf.apps.checks import check_cache, check_folder, check_ray
from lerf.apps.options import Command, OfflineOption
from lerf.errors import ConfigError
from lerf.ranges import Words
from lerf.run.settings import PresetName, optional


@dataclass(frozen=True, kw_only=True)
class Batch(Command, OfflineOption):
    """Train many captures, one after another or on a Ray cluster, each into a run folder of its own.

    What is finished is not done again when the same command is given again, and a capture that fails stops no other.
    """

    captures: Annotated[
        tuple[Words, ...], Positional, arg(metavar="CAPTURE [CAPTURE ...]", help_behavior_hint="(required)")
    ]
    """Captures, patterns such as "rooms/*", or text files (.txt) with a capture a line, after which options of lerf
    train may follow."""
    output: Path
    """Folder for the runs, each named as its capture, and for batch.jsonl, which tells what happened."""
    preset: Annotated[PresetName | None, optional()] = None
    """Sizes and schedules of all runs; by default as lerf train."""
    options: str = ""
    """Other options of lerf train for all runs, in one text after an equals sign: --options="--steps 500"."""
    ray: Annotated[tuple[str, ...] | None, optional("[ADDRESS]")] = None
    """Spread the stages over a Ray cluster: its address, or nothing for one on this machine (pip install 'lerf[ray]').
    Its nodes must share the captures, the output and LERF_CACHE."""

    def check(self) -> None:
        if not self.captures:
            raise ConfigError("Say what to train on, for example: lerf batch CAPTURES/* --output RUNS.")
        check_ray(self.ray)
        check_folder(self.output, "output")
        check_cache()
