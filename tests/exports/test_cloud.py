"""Point clouds of a trained run of known geometry."""

import numpy as np
import pytest
import torch

import lerf
from lerf.errors import ConfigError
from lerf.exports.cloud import build_cloud, capture_points, normals


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def cloud(model):
    return build_cloud(model, 12_000)


def within(points, thing, slack):
    return (np.abs(points - np.array(thing.centre)) <= np.array(thing.half) + slack).all(1)


def test_points_lie_on_the_surface(drawn, model, cloud):
    points = capture_points(model, cloud.positions)
    assert 3000 < len(points) <= 12_000
    photo = np.stack([model.scene.photos[index].camera.camera_to_world[:, 3] for index in cloud.photo.tolist()])
    distance = np.linalg.norm(points - photo, axis=1)
    hits = drawn.scene.trace(photo, (points - photo) / distance[:, None])
    error = np.abs(hits.distance - distance)[np.isfinite(hits.distance)]
    assert np.median(error) < 0.05
    assert np.quantile(error, 0.9) < 0.2
    # The colour is that of what stands there.
    assert np.median(np.abs(hits.colour - cloud.colours.numpy())) < 0.1


def test_a_point_is_where_its_pixel_sees_it(model, cloud):
    for photo in cloud.photo.unique()[:3].tolist():
        own = cloud.photo == photo
        pixels, depth = model.cameras.project(photo, cloud.positions[own])
        assert (depth > 0).all()
        torch.testing.assert_close(pixels, cloud.pixels[own], atol=1e-2, rtol=0)


def test_nothing_is_further_than_the_reach(model, cloud):
    near = build_cloud(model, 2000, 0.5)
    assert near.positions.norm(dim=-1).max() <= 0.5 < cloud.positions.norm(dim=-1).max()


def test_normals_of_the_floor_point_up(drawn, model, cloud):
    points = capture_points(model, cloud.positions)
    facing = normals(model, cloud, cloud).double().numpy() @ model.scene.similarity.rotation
    np.testing.assert_allclose(np.linalg.norm(facing, axis=1), 1.0, atol=1e-4)
    floor = (np.abs(points[:, 2]) < 0.04) & ~np.any([within(points, one, 0.1) for one in drawn.scene.solids], axis=0)
    assert floor.sum() > 100
    assert np.median(facing[floor, 2]) > 0.9


def test_settings_out_of_range(model):
    with pytest.raises(ConfigError, match="less than one"):
        build_cloud(model, 3)
    with pytest.raises(ConfigError, match="reach"):
        build_cloud(model, 1000, 0.0)
