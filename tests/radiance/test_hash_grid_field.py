"""The radiance field: shapes, laws of opacity, gains, and the density grid."""

import dataclasses

import pytest
import torch

from lerf.geometry.contraction import to_unit_cube
from lerf.geometry.rays import RayBundle
from lerf.radiance.hash_grid.field import INITIAL_DENSITY, TRACED_SAMPLES, RadianceConfig, RadianceField

SMALL = RadianceConfig(levels=3, log2_entries=8, coarsest=4, finest=32, samples=8, bins=32, grid_side=16)


def field_of(**changes):
    torch.manual_seed(0)
    field = RadianceField(dataclasses.replace(SMALL, **changes), photos=3)
    with torch.no_grad():
        field.grid.table.uniform_(-1, 1)
        field.density_out.weight.mul_(5)
    return field


def rays_of(count):
    generator = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    origins = torch.rand(count, 3, generator=generator) - 0.5
    return RayBundle(origins, directions, torch.ones(count), torch.full((count,), -1))


def constant(field, density):
    """Make the density the same everywhere."""
    with torch.no_grad():
        field.density_out.weight.zero_()
        field.density_out.bias.zero_()
        now = float(field.density(torch.zeros(1, 3))[0])
        field.density_out.bias[0] = float(torch.log(torch.tensor(density / now)))
    torch.testing.assert_close(field.density(torch.rand(5, 3))[0], torch.full((5,), density))


@pytest.mark.parametrize("shading", ["deferred", "per-sample"])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_forward(shading, closed, count):
    field, rays = field_of(shading=shading, closed=closed), rays_of(count)
    edges = field.place_samples(rays, torch.rand(count))
    out = field(rays, edges)
    samples = SMALL.samples
    assert out.colour.shape == (count, 3)
    assert out.weights.shape == out.densities.shape == (count, samples)
    assert out.positions.shape == (count, samples, 3)
    opacity = out.weights.sum(-1, keepdim=True)
    assert (out.weights >= 0).all()
    if closed:
        torch.testing.assert_close(opacity, torch.ones(count, 1), rtol=0, atol=1e-5)
    else:
        lengths = edges[:, 1:] - edges[:, :-1]
        stopped = -torch.expm1(-(out.densities * lengths).sum(-1, keepdim=True))
        torch.testing.assert_close(opacity, stopped, rtol=0, atol=1e-5)
    # Colours are before the background, so no more than the light that stopped.
    assert (out.colour >= 0).all()
    assert (out.colour <= opacity + 1e-5).all()


def test_forward_leaves_the_edges_alone():
    field, rays = field_of(closed=True), rays_of(4)
    edges = field.place_samples(rays, torch.full((4,), 0.5))
    before = edges.clone()
    field(rays, edges)
    assert torch.equal(edges, before)


def test_samples_lie_between_the_edges_on_the_ray():
    field, rays = field_of(), rays_of(20)
    out = field(rays, field.place_samples(rays, torch.full((20,), 0.5)))
    along = ((out.positions - rays.origins[:, None]) * rays.directions[:, None]).sum(-1)
    torch.testing.assert_close(along, 0.5 * (out.edges[:, 1:] + out.edges[:, :-1]), rtol=1e-4, atol=1e-5)
    assert (along > out.edges[:, :-1] * 0.999).all()
    assert (along < out.edges[:, 1:] * 1.001).all()


def test_every_parameter_learns():
    field, rays = field_of(), rays_of(50)
    out = field(rays, field.place_samples(rays, torch.rand(50)))
    photo = torch.arange(50) % 3
    (out.colour * field.gain(photo) * torch.rand(50, 3)).sum().backward()
    for name, parameter in field.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_no_density_however_large_breaks_a_step():
    field, rays = field_of(closed=True), rays_of(10)
    with torch.no_grad():
        field.density_out.bias[0] = 1e4
    out = field(rays, field.place_samples(rays, torch.full((10,), 0.5)))
    out.colour.sum().backward()
    assert out.weights.isfinite().all()
    assert all(p.grad.isfinite().all() for p in field.parameters() if p.grad is not None)


