"""A step of radiance training in parts is the step in one; levels that come in one after another."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from lerf.geometry.rays import RayBundle
from lerf.radiance.hash_grid.field import FIRST_LEVELS, RadianceConfig, RadianceField
from lerf.training import radiance
from lerf.training.checkpoint import restore_trainer, trained_state, trainer_state
from lerf.training.radiance import RadianceTrainer, RadianceTraining, RayBatch

SMALL = RadianceConfig(levels=4, log2_entries=10, finest=64, samples=8, bins=16, grid_side=16)


def batch_of(count: int) -> RayBatch:
    generator = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    train_index = torch.arange(count) % 3
    rays = RayBundle(torch.zeros(count, 3), directions, torch.ones(count), train_index)
    return RayBatch(rays, torch.rand(count, 3, generator=generator), torch.ones(count, 3), train_index)


def trained(steps: int = 3) -> tuple[RadianceField, list[float]]:
    torch.manual_seed(0)
    field = RadianceField(SMALL, 3)
    trainer = RadianceTrainer(field, RadianceTraining(rays=50, distortion_ramp=(0, 1)), seed=0)
    batch = batch_of(50)
    return field, [trainer.step(lambda count, generator: batch)["colour_loss"] for _ in range(steps)]


@pytest.mark.parametrize("largest", [1, 4 * 9 * 32 * 13])
def test_parts_add_up_to_the_whole_step(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    whole, losses = trained()
    monkeypatch.setattr(radiance, "LARGEST_TENSOR", largest)
    parts, again = trained()
    assert again == pytest.approx(losses, rel=1e-3)
    torch.testing.assert_close(parts.density_grid, whole.density_grid, rtol=1e-3, atol=1e-5)


def test_parts_cover_all_rays_and_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radiance, "LARGEST_TENSOR", 4 * 100 * 7)
    parts = radiance._parts(50, 100, torch.device("cpu"))
    assert [index for part in parts for index in range(50)[part]] == list(range(50))
    assert max(part.stop - part.start for part in parts) <= 7
    assert radiance._parts(50, 100, torch.device("cuda")) == [slice(0, 50)]


def test_levels_come_in_one_after_another() -> None:
    torch.manual_seed(0)
    field = RadianceField(replace(SMALL, levels=6), 3)
    layout, points = field.grid.layout, torch.rand(64, 3)
    with torch.no_grad():
        field.grid.table.uniform_(-1.0, 1.0)
        whole = field.density(points)[0]
        found = []
        for share in (0.0, 0.25, 0.5, 1.0):
            field.open_levels(share)
            before = field.density(points)[0]
            found.append(before)
            # Levels are independent of the table's rows of those that are closed.
            opened = min(FIRST_LEVELS + math.ceil(2 * share), 6)
            kept = field.grid.table.clone()
            field.grid.table[int(layout.offsets[opened]) if opened < 6 else len(kept) :] += 1.0
            torch.testing.assert_close(field.density(points)[0], before)
            field.grid.table.copy_(kept)
    torch.testing.assert_close(found[-1], whole)
    for first, second in pairwise(found):
        assert not torch.allclose(first, second)


def test_a_training_opens_all_levels_and_goes_on_exactly() -> None:
    batch, config = batch_of(50), RadianceTraining(steps=6, rays=50, level_share=0.8)

    def trainer() -> RadianceTrainer:
        torch.manual_seed(0)
        return RadianceTrainer(RadianceField(replace(SMALL, levels=6), 3), config, seed=0)

    def run(trainer: RadianceTrainer, steps: int) -> None:
        for _ in range(steps):
            trainer.step(lambda count, generator: batch)

    whole, first, second = trainer(), trainer(), trainer()
    run(whole, 6)
    run(first, 3)
    restore_trainer(second, *trainer_state(first))
    run(second, 3)
    assert whole.field._gate is None
    for name, tensor in trained_state(whole).items():
        assert torch.equal(trained_state(second)[name], tensor), name
    # Without the option another field is learnt.
    torch.manual_seed(0)
    plain = RadianceTrainer(RadianceField(replace(SMALL, levels=6), 3), replace(config, level_share=0.0), seed=0)
    run(plain, 6)
    assert not torch.equal(plain.field.density_out.weight, whole.field.density_out.weight)
