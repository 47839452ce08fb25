"""The definition of every kernel in plain torch: runs on any device, differentiates by autograd.

The fast kernels of the other modules have these signatures and are compared with these functions, forward and backward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int32, UInt8
from torch import Tensor

from lerf.geometry.contraction import contract
from lerf.geometry.harmonics import harmonics
from lerf.kernels.layout import HASH_PRIMES, GridLayout
from lerf.kernels.types import AdamStep, GradientSink, PointGrid, ProposalSettings, SparseRows

NEAREST_AT_ONCE = 1024
"""Queries whose distances to all points are in memory together."""


def hash_encode(
    points: Float[Tensor, "points 3"],
    table: Float[Tensor, "entries features"],
    layout: GridLayout,
    sink: GradientSink | None = None,
) -> Float[Tensor, "points width"]:
    """Multi-resolution hash encoding (Müller et al. 2022): trilinear interpolation of the table on every level.

    Points are in the unit cube; outside they are clamped to its faces. The result holds the levels' features one
    after another, coarse to fine. Differentiable in `table` and `points`.

    A backend may collect the table's gradient in `sink`; this definition leaves it to autograd, in `table.grad`.
    """
    encoded = []
    clamped = points.clamp(0.0, 1.0)
    # The eight corners of a cell as (x, y, z) steps of 0 or 1, x fastest.
    bits = torch.arange(8, device=points.device)
    corners = torch.stack([bits & 1, bits >> 1 & 1, bits >> 2 & 1], dim=-1)
    for resolution, offset, size, dense in zip(
        layout.resolutions, layout.offsets.tolist(), layout.sizes.tolist(), layout.dense.tolist(), strict=True
    ):
        scaled = clamped * resolution
        # The last vertex belongs to the cell below it, so that x = 1 interpolates inside the grid.
        cell = scaled.detach().floor().clamp(max=resolution - 1)
        fraction = scaled - cell
        first = cell.to(torch.int64)
        total = torch.zeros(len(points), layout.features, dtype=table.dtype, device=table.device)
        for step in corners:
            x, y, z = (first + step).unbind(-1)
            if dense:
                index = x + (y + z * (resolution + 1)) * (resolution + 1)
            else:
                mixed = (x * HASH_PRIMES[0]) ^ (y * HASH_PRIMES[1]) ^ (z * HASH_PRIMES[2])
                index = mixed & (size - 1)
            weight = torch.where(step.bool(), fraction, 1.0 - fraction).prod(-1, keepdim=True)
            total = total + weight * table[offset + index]
        encoded.append(total)
    return torch.cat(encoded, dim=-1) if encoded else points.new_zeros(len(points), 0)


def render_weights(
    densities: Float[Tensor, "rays samples"], lengths: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """Weights of emission-absorption rendering (Max 1995; NeRF, Mildenhall et al. 2020, eq. 3).

    w_i = exp(-sum_{j<i} density_j * length_j) * (1 - exp(-density_i * length_i)). Lengths are in normalised units,
    densities per normalised unit. Differentiable in `densities`.
    """
    optical = densities * lengths
    # Sums of what lies before a sample only: taking an endless last interval off again would cost all digits.
    before = torch.cat([torch.zeros_like(optical[:, :1]), torch.cumsum(optical[:, :-1], dim=-1)], dim=-1)
    return torch.exp(-before) * -torch.expm1(-optical)


def composite(
    weights: Float[Tensor, "rays samples"], values: Float[Tensor, "rays samples channels"]
) -> Float[Tensor, "rays channels"]:
    """Weighted sum of values along each ray, differentiable in both."""
    return torch.einsum("rs,rsc->rc", weights, values)


def encode_composite(
    points: Float[Tensor, "rays samples 3"],
    weights: Float[Tensor, "rays samples"],
    table: Float[Tensor, "entries features"],
    layout: GridLayout,
    sink: GradientSink | None = None,
) -> Float[Tensor, "rays width"]:
    """Encodings of samples, summed along each ray under its weights. Differentiable in `table` alone; `sink` as in
    `hash_encode`."""
    encoded = hash_encode(points.detach().reshape(-1, 3), table, layout)
    return composite(weights.detach(), encoded.view(*weights.shape, layout.width))


def spacing_of(distance: Tensor) -> Tensor:
    """Distance along a ray to a coordinate in 0..1 that is linear up to 1 and linear in disparity beyond."""
    return torch.where(distance < 1.0, distance / 2.0, 1.0 - 0.5 / distance.clamp(min=1.0))


def distance_of(spacing: Tensor) -> Tensor:
    """The inverse of `spacing_of`."""
    return torch.where(spacing < 0.5, 2.0 * spacing, 0.5 / (1.0 - spacing).clamp(min=1e-6))


def proposal_edges(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    density_grid: Float[Tensor, "side side side"],
    jitter: Float[Tensor, " rays"],
    settings: ProposalSettings,
) -> Float[Tensor, "rays edges"]:
    """Distances of the `samples + 1` edges of intervals that share the light of a coarse density evenly.

    A ray is cut into `bins` intervals, even in `spacing_of`. The density at their middles is read from the nearest
    cell of `density_grid`, which covers the contracted cube [-2, 2]^3 (L-infinity contraction) with axes z, y, x. The
    weights, raised to `anneal`, widened to their neighbours and padded by `padding` of evenly spread mass, form a
    cumulative distribution (Mip-NeRF 360, Barron et al. 2022, sections 3 and 5; the widening is mip-NeRF's, Barron et
    al. 2021, eq. 18), whose quantiles (k + jitter) / (samples + 1) are the edges.
    """
    samples, bins, near, far, anneal, padding, cap = settings
    side = density_grid.shape[0]
    low, high = spacing_of(torch.tensor([near, far], dtype=torch.float32)).tolist()
    grid = torch.linspace(low, high, bins + 1, device=origins.device)
    edges = distance_of(grid)
    middle = distance_of(0.5 * (grid[1:] + grid[:-1]))
    positions = origins[:, None] + directions[:, None] * middle[:, None]
    cell = ((contract(positions) + 2.0) * (side / 4.0)).to(torch.int64).clamp(0, side - 1)
    density = density_grid[cell[..., 2], cell[..., 1], cell[..., 0]]
    # A bin absorbs at most `cap` of the light: a floater in the coarse density cannot hide what lies behind it.
    opacity = (-torch.expm1(-density * (edges[1:] - edges[:-1]))).clamp(max=cap)
    reaches = torch.cumprod(torch.cat([torch.ones_like(opacity[:, :1]), 1.0 - opacity[:, :-1]], -1), -1)
    weights = opacity * reaches
    # A bin that no light reaches has no share, however low `anneal` is.
    weights = torch.where((weights > 0) & (reaches > 1e-5), weights**anneal, torch.zeros_like(weights))
    right, fraction = _quantiles(weights, jitter, samples, padding)
    return distance_of(low + (right - 1 + fraction) * ((high - low) / bins))


def _quantiles(
    weights: Float[Tensor, "rays bins"], jitter: Float[Tensor, " rays"], samples: int, padding: float
) -> tuple[Int[Tensor, "rays edges"], Float[Tensor, "rays edges"]]:
    """Number of the bin, counted from 1, in which each of the quantiles (k + jitter) / (samples + 1) of widened and
    padded weights lies, and the share of the bin before it."""
    bins = weights.shape[1]
    before = torch.cat([weights[:, :1], weights[:, :-1]], -1)
    after = torch.cat([weights[:, 1:], weights[:, -1:]], -1)
    weights = 0.5 * (torch.maximum(before, weights) + torch.maximum(weights, after))
    total = weights.sum(-1, keepdim=True)
    even = 1.0 / bins
    share = torch.where(total > 1e-6, weights / total.clamp(min=1e-6), torch.full_like(weights, even))
    share = (1.0 - padding) * share + padding * even
    cumulative = torch.cat([torch.zeros_like(share[:, :1]), torch.cumsum(share, -1)], -1)
    quantiles = (torch.arange(samples + 1, device=weights.device) + jitter[:, None]) / (samples + 1)
    quantiles = quantiles * cumulative[:, -1:]
    right = torch.searchsorted(cumulative.contiguous(), quantiles.contiguous(), right=True).clamp(1, bins)
    start, end = cumulative.gather(-1, right - 1), cumulative.gather(-1, right)
    return right, ((quantiles - start) / (end - start).clamp(min=1e-12)).clamp(0.0, 1.0)


def refined_edges(
    edges: Float[Tensor, "rays edges"], weights: Float[Tensor, "rays intervals"], samples: int, padding: float
) -> Float[Tensor, "rays refined"]:
    """Distances of the `samples + 1` edges of intervals that share the light of coarser ones evenly.

    `weights` are the light that stops in the intervals between `edges`; they are widened and padded as in
    `proposal_edges`, and the quantiles are those of a jitter of 0.5.
    """
    middle = torch.full_like(weights[:, 0], 0.5)
    right, fraction = _quantiles(weights, middle, samples, padding)
    start = edges.gather(-1, right - 1)
    return start + fraction * (edges.gather(-1, right) - start)


def heaviest(
    weights: Float[Tensor, "rays samples"], count: int
) -> tuple[Float[Tensor, "rays count"], Int[Tensor, "rays count"]]:
    """The `count` largest weights of each ray, largest first, and the samples that they belong to. Weights are not
    negative; which of equal ones comes first is not said."""
    values, order = weights.topk(count, dim=-1)
    return values, order


def interval_points(
    origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"], edges: Float[Tensor, "rays edges"]
) -> Float[Tensor, "rays intervals 3"]:
    """Middles of the intervals between edges along rays of the normalised frame, in the unit cube that the contracted
    space (L-infinity) is mapped to: (contract(x) + 2) / 4."""
    middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
    return (contract(origins[:, None] + directions[:, None] * middles[..., None]) + 2.0) * 0.25


def direction_harmonics(directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
    """Real orthonormal spherical harmonics of degrees 0 to 3 of unit directions (`geometry/harmonics.py`)."""
    return torch.stack(harmonics(*directions.unbind(-1)), dim=-1)


def dense_layers(
    x: Float[Tensor, "points inputs"],
    weights: Sequence[Float[Tensor, "_ _"]],
    biases: Sequence[Float[Tensor, " _"] | None],
) -> Float[Tensor, "points outputs"]:
    """Fully connected layers with rectifiers between them; weights are [outputs, inputs], as in `torch.nn.Linear`."""
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = torch.relu(F.linear(x, weight, bias))
    return F.linear(x, weights[-1], biases[-1])


def encoded_layers(
    points: Float[Tensor, "points 3"],
    table: Float[Tensor, "entries features"],
    layout: GridLayout,
    weights: Sequence[Float[Tensor, "_ _"]],
    biases: Sequence[Float[Tensor, " _"] | None],
) -> Float[Tensor, "points outputs"]:
    """`dense_layers` on `hash_encode`, for passes that need no gradients."""
    return dense_layers(hash_encode(points, table, layout), weights, biases)


def unit_vectors(x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
    """Vectors over their lengths; over 1e-12 where they are shorter."""
    return F.normalize(x, dim=-1)


def sparse_adam(
    table: Float[Tensor, "entries features"],
    gradient: Float[Tensor, "entries features"],
    first: Float[Tensor, "entries features"],
    second: Float[Tensor, "entries features"],
    step: AdamStep,
    touched: UInt8[Tensor, " marks"] | None = None,
) -> None:
    """One step of Adam (Kingma and Ba 2015) on the entries whose gradient has a component that is not zero.

    The table and both moments are changed in place, all other entries stay as they are; the gradient and the marks are
    cleared. A backend may look for entries among those marked in `touched`; this definition reads the whole gradient.
    """
    rows = (gradient != 0).any(-1).nonzero().squeeze(-1)
    g = gradient[rows]
    m = first[rows].mul_(step.beta1).add_(g, alpha=1 - step.beta1)
    v = second[rows].mul_(step.beta2).addcmul_(g, g, value=1 - step.beta2)
    first[rows], second[rows] = m, v
    table[rows] -= step.rate * (m * step.correction1) / ((v * step.correction2).sqrt_().add_(step.epsilon))
    gradient[rows] = 0.0
    if touched is not None:
        touched.zero_()


def propagate(
    own: Float[Tensor, "points phrases"], transition: SparseRows, restart: float, steps: int
) -> Float[Tensor, "points phrases"]:
    """`steps` times x = restart * own + (1 - restart) * T x, from x = own: a random walk with restart.

    T is the transition matrix of an undirected graph: with some positive diagonal D, D T is symmetric, and its rows sum
    to 1. A backend may sum the same polynomial of T in another basis and leave out what its coefficients say is small
    (`chebyshev.coefficients`).
    """
    starts, columns, values = transition
    rows = torch.repeat_interleave(torch.arange(len(own), device=own.device), starts.diff())
    moved = own
    for _ in range(steps):
        drawn = torch.zeros_like(own).index_add_(0, rows, values[:, None].to(own) * moved[columns.long()])
        moved = restart * own + (1.0 - restart) * drawn
    return moved


def few_products(rows: Float[Tensor, "rows width"], texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts rows"]:
    """Dot products of many rows with few texts, a text after the other."""
    # In this order, as a product of few rows with many columns takes longer.
    return (rows @ texts.T).T.contiguous()


def nearest_points(
    queries: Float[Tensor, "queries 3"], grid: PointGrid, reach: float, most: int
) -> tuple[Int32[Tensor, "queries most"], Float[Tensor, "queries most"]]:
    """The nearest points of a grid to each query, nearest first: their numbers before they were sorted, and distances.

    Only points nearer than `reach` are found; -1 and `reach` stand for those that are missing.
    """
    found = torch.full((len(queries), most), -1, dtype=torch.int32, device=queries.device)
    apart = torch.full((len(queries), most), reach, device=queries.device)
    count = min(most, len(grid.points))
    for start in range(0, len(queries), NEAREST_AT_ONCE):
        part = slice(start, start + NEAREST_AT_ONCE)
        distances = torch.cdist(queries[part].float(), grid.points, compute_mode="donot_use_mm_for_euclid_dist")
        values, places = distances.nan_to_num(nan=torch.inf).topk(count, dim=1, largest=False)
        near = values < reach
        found[part, :count] = torch.where(near, grid.order[places], -1)
        apart[part, :count] = torch.where(near, values, reach)
    return found, apart
