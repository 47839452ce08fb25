"""A photo's pyramid against the encoder's own operations at the machine's matrix rate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from lerf.pyramids.store import make_plan
from lerf.registry import load_encoder
from speed.machine import Rates
from speed.measure import Row, row, timed
from speed.sizes import Sizes

ENCODER = "mini"
"""The one that ships with the package."""


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Share of the matrix rate; tiles a second in words."""
    plan = make_plan(load_encoder(ENCODER, None, True, "cpu"))
    width, height = sizes.photo
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with FlopCounterMode(display=False) as counter:
        features, _ = plan.embed(photo)
    times = timed(lambda: plan.embed(photo), sizes.repeats)
    speed = len(features) / statistics.median(times)
    possible = len(features) * rates.flops / counter.get_total_flops()
    work = f"{ENCODER}, {width}x{height}, {len(features)} tiles: {speed:.0f} a second of {possible:.0f} possible"
    yield row("pyramid", "tiles a second", work, [100 * len(features) / value / possible for value in times], "%")
