"""Pixels to rays and back, for mixed lenses; against the numpy camera and against direct formulas."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.scenes import Camera, load_scene

FOX = (0.0578421, -0.0805099, 0.0, 0.0, -0.000980296, 0.00015575)
KINDS = {
    "pinhole": ((0.0,) * 6, False),
    "fox": (FOX, False),
    "barrel": ((-0.25, 0.05, 0.0, 0.0, 0.001, -0.002), False),
    "fisheye": ((0.05, -0.01, 0.002, -0.0005, 0.0, 0.0), True),
    "ideal fisheye": ((0.0,) * 6, True),
}


def camera(kind, seed=0, width=120, height=200):
    distortion, fisheye = KINDS[kind]
    random = np.random.default_rng(seed)
    rotation = Rotation.from_rotvec(random.normal(size=3)).as_matrix()
    pose = np.column_stack([rotation, random.normal(size=3)])
    return Camera(width, height, 110.0 + seed, 112.0, 58.0, 103.0, pose, distortion, fisheye)


def random_pixels(cameras, photo, seed=0):
    sizes = np.array([(c.width, c.height) for c in cameras])[photo]
    return torch.tensor(np.random.default_rng(seed).uniform(size=(len(photo), 2)) * sizes, dtype=torch.float32)


def test_pinhole_by_hand():
    table = CameraTable.from_cameras([Camera(4, 2, 2.0, 2.0, 2.0, 1.0, np.eye(4)[:3] + np.array([0, 0, 0, 0.5]))])
    rays = table.rays(torch.tensor([0, 0]), torch.tensor([[2.0, 1.0], [4.0, 0.0]]))
    # Right and up in the picture is +x and +y; forwards is -z.
    corner = torch.tensor([1.0, 0.5, -1.0]) / 1.5
    torch.testing.assert_close(rays.directions, torch.stack([torch.tensor([0.0, 0.0, -1.0]), corner]))
    torch.testing.assert_close(rays.axis_cosine, torch.tensor([1.0, 1 / 1.5]))
    torch.testing.assert_close(rays.origins, torch.full((2, 3), 0.5))
    assert rays.photo.tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_rays_agree_with_the_numpy_camera(kind):
    ours = camera(kind)
    pixels = random_pixels([ours], np.zeros(500, int))
    rays = CameraTable.from_cameras([ours]).rays(torch.zeros(500, dtype=torch.long), pixels)
    plane = ours.undistort((pixels.numpy() - [ours.cx, ours.cy]) / [ours.fx, ours.fy])
    local = np.column_stack([plane * [1, -1], np.full(500, -1.0)])
    expected = local @ ours.camera_to_world[:, :3].T / np.linalg.norm(local, axis=1, keepdims=True)
    np.testing.assert_allclose(rays.directions, expected, atol=2e-6)
    np.testing.assert_allclose(rays.directions.norm(dim=1), 1, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5), st.integers(0, 1000))
def test_projection_returns_the_pixel(kinds, seed):
    """For any mixture of cameras of any size in one batch."""
    cameras = [camera(kind, number, 100 + 10 * number, 150 - 10 * number) for number, kind in enumerate(kinds)]
    table = CameraTable.from_cameras(cameras)
    photo = torch.tensor(np.random.default_rng(seed).integers(0, len(kinds), 64))
    pixels = random_pixels(cameras, photo.numpy(), seed)
    rays = table.rays(photo, pixels)
    distance = torch.tensor(np.random.default_rng(seed + 1).uniform(0.1, 10, 64), dtype=torch.float32)
    points = rays.origins + distance[:, None] * rays.directions
    assert rays.photo.equal(photo)
    for index in range(len(kinds)):
        chosen = photo == index
        found, depth = table.project(index, points[chosen])
        torch.testing.assert_close(found, pixels[chosen], atol=5e-3, rtol=0)
        torch.testing.assert_close(depth, (distance * rays.axis_cosine)[chosen], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kinds", [("barrel",), ("fisheye",), ("barrel", "fisheye", "ideal fisheye")])
def test_projection_into_several_cameras_is_that_into_each(kinds):
    table = CameraTable.from_cameras([camera(kind, seed) for seed, kind in enumerate(kinds * 2)])
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * 2
    photos = list(range(len(table)))[::-1]
    pixels, depth = table.project_into(photos, points)
    for row, photo in enumerate(photos):
        expected = table.project(photo, points)
        torch.testing.assert_close((pixels[row], depth[row]), expected, equal_nan=True)


def test_wide_fisheye_sees_behind_itself():
    wide = Camera(200, 200, 50.0, 50.0, 100.0, 100.0, np.eye(4)[:3], (0.0,) * 6, True)
    table = CameraTable.from_cameras([wide])
    theta = 1.9
    rays = table.rays(torch.tensor([0]), torch.tensor([[100 + 50 * theta, 100.0]]))
    torch.testing.assert_close(rays.directions[0], torch.tensor([np.sin(theta), 0.0, -np.cos(theta)]).float())
    assert rays.axis_cosine[0] < 0
    pixels, depth = table.project(0, 2 * rays.directions)
    torch.testing.assert_close(pixels, torch.tensor([[195.0, 100.0]]))
    torch.testing.assert_close(depth, 2 * rays.axis_cosine)


def test_behind_a_perspective_camera_is_no_pixel():
    table = CameraTable.from_cameras([Camera(10, 10, 9.0, 9.0, 5.0, 5.0, np.eye(4)[:3], FOX)])
    pixels, depth = table.project(0, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [2.05, 0.0, -1.0]]))
    assert pixels[0].isnan().all()
    assert depth.tolist() == [-1.0, 1.0, 1.0]
    torch.testing.assert_close(pixels[1], torch.tensor([5.0, 5.0]))
    assert pixels[2, 0] > 10  # past the fold of the polynomial, yet outside the picture


@pytest.mark.parametrize("kind", KINDS)
def test_undistortion_is_exact_within_the_picture(kind):
    """The number of steps chosen suffices, rounding aside: the same steps in double precision."""
    ours = camera(kind)
    table = CameraTable.from_cameras([ours])
    double = dataclasses.replace(
        table,
        positions=table.positions.double(),
        rotations=torch.tensor(ours.camera_to_world[None, :, :3]),
        focal=torch.tensor([[ours.fx, ours.fy]], dtype=torch.float64),
        centre=torch.tensor([[ours.cx, ours.cy]], dtype=torch.float64),
        lens=torch.tensor([ours.lens], dtype=torch.float64),
    )
    pixels = image_pixels(ours.width, ours.height).double()[::7]
    rays = double.rays(torch.zeros(len(pixels), dtype=torch.long), pixels)
    local = rays.directions.numpy() @ ours.camera_to_world[:, :3]
    again = ours.distort(np.column_stack([local[:, 0], -local[:, 1]]) / -local[:, 2:])
    np.testing.assert_allclose(again * [ours.fx, ours.fy] + [ours.cx, ours.cy], pixels, atol=1e-5)


def test_fox_residual():
    folder = Path(__file__).parents[2].parent / "shared/data/fox"
    if not (folder / "transforms.json").is_file():
        pytest.skip(f"the fox capture is not at {folder}")
    scene = load_scene(folder)
    ours = scene.normalised_camera(7)
    cameras = [scene.normalised_camera(i) for i in range(len(scene))]
    table = CameraTable.from_cameras(cameras)
    pixels = image_pixels(540, 960)[::13]
    photo = torch.full((len(pixels),), 7)
    local = table.rays(photo, pixels).directions.double().numpy() @ ours.camera_to_world[:, :3]
    again = ours.distort(np.column_stack([local[:, 0], -local[:, 1]]) / -local[:, 2:])
    error = np.abs(again * [ours.fx, ours.fy] + [ours.cx, ours.cy] - pixels.numpy())
    # Rounding: an ulp of 960 pixels is 6e-5 in single precision.
    assert error.max() < 3e-4
    assert np.median(error) < 5e-5


def test_no_steps_without_distortion():
    assert CameraTable.from_cameras([camera("pinhole"), camera("ideal fisheye")]).steps == (0, 0)
    assert CameraTable.from_cameras([camera("fox")]).steps != (0, 0)


def test_cameras_that_are_no_photos():
    table = CameraTable.from_cameras([camera("pinhole")], are_photos=False)
    assert table.rays(torch.tensor([0]), torch.tensor([[1.0, 1.0]])).photo.tolist() == [-1]
    assert len(table) == 1
    with pytest.raises(ValueError, match="at least one"):
        CameraTable.from_cameras([])


def test_image_pixels_run_along_rows():
    expected = [[x + 0.5, y + 0.5] for y in range(2) for x in range(3)]
    assert image_pixels(3, 2).tolist() == expected
