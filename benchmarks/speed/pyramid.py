"""A photo's pyramid against the encoders' own operations at the machine's matrix rate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from lerf.encoders.registry import load_encoder
from lerf.pyramids.plan import make_plan
from speed.machine import Rates
from speed.measure import Row, row, timed
from speed.sizes import Sizes

ENCODERS = ("mini", "conse")
"""The one that ships with the package and the default for captures: those that need no hub."""


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Share of the matrix rate; tiles a second in words."""
    width, height = sizes.photo
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for name in ENCODERS:
        plan = make_plan(load_encoder(name, None, True, "cpu"))
        with FlopCounterMode(display=False) as counter:
            features, _ = plan.embed(photo)
        times = timed(lambda plan=plan: plan.embed(photo), sizes.repeats)
        speed = len(features) / statistics.median(times)
        possible = len(features) * rates.flops / counter.get_total_flops()
        work = f"{name}, {width}x{height}, {len(features)} tiles: {speed:.0f} a second of {possible:.0f} possible"
        values = [100 * len(features) / value / possible for value in times]
        yield row("pyramid", f"tiles a second, {name}", work, values, "%")
