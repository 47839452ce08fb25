"""Names of files of splats; nothing is imported, so that the help of commands need not wait."""

from __future__ import annotations

from pathlib import PurePath

SUFFIXES = (".ply", ".splat", ".spz", ".sog")
"""Of files that are read; `.compressed.ply` is one of the first."""


def is_splat_name(path: str | PurePath) -> bool:
    """Whether a path has the name of a file of splats."""
    return PurePath(path).suffix.lower() in SUFFIXES
