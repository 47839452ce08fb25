"""The kinds of inputs that lerf reads, and the valid inputs that they start from."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from fuzzing.kinds import (
    camera_paths,
    captures,
    encoders,
    made_scenes,
    photos,
    pose_files,
    pose_tools,
    runs,
    splats,
    stores,
    truth,
)
from fuzzing.suite import Suite

TESTS = Path(__file__).resolve().parents[3] / "tests"
SURFACE_POINTS = 6000
"""Of the runs' surfaces, in place of tens of thousands: questions are quick then."""


def set_up() -> None:
    """Encoders of colour words, and a preset that trains a field of a few thousand numbers."""
    sys.path[:0] = [str(TESTS / "support"), str(TESTS / "scenes")]
    import torch

    torch.set_num_threads(1)
    from tiny import tiny_preset

    from lerf.radiance.surface import trace_surface
    from lerf.run.settings import PRESETS

    PRESETS["lerf-cpu"] = tiny_preset()
    # Inside is what torch.no_grad has wrapped.
    inspect.unwrap(trace_surface).__defaults__ = (SURFACE_POINTS,)


def make_material(folder: Path) -> None:
    """All valid inputs."""
    captures.make(folder)
    pose_files.make(folder)
    pose_tools.make(folder)
    photos.make(folder)
    drawn = runs.make(folder)
    truth.make(folder, drawn)
    camera_paths.make(folder)
    runs.make_frames(folder)
    stores.make(folder)
    splats.make(folder)
    encoders.make(folder)
    made_scenes.make(folder)


def warm_up(folder: Path) -> None:
    """The commands and networks that import and compile most."""
    from fuzzing.oracle import command

    command("query", folder / "run", "red", "--device", "cpu")
    command("info", folder / "drawn")
    encoders.warm_up(folder)


SUITE = Suite(
    {
        name: kind
        for module in (
            *(
                captures,
                pose_files,
                pose_tools,
                photos,
                truth,
                camera_paths,
                runs,
                splats,
                stores,
                encoders,
                made_scenes,
            ),
        )
        for name, kind in module.kinds().items()
    },
    make_material,
    set_up,
    warm_up,
)
