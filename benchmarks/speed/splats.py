"""Drawing Gaussian splats: a picture in numba against the definition in torch, and its seconds."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from lerf import kernels
from lerf.kernels.types import SplatView
from lerf.radiance.splats.gaussians import Gaussians
from speed import floors
from speed.machine import Rates
from speed.measure import Row, compare, row, timed
from speed.sizes import Sizes

TARGET_RATIO, TARGET_SECONDS = 100.0, 0.5
SIGMA = 0.008
"""Standard deviation of the Gaussians, about; they fill a ball of radius 1 that is seen from 4 away."""
REFERENCE_ROWS = 2
"""Rows of the picture that the definition draws; the others would take it as long each."""
COUNTED, MOST_MET = 256, 1024
"""Pixels at which the Gaussians that count are counted, and how many at most."""
OPERATIONS = 30
"""Floating-point operations of a Gaussian at a pixel: an ellipse, an exponential, four sums."""


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """A whole frame: projection, harmonics, sorting and compositing."""
    width, height = sizes.splat_picture
    gaussians, view = ball(sizes.splats), view_of(width, height)
    window = (0.0, 0.0, float(width), float(height))
    work = f"{sizes.splats} Gaussians at {width}x{height}"

    def frame() -> None:
        flat, _ = gaussians.flattened(view, window)
        kernels.draw_splats(flat, width, height)

    flat, _ = gaussians.flattened(view, window)
    across = torch.cartesian_prod(torch.arange(width) + 0.5, height / 2 + torch.arange(REFERENCE_ROWS) + 0.5)

    def plain() -> None:
        with kernels.use("reference"):
            kernels.trace_splats(flat, across, 0)

    yield from compare(
        "splats", work, {"draw a frame": frame}, plain, sizes.repeats, shares=(height, REFERENCE_ROWS),
        targets={"draw a frame": TARGET_RATIO}, warm=False,
    )  # fmt: skip
    seconds = timed(frame, sizes.repeats)
    yield row("splats", "seconds a frame", work, seconds, "s", TARGET_SECONDS)
    # Of each pixel the Gaussians that count before it is opaque, from some; and every number of every Gaussian once.
    some = torch.rand(COUNTED, 2) * torch.tensor([float(width), float(height)])
    met = float((kernels.trace_splats(flat, some, MOST_MET).indices >= 0).sum()) / COUNTED
    bytes_of = 4.0 * sum(tensor.numel() for tensor in vars(gaussians).values())
    floor = floors.Count(OPERATIONS * met * width * height, bytes_of).floor(rates)
    yield row("floor", "draw a frame", work, [value / floor for value in seconds], "x floor")


def ball(count: int, device: str = "cpu") -> Gaussians:
    """Gaussians by chance in a ball of radius 1."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    means = F.normalize(normal(count, 3), dim=-1) * torch.rand(count, 1, generator=generator) ** (1 / 3)
    parts = (
        means, F.normalize(normal(count, 4), dim=-1), SIGMA * torch.exp(0.5 * normal(count, 3)),
        torch.rand(count, generator=generator), 0.3 * normal(count, 16, 3),
    )  # fmt: skip
    return Gaussians(*(part.to(device) for part in parts))


def view_of(width: int, height: int, device: str = "cpu") -> SplatView:
    """A camera that sees all of the ball."""
    focal = 1.6 * height
    reach = (0.5 * width / focal, 0.5 * height / focal)
    position = torch.tensor([0.0, 0.0, -4.0], device=device)
    return SplatView(torch.eye(3, device=device), position, (focal, focal), (width / 2, height / 2), reach, 0.01)
