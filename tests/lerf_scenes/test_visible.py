"""The z-buffer against rays that are cut with every triangle."""

import numpy as np
import pytest

from lerf_scenes.mesh import sphere
from lerf_scenes.path import looking
from lerf_scenes.visible import NEAR, seen_through

WIDTH, HEIGHT, FOCAL = 16, 12, 14.0


def traced(triangles, owners, pose):
    """Owner and depth at every pixel centre by Moeller and Trumbore, and how near an edge each ray comes."""
    rows, columns = np.meshgrid(np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5, indexing="ij")
    local = np.stack([(columns - WIDTH / 2) / FOCAL, -(rows - HEIGHT / 2) / FOCAL, -np.ones_like(rows)], -1)
    rays = local.reshape(-1, 1, 3) @ pose[:3, :3].T
    a, b, c = triangles.transpose(1, 0, 2)
    across = np.cross(rays, c - a)
    scale = (across * (b - a)).sum(-1)
    offset = pose[:3, 3] - a
    u = (across * offset).sum(-1) / scale
    turned = np.cross(offset, b - a)
    v = (rays * turned).sum(-1) / scale
    # The ray's part along the optical axis is 1, so its parameter is the depth.
    depth = (turned * (c - a)).sum(-1) / scale
    inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth >= NEAR)
    depth = np.where(inside, depth, np.inf)
    nearest = depth.argmin(1)
    hit = np.isfinite(depth.min(1))
    labels = np.where(hit, owners[nearest], -1)
    doubtful = (np.abs(np.stack([u, v, 1 - u - v])).min(0) < 1e-6).any(1)
    shape = (HEIGHT, WIDTH)
    return labels.reshape(shape), np.where(hit, depth.min(1), 0).reshape(shape), doubtful.reshape(shape)


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_tracing(seed):
    """Triangles all about the camera, so that some cross its plane."""
    rng = np.random.default_rng(seed)
    triangles = rng.uniform(-2, 2, (40, 1, 3)) + rng.normal(scale=0.6, size=(40, 3, 3))
    owners = rng.integers(0, 9, 40)
    pose = looking(rng.uniform(-1, 1, 3), rng.uniform(1, 2, 3), 20.0)
    labels, depth = seen_through(triangles, owners, pose, FOCAL, WIDTH, HEIGHT)
    expected, distance, doubtful = traced(triangles, owners, pose)
    assert (expected >= 0).any()
    np.testing.assert_array_equal(labels[~doubtful], expected[~doubtful])
    np.testing.assert_allclose(depth[~doubtful], distance[~doubtful], rtol=1e-6)


def test_a_picture_by_hand():
    # Right of the middle and above, 2 m ahead: the upper right quarter of the picture.
    corner = np.array([[0.0, 0.0, -2.0], [9.0, 0.0, -2.0], [0.0, 9.0, -2.0]])
    far = np.array([[-99.0, -99.0, -5.0], [99.0, -99.0, -5.0], [0.0, 99.0, -5.0]])
    labels, depth = seen_through(np.stack([far, corner]), np.array([3, 7]), np.eye(4), FOCAL, WIDTH, HEIGHT)
    expected = np.full((HEIGHT, WIDTH), 3)
    expected[: HEIGHT // 2, WIDTH // 2 :] = 7
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(depth, np.where(expected == 7, 2.0, 5.0))


def test_both_sides_are_seen_and_nothing_is_nothing():
    ball = sphere(1.0, 12)
    corners = ball.vertices[ball.faces]
    within = seen_through(corners, np.zeros(len(corners), dtype=int), np.eye(4), FOCAL, WIDTH, HEIGHT)
    assert (within[0] == 0).all()
    assert (within[1] > 0.5).all()
    away = np.eye(4)
    away[2, 3] = -5
    labels, depth = seen_through(corners, np.zeros(len(corners), dtype=int), away, FOCAL, WIDTH, HEIGHT)
    assert (labels == -1).all()
    assert (depth == 0).all()
