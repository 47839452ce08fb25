"""One step of radiance training: rays of random pixels, colour and distortion loss, update."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lerf.geometry.contraction import to_unit_cube
from lerf.geometry.rays import RayBundle
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.pose_refinement import PoseRefinement
from lerf.training import losses
from lerf.training.fitting import in_fitting_parts
from lerf.training.optimiser import SparseAdam, exponential_decay
from lerf.training.point_rays import PIECES_BEFORE, PointRays
from lerf.training.recorded import RecordedSteps
from lerf.training.schedules import RadianceTraining
from lerf.training.step_numbers import Number, StepNumbers, StepValues, as_reported, corrections

LARGEST_TENSOR = 1 << 24


@dataclass(frozen=True)
class RayBatch:
    """Rays of random training pixels and what the photos show there."""

    rays: RayBundle
    colours: Float[Tensor, "rays 3"]
    background: Float[Tensor, "rays 3"]
    """Colour that shows where the field is transparent."""
    train_index: Int[Tensor, " rays"]
    """Each ray's photo, as an index among the training photos."""


class StepKind(NamedTuple):
    """What a step does besides what every one does."""

    refresh: bool
    """The density grid is read anew."""
    faded: bool
    """The distortion loss has a part."""
    gated: bool
    """Not all levels of the grid take part."""
    ending: bool
    """Some rays must end at sparse points."""
    parts: int
    """Parts that its rays go in, at least."""


DrawRays = Callable[[int, torch.Generator], RayBatch]


