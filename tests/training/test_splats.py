"""Gaussians refined on photos: from a spoilt splat of drawn spheres back towards the photos."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import AnalyticCapture
from splat_scene import splat_of

from lerf.evaluation.metrics import psnr
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.quaternions import unit_quaternions
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.scenes.scene import Scene
from lerf.steps import finish
from lerf.training.splat_views import PhotoViews
from lerf.training.splats import SplatTrainer, SplatTraining


@pytest.fixture(scope="module")
def spoilt(analytic_capture: AnalyticCapture) -> Gaussians:
    """Gaussians moved, grown and paled by chance."""
    generator = torch.Generator().manual_seed(1)

    def chance(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator)

    good = Gaussians.of(splat_of(analytic_capture).moved(analytic_capture.scene.similarity))
    size = good.scales.amax(-1, keepdim=True)
    turned = torch.from_numpy(unit_quaternions((good.quaternions + 0.1 * chance(good.quaternions)).numpy()))
    return Gaussians(
        good.means + 0.3 * size * chance(good.means), turned.float(), good.scales * (0.3 * chance(good.scales)).exp(),
        0.7 * good.opacities, good.harmonics + 0.5 * chance(good.harmonics),
    )  # fmt: skip


def quality(gaussians: Gaussians, capture: AnalyticCapture) -> float:
    """Decibels in held-out views."""
    scene, found = capture.scene, []
    for photo in scene.test:
        table = CameraTable.from_cameras([scene.normalised_camera(photo)])
        colour = finish(SplatRadiance(gaussians).render(table, 0)).colour
        found.append(psnr(colour, torch.from_numpy(scene.pixels(photo)).float() / 255))
    return float(np.mean(found))


def test_steps_lead_to_the_photos(spoilt, analytic_capture) -> None:
    scene = analytic_capture.scene
    trainer = SplatTrainer(spoilt, PhotoViews(scene, scene.train), SplatTraining(60))
    before = quality(spoilt, analytic_capture)
    losses = [trainer.step() for _ in range(60)]
    assert quality(trainer.gaussians(), analytic_capture) > before + 1
    moved = trainer.gaussians()
    assert losses[0] > losses[-1]
    assert torch.allclose(torch.linalg.vector_norm(moved.quaternions, dim=-1), torch.ones(len(moved)), atol=1e-4)
    for name in ("means", "scales", "opacities", "harmonics"):
        assert bool(getattr(moved, name).isfinite().all())
    assert moved.harmonics.shape[1] == 4
    assert not torch.equal(moved.means, spoilt.means)


def test_the_same_steps_again(spoilt, analytic_capture) -> None:
    scene = analytic_capture.scene
    losses = []
    for _ in range(2):
        trainer = SplatTrainer(spoilt, PhotoViews(scene, scene.train), SplatTraining(3))
        losses.append([trainer.step() for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_photo_of_a_distorted_lens_is_seen_through_an_ideal_one(analytic_capture) -> None:
    """Pixels of the ideal view show what the photo shows where the lens puts them."""
    scene = analytic_capture.scene
    ideal = PhotoViews(scene, scene.train)[0][0]
    bent = PhotoViews(_bent(scene), scene.train)[0]
    assert len(bent) == 1
    view = bent[0]
    assert view.known is not None
    assert 0.5 < float(view.known.float().mean()) < 1
    assert view.size[0] > ideal.size[0]
    # On the axis nothing is moved.
    (x, y), (u, v) = ((round(at) for at in each.view.centre) for each in (ideal, view))
    apart = (ideal.colours[y - 3 : y + 3, x - 3 : x + 3] - view.colours[v - 3 : v + 3, u - 3 : u + 3]).abs()
    assert float(apart.median()) < 0.05


def _bent(scene: Scene) -> Scene:
    """The same photos as if a lens had bent them."""
    bent = (-0.1, 0.0, 0.0, 0.0, 0.0, 0.0)
    photos = [replace(photo, camera=replace(photo.camera, distortion=bent)) for photo in scene.photos]
    return replace(scene, photos=tuple(photos))
