"""Splats as a radiance: pictures, depths and rays of the spheres that they were made of, whatever the lens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import AnalyticCapture
from scipy.spatial.transform import Rotation
from splat_samples import random_splats
from splat_scene import splat_of

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.similarity import Similarity
from lerf.radiance.protocol import Radiance
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.steps import finish

TURN = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()


@pytest.fixture(scope="module")
def capture(analytic_capture) -> AnalyticCapture:
    return analytic_capture


@pytest.fixture(scope="module")
def radiance(capture) -> SplatRadiance:
    return SplatRadiance(Gaussians.of(splat_of(capture).moved(capture.scene.similarity)))


def lenses(capture: AnalyticCapture) -> dict[str, CameraTable]:
    """The third camera of the ring in other lenses."""
    camera = capture.scene.normalised_camera(2).scaled_to(96, 72)
    bent = replace(camera, distortion=(-0.25, 0.06, 0.0, 0.0, 0.01, -0.005))
    fisheye = replace(camera, fx=40.0, fy=40.0, distortion=(0.02, -0.01, 0.0, 0.0, 0.0, 0.0), fisheye=True)
    named = {"ideal": camera, "distorted": bent, "fisheye": fisheye}
    return {name: CameraTable.from_cameras([camera]) for name, camera in named.items()}


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10((one - other).square().mean()))


def test_it_is_a_radiance(radiance) -> None:
    assert isinstance(radiance, Radiance)


@pytest.mark.parametrize("lens", ["ideal", "distorted", "fisheye"])
def test_pictures_of_the_spheres(capture, radiance, lens: str) -> None:
    cameras = lenses(capture)[lens]
    found, expected = (finish(each.render(cameras, 0)) for each in (radiance, capture.radiance))
    # Outlines are a pixel and more too wide, as dilated Gaussians are; everything else is the sphere's colour.
    assert psnr(found.colour, expected.colour) > 17
    assert float((found.colour - expected.colour).abs().amax(-1).quantile(0.85)) < 0.03
    both = expected.depth.isfinite() & found.depth.isfinite()
    assert float(both.float().mean()) > 0.9 * float((expected.accumulation > 0.5).float().mean())
    apart = ((found.depth - expected.depth) / expected.depth).abs()[both]
    assert float(apart.median()) < 0.003
    assert float(apart.quantile(0.9)) < 0.03
    assert ((found.accumulation > 0.5) == (expected.accumulation > 0.5)).float().mean() > 0.95


@pytest.mark.parametrize("lens", ["ideal", "distorted", "fisheye"])
def test_rays_see_what_pictures_show(capture, radiance, lens: str) -> None:
    cameras = lenses(capture)[lens]
    picture = finish(radiance.render(cameras, 0))
    pixels = image_pixels(96, 72)
    rays = radiance.trace(cameras, torch.zeros(len(pixels), dtype=torch.int64), pixels, 6)
    assert rays.primitives is not None
    assert torch.allclose(rays.weights.sum(-1), torch.ones(len(pixels)), atol=1e-5)
    assert (rays.hit == (picture.accumulation.flatten() >= 0.5)).float().mean() > 0.999
    met = rays.hit & picture.depth.flatten().isfinite()
    assert torch.allclose(rays.median_depth[met], picture.depth.flatten()[met], rtol=2e-2)
    # Positions lie on the rays at their depths, and the Gaussians that are named are near them.
    again, depth = cameras.project(0, rays.median_position[met])
    assert torch.allclose(again, pixels[met], atol=1e-2)
    assert torch.allclose(depth, rays.median_depth[met], rtol=1e-4)
    heaviest = radiance.gaussians.means[rays.primitives[met, 0].long()]
    assert float((heaviest - rays.positions[met, 0]).norm(dim=-1).quantile(0.99)) < 0.08


def test_mixed_cameras_and_none(capture, radiance) -> None:
    table = capture.cameras
    index = torch.tensor([3, 1, 3, 7, 1])
    pixels = torch.rand(5, 2) * 30 + 3
    together = radiance.trace(table, index, pixels, 4)
    for row in range(5):
        alone = radiance.trace(table, index[row : row + 1], pixels[row : row + 1], 4)
        assert torch.equal(alone.positions[0], together.positions[row])
    nobody = radiance.trace(table, index[:0], pixels[:0], 4)
    assert nobody.positions.shape == (0, 4, 3)
    behind = radiance.gaussians[:1]
    empty = SplatRadiance(replace(behind, means=behind.means + 1e4))
    seen = empty.trace(table, index, pixels, 4)
    assert not seen.hit.any()
    assert (seen.primitives == -1).all()
    assert bool(seen.positions.isfinite().all())
    assert finish(empty.render(table, 0)).colour.min() == 1.0


def test_contributions_are_what_rays_add_up_to(capture, radiance) -> None:
    camera = capture.scene.normalised_camera(4)
    table = CameraTable.from_cameras([camera])
    pixels = image_pixels(camera.width, camera.height)
    rays = radiance.trace(table, torch.zeros(len(pixels), dtype=torch.int64), pixels, 64)
    picture = finish(radiance.render(table, 0))
    weights = rays.weights * picture.accumulation.flatten()[:, None]
    count = len(radiance.gaussians)
    names = rays.primitives.long()
    known = names >= 0
    sums = torch.zeros(count).index_add_(0, names[known], weights[known])
    seen = radiance.contributions(table, 0)
    assert torch.allclose(seen.light, sums[seen.gaussians], atol=2e-2)
    for axis in (0, 1):
        along = torch.zeros(count).index_add_(0, names[known], (weights * pixels[:, axis, None])[known])
        heavy = seen.light > 0.2
        expected = (along / sums)[seen.gaussians[heavy]]
        assert torch.allclose(seen.pixels[heavy, axis], expected, atol=0.05)
    _, depth = table.project(0, radiance.gaussians.means[seen.gaussians])
    assert torch.equal(depth, seen.depths)


def test_a_turned_splat_is_the_same_picture_from_the_turned_camera(capture) -> None:
    """Harmonics of degree 3 included: the issue of every viewer that moves splats."""
    splats = random_splats(400, 3, seed=4).moved(Similarity(np.eye(3), np.zeros(3), 0.5))
    pose = np.array([[1.0, 0, 0, 0.3], [0, 1, 0, -0.2], [0, 0, 1, 3.0]])
    camera = Camera(80, 60, 70.0, 70.0, 40.0, 30.0, pose)
    move = Similarity(TURN, np.array([0.5, 1.0, -2.0]), 1.7)
    pictures = [
        finish(SplatRadiance(Gaussians.of(own)).render(CameraTable.from_cameras([seen]), 0)).colour
        for own, seen in ((splats, camera), (splats.moved(move), camera.moved(move)))
    ]
    assert psnr(*pictures) > 60
    # Means alone turned, and colours left as they were, is another picture.
    forgotten = splats.moved(move).with_columns({n: splats.table[n] for n in splats.names if n.startswith("f_rest")})
    wrong = finish(SplatRadiance(Gaussians.of(forgotten)).render(CameraTable.from_cameras([camera.moved(move)]), 0))
    assert psnr(pictures[0], wrong.colour) < 35


def test_a_ray_passes_flat_gaussians_in_their_plane(radiance, capture) -> None:
    """One large flat Gaussian, seen at a slant: the depth at each pixel is that of the plane, not of the middle."""
    camera = Camera(40, 30, 40.0, 40.0, 20.0, 15.0, np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]))
    tilt = Rotation.from_rotvec([0.9, 0, 0])
    x, y, z, w = tilt.as_quat()
    one = Gaussians(
        torch.tensor([[0.0, 0.0, -2.0]]), torch.tensor([[w, x, y, z]]).float(), torch.tensor([[1.0, 1.0, 0.0]]),
        torch.tensor([0.999]), torch.zeros(1, 1, 3),
    )  # fmt: skip
    table = CameraTable.from_cameras([camera])
    depth = finish(SplatRadiance(one).render(table, 0)).depth
    normal = tilt.as_matrix()[:, 2]
    pixels = image_pixels(40, 30).double().numpy()
    rays = np.column_stack([(pixels - [20, 15]) / 40 * [1, -1], -np.ones(len(pixels))])
    plane = (normal[2] * -2.0) / (rays @ normal)
    found = depth.flatten().numpy()
    met = np.isfinite(found)
    assert met.sum() > 200
    assert np.ptp(plane[met]) > 0.5
    assert np.abs(found[met] - plane[met]).max() < 0.02
