"""A preset small enough for tests, and the command line with it: `python tiny.py train DATA --output RUN`."""

from __future__ import annotations

import sys
from dataclasses import replace

from lerf.run.settings import PRESETS, Preset

STEPS = 250


def tiny_preset() -> Preset:
    """`lerf-cpu` with everything small, and the encoders of `colour_words`."""
    preset = PRESETS["lerf-cpu"]
    return replace(
        preset,
        encoder="colour-words",
        dense="colour-map",
        radiance=replace(
            preset.radiance, levels=6, log2_entries=14, coarsest=8, finest=128, hidden=16, colour_hidden=16, samples=16,
            bins=48, grid_side=32,
        ),
        radiance_training=replace(
            preset.radiance_training, steps=STEPS, rays=2048, grid_cells=8192, anneal_steps=60, rate=4e-2
        ),
        language=replace(
            preset.language, grids=((6, 8, 64),), features=2, log2_entries=13, hidden=32, layers=1, dense_hidden=16,
            samples=4,
        ),
        language_training=replace(
            preset.language_training, steps=STEPS, rays=1024, decay_steps=STEPS, pool_rays=40_000
        ),
    )  # fmt: skip


if __name__ == "__main__":
    from lerf.apps.main import main

    PRESETS["lerf-cpu"] = tiny_preset()
    sys.exit(main())
