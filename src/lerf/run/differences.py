"""What is not as it was, in words: settings and other JSON values by name, with both values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lerf.run.checks import option
from lerf.run.make_settings import setting_values
from lerf.run.settings import TrainSettings

SHOWN = 4
"""Differences that are listed; of more the number is told."""
LONGEST = 48
"""Characters of a value."""
DIGITS = 8
"""Of a hash, which tell two of them apart."""


@dataclass(frozen=True)
class Difference:
    """One value that is another now."""

    name: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name} {value_text(self.before)} (now {value_text(self.now)})"


def settings_differences(before: TrainSettings, now: TrainSettings) -> list[Difference]:
    """Settings that differ, named as options."""
    old, new = setting_values(before), setting_values(now)
    return [Difference(option(name), old[name], new[name]) for name in new if new[name] != old[name]]


def differences(before: Any, now: Any, name: str = "") -> list[Difference]:
    """JSON values that differ; those within objects have the objects' names before their own: `radiance.levels`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for part in sorted({*before, *now}):
            old, new = before.get(part, _MISSING), now.get(part, _MISSING)
            found += differences(old, new, f"{name}.{part}" if name else part)
        return found
    # 1 and 1.0 are one number, 1 and True are not.
    same = before == now and isinstance(before, bool) == isinstance(now, bool)
    return [] if same else [Difference(name, before, now)]


def listed(found: Sequence[Any], shown: int = SHOWN) -> str:
    """The first few of a list, and how many there are beside them."""
    rest = len(found) - shown
    return ", ".join(map(str, found[:shown])) + (f" and {rest} more" if rest > 0 else "")


def value_text(value: Any) -> str:
    """A value in few characters."""
    if value is _MISSING:
        return "missing"
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) == 64 and not set(text) - set("0123456789abcdef"):
        return text[:DIGITS]
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2 - 2]}...{text[-(LONGEST // 2 - 1) :]}"


class _Missing:
    """Stands for a name that one of two objects does not have."""


_MISSING = _Missing()
