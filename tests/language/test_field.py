"""The language field: unit embeddings, two estimators, bounded scales, and a radiance that it cannot move."""

import dataclasses

import pytest
import torch

from lerf.geometry.rays import RayBundle
from lerf.language.field import LanguageConfig, LanguageField, LightStops
from lerf.radiance.hash_grid.field import RadianceConfig, RadianceField
from lerf.rendering.stops import stops_and_matter

SMALL = LanguageConfig(grids=((2, 4, 8), (2, 8, 16)), features=4, log2_entries=8, hidden=16, layers=2, dense_hidden=8)
WIDTH, DENSE = 12, 5
RANGE = (0.1, 2.0)


def field_of(dense=DENSE, **changes):
    torch.manual_seed(0)
    field = LanguageField(dataclasses.replace(SMALL, **changes), WIDTH, dense, RANGE)
    with torch.no_grad():
        field.grid.table.uniform_(-1, 1)
    return field


def stops_of(rays, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(rays, samples, generator=generator) + 0.01
    depths = torch.rand(rays, samples, generator=generator) + 0.5
    positions = torch.randn(rays, samples, 3, generator=generator)
    return LightStops(
        positions, weights / weights.sum(-1, keepdim=True), depths, depths[:, 0].clone(), positions[:, 0].clone()
    )


def assert_unit(embeddings):
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(len(embeddings)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
@pytest.mark.parametrize("dense", [0, DENSE])
@pytest.mark.parametrize("rays", [0, 1, 20])
def test_embeddings_are_of_unit_length(estimator, dense, rays):
    field, stops = field_of(dense, estimator=estimator), stops_of(rays, 6)
    embedding, regulariser = field(stops, torch.full((rays,), 0.4))
    assert embedding.shape == (rays, WIDTH)
    assert_unit(embedding)
    assert regulariser is None if dense == 0 else regulariser.shape == (rays, DENSE)
    assert_unit(field.render_at_scale(stops, torch.full((rays,), 0.4)))
    assert field.width == WIDTH
    assert field.scale_range == pytest.approx(RANGE)


def test_the_estimators_agree_where_a_ray_has_one_sample():
    deferred, each = field_of(estimator="deferred"), field_of(estimator="per-sample")
    each.load_state_dict(deferred.state_dict())
    stops, ratio = stops_of(30, 1), torch.rand(30) + 0.1
    for ours, theirs in zip(deferred(stops, ratio), each(stops, ratio), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    scale = torch.rand(30) + 0.1
    torch.testing.assert_close(
        deferred.render_at_scale(stops, scale), each.render_at_scale(stops, scale), rtol=0, atol=1e-5
    )


def test_the_estimators_differ_where_a_ray_has_more():
    deferred, each = field_of(estimator="deferred"), field_of(estimator="per-sample")
    stops, ratio = stops_of(30, 4), torch.ones(30)
    assert (deferred(stops, ratio)[0] - each(stops, ratio)[0]).abs().amax() > 1e-3


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_training_sees_the_scale_of_a_query(estimator):
    field, stops = field_of(estimator=estimator), stops_of(10, 3)
    stops = dataclasses.replace(stops, depths=torch.full((10, 3), 2.0), median_depth=torch.full((10,), 2.0))
    rendered, _ = field(stops, torch.full((10,), 0.3))
    torch.testing.assert_close(rendered, field.render_at_scale(stops, torch.full((10,), 0.6)), rtol=0, atol=1e-5)
    assert (rendered - field.render_at_scale(stops, torch.full((10,), 1.5))).abs().amax() > 1e-4


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_no_gradient_reaches_radiance(estimator):
    torch.manual_seed(0)
    radiance = RadianceField(
        RadianceConfig(levels=2, log2_entries=6, coarsest=4, finest=8, samples=8, bins=16, grid_side=8), photos=1
    )
    directions = torch.nn.functional.normalize(torch.randn(20, 3), dim=-1).requires_grad_()
    rays = RayBundle(torch.zeros(20, 3, requires_grad=True), directions, torch.ones(20), torch.zeros(20).long())
    field = field_of(estimator=estimator)
    stops, _ = stops_and_matter(radiance, rays, heaviest=4)
    embedding, dense = field(stops, torch.ones(20))
    (embedding.sum() + dense.sum()).backward()
    assert all(p.grad is None for p in radiance.parameters())
    assert rays.origins.grad is None
    assert directions.grad is None
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
        field, stops = field_of(estimator=estimator), stops_of(10, 3)
        assert torch.equal(field(stops, torch.full((10,), 0.1))[1], field(stops, torch.full((10,), 5.0))[1])


def test_ray_features_are_the_mean_under_the_weights():
    field, stops = field_of(), stops_of(10, 3)
    each = torch.stack([field.features(stops.positions[:, s]) for s in range(3)], dim=1)
    expected = (stops.weights[..., None] * each).sum(1)
    torch.testing.assert_close(field.ray_features(stops), expected, rtol=0, atol=1e-6)
