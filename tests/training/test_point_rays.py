"""Rays through sparse points: which pairs there are, how far they reach, and that a field learns to stop at them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sparse_model import seen_points

from lerf.geometry.rays import RayBundle
from lerf.radiance.hash_grid.field import RadianceConfig, RadianceField
from lerf.scenes.inspection.tracks import MEASURING
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints
from lerf.training import losses
from lerf.training.pixels import camera_table
from lerf.training.point_rays import INSIDE, PIECES_BEFORE, PointRays, point_rays
from lerf.training.radiance import DrawRays, RadianceTrainer, RayBatch
from lerf.training.schedules import RadianceTraining

SMALL = RadianceConfig(levels=6, log2_entries=12, finest=128, samples=16, bins=48, grid_side=32)


@pytest.fixture(scope="module")
def scene(drawn: SimpleNamespace) -> Scene:
    return load_scene(drawn.folder)


def test_pairs_are_of_training_photos_and_of_points_that_two_of_them_see(drawn: SimpleNamespace, scene: Scene) -> None:
    points = seen_points(drawn.scene, scene)
    rays = point_rays(scene, points, camera_table(scene))
    assert rays is not None
    assert points.observations is not None
    seen_by = {}
    for point, photo in points.observations.tolist():
        if photo in scene.train:
            seen_by.setdefault(point, []).append(photo)
    # Every eighth point is left for measuring.
    expected = sum(len(photos) for point, photos in seen_by.items() if len(photos) >= 2 and point % MEASURING)
    assert len(rays) == expected
    held_out = {tuple(np.round(scene.normalised_camera(index).camera_to_world[:, 3], 5)) for index in scene.test}
    assert not held_out & {tuple(np.round(origin, 5)) for origin in rays.origins.double().numpy()}
    ends = rays.origins + rays.directions * rays.distances[:, None]
    normalised = scene.similarity.apply_points(points.positions)
    nearest = torch.cdist(ends.double(), torch.from_numpy(normalised)).min(-1).values
    assert nearest.max() < 1e-4
    near, far = rays.bounds()
    assert near == pytest.approx(0.5 * float(np.percentile(rays.distances, 0.1)))
    assert far == pytest.approx(2.0 * float(np.percentile(rays.distances, 99.9)))


def test_what_held_out_photos_alone_see_has_no_part(drawn: SimpleNamespace, scene: Scene) -> None:
    points = seen_points(drawn.scene, scene)
    before = point_rays(scene, points, camera_table(scene))
    assert points.observations is not None
    assert before is not None
    far_away = np.full((500, 3), 40.0)
    extra = [(len(points) + number, photo) for number in range(500) for photo in (*scene.test[:2], scene.train[0])]
    more = SparsePoints(
        np.concatenate([points.positions, far_away]), None, None, np.concatenate([points.observations, extra]),
        points.names,
    )  # fmt: skip
    after = point_rays(scene, more, camera_table(scene))
    assert after is not None
    assert len(after) == len(before)
    assert after.bounds() == before.bounds()


def test_points_without_photos_or_too_few_give_none(drawn: SimpleNamespace, scene: Scene) -> None:
    points = seen_points(drawn.scene, scene)
    assert points.observations is not None
    cameras = camera_table(scene)
    assert point_rays(scene, SparsePoints(points.positions), cameras) is None
    few = SparsePoints(points.positions, None, None, points.observations[:60], points.names)
    assert point_rays(scene, few, cameras) is None
    strangers = SparsePoints(points.positions, None, None, points.observations, ("somewhere else.jpg",) * len(scene))
    assert point_rays(scene, strangers, cameras) is None


def test_points_that_project_badly_count_less(drawn: SimpleNamespace, scene: Scene) -> None:
    rays = point_rays(scene, seen_points(drawn.scene, scene), camera_table(scene))
    assert rays is not None
    assert float(rays.beyond(1e-3).confidence.mean()) == pytest.approx(1.0)
    # Errors rise with the points' numbers.
    assert rays.confidence[:50].mean() > 3.0 * rays.confidence[-50:].mean()


def test_pieces_cover_a_ray_up_to_the_end_of_the_box() -> None:
    origins = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    directions = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    rays = PointRays(origins, directions, torch.tensor([2.0, 5.0]), torch.ones(2))
    drawn = rays.draw(64, 0.1, torch.Generator().manual_seed(0))
    total = drawn.lengths.sum(-1)
    assert set(np.round(total.tolist(), 4)) == {round(2.0 * (1 + INSIDE) - 0.1, 4), round(5.0 * (1 + INSIDE) - 0.1, 4)}
    torch.testing.assert_close(
        drawn.lengths[:, PIECES_BEFORE:].sum(-1), 2 * INSIDE * (total + 0.1) / (1 + INSIDE), rtol=1e-4, atol=1e-5
    )
    # Both rays keep to their axis, in ascending order.
    first = drawn.positions[..., 1].abs().amax(-1) == 0
    along = torch.where(first[:, None], drawn.positions[..., 0], drawn.positions[..., 1])
    assert (along[:, 1:] > along[:, :-1]).all()
    assert along.min() >= 0.1
    assert len(rays.beyond(3.0)) == 1


def test_the_loss_is_the_surprise_of_a_ray_that_ends_in_its_box() -> None:
    before, inside = torch.tensor([0.0, 0.3, 5.0]), torch.tensor([9.0, 0.7, 2.0])
    confidence = torch.tensor([1.0, 2.0, 0.5])
    likelihood = np.exp(-before.numpy()) * (1 - np.exp(-inside.numpy()))
    expected = -(confidence.numpy() * np.log(likelihood + losses.OUTLIERS)).mean()
    assert float(losses.stopping(before, inside, confidence)) == pytest.approx(float(expected), rel=1e-5)


def grey_photos(scene: Scene) -> DrawRays:
    """Rays of photos of one grey, which say nothing of depth."""
    table, photos = camera_table(scene), torch.tensor(scene.train)

    def draw(count: int, generator: torch.Generator) -> RayBatch:
        index = photos[torch.randint(len(photos), (count,), generator=generator)]
        pixels = torch.rand(count, 2, generator=generator) * table.sizes[index]
        return RayBatch(table.rays(index, pixels), torch.full((count, 3), 0.5), torch.ones(count, 3), index)

    return draw


def test_a_field_learns_to_end_rays_at_points(drawn: SimpleNamespace, scene: Scene) -> None:
    """What is learnt of depth from photos of one grey comes from the points."""
    rays = point_rays(scene, seen_points(drawn.scene, scene, each=200), camera_table(scene))
    assert rays is not None
    wrong = {}
    for points in (None, rays):
        torch.manual_seed(0)
        field = RadianceField(SMALL, len(scene.photos))
        training = RadianceTraining(steps=150, rays=256, point_rays=512, point_weight=0.1, grid_cells=8192)
        trainer = RadianceTrainer(field, training, 0, points=points)
        for _ in range(150):
            trainer.step(grey_photos(scene))
        bundle = RayBundle(rays.origins, rays.directions, torch.ones(len(rays)), torch.full((len(rays),), -1))
        found = field.sample_rays(bundle).traced(bundle, 1).median_depth
        wrong[points is not None] = float(((found - rays.distances).abs() / rays.distances).median())
    assert wrong[True] < 0.05 < wrong[False]


@pytest.mark.parametrize(("step", "alike"), [(0, False), (39, False), (40, True), (99, True)])
def test_points_let_go_by_the_end_of_their_share(drawn: SimpleNamespace, scene: Scene, step: int, alike: bool) -> None:
    """Their weight falls to nothing; from there on a step is one without points, to the bit."""
    rays = point_rays(scene, seen_points(drawn.scene, scene, each=200), camera_table(scene))
    tables = []
    for points in (None, rays):
        torch.manual_seed(0)
        training = RadianceTraining(steps=100, rays=64, point_rays=64, point_share=0.4, point_weight=1.0)
        trainer = RadianceTrainer(RadianceField(SMALL, len(scene.photos)), training, 0, points=points)
        trainer.step_count = step
        trainer.step(grey_photos(scene))
        tables.append(trainer.field.grid.table.detach().clone())
    assert torch.equal(*tables) is alike
