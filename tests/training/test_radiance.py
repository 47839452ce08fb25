"""A step of radiance training in parts is the step in one."""

import pytest
import torch

from lerf.geometry.rays import RayBundle
from lerf.radiance.hash_grid.field import RadianceConfig, RadianceField
from lerf.training import radiance
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
