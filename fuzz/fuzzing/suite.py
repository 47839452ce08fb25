"""Kinds of inputs with what they need, found by name, so that workers and tests can have others."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzzing.oracle import Case, Kind


@dataclass(frozen=True)
class Suite:
    """Kinds by name."""

    kinds: dict[str, Kind]
    make_material: Callable[[Path], None]
    """Writes the valid inputs into an empty folder."""
    set_up: Callable[[], None]
    """Prepares a process."""
    warm_up: Callable[[Path], None]
    """Does once, on the material, what is slow at first: imports, compilation."""


def suite_of(name: str) -> Suite:
    """The suite called "module:attribute"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]


def case_of(kind: str, seed: int, material: Path, folder: Path) -> Case:
    """The case of a seed: the same seed draws the same."""
    return Case(kind, material, folder, Random(f"{kind}:{seed}"))
