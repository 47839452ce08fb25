"""Compilation at first use: once for a machine, then cached."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf import kernels
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import ProposalSettings, SparseRows
from lerf.networks.hash_grid import HashGrid
from lerf.training.optimiser import SparseAdam
from speed.machine import Rates
from speed.measure import Row, row, seconds
from speed.sizes import Sizes

TARGET = 30.0
RADIANCE_FEATURES, LANGUAGE_FEATURES = 2, (4, 8)
"""Features of a level in the presets: the encoding is compiled for each; only language is encoded along rays."""


def rows(sizes: Sizes, rates: Rates | None) -> Iterator[Row]:
    """Seconds of the first call of each kernel on next to nothing; it must be the first in the process."""
    total = 0.0
    for name, call in _calls():
        value = seconds(call)
        total += value
        yield row("first use", name, "compiled, once a machine", [value], "s")
    yield row("first use", "all kernels", "compiled, once a machine", [total], "s", TARGET)


def _calls():  # type: ignore[no-untyped-def]
    for features in (RADIANCE_FEATURES, *LANGUAGE_FEATURES):
        layout = GridLayout((2,), features, 8)
        points = torch.rand(4, 3, requires_grad=True)
        table = torch.nn.Parameter(torch.rand(layout.entries, features))
        yield (
            f"encode, {features} features",
            lambda p=points, t=table, g=layout: kernels.hash_encode(p, t, g).sum().backward(),
        )
        if features == RADIANCE_FEATURES:
            continue
        rays, weights = torch.rand(2, 3, 3), torch.rand(2, 3)
        yield (
            f"encode along rays, {features} features",
            lambda p=rays, w=weights, t=table, g=layout: kernels.encode_composite(p, w, t, g).sum().backward(),
        )
    densities, values = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, 4)
    yield (
        "weights and composite",
        lambda: kernels.composite(kernels.render_weights(densities, densities.detach()), values).sum().backward(),
    )
    ray = torch.zeros(1, 3)
    yield (
        "proposal",
        lambda: kernels.proposal_edges(
            ray, ray + 1, torch.zeros(2, 2, 2), torch.zeros(1), ProposalSettings(1, 2, 0.1, 2.0, 1.0, 0.0, 0.5)
        ),
    )  # fmt: skip
    optimiser = SparseAdam(HashGrid(GridLayout((1,), 2, 4)))
    yield "Adam, touched entries", lambda: optimiser.step(1e-2)
    chain = SparseRows(*(torch.arange(stop, dtype=torch.int32) for stop in (3, 2)), torch.ones(2))
    yield (
        "propagation, products with few texts",
        lambda: (
            kernels.propagate(torch.ones(2, 1), chain, 0.5, 2),
            kernels.few_products(torch.ones(2, 2), torch.ones(1, 2)),
        ),
    )
