"""Point clouds of a trained run of known geometry, and what phrases say of them."""

import numpy as np
import pytest
import torch

import lerf
from lerf.errors import ConfigError, QueryError
from lerf.exports.asked import ask
from lerf.exports.cloud import build_cloud, capture_points, normals
from lerf.exports.meaning import read_meaning, write_embeddings
from lerf.files import sha256_of
from lerf.language.bake import bake
from lerf.language.cells import FILE, save_index


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def cloud(model):
    return build_cloud(model, 12_000)


@pytest.fixture(scope="module")
def meaning(model, cloud):
    return read_meaning(model, cloud, ask(model, ["red", "blue", "purple"]), model.threshold)


def solid(drawn, name):
    return next(solid for solid in drawn.scene.solids if solid.name == name)


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


def test_phrases_name_the_points_of_their_objects(drawn, model, cloud, meaning):
    points = capture_points(model, cloud.positions)
    assert meaning.relevancy.shape == (3, len(cloud))
    assert meaning.relevancy.min() >= 0
    assert meaning.relevancy.max() <= 1
    for row, name in ((0, "red sphere"), (1, "blue box")):
        named = points[meaning.named[row].numpy()]
        assert len(named) > 30
        assert within(named, solid(drawn, name), 0.15).mean() > 0.8
        # They are at places that the query names as well.
        low, high = model.query(meaning.asked.phrases.texts[row]).queries[0].geometry.extent
        assert ((named >= np.array(low) - 0.2) & (named <= np.array(high) + 0.2)).all(1).mean() > 0.8
    assert not meaning.named[2].any()
    some = meaning.chosen(meaning.named.any(0))
    assert some.named.any(0).all()


def test_scales_are_those_of_a_query_with_and_without_an_index(drawn_run, model, tmp_path):
    asked = ask(model, ["red", "blue"])
    unit = model.scene.similarity.scale
    for answer, scale, score in zip(model.query(["red", "blue"]).queries, asked.scales, asked.scores, strict=True):
        assert answer.relevancy == pytest.approx(score, abs=1e-5)
        assert scale / unit >= answer.geometry.scale * 0.99 or scale / unit <= answer.geometry.scale * 1.01
    assert ask(model, ["red"], scale=0.2).scales == (pytest.approx(0.2 * unit),)
    with_index = lerf.load(drawn_run, device="cpu")
    with_index.folder = tmp_path
    for stage in ("language", "radiance"):
        (tmp_path / f"{stage}.safetensors").write_bytes((drawn_run / f"{stage}.safetensors").read_bytes())
    index = bake(with_index, sha256_of(drawn_run / "language.safetensors"))
    save_index(index, tmp_path / FILE)
    found = index.find(with_index.phrases(["red"]), 1.0)[0]
    assert ask(with_index, ["red"]).scales == (pytest.approx(found.scale),)
    assert ask(with_index, ["red"], index="ignore").scales == (pytest.approx(asked.scales[0]),)
    assert ask(with_index, ["red"], scale=0.2).scales == (pytest.approx(0.2 * unit),)


def test_embeddings_are_those_that_relevancy_is_read_from(model, cloud, meaning, tmp_path):
    path = tmp_path / "embeddings.npy"
    scale = meaning.asked.scales[0]
    shape = write_embeddings(path, model, cloud, scale)
    embeddings = np.load(path)
    assert embeddings.shape == shape == (len(cloud), model.encoder.width)
    assert embeddings.dtype == np.float16
    rows = torch.from_numpy(embeddings.astype(np.float32))
    phrases = meaning.asked.phrases
    lead = rows @ phrases.queries[0] - (rows @ phrases.canonical.T).amax(-1)
    again = torch.sigmoid(phrases.temperature * lead)
    seen = meaning.relevancy[0] > 0
    torch.testing.assert_close(again[seen], meaning.relevancy[0][seen], atol=0.01, rtol=0)


def test_settings_out_of_range(model, cloud):
    with pytest.raises(ConfigError, match="less than one"):
        build_cloud(model, 3)
    with pytest.raises(ConfigError, match="reach"):
        build_cloud(model, 1000, 0.0)
    with pytest.raises(QueryError, match="threshold"):
        read_meaning(model, cloud, ask(model, ["red"]), 1.5)
    with pytest.raises(QueryError, match="empty"):
        ask(model, ["red", " "])
