"""Gaussians refined on the training photos by gradient steps of the rasteriser (Kerbl et al. 2023, arXiv 2308.04079).

They neither split nor go: they stand on a surface that is known. Positions, shapes, opacities and harmonics move, each
at a rate of its own, and every photo has an exposure of its own, whose mean is that of the Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lerf import kernels
from lerf.geometry.harmonics import COUNTS
from lerf.kernels.types import FlatSplats, SplatPicture
from lerf.radiance.splats.gaussians import Gaussians
from lerf.training.optimiser import exponential_decay
from lerf.training.splat_views import PhotoView, PhotoViews


@dataclass(frozen=True)
class SplatTraining:
    """How Gaussians are refined."""

    steps: int
    """A photo each."""
    degree: int = 1
    """Of the harmonics."""
    position_rate: float = 0.1
    """Of Adam on positions, as a share of the median of the Gaussians' largest scales."""
    scale_rate: float = 0.02
    """On logarithms of scales."""
    rotation_rate: float = 0.01
    opacity_rate: float = 0.05
    """On logits."""
    colour_rate: float = 0.02
    harmonic_rate: float = 0.004
    """On harmonics above the constant one."""
    gain_rate: float = 0.005
    final_share: float = 0.1
    """Of all rates at the last step."""
    seed: int = 0


class SplatTrainer:
    """Gaussians as parameters, and their optimiser."""

    def __init__(self, gaussians: Gaussians, views: PhotoViews, settings: SplatTraining) -> None:
        """`gaussians` in the normalised frame, with opacities within 0..1 and positive scales."""
        self.views, self.settings = views, settings
        self.generator = torch.Generator().manual_seed(settings.seed)
        coefficients = COUNTS[settings.degree]
        given = gaussians.harmonics
        higher = torch.zeros(len(gaussians), max(coefficients, given.shape[1]) - 1, 3)
        higher[:, : given.shape[1] - 1] = given[:, 1:]
        start = {
            "means": gaussians.means,
            "log_scales": gaussians.scales.clamp(min=1e-9).log(),
            "quaternions": gaussians.quaternions,
            "logits": torch.logit(gaussians.opacities, eps=1e-4),
            "constant": given[:, :1],
            "higher": higher,
            "gains": torch.zeros(len(views), 3),
        }
        self.parts = {name: tensor.detach().clone().requires_grad_() for name, tensor in start.items()}
        c, size = settings, float(gaussians.scales.amax(-1).median())
        rates = {
            "means": c.position_rate * size, "log_scales": c.scale_rate, "quaternions": c.rotation_rate,
            "logits": c.opacity_rate, "constant": c.colour_rate, "higher": c.harmonic_rate, "gains": c.gain_rate,
        }  # fmt: skip
        groups = [{"params": [self.parts[name]], "share": rate} for name, rate in rates.items()]
        self.optimiser = torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.99), eps=1e-15, fused=True)
        self.step_count = 0
        self._order: list[int] = []

    @torch.enable_grad()
    def step(self) -> float:
        """One photo, in an order by chance in which each comes once before any comes again; the loss."""
        row = self._next_photo()
        background = torch.rand(3, generator=self.generator)
        loss = torch.zeros(())
        for view in self.views[row]:
            loss = loss + self._loss(view, self.parts["gains"][row], background) / len(self.views[row])
        loss.backward()
        rate = exponential_decay(self.step_count, self.settings.steps, 1.0, self.settings.final_share)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.parts["gains"] -= self.parts["gains"].mean(0)
            quaternions = self.parts["quaternions"]
            quaternions /= torch.linalg.vector_norm(quaternions, dim=-1, keepdim=True).clamp(min=1e-9)
        self.step_count += 1
        return float(loss.detach())

    @torch.no_grad()
    def gaussians(self) -> Gaussians:
        """As they are now."""
        own = {name: tensor.detach().clone() for name, tensor in self.parts.items()}
        harmonics = torch.cat([own["constant"], own["higher"]], 1)
        scales, opacities = own["log_scales"].exp(), torch.sigmoid(own["logits"])
        return Gaussians(own["means"], own["quaternions"], scales, opacities, harmonics)

    def _next_photo(self) -> int:
        if not self._order:
            self._order = torch.randperm(len(self.views), generator=self.generator).tolist()
        return self._order.pop()

    def _loss(self, view: PhotoView, gain: Tensor, background: Tensor) -> Tensor:
        """Mean absolute and mean squared error of colours, before a background by chance, which nothing transparent
        can hide."""
        picture = self.draw(view)
        seen = picture.colour * gain.exp() + picture.transmittance[..., None] * background
        error = seen - view.colours
        if view.known is not None:
            error = error[view.known]
        return error.abs().mean() + error.square().mean()

    def draw(self, view: PhotoView) -> SplatPicture:
        """The Gaussians as a view shows them; differentiable in all parameters."""
        width, height = view.size
        parts, window = self.parts, (0.0, 0.0, float(width), float(height))
        opacities = torch.sigmoid(parts["logits"])
        centres, whitening, depths = kernels.project_splats(
            parts["means"], parts["quaternions"], parts["log_scales"].exp(), view.view
        )
        every = FlatSplats(centres, whitening, opacities, centres.new_zeros(len(centres), 3))
        seen = kernels.seen_splats(every, depths, window, view.view.near)
        harmonics = torch.cat([parts["constant"], parts["higher"]], 1)
        colours = kernels.splat_colours(harmonics, parts["means"], seen, view.view.position)
        centres, whitening, opacities = (part.index_select(0, seen) for part in (centres, whitening, opacities))
        return kernels.draw_splats(FlatSplats(centres, whitening, opacities, colours), width, height)
