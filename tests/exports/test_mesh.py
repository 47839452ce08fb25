"""Meshes of a ball whose depths are known exactly."""

import sys

import numpy as np
import pytest
import torch
import trimesh

from lerf.errors import ConfigError, RunError
from lerf.exports.cloud import Cloud, Raster, look_up, raster_pixels
from lerf.exports.mesh import Mesh, build_mesh, transfer
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable

RADIUS = 0.4
SIZE = 64


def looking_at_the_origin(number: int) -> Camera:
    """Cameras 1.5 away, on the six sides of the ball."""
    away = np.eye(3)[number % 3] * (1.0 if number < 3 else -1.0)
    side = np.roll(away, 1)
    pose = np.stack([side, np.cross(away, side), away, 1.5 * away], 1)
    return Camera(SIZE, SIZE, 80.0, 80.0, SIZE / 2, SIZE / 2, pose)


def ball(table: CameraTable, photo: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points of the ball that a camera sees, their pixels, and its raster of depths."""
    pixels, shape = raster_pixels(SIZE, SIZE, SIZE * SIZE)
    assert shape == (SIZE, SIZE)
    rays = table.rays(torch.full((len(pixels),), photo), pixels)
    along = (rays.origins * rays.directions).sum(-1)
    root = along.square() - rays.origins.square().sum(-1) + RADIUS**2
    distance = torch.where(root > 0, -along - root.clamp(min=0).sqrt(), torch.nan)
    depth = distance * rays.axis_cosine
    hit = depth.isfinite()
    return (rays.origins + rays.directions * distance[:, None])[hit], pixels[hit], depth.view(shape)


@pytest.fixture(scope="module")
def table():
    return CameraTable.from_cameras([looking_at_the_origin(number) for number in range(6)])


@pytest.fixture(scope="module")
def cloud(table):
    seen = [ball(table, photo) for photo in range(6)]
    owners = torch.cat([torch.full((len(points),), photo) for photo, (points, _, _) in enumerate(seen)])
    positions = torch.cat([points for points, _, _ in seen])
    rasters = tuple(Raster(photo, depth) for photo, (_, _, depth) in enumerate(seen))
    return Cloud(positions, positions.abs(), owners, torch.cat([pixels for _, pixels, _ in seen]), rasters)


def test_the_mesh_of_a_ball_is_that_ball(table, cloud):
    mesh = build_mesh(table, cloud, 40)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    voxel = 2 * RADIUS / 40
    assert np.abs(radii - RADIUS).mean() < 0.3 * voxel
    assert np.abs(radii - RADIUS).max() < 2 * voxel
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_winding_consistent
    # Voxels that every camera sees at a grazing angle may be missing.
    alone = len(trimesh.grouping.group_rows(solid.edges_sorted, require_count=1))
    assert alone < 0.01 * len(solid.edges_unique)
    # Positive: the corners run counter-clockwise seen from outside.
    assert solid.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)
    outwards = (mesh.normals * mesh.vertices).sum(1) / radii
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)
    assert outwards.min() > 0.5
    assert outwards.mean() > 0.98


def test_what_no_photo_sees_stays_open(table, cloud):
    front = cloud.chosen(cloud.photo == 0)
    front = Cloud(front.positions, front.colours, front.photo, front.pixels, cloud.rasters[:1])
    mesh = build_mesh(table, front, 40)
    # Camera 0 stands at +x.
    assert mesh.vertices[:, 0].min() > 0.0
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - RADIUS).max() < 0.1


def test_specks_and_dropped_vertices(table, cloud):
    mesh = build_mesh(table, cloud, 24)
    speck = Mesh(
        np.concatenate([mesh.vertices, np.eye(3) * 9]),
        np.concatenate([mesh.faces, [[len(mesh.vertices) + i for i in range(3)]]]).astype(np.int32),
        np.concatenate([mesh.normals, np.eye(3)]),
    )
    clean, kept = speck.without_specks()
    np.testing.assert_array_equal(clean.faces, mesh.faces)
    np.testing.assert_array_equal(kept, np.arange(len(mesh.vertices)))
    half, kept = mesh.without(mesh.vertices[:, 2] < 0)
    assert half.vertices[:, 2].min() >= 0
    np.testing.assert_array_equal(half.vertices, mesh.vertices[kept])
    assert half.faces.max() == len(half.vertices) - 1
    nothing, kept = mesh.without(np.ones(len(mesh.vertices), bool))
    assert (len(nothing.faces), len(kept)) == (0, 0)
    assert len(nothing.without_specks()[0].faces) == 0


def test_look_up(table, cloud):
    places = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.9, 0.0, 0.0]])
    surface, depth = look_up(table, cloud.rasters[0], places)
    torch.testing.assert_close(depth, torch.tensor([1.5, -1.5, 1.5, 0.6]))
    assert surface[0].item() == pytest.approx(1.5 - RADIUS, abs=1e-3)
    assert surface[3].item() == pytest.approx(1.5 - RADIUS, abs=1e-3)
    assert surface[1:3].isnan().all()


def test_a_raster_is_never_finer_than_the_picture():
    pixels, shape = raster_pixels(8, 6, 1000)
    assert shape == (6, 8)
    assert pixels.tolist() == [[x + 0.5, y + 0.5] for y in range(6) for x in range(8)]
    pixels, (rows, columns) = raster_pixels(400, 300, 1200)
    assert (rows, columns) == (30, 40)
    assert pixels[0].tolist() == [5.0, 5.0]


def test_transfer_reproduces_points_and_blends_between_them():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]])
    values = np.arange(10.0).reshape(5, 2)
    np.testing.assert_allclose(transfer(points, values, points[:4]), values[:4], atol=1e-6)
    middle = transfer(points[:2], values[:2], np.array([[0.5, 0.0, 0.0]]))
    np.testing.assert_allclose(middle, values[:2].mean(0)[None])


def test_what_cannot_be_meshed(table, cloud, monkeypatch):
    with pytest.raises(ConfigError, match="resolution"):
        build_mesh(table, cloud, 2)
    one = cloud.chosen(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(RunError, match="one place"):
        build_mesh(table, one, 32)
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(ConfigError, match=r"lerf\[mesh\]"):
        build_mesh(table, cloud, 32)
