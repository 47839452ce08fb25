"""The hash-grid field as a radiance: tracing in parts and at once, and pictures against the field's own formulas."""

import numpy as np
import pytest
import torch

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.contraction import to_unit_cube
from lerf.geometry.traced_rays import TracedRays, median_sample
from lerf.radiance.hash_grid import radiance as module
from lerf.radiance.hash_grid.field import RadianceConfig, RadianceField
from lerf.radiance.hash_grid.radiance import HashGridRadiance
from lerf.radiance.protocol import Radiance
from lerf.steps import finish

WIDTH, HEIGHT = 12, 9
SIZES = RadianceConfig(
    levels=3, log2_entries=8, coarsest=4, finest=32, samples=8, render_samples=24, bins=32, grid_side=16, far=20.0
)


def table(count: int = 3) -> CameraTable:
    poses = []
    for number in range(count):
        pose = np.eye(4)[:3]
        pose[:, 3] = 0.2 * number, -0.1 * number, 1.0
        poses.append(Camera(WIDTH, HEIGHT, 11.0, 12.0, 5.5, 4.5, pose))
    return CameraTable.from_cameras(poses)


@pytest.fixture(params=[True, False], ids=["closed", "open"])
def radiance(request) -> HashGridRadiance:
    torch.manual_seed(0)
    field = RadianceField(RadianceConfig(**{**vars(SIZES), "closed": request.param}), photos=3)
    with torch.no_grad():
        field.grid.table.uniform_(-1, 1)
        field.density_out.weight.mul_(5)
        # Some rays of an open scene meet less than half of their light.
        field.density_out.bias[0] = -3.0
        field.log_gain.uniform_(-1, 1)
    return HashGridRadiance(field.eval())


