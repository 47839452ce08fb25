"""What phrases say of a cloud's points: their relevancy, their embeddings, and which belong to what a query finds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lerf
from lerf.errors import QueryError
from lerf.exports.cloud import Cloud, build_cloud, capture_points
from lerf.exports.point_relevancy import named_points, read_relevancy, write_embeddings
from lerf.geometry.contraction import contract
from lerf.queries.near import NEAREST
from lerf.queries.scales import relevancy_at
from lerf.steps import finish

WORDS = ["red", "blue", "purple"]


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def cloud(model):
    return build_cloud(model, 12_000)


@pytest.fixture(scope="module")
def phrases(model):
    return model.phrases(WORDS)


@pytest.fixture(scope="module")
def answers(model, phrases):
    return finish(model.answer(phrases))


@pytest.fixture(scope="module")
def read(model, cloud, answers):
    return read_relevancy(model, cloud, answers)


def within(points, drawn, name, slack):
    solid = next(solid for solid in drawn.scene.solids if solid.name == name)
    return (np.abs(points - np.array(solid.centre)) <= np.array(solid.half) + slack).all(1)


def test_phrases_name_the_points_of_their_objects(drawn, model, cloud, answers, read):
    points = capture_points(model, cloud.positions)
    assert read.relevancy.shape == read.named.shape == (3, len(cloud))
    assert read.answers == tuple(answers)
    assert read.relevancy.min() >= 0
    assert read.relevancy.max() <= 1
    for row, name in ((0, "red sphere"), (1, "blue box")):
        named = points[read.named[row].numpy()]
        assert len(named) > 30
        assert within(named, drawn, name, 0.15).mean() > 0.8
        # They are at places that the query names as well.
        low, high = answers[row].answer.geometry.extent
        assert ((named >= np.array(low) - 0.2) & (named <= np.array(high) + 0.2)).all(1).mean() > 0.8
    assert not read.named[2].any()


def test_points_are_named_as_the_nearest_point_of_the_surface_is(model, cloud, answers, read):
    """Against a loop over points: what a query finds is what a crop keeps."""
    surface = model.surface
    for point in range(0, len(cloud), len(cloud) // 60):
        away = (surface.contracted - contract(cloud.positions[point : point + 1])).norm(dim=-1)
        near = int(away.argmin())
        for row, own in enumerate(answers):
            expected = any(near in members for members in own.members) and float(away[near]) <= surface.join_size
            assert bool(read.named[row, point]) == expected
    assert read.named[0].any()


def test_points_far_from_the_surface_are_named_by_nothing(model, cloud, answers):
    away = replace(cloud, positions=cloud.positions + torch.tensor([0.0, 0.0, 5.0]))
    last = replace(answers[0], members=(torch.tensor([len(model.surface) - 1]),))
    assert not named_points(away, model.surface, [*answers, last]).any()


def test_relevancy_is_that_of_the_surface_next_to_the_point(model, cloud, answers, read):
    surface = model.surface
    for point in range(0, len(cloud), len(cloud) // 50):
        away = (surface.contracted - contract(cloud.positions[point : point + 1])).norm(dim=-1)
        near = away.topk(NEAREST, largest=False).indices
        near = near[away[near] < surface.join_size]
        for row, own in enumerate(answers):
            around = own.relevancy[near]
            low, high = (float(around.min()), float(around.max())) if len(near) else (0.0, 0.0)
            assert low - 1e-4 <= float(read.relevancy[row, point]) <= high + 1e-4


def test_some_of_the_points(read):
    kept = read.named.any(0)
    some = read.chosen(kept)
    assert some.named.shape == (3, int(kept.sum()))
    assert some.named.any(0).all()
    assert torch.equal(some.relevancy, read.relevancy[:, kept])


def test_the_scale_and_the_instances_are_those_of_the_answer_with_and_without_an_index(baked_run):
    baked = lerf.load(baked_run, device="cpu")
    cloud, phrases = build_cloud(baked, 3000), baked.phrases(["red"])
    of_index, of_field = (finish(baked.answer(phrases, index=use)) for use in ("auto", "ignore"))
    by_index = read_relevancy(baked, cloud, of_index)
    by_field = read_relevancy(baked, cloud, of_field, index="ignore")
    surfaces = baked.surfaces.open("auto"), baked.surfaces.open("ignore")
    for read, answers, surface in zip((by_index, by_field), (of_index, of_field), surfaces, strict=True):
        assert torch.equal(read.named, named_points(cloud, surface, answers))
        assert read.answers[0].scale == answers[0].scale
    both, either = (by_index.named & by_field.named).sum(), (by_index.named | by_field.named).sum()
    assert both / either > 0.6


def test_a_given_scale_and_threshold_are_those_of_the_answers(model, cloud, phrases):
    scaled = finish(model.answer(phrases, scales=[0.2] * 3))
    assert [own.scale for own in scaled] == pytest.approx([0.2 * model.photos.unit] * 3)
    nothing = finish(model.answer(phrases, 1.0))
    assert not read_relevancy(model, cloud, nothing).named.any()
    with pytest.raises(QueryError, match="threshold"):
        finish(model.answer(phrases, 1.5))


def test_embeddings_are_those_that_relevancy_is_read_from(model, cloud, phrases, answers, read, tmp_path):
    path = tmp_path / "embeddings.npy"
    told = []
    shape = write_embeddings(path, model, cloud, answers[0].scale, lambda *progress: told.append(progress))
    embeddings = np.load(path)
    assert embeddings.shape == shape == (len(cloud), model.encoder.width)
    assert embeddings.dtype == np.float16
    assert told[-1] == ("embeddings", len(cloud), len(cloud))
    rows = torch.from_numpy(embeddings.astype(np.float32))
    margin = rows @ phrases.queries[0] - (rows @ phrases.canonical.T).amax(-1)
    again = torch.sigmoid(phrases.temperature * margin)
    rays = model.radiance.trace(model.cameras, cloud.photo, cloud.pixels, model.language.samples)
    raw = relevancy_at(model.language, model.language.encode(rays), phrases.chosen([0]), answers[0].scale)[0]
    seen = raw > 0
    torch.testing.assert_close(again[seen], raw[seen], atol=0.01, rtol=0)
    # What is read from the surface differs from it, but not by much.
    assert float((read.relevancy[0] - raw).abs().mean()) < 0.1


def test_a_cloud_without_points_has_no_relevancy(model, cloud, phrases, answers, tmp_path):
    nothing: Cloud = cloud.chosen(torch.zeros(0, dtype=torch.int64))
    read = read_relevancy(model, nothing, answers)
    assert read.relevancy.shape == read.named.shape == (3, 0)
    assert write_embeddings(tmp_path / "none.npy", model, nothing, 0.1) == (0, model.encoder.width)
    assert np.load(tmp_path / "none.npy").shape == (0, model.encoder.width)