class RadianceTrainer:
    """Holds the optimiser state and the random generator, so that a saved trainer continues exactly."""

    def __init__(
        self,
        field: RadianceField,
        config: RadianceTraining,
        seed: int,
        poses: PoseRefinement | None = None,
        points: PointRays | None = None,
    ) -> None:
        """`points` are rays that must end where they say, besides showing the photos' colours."""
        self.field, self.config, self.poses = field, config, poses
        self.points = None if points is None else points.beyond(field.config.near)
        device = field.density_grid.device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.table = SparseAdam(field.grid)
        networks = [p for p in field.parameters() if p is not field.grid.table and p is not field.log_gain]
        one_launch: dict[str, Any] = {"fused": True, "capturable": True} if device.type == "cuda" else {"foreach": True}
        self.dense = torch.optim.Adam(
            [
                {"params": networks, "share": config.network_rate},
                {"params": [field.log_gain], "share": config.gain_rate},
                *([{"params": list(poses.parameters()), "share": config.pose_rate}] if poses else []),
            ],
            lr=config.rate, betas=(0.9, 0.99), eps=1e-15, **one_launch,
        )  # fmt: skip
        self.step_count = 0
        numbers = {
            "rate": self._rate, "anneal": self._anneal, "fade": self._fade, "opened": self._opened,
            "ending": self._ending, **corrections(*self.table.betas),
        }  # fmt: skip
        self._numbers = StepNumbers(config.steps, device, numbers)
        self.recorded = RecordedSteps(device, self.generator)
        self.parts = 1

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What is trained, by its name in a checkpoint."""
        return {"field": self.field} if self.poses is None else {"field": self.field, "poses": self.poses}

    def _rate(self, step: int) -> float:
        return exponential_decay(step, self.config.steps, self.config.rate, self.config.final_rate, warmup=50)

    def _anneal(self, step: int) -> float:
        # Schlick's bias curve (Barron et al. 2022, section 5): flat at first, so that early mistakes are not final.
        progress = min(step / max(self.config.anneal_steps, 1), 1.0)
        return 10.0 * progress / (9.0 * progress + 1.0)

    def _fade(self, step: int) -> float:
        first, last = self.config.distortion_ramp
        return min(max((step - first) / max(last - first, 1), 0.0), 1.0)

    def _opened(self, step: int) -> float:
        # From the step alone, so that a training that goes on does what one without a break does.
        c = self.config
        return min(step / (c.level_share * c.steps), 1.0) if c.level_share else 1.0

    def _ending(self, step: int) -> float:
        c = self.config
        return max(1.0 - step / (c.point_share * c.steps), 0.0) if c.point_share and self.points else 0.0

    def step(self, draw: DrawRays) -> StepValues:
        """One optimiser step; returns the colour loss and the number of rays.

        On a GPU the loss is a tensor, which to read is to wait. Where its memory runs out the step is done again in
        smaller parts.
        """
        step, c = self.step_count, self.config
        numbers = self._numbers.at(step)

        def attempt() -> StepValues:
            fades, ends = self._fade(step) > 0, self._ending(step) > 0
            kind = StepKind(step % c.grid_every == 0, fades, self._opened(step) < 1, ends, self.parts)
            return self.recorded.do(kind, partial(self._work, draw, kind, numbers))

        values = in_fitting_parts(self, c.rays, self.field.density_grid.is_cpu, attempt)
        self.table.steps += 1
        self.step_count += 1
        return {**values, "rays": float(c.rays)}

    def _work(self, draw: DrawRays, kind: StepKind, numbers: dict[str, Number]) -> StepValues:
        c, field = self.config, self.field
        batch = draw(c.rays, self.generator)
        rays = self.poses(batch.rays, batch.train_index) if self.poses else batch.rays
        if c.level_share:
            field.open_levels(numbers["opened"] if kind.gated else 1.0)
        if kind.refresh:
            field.refresh_density_grid(c.grid_cells, c.grid_decay, self.generator)
        jitter = torch.rand(len(batch.rays), generator=self.generator, device=batch.colours.device)
        edges = field.place_samples(rays, jitter, anneal=numbers["anneal"])
        parts = _parts(len(batch.rays), edges.shape[1] * field.config.hidden, edges.device, kind.parts)
        colour_loss: Number = 0.0
        seen = []
        for number, at in enumerate(parts):
            share = (at.stop - at.start) / len(batch.rays)
            out = field(rays[at], edges[at])
            opacity = out.weights.sum(-1, keepdim=True)
            predicted = out.colour * field.gain(batch.train_index[at]) + (1.0 - opacity) * batch.background[at]
            part_loss = torch.nn.functional.mse_loss(predicted, batch.colours[at])
            loss = share * part_loss
            if kind.faded:
                loss = loss + share * numbers["fade"] * c.distortion * losses.distortion(out.weights, out.edges)
            # Corrected poses are shared by all parts.
            loss.backward(retain_graph=self.poses is not None and number < len(parts) - 1)
            colour_loss += share * as_reported(part_loss)
            seen.append((out.points.detach().flatten(0, 1), out.densities.detach().flatten()))
        if self.points is not None and kind.ending:
            seen.append(self._end_at_points(self.points, c.point_weight * numbers["ending"]))
        points, densities = (torch.cat(each) for each in zip(*seen, strict=True))
        field.note_densities_in_cube(points, densities, c.sample_decay)
        self._update(numbers)
        return {"colour_loss": colour_loss}

    def _update(self, numbers: dict[str, Number]) -> None:
        self.table.update(numbers["rate"], numbers["correction1"], numbers["correction2"])
        for group in self.dense.param_groups:
            group["lr"] = numbers["rate"] * group["share"]
        self.dense.step()
        self.dense.zero_grad(set_to_none=True)

    def _end_at_points(self, points: PointRays, weight: Number) -> tuple[Tensor, Tensor]:
        """Add the gradient of rays that must end at points, its loss weighted; their samples in the unit cube and
        densities, without gradients."""
        c = self.config
        drawn = points.draw(c.point_rays, self.field.config.near, self.generator)
        density = self.field.density(drawn.positions.reshape(-1, 3))[0].view_as(drawn.lengths)
        depths = density * drawn.lengths
        before, inside = depths[:, :PIECES_BEFORE].sum(-1), depths[:, PIECES_BEFORE:].sum(-1)
        (weight * losses.stopping(before, inside, drawn.confidence)).backward()
        return to_unit_cube(drawn.positions.flatten(0, 1)), density.detach().flatten()


def _parts(rays: int, numbers: int, device: torch.device, least: int = 1) -> list[slice]:
    """Slices of a step's rays that go forward and backward one after the other, their gradients adding up.

    On a CPU none of them makes a tensor of more than `LARGEST_TENSOR` bytes, of `numbers` numbers a ray: larger ones
    come from the system anew each time, and clearing their pages costs more than the arithmetic. There are `least` at
    least.
    """
    fitting = LARGEST_TENSOR // (4 * numbers) if device.type == "cpu" else rays
    parts = max(least, math.ceil(rays / max(fitting, 1)))
    edges = [round(rays * part / parts) for part in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(edges)]
