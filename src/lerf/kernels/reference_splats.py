"""The definition of the kernels of Gaussian splats in plain torch (Kerbl et al. 2023, arXiv 2308.04079).

Where it differs from their code: a Gaussian reaches as far as its opacity is `LEAST` (theirs: three deviations), and
the one that brings the transmittance under `OPAQUE` still counts, so that neither choice moves a colour by more than
that.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.geometry.harmonics import harmonics
from lerf.kernels.types import FlatSplats, SplatPicture, SplatTrace, SplatView

DILATION = 0.3
"""Added to the variances on the picture, square pixels, so that none is thinner than a pixel."""
LEAST = 1.0 / 255.0
"""Opacity at a pixel below which a Gaussian does not reach it."""
MOST = 0.99
"""Opacity at a pixel that none exceeds."""
OPAQUE = 1e-4
"""Transmittance below which nothing further is looked at."""
WIDER = 1.3
"""Times the picture's reach, where the projection is linearised at the furthest."""
POINTS_AT_ONCE = 1024


def project_splats(
    means: Float[Tensor, "n 3"], quaternions: Float[Tensor, "n 4"], scales: Float[Tensor, "n 3"], view: SplatView
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """Gaussians on the plane of a picture: the projection linearised at each mean (EWA, Zwicker et al. 2001).

    Args:
        means: any frame.
        quaternions: unit length, w first.
        scales: standard deviations along the own axes.
        view: in the frame of the means.

    Returns:
        centres and whitening as in `FlatSplats`, and depths of the means along the optical axis. Those nearer than
        `view.near` have numbers that mean nothing.
    """
    x, y, depth = ((means - view.position) @ view.rotation.T).unbind(-1)
    z = depth.clamp(min=view.near)
    across = [(p / z).clamp(-WIDER * r, WIDER * r) for p, r in zip((x, y), view.reach, strict=True)]
    # Rows of the Jacobian, turned into the world and then along the Gaussian's own axes.
    own = view.rotation @ rotations(quaternions) * scales[:, None]
    rows = [f / z[:, None] * (own[:, i] - at[:, None] * own[:, 2]) for i, f, at in zip((0, 1), view.focal, across)]  # noqa: B905
    first, second = (row.square().sum(-1) for row in rows)
    both = (rows[0] * rows[1]).sum(-1)
    # |p x q|^2 = |p|^2 |q|^2 - (p q)^2 without the loss of digits that needles suffer.
    product = torch.linalg.cross(rows[0], rows[1]).square().sum(-1)
    determinant = product + DILATION * (first + second) + DILATION**2
    height = second + DILATION
    shared = (height * determinant).rsqrt()
    whitening = torch.stack([height * shared, -both * shared, height.rsqrt()], -1)
    centres = torch.stack([view.focal[0] * x / z + view.centre[0], view.focal[1] * y / z + view.centre[1]], -1)
    return centres, whitening, depth


def rotations(quaternions: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Rotations of unit quaternions, w first."""
    w, x, y, z = quaternions.unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def seen_splats(
    flat: FlatSplats, depths: Float[Tensor, " n"], window: tuple[float, float, float, float], near: float
) -> Int[Tensor, " seen"]:
    """Numbers of the Gaussians that may reach a window of the picture's plane and are beyond `near`, front to back;
    of equal depth in their order. Colours do not matter.

    Args:
        flat: in any order.
        depths: of the means along the optical axis.
        window: least x and y and largest x and y, in pixels.
        near: above 0.
    """
    centres, size = flat.centres.detach(), extents(FlatSplats(*(tensor.detach() for tensor in flat)))[0]
    low, high = (torch.tensor(corner, device=centres.device) for corner in (window[:2], window[2:]))
    inside = (centres + size >= low).all(-1) & (centres - size <= high).all(-1)
    seen = torch.nonzero(inside & (depths > near) & (flat.opacities >= LEAST)).flatten()
    return seen[depths.detach()[seen].argsort(stable=True)]


def splat_colours(
    coefficients: Float[Tensor, "n coefficients 3"],
    means: Float[Tensor, "n 3"],
    which: Int[Tensor, " seen"],
    position: Float[Tensor, " 3"],
) -> Float[Tensor, "seen 3"]:
    """Colours of some Gaussians, each named once, as seen from a position: 0.5 plus the harmonics of the direction from
    it, not below 0. Differentiable in the coefficients; that a colour changes as a Gaussian moves is left out."""
    count = coefficients.shape[1]
    directions = torch.nn.functional.normalize(means.detach()[which] - position, dim=-1)
    basis = torch.stack(harmonics(*directions.unbind(-1))[:count], -1)
    return (0.5 + (basis[..., None] * coefficients[which]).sum(1)).clamp(min=0)


def draw_splats(flat: FlatSplats, width: int, height: int) -> SplatPicture:
    """Composite Gaussians at the pixels of a picture; differentiable in colour and transmittance."""
    pixels = _pixels(flat, width, height)
    seen = trace_splats(flat, pixels, 0)
    shape = (height, width)
    return SplatPicture(seen.colour.view(*shape, 3), seen.transmittance.view(shape), seen.middle.view(shape))


def trace_splats(flat: FlatSplats, points: Float[Tensor, "points 2"], heaviest: int) -> SplatTrace:
    """Composite Gaussians front to back at points of the picture's plane, (x, y) in pixels.

    A Gaussian's opacity at a point is its own times its density there, at most `MOST`, and 0 under `LEAST`; its weight
    that times the transmittance of those before it. `heaviest` of each point are named with their weights.
    """
    parts: list[tuple[Tensor, ...]] = []
    for part in points.split(POINTS_AT_ONCE):
        near = _reaching(flat, part)
        weights, after = _weights(FlatSplats(*(tensor[near] for tensor in flat)), part)
        stopped = after <= 0.5
        first = near[stopped.int().argmax(-1)] if len(near) else torch.zeros(len(part), dtype=torch.int64).to(near)
        middle = torch.where(stopped.any(-1), first, -1).int()
        count = min(heaviest, len(near))
        most, which = weights.detach().topk(count, dim=-1)
        named = torch.where(most > 0, near[which], -1).int()
        more = (0, heaviest - count)
        parts.append(
            (
                weights @ flat.colours[near],
                1 - weights.sum(-1),
                middle,
                torch.nn.functional.pad(named, more, value=-1),
                torch.nn.functional.pad(most, more),
            )
        )
    return SplatTrace(*(torch.cat(part) for part in zip(*parts, strict=True)))


def gather_splats(flat: FlatSplats, width: int, height: int) -> Float[Tensor, "n 4"]:
    """What each Gaussian contributes to a picture: the sum of its weights over the pixels, the sums of weight times x
    and times y of the pixels' centres, and its largest weight."""
    total = flat.centres.new_zeros(len(flat.centres), 4)
    for part in _pixels(flat, width, height).split(POINTS_AT_ONCE):
        near = _reaching(flat, part)
        weights, _ = _weights(FlatSplats(*(tensor[near] for tensor in flat)), part)
        if len(near):
            total[near, 0] += weights.sum(0)
            total[near, 1:3] += weights.T @ part
            total[near, 3] = torch.maximum(total[near, 3], weights.amax(0))
    return total


def extents(flat: FlatSplats) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """How far Gaussians reach along x and y, in pixels, and the largest u^2 + v^2 there; negative where they reach
    nothing."""
    limit = 2 * (flat.opacities.clamp(min=1e-12) / LEAST).log()
    a, b, c = flat.whitening.unbind(-1)
    size = limit.clamp(min=0).sqrt()[:, None] * torch.stack([torch.hypot(b, c) / (a * c), 1 / c], -1)
    return torch.where(limit[:, None] >= 0, size, -torch.inf), limit


def _pixels(flat: FlatSplats, width: int, height: int) -> Float[Tensor, "pixels 2"]:
    x, y = (torch.arange(size, device=flat.centres.device) + 0.5 for size in (width, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2).to(flat.centres)


def _reaching(flat: FlatSplats, points: Float[Tensor, "points 2"]) -> Tensor:
    """Indices of the Gaussians that may reach one of some points."""
    if len(points) == 0:
        return torch.empty(0, dtype=torch.int64, device=points.device)
    size, _ = extents(FlatSplats(*(tensor.detach() for tensor in flat)))
    low, high = points.amin(0), points.amax(0)
    centres = flat.centres.detach()
    return torch.nonzero(((centres + size >= low - 1e-3) & (centres - size <= high + 1e-3)).all(-1)).flatten()


def _weights(flat: FlatSplats, points: Float[Tensor, "points 2"]) -> tuple[Tensor, Tensor]:
    """Weights of Gaussians at points, and the transmittance behind each; [points, n]."""
    dx, dy = (points[:, None] - flat.centres).unbind(-1)
    a, b, c = flat.whitening.unbind(-1)
    density = torch.exp(-0.5 * ((a * dx + b * dy).square() + (c * dy).square()))
    alpha = (flat.opacities * density).clamp(max=MOST)
    alpha = torch.where(alpha >= LEAST, alpha, 0.0)
    after = torch.cumprod(1 - alpha, -1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], -1)[:, : after.shape[1]]
    return torch.where(before >= OPAQUE, alpha * before, 0.0), after
