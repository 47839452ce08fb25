"""Options of `lerf export`; `export_files.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lerf.apps.options import PhraseOptions, RunOptions, ThresholdOption
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Export(RunOptions, ThresholdOption, PhraseOptions):
    """Write the surface as a point cloud or a mesh, in capture coordinates; a JSON file beside it has the transform."""

    output: Annotated[Path, Positional, arg(metavar="OUTPUT")]
    """PLY file to write."""
    what: Literal["cloud", "mesh"] = "cloud"
    """Points, or triangles."""
    query: Annotated[tuple[str, ...], arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="")] = ()
    """Phrases whose relevancy every point carries, as the properties relevancy_0, relevancy_1, …"""
    crop: bool = False
    """Keep only what the phrases name."""
    embeddings: bool = False
    """Also write the embedding of every point, as NPY; without --scale at the middle of the scales."""
    points: Annotated[int | None, optional()] = None
    """Rays of the photos that look for the surface; by default half a million for a cloud, thrice that for a mesh."""
    reach: Annotated[float | None, optional()] = None
    """How far the surface is followed, in mean distances of the cameras from the middle; by default 6, a mesh 2."""
    resolution: int = 384
    """Voxels of a mesh along its longest side."""
