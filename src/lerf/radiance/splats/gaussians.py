"""Gaussians in the normalised frame, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lerf import kernels
from lerf.geometry.harmonics import harmonics
from lerf.kernels.reference_splats import LEAST, extents, rotations
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
        size, _ = extents(FlatSplats(centres.detach(), whitening.detach(), self.opacities.detach(), centres))
        low, high = (torch.tensor(corner, device=centres.device) for corner in (window[:2], window[2:]))
        inside = (centres.detach() + size >= low).all(-1) & (centres.detach() - size <= high).all(-1)
        seen = torch.nonzero(inside & (depths > view.near) & (self.opacities >= LEAST)).flatten()
        seen = seen[depths.detach()[seen].argsort(stable=True)]
        colours = colours_from(self.harmonics[seen], self.means[seen], view.position)
        return FlatSplats(centres[seen], whitening[seen], self.opacities[seen], colours), seen

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


def colours_from(
    coefficients: Float[Tensor, "n coefficients 3"], means: Float[Tensor, "n 3"], position: Float[Tensor, " 3"]
) -> Float[Tensor, "n 3"]:
    """Colours as seen from a position: 0.5 plus the harmonics of the direction from it, not below 0."""
    count = coefficients.shape[1]
    if count == 1:
        return (0.5 + harmonics(0.0, 0.0, 1.0)[0] * coefficients[:, 0]).clamp(min=0)
    directions = F.normalize(means - position, dim=-1)
    basis = torch.stack(harmonics(*directions.unbind(-1))[:count], -1)
    return (0.5 + (basis[..., None] * coefficients).sum(1)).clamp(min=0)