def random_pixels(count: int, cameras: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    index = torch.randint(cameras, (count,), generator=random)
    return index, torch.rand(count, 2, generator=random) * torch.tensor([float(WIDTH), float(HEIGHT)])


def assert_same(ours: TracedRays, theirs: TracedRays) -> None:
    for name, tensor in ours.tensors.items():
        torch.testing.assert_close(tensor, theirs.tensors[name], atol=1e-6, rtol=1e-6, msg=name)


def test_it_is_a_radiance_without_gradients(radiance) -> None:
    assert isinstance(radiance, Radiance)
    traced = radiance.trace(table(), *random_pixels(20), 4)
    picture = finish(radiance.render(table(), 0))
    for tensor in (*traced.tensors.values(), picture.colour, picture.depth, picture.accumulation):
        assert not tensor.requires_grad


@pytest.mark.parametrize("samples", [None, 5])
def test_rays_traced_in_parts_are_those_traced_at_once(radiance, monkeypatch, samples) -> None:
    index, pixels = random_pixels(50)
    whole = radiance.trace(table(), index, pixels, 3, samples)
    assert whole.weights.shape == (50, 3)
    monkeypatch.setattr(module, "rays_at_once", lambda device, samples=None: 7)
    assert_same(radiance.trace(table(), index, pixels, 3, samples), whole)
    for start in (0, 20):
        part = slice(start, start + 20)
        assert_same(radiance.trace(table(), index[part], pixels[part], 3, samples), whole[part])


def test_traced_rays_are_the_fields_samples(radiance) -> None:
    index, pixels = random_pixels(30)
    rays = table().rays(index, pixels)
    for samples in (None, 12):
        expected = radiance.field.sample_rays(rays, samples).traced(rays, 4)
        assert_same(radiance.trace(table(), index, pixels, 4, samples), expected)
    assert len(radiance.trace(table(), index[:0], pixels[:0], 4)) == 0


@pytest.mark.parametrize("samples", [None, 6])
def test_a_picture_is_what_the_field_gives_pixel_by_pixel(radiance, samples) -> None:
    """Against one ray at a time: volume rendering written out, white behind, the median depth along the axis."""
    field, cameras = radiance.field, table()
    picture = finish(radiance.render(cameras, 1, samples))
    assert picture.colour.shape == (HEIGHT, WIDTH, 3)
    assert picture.depth.shape == picture.accumulation.shape == (HEIGHT, WIDTH)
    if not field.config.closed and samples is None:
        assert 0.0 < picture.depth.isnan().float().mean() < 0.9
    count = samples or SIZES.render_samples
    for row, column in ((0, 0), (4, 7), (8, 11), (2, 5)):
        rays = cameras.rays(torch.tensor([1]), torch.tensor([[column + 0.5, row + 0.5]]))
        with torch.no_grad():
            edges = field.view_rays(rays, count).edges
            assert edges.shape == (1, count // 2 + 1)
            out = field(rays, edges)
            weights = out.weights[0].double()
            opacity = float(weights.sum())
            torch.testing.assert_close(
                picture.colour[row, column], (out.colour[0] + 1 - opacity).clamp(0, 1), atol=1e-4, rtol=0
            )
            assert float(picture.accumulation[row, column]) == pytest.approx(min(opacity, 1.0), abs=1e-5)
            middle = 0.5 * (edges[0, 1:] + edges[0, :-1])
            depth = middle[int(median_sample(out.weights))] * rays.axis_cosine[0]
        if abs(opacity - 0.5) > 1e-4:
            shown = float(picture.depth[row, column])
            assert shown == pytest.approx(float(depth), rel=1e-4) if opacity > 0.5 else np.isnan(shown)


def test_samples_of_a_picture_lie_where_light_stops() -> None:
    """A wall within a cell of the density grid: the samples that show it are nearer to it than an even spread."""
    torch.manual_seed(0)
    field = RadianceField(SIZES, photos=1).eval()
    wall = 1.37

    def density(points: torch.Tensor) -> torch.Tensor:
        return torch.where(points[:, 2] < to_unit_cube(torch.tensor([[0.0, 0.0, 1.0 - wall]]))[0, 2], 1e4, 1e-3)

    field._density_alone = density  # type: ignore[method-assign]
    field._density_in_cube = lambda points: (density(points), torch.zeros(len(points), 7))  # type: ignore[method-assign]
    cameras = table(1)
    rays = cameras.rays(torch.zeros(1, dtype=torch.long), torch.tensor([[5.5, 4.5]]))
    out = field.view_rays(rays, 40)
    middle = 0.5 * (out.edges[0, 1:] + out.edges[0, :-1])
    # One interval of the fifteen that search spreads over three, which are divided by the twenty that show.
    assert float(middle[int(median_sample(out.weights))]) == pytest.approx(wall, rel=0.03)
    assert ((middle - wall).abs() < 1.05).all()
    plain = field.place_samples(rays, torch.tensor([0.5]), samples=40)
    assert ((0.5 * (plain[0, 1:] + plain[0, :-1]) - wall).abs() < 1.05).float().mean() < 0.7


def test_thin_rays_are_mostly_white_and_have_no_depth() -> None:
    field = RadianceField(RadianceConfig(**{**vars(SIZES), "closed": False}), photos=1)
    with torch.no_grad():
        field.density_out.weight.zero_()
        field.density_out.bias.zero_()
        field.density_out.bias[0] = -20.0
    picture = finish(HashGridRadiance(field.eval()).render(table(), 0))
    assert picture.depth.isnan().all()
    assert picture.colour.min() > 0.999
    assert picture.accumulation.max() < 1e-3


def test_pictures_are_at_the_mean_exposure_of_the_photos(radiance) -> None:
    picture = finish(radiance.render(table(), 2))
    with torch.no_grad():
        radiance.field.log_gain.add_(torch.tensor([[2.0], [0.0], [-2.0]]))
    assert torch.equal(finish(radiance.render(table(), 2)).colour, picture.colour)


def test_a_picture_comes_in_steps(radiance, monkeypatch) -> None:
    whole = finish(radiance.render(table(), 0))
    monkeypatch.setattr(module, "rays_at_once", lambda device, samples=None: 25)
    steps = radiance.render(table(), 0)
    assert sum(1 for _ in steps) == -(-WIDTH * HEIGHT // 25)
    again = finish(radiance.render(table(), 0))
    torch.testing.assert_close(again.colour, whole.colour, atol=1e-5, rtol=0)
