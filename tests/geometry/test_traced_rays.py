"""Traced rays: their parts, and the samples that are kept of a ray, against a loop over rays."""

import jaxtyping
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.geometry.rays import RayBundle, rays_at_once
from lerf.geometry.traced_rays import RaySamples, TracedRays, median_sample


def random_rays(count: int, seed: int = 0) -> RayBundle:
    random = torch.Generator().manual_seed(seed)
    directions = F.normalize(torch.randn(count, 3, generator=random), dim=-1)
    axis_cosine = 0.5 + 0.5 * torch.rand(count, generator=random)
    return RayBundle(torch.randn(count, 3, generator=random), directions, axis_cosine, torch.arange(count))


def random_samples(rays: RayBundle, samples: int, seed: int = 0) -> RaySamples:
    """Samples whose weights sum to anything from nothing to 1."""
    random = torch.Generator().manual_seed(seed + 1)
    distances = torch.rand(len(rays), samples, generator=random).sort(dim=-1).values + 0.1
    weights = F.normalize(torch.rand(len(rays), samples, generator=random) ** 3, p=1, dim=-1)
    weights = weights * torch.rand(len(rays), 1, generator=random)
    positions = rays.origins[:, None] + rays.directions[:, None] * distances[..., None]
    return RaySamples(positions, distances, weights)


def random_traced(count: int = 7, seed: int = 0) -> TracedRays:
    rays = random_rays(count, seed)
    return random_samples(rays, 6, seed).traced(rays, 4)


def same(ours: TracedRays, theirs: TracedRays) -> bool:
    return all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)


def slow_median(weights: list[float]) -> int:
    """The first sample by which half of the light that stops has stopped."""
    stopped = 0.0
    for number, weight in enumerate(weights):
        stopped += weight
        if stopped >= 0.5 * sum(weights):
            return number
    raise AssertionError


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 12))
def test_the_heaviest_samples_against_a_loop(seed: int, count: int, samples: int, heaviest: int) -> None:
    rays = random_rays(count, seed)
    given_samples = random_samples(rays, samples, seed)
    traced = given_samples.traced(rays, heaviest)
    kept = min(heaviest, samples)
    assert traced.positions.shape == (count, kept, 3)
    torch.testing.assert_close(traced.weights.sum(-1), torch.ones(count), atol=1e-5, rtol=0)
    for ray in range(count):
        weights = given_samples.weights[ray].double()
        order = sorted(range(samples), key=lambda sample, weights=weights: -float(weights[sample]))[:kept]
        own = weights[order] + 1e-8
        torch.testing.assert_close(traced.weights[ray].double(), own / own.sum(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(traced.positions[ray], given_samples.positions[ray, order])
        depths = given_samples.distances[ray, order] * rays.axis_cosine[ray]
        torch.testing.assert_close(traced.depths[ray], depths)
        if abs(float(weights.sum()) - 0.5) > 1e-5:
            assert bool(traced.hit[ray]) == (float(weights.sum()) >= 0.5)
        distance = given_samples.distances[ray, slow_median(given_samples.weights[ray].tolist())]
        torch.testing.assert_close(traced.median_depth[ray], distance * rays.axis_cosine[ray])
        at = rays.origins[ray] + distance * rays.directions[ray]
        torch.testing.assert_close(traced.median_position[ray], at)


def test_the_median_lies_on_one_side_of_an_edge() -> None:
    """Half of the light stops near, half far: a mean would lie between them, where nothing stands."""
    assert median_sample(torch.tensor([[0.3, 0.0, 0.2, 0.3]])).tolist() == [[2]]
    assert median_sample(torch.tensor([[0.5, 0.0, 0.0, 0.5]])).tolist() == [[0]]
    assert median_sample(torch.tensor([[0.1, 0.0, 0.0, 0.9]])).tolist() == [[3]]
    assert median_sample(torch.zeros(1, 3)).tolist() == [[0]]


def test_a_ray_that_meets_nothing_stays_finite() -> None:
    rays = random_rays(3)
    samples = random_samples(rays, 5)
    nothing = RaySamples(samples.positions, samples.distances, torch.zeros(3, 5)).traced(rays, 2)
    assert not nothing.hit.any()
    torch.testing.assert_close(nothing.weights, torch.full((3, 2), 0.5))
    assert all(tensor.isfinite().all() for tensor in nothing.tensors.values())


@pytest.mark.parametrize("index", [slice(1, 5), slice(0, None, 3), slice(0, 0)])
def test_a_slice_is_the_index_and_the_mask_of_the_same_rays(index: slice) -> None:
    traced = random_traced()
    numbers = torch.arange(len(traced))[index]
    mask = torch.zeros(len(traced), dtype=torch.bool)
    mask[numbers] = True
    assert len(traced[index]) == len(numbers)
    assert same(traced[index], traced[numbers])
    assert same(traced[index], traced[mask])
    for name, tensor in traced[index].tensors.items():
        assert torch.equal(tensor, traced.tensors[name][numbers])


def test_what_was_taken_apart_is_joined_again() -> None:
    traced = random_traced()
    assert same(TracedRays.joined([traced[:3], traced[3:3], traced[3:]]), traced)
    turned = torch.arange(len(traced)).roll(2)
    assert same(TracedRays.joined([traced[-2:], traced[:-2]]), traced[turned])


def test_points_are_rays_that_stop_in_them() -> None:
    points = torch.randn(5, 3)
    traced = TracedRays.at_points(points)
    assert len(traced) == 5
    assert torch.equal(traced.positions, points[:, None])
    assert torch.equal(traced.median_position, points)
    assert torch.equal(traced.weights, torch.ones(5, 1))
    assert torch.equal(traced.depths[:, 0], traced.median_depth)
    assert traced.hit.all()
    assert len(TracedRays.at_points(torch.zeros(0, 3))) == 0


def test_rays_of_different_lengths_do_not_fit_together() -> None:
    traced = random_traced()
    with pytest.raises(jaxtyping.TypeCheckError):
        TracedRays(**{**traced.tensors, "median_depth": traced.median_depth[:-1]})


def test_rays_of_one_pass_are_few_on_a_cpu_and_fewer_of_many_samples() -> None:
    assert rays_at_once("cpu") == 2048
    assert rays_at_once("cpu", 4) == 8192
    assert rays_at_once("cpu", 64) == 2048
    assert rays_at_once("mps") == 1 << 16
