"""Gaussians in the normalised frame, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf import kernels
from lerf.kernels.reference_splats import rotations
from lerf.kernels.types import FlatSplats, SplatView
from lerf.splats.splats import Splats

LARGEST_SCALE = 1e4
"""Of standard deviations, normalised units: nothing larger can be told from it."""
FLAT = 1e-3
"""Share of its largest scale that a Gaussian is thick at least where a ray's depth in it is asked for."""
DEVIATIONS = 3.0
"""Standard deviations along the optical axis that the depth of a Gaussian at a pixel may be from its mean's."""


@dataclass(frozen=True)
class Gaussians:
    """Gaussians in one frame."""

    means: Float[Tensor, "n 3"]
    quaternions: Float[Tensor, "n 4"]
    """Unit length, w first."""
    scales: Float[Tensor, "n 3"]
    """Standard deviations along the own axes."""
    opacities: Float[Tensor, " n"]
    harmonics: Float[Tensor, "n coefficients 3"]
    """Of the colours."""

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, index: slice | Tensor) -> Gaussians:
        """Some of them, by slice, index or mask."""
        return Gaussians(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def of(splats: Splats, device: str = "cpu") -> Gaussians:
        """Those of a table, in its frame."""

        def tensor(array) -> Tensor:  # type: ignore[no-untyped-def]
            return torch.from_numpy(array).float().to(device)

        return Gaussians(
            tensor(splats.means),
            tensor(splats.quaternions),
            tensor(splats.log_scales).exp().clamp(max=LARGEST_SCALE),
            torch.sigmoid(tensor(splats.logits)),
            tensor(splats.harmonics),
        )

    def flattened(self, view: SplatView, window: tuple[float, float, float, float]) -> tuple[FlatSplats, Tensor]:
        """The Gaussians that may reach a window of a picture's plane, front to back, and which they are.

        Args:
            view: in the frame of the Gaussians.
            window: least x and y and largest x and y, in pixels.
        """
        centres, whitening, depths = kernels.project_splats(self.means, self.quaternions, self.scales, view)
        flat = FlatSplats(centres, whitening, self.opacities, self.harmonics[:, 0])
        seen = kernels.seen_splats(flat, depths, window, view.near)
        colours = kernels.splat_colours(self.harmonics, self.means, seen, view.position)
        centres, whitening, opacities = (part.index_select(0, seen) for part in (centres, whitening, self.opacities))
        return FlatSplats(centres, whitening, opacities, colours), seen

    def depths_along(
        self, which: Int[Tensor, " n"], directions: Float[Tensor, "n 3"], view: SplatView
    ) -> Float[Tensor, " n"]:
        """Depth along the optical axis at which rays pass the densest place of Gaussians.

        With m the mean and C the covariance in the camera's axes it is (d C^-1 m) / (d C^-1 d) for a ray along
        d = (x, y, 1): on a flat Gaussian the depth of its plane at the pixel, where its mean's would be that of another
        place. It is kept to `DEVIATIONS` around the mean's.

        Args:
            which: Gaussians.
            directions: of the rays in the camera's axes, at depth 1.
            view: the camera.
        """
        turn = view.rotation @ rotations(self.quaternions[which])
        scales = self.scales[which]
        thick = torch.maximum(scales, FLAT * scales.amax(-1, keepdim=True)).clamp(min=1e-9)
        mean = (self.means[which] - view.position) @ view.rotation.T
        own_mean, own_ray = ((turn.mT @ vector[..., None]).squeeze(-1) / thick for vector in (mean, directions))
        depth = (own_mean * own_ray).sum(-1) / own_ray.square().sum(-1)
        reach = DEVIATIONS * torch.linalg.vector_norm(turn[:, 2] * thick, dim=-1)
        depth = torch.minimum(torch.maximum(depth, mean[:, 2] - reach), mean[:, 2] + reach)
        return depth.clamp(min=view.near)
