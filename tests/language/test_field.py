"""The language field: unit embeddings, two estimators, bounded scales, and a radiance that it cannot move."""

import dataclasses

import numpy as np
import pytest
import torch
from sources import DENSE, RANGE, WIDTH, field_of, traced

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.language.deferred import DeferredLanguage
from lerf.language.per_sample import PerSampleLanguage
from lerf.radiance.hash_grid.field import RadianceConfig, RadianceField
from lerf.radiance.hash_grid.radiance import HashGridRadiance


def asked(field, rays, scale: float):
    """Embeddings at one scale as a query reads them; every scale counts as supervised."""
    field.bounds.low.fill_(0.0)
    field.bounds.high.fill_(torch.inf)
    source = DeferredLanguage(field) if field.config.estimator == "deferred" else PerSampleLanguage(field)
    return source.embed(source.encode(rays), scale)


def assert_unit(embeddings):
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(len(embeddings)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
@pytest.mark.parametrize("dense", [0, DENSE])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_embeddings_are_of_unit_length(estimator, dense, count):
    field, rays = field_of(estimator, dense), traced(count, 6)
    embedding, regulariser = field(rays, torch.full((count,), 0.4))
    assert embedding.shape == (count, WIDTH)
    assert_unit(embedding)
    assert regulariser is None if dense == 0 else regulariser.shape == (count, DENSE)
    assert_unit(asked(field, rays, 0.4))
    assert field.width == WIDTH
    assert field.scale_range == pytest.approx(RANGE)


def test_the_estimators_agree_where_a_ray_has_one_sample():
    deferred, each = field_of("deferred"), field_of("per-sample")
    each.load_state_dict(deferred.state_dict())
    rays, ratio = traced(30, 1), torch.rand(30) + 0.1
    for ours, theirs in zip(deferred(rays, ratio), each(rays, ratio), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    for scale in (0.1, 0.7):
        torch.testing.assert_close(asked(deferred, rays, scale), asked(each, rays, scale), rtol=0, atol=1e-5)


def test_the_estimators_differ_where_a_ray_has_more():
    deferred, each = field_of("deferred"), field_of("per-sample")
    rays, ratio = traced(30, 4), torch.ones(30)
    assert (deferred(rays, ratio)[0] - each(rays, ratio)[0]).abs().amax() > 1e-3


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_training_sees_the_scale_of_a_query(estimator):
    field, rays = field_of(estimator), traced(10, 3)
    rays = dataclasses.replace(rays, depths=torch.full((10, 3), 2.0), median_depth=torch.full((10,), 2.0))
    rendered, _ = field(rays, torch.full((10,), 0.3))
    torch.testing.assert_close(rendered, asked(field, rays, 0.6), rtol=0, atol=1e-5)
    assert (rendered - asked(field, rays, 1.5)).abs().amax() > 1e-4


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_no_gradient_reaches_radiance(estimator):
    radiance = RadianceField(
        RadianceConfig(levels=2, log2_entries=6, coarsest=4, finest=8, samples=8, bins=16, grid_side=8), photos=1
    )
    camera = CameraTable.from_cameras([Camera(8, 8, 6.0, 6.0, 4.0, 4.0, np.eye(4)[:3])])
    pixels = (8 * torch.rand(20, 2)).requires_grad_()
    field = field_of(estimator)
    rays = HashGridRadiance(radiance).trace(camera, torch.zeros(20, dtype=torch.int64), pixels, heaviest=4)
    embedding, dense = field(rays, torch.ones(20))
    (embedding.sum() + dense.sum()).backward()
    assert all(p.grad is None for p in radiance.parameters())
    assert pixels.grad is None
    for name, parameter in field.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_scales_outside_the_range_are_bounded():
    field = field_of()
    features = torch.randn(1, field.grid.layout.width)

    def at(scale):
        return field.embed(features, torch.tensor([scale]))

    low, high = RANGE
    margin = (high / low) ** 0.25
    for extreme in (1e-30, 0.0):
        torch.testing.assert_close(at(extreme), at(low / margin * 0.999))
    torch.testing.assert_close(at(1e30), at(high * margin * 1.001))
    assert not torch.allclose(at(low), at(high))
    assert_unit(at(1e30))


def test_the_dense_head_does_not_see_the_scale():
    for estimator in ("deferred", "per-sample"):
        field, rays = field_of(estimator), traced(10, 3)
        assert torch.equal(field(rays, torch.full((10,), 0.1))[1], field(rays, torch.full((10,), 5.0))[1])


def test_ray_features_are_the_mean_under_the_weights():
    field, rays = field_of(), traced(10, 3)
    each = torch.stack([field.features(rays.positions[:, s]) for s in range(3)], dim=1)
    expected = (rays.weights[..., None] * each).sum(1)
    torch.testing.assert_close(field.ray_features(rays), expected, rtol=0, atol=1e-6)
