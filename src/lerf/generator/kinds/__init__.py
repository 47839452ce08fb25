"""All kinds of objects, one module a family."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from lerf.generator.kind import Kind

FAMILIES = ("kitchen", "food", "desk", "home", "toys", "wear")


@cache
def all_kinds() -> dict[str, Kind]:
    """Every kind by name, in a fixed order."""
    kinds: list[Kind] = []
    for family in FAMILIES:
        kinds += import_module(f"lerf.generator.kinds.{family}").KINDS
    return {kind.name: kind for kind in kinds}
