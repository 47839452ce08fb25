"""Work in steps: a generator that yields between pieces of some tens of milliseconds, and returns its result.

Whoever waits for the result alone calls `finish`; a server runs other work between the steps and may give up early.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


def finish(steps: Steps[T]) -> T:
    """Run all steps; their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
