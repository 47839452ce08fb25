"""One step of language training: rays of the pool, targets from the pyramid, update. Radiance is not touched."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lerf.language.field import LanguageField
from lerf.pyramids.lookup import PyramidTable
from lerf.training import losses
from lerf.training.fitting import in_fitting_parts
from lerf.training.optimiser import SparseAdam, exponential_decay
from lerf.training.ray_pool import RayPool, ResidentRays
from lerf.training.recorded import RecordedSteps
from lerf.training.schedules import LanguageTraining
from lerf.training.step_numbers import Number, StepNumbers, StepValues, as_reported, corrections


class LanguageTrainer:
    """Holds the optimiser state and the random generator, so that a saved trainer continues exactly."""

    def __init__(
        self,
        field: LanguageField,
        config: LanguageTraining,
        pool: RayPool,
        targets: PyramidTable,
        dense: PyramidTable | None,
        seed: int,
        resident: ResidentRays | None = None,
    ) -> None:
        """`targets` and `dense` are indexed by the pool's `train_index`, at the resolution of its pixels.

        `resident` draws the rays where the tables hold a part of the photos at a time.
        """
        self.resident = resident
        self.field, self.config, self.pool, self.targets, self.dense_targets = field, config, pool, targets, dense
        device = field.log_scale_range.device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.table = SparseAdam(field.grid)
        heads = [p for p in field.parameters() if p is not field.grid.table]
        together: dict[str, Any] = {"foreach": True, "capturable": True} if device.type == "cuda" else {}
        self.dense = torch.optim.RAdam(heads, lr=config.rate, weight_decay=config.weight_decay, eps=1e-15, **together)
        self.step_count = 0
        self._numbers = StepNumbers(config.steps, device, {"rate": self._rate, **corrections(*self.table.betas)})
        self.recorded = RecordedSteps(device, self.generator)
        self.parts = 1
        self._ratios = targets.ratio_range

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What is trained, by its name in a checkpoint."""
        return {"field": self.field}

    def _rate(self, step: int) -> float:
        return exponential_decay(step, self.config.decay_steps, self.config.rate, self.config.final_rate, warmup=20)

    def step(self) -> StepValues:
        """One optimiser step; returns losses and the mean cosine between rendered and target embeddings.

        On a GPU they are tensors, which to read is to wait. Where its memory runs out the step is done again in smaller
        parts.
        """
        work = partial(self._work, self._numbers.at(self.step_count))

        def attempt() -> StepValues:
            return self.recorded.do(self.parts, work) if self.resident is None else work()

        values = in_fitting_parts(self, self.config.rays, self.field.grid.table.is_cpu, attempt)
        self.table.steps += 1
        self.step_count += 1
        return {**values, "rays": float(self.config.rays)}

    def _work(self, numbers: dict[str, Number]) -> StepValues:
        c, device = self.config, self.pool.train_index.device
        if self.resident is None:
            drawn = torch.randint(len(self.pool), (c.rays,), generator=self.generator, device=device)
        else:
            drawn = self.resident.draw(self.step_count, c.rays, self.generator)
        low, high = self._ratios
        ratio = low + (high - low) * torch.rand(c.rays, generator=self.generator, device=device)
        size = -(-c.rays // self.parts)
        values: StepValues = {}
        for rows, ratios in zip(drawn.split(size), ratio.split(size), strict=True):
            share = len(rows) / c.rays
            for name, value in self._pass(self.pool.take(rows), ratios, share).items():
                values[name] = values[name] + share * value if name in values else share * value
        self.table.update(numbers["rate"], numbers["correction1"], numbers["correction2"])
        for group in self.dense.param_groups:
            group["lr"] = numbers["rate"] * c.network_rate
        self.dense.step()
        self.dense.zero_grad(set_to_none=True)
        return values

    def _pass(self, batch: RayPool, ratio: Float[Tensor, " rays"], share: float) -> StepValues:
        """Add the gradient of some of a step's rays, which are a share of all; their means."""
        c = self.config
        target = self.targets.interpolate(batch.train_index, batch.pixels, ratio)
        embedding, dense = self.field(batch.rays, ratio * batch.height_per_depth)
        clip_loss = losses.huber(embedding, target)
        loss = c.clip_weight * clip_loss
        values = {"clip_loss": clip_loss}
        if dense is not None and self.dense_targets is not None:
            dense_loss = losses.squared_error(dense, self.dense_targets.nearest(batch.train_index, batch.pixels))
            loss = loss + c.dense_weight * dense_loss
            values["dense_loss"] = dense_loss
        (loss if share == 1.0 else share * loss).backward()
        # Rendered embeddings have unit length already.
        along = torch.linalg.vecdot(embedding.detach(), target)
        values["cosine"] = (along / torch.linalg.vector_norm(target, dim=-1).clamp(min=1e-8)).mean()
        return {name: as_reported(value) for name, value in values.items()}
