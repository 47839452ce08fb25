"""Peak memory of stages, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from lerf.run.clock import peak_memory
from speed import baked_query, language_step, radiance_step, scenery, view_query
from speed.machine import Rates
from speed.measure import Row, Work, row
from speed.sizes import TINY, Sizes


def _baked(sizes: Sizes) -> Work:
    return baked_query.query_on(*baked_query.index_of(sizes))[1]


STAGES: dict[str, Callable[[Sizes], Work]] = {
    "radiance step": lambda sizes: radiance_step.step_of(scenery.radiance_field(sizes), sizes),
    "language step, deferred": language_step.step_on,
    "language step, plain torch": language_step.plain_step_on,
    "first query on a view": lambda sizes: view_query.query_on(view_query.model_of(sizes)),
    "baked query": _baked,
}


def measure(stage: str, sizes: Sizes) -> int:
    """Bytes that this process grows by at most, from before the stage is set up."""
    before = psutil.Process().memory_info().rss
    STAGES[stage](sizes)()
    return max(0, peak_memory() - before)


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Beyond what Python and torch take."""
    for stage in STAGES:
        command = [sys.executable, str(Path(__file__).parents[1] / "run.py"), "--memory-of", stage]
        done = subprocess.run(
            [*command, *(["--tiny"] if sizes is TINY else [])], capture_output=True, text=True, check=True
        )
        yield row("memory", stage, "peak beyond the imports", [json.loads(done.stdout)["bytes"] / 1e6], "MB")
