"""One step of language training: rays of the pool, targets from the pyramid, update. Radiance is not touched."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lerf.language.field import LanguageField
from lerf.pyramids.lookup import PyramidTable
from lerf.training import losses
from lerf.training.optimiser import SparseAdam, exponential_decay
from lerf.training.ray_pool import RayPool, ResidentRays
from lerf.training.schedules import LanguageTraining


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
        self.generator = torch.Generator().manual_seed(seed)
        self.table = SparseAdam(field.grid)
        heads = [p for p in field.parameters() if p is not field.grid.table]
        self.dense = torch.optim.RAdam(heads, lr=config.rate, weight_decay=config.weight_decay, eps=1e-15)
        self.step_count = 0

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What is trained, by its name in a checkpoint."""
        return {"field": self.field}

    def step(self) -> dict[str, float]:
        """One optimiser step; returns losses and the mean cosine between rendered and target embeddings."""
        c, device = self.config, self.pool.train_index.device
        if self.resident is None:
            drawn = torch.randint(len(self.pool), (c.rays,), generator=self.generator)
        else:
            drawn = self.resident.draw(self.step_count, c.rays, self.generator)
        batch = self.pool.take(drawn.to(device))
        low, high = float(self.targets.ratios[0]), float(self.targets.ratios[-1])
        ratio = low + (high - low) * torch.rand(c.rays, generator=self.generator).to(device)
        target = self.targets.interpolate(batch.train_index, batch.pixels, ratio)
        embedding, dense = self.field(batch.rays, ratio * batch.height_per_depth)
        clip_loss = losses.huber(embedding, target)
        loss = c.clip_weight * clip_loss
        values: dict[str, Tensor] = {"clip_loss": clip_loss}
        if dense is not None and self.dense_targets is not None:
            dense_loss = losses.squared_error(dense, self.dense_targets.nearest(batch.train_index, batch.pixels))
            loss = loss + c.dense_weight * dense_loss
            values["dense_loss"] = dense_loss
        loss.backward()
        rate = exponential_decay(self.step_count, c.decay_steps, c.rate, c.final_rate, warmup=20)
        self.table.step(rate)
        for group in self.dense.param_groups:
            group["lr"] = rate * c.network_rate
        self.dense.step()
        self.dense.zero_grad(set_to_none=True)
        self.step_count += 1
        # Rendered embeddings have unit length already.
        along = torch.linalg.vecdot(embedding.detach(), target)
        values["cosine"] = (along / torch.linalg.vector_norm(target, dim=-1).clamp(min=1e-8)).mean()
        return {name: float(value.detach()) for name, value in values.items()} | {"rays": float(c.rays)}
