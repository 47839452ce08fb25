"""Documents with one entry spoilt: dropped, of another type, huge, negative, not a number."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

DROPPED = object()
VALUES = (
    DROPPED, None, True, "x", "", -1, 0, 0.5, 34, 10**9, -(10**9), 2**63, 10**40, 1e300, -1e300, 1e-300, float("nan"),
    float("inf"), [], {}, [[]], [1, 2, 3], ["x"] * 3, {"x": 1}, "\x1b[31m", "a" * 10_000,
)  # fmt: skip
"""What an entry becomes."""


def places(document: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each entry of a JSON document is."""
    if before:
        yield before
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in parts:
        yield from places(value, (*before, name))


def mutated(document: Any, count: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Copies of a document in which one entry is another, and what was done; places of few entries come as often as
    those of many."""
    pick = random.Random(seed)
    kinds: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for place in places(document):
        kinds.setdefault(tuple(step if isinstance(step, str) else "*" for step in place), []).append(place)
    groups = list(kinds.values())
    for number in range(count):
        place, value = pick.choice(groups[number % len(groups)]), pick.choice(VALUES)
        changed = copy.deepcopy(document)
        inside = changed
        for step in place[:-1]:
            inside = inside[step]
        if value is DROPPED:
            del inside[place[-1]]
        else:
            inside[place[-1]] = copy.deepcopy(value)
        yield f"{place} = {str(value)[:40]}", changed