def test_gains_are_relative_to_their_mean():
    field = field_of()
    with torch.no_grad():
        field.log_gain.copy_(torch.tensor([[0.1, 0.0, 1.0], [0.3, 0.0, 1.0], [0.2, 0.3, 1.0]]))
    gains = field.gain(torch.tensor([0, 1, 2, -1]))
    torch.testing.assert_close(gains[:3].log().mean(0), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(gains[0], torch.tensor([-0.1, -0.1, 0.0]).exp())
    assert torch.equal(gains[3], torch.ones(3))


def place_of_cells(side):
    """Each cell of the density grid with its own coordinates, [z, y, x, (x, y, z)]."""
    z, y, x = torch.meshgrid(*[torch.arange(side)] * 3, indexing="ij")
    return torch.stack([x, y, z], -1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_refresh_reads_points_inside_the_cells(axis, monkeypatch):
    field = field_of()
    monkeypatch.setattr(field, "_density_alone", lambda points: points[:, axis])
    field.density_grid.fill_(-1.0)
    field.refresh_density_grid(100_000, decay=0.0, generator=torch.Generator().manual_seed(0))
    side = SMALL.grid_side
    visited = field.density_grid >= 0
    assert visited.float().mean() > 0.99
    cells = place_of_cells(side)[..., axis]
    where = field.density_grid * side
    assert (where[visited] >= cells[visited] - 1e-4).all()
    assert (where[visited] <= cells[visited] + 1 + 1e-4).all()


def test_a_refresh_forgets_by_its_decay():
    field = field_of()
    constant(field, 5.0)
    generator = torch.Generator().manual_seed(0)
    field.refresh_density_grid(16, decay=0.25, generator=generator)
    expected = torch.tensor([INITIAL_DENSITY, 0.25 * INITIAL_DENSITY + 0.75 * 5.0])
    values = field.density_grid.unique()
    torch.testing.assert_close(values, expected)
    assert 1 <= int((field.density_grid > 1).sum()) <= 8  # half of 16: there was no matter yet


def test_a_refresh_visits_matter_more_often():
    field = field_of()
    field.density_grid[3, 4, 5] = 2.0
    constant(field, 5.0)
    field.refresh_density_grid(8, decay=0.0, generator=torch.Generator().manual_seed(0))
    assert float(field.density_grid[3, 4, 5]) == pytest.approx(5.0)


def test_noted_densities_reach_their_cells_only():
    field = field_of()
    positions = torch.tensor([[[0.7, -0.2, 0.1], [0.7, -0.2, 0.1], [100.0, 0.0, 0.0]]])
    before = field.density_grid.clone()
    field.note_densities(positions, torch.tensor([[4.0, 8.0, 1.0]]), decay=0.5)
    side = SMALL.grid_side
    near = ((positions[0, 0] + 2) / 4 * side).long()
    grid = field.density_grid
    assert float(grid[near[2], near[1], near[0]]) == pytest.approx(0.5 * INITIAL_DENSITY + 0.5 * 6.0)
    assert float(grid[side // 2, side // 2, side - 1]) == pytest.approx(0.5 * INITIAL_DENSITY + 0.5 * 1.0)
    assert int((grid != before).sum()) == 2


def test_the_grid_of_a_refresh_places_samples():
    field = field_of(samples=16)

    def wall(points):
        return torch.where(points[:, 0] > (0.75 + 2) / 4, 1e3, 0.0)

    field._density_alone = wall
    for _ in range(5):
        field.refresh_density_grid(50_000, decay=0.0, generator=torch.Generator().manual_seed(0))
    rays = RayBundle(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1), torch.tensor([-1]))
    edges = field.place_samples(rays, torch.full((1,), 0.5))
    assert float(edges.median()) == pytest.approx(0.8, abs=0.2)


def test_samples_are_the_same_for_the_same_rays_and_without_gradients():
    field, rays = field_of(), rays_of(30)
    first, second = field.sample_rays(rays), field.sample_rays(rays)
    for name in ("positions", "distances", "weights"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert not getattr(first, name).requires_grad
    assert (first.distances.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(first.weights.sum(-1), torch.ones(30), rtol=0, atol=1e-5)


def test_rays_take_as_many_samples_as_are_asked_for_or_as_training_took():
    field, rays = field_of(), rays_of(30)
    for count in (3, 70):
        assert field.sample_rays(rays, count).weights.shape == (30, count)
    assert field.sample_rays(rays).weights.shape == (30, field.config.samples)
    assert field_of(samples=40).sample_rays(rays).weights.shape == (30, TRACED_SAMPLES)


def test_density_alone_is_the_density():
    field = field_of()
    points = torch.rand(200, 3) * 3.0 - 1.5
    with torch.no_grad():
        whole, _ = field.density(points)
        torch.testing.assert_close(field._density_alone(to_unit_cube(points)), whole, rtol=1e-5, atol=1e-6)
