"""Relevancy and features over pictures of a capture that is known exactly."""

from dataclasses import replace

import pytest
import torch
from analytic import SKY, SPHERES, AnalyticCapture

from lerf.errors import QueryError
from lerf.geometry.camera_table import image_pixels
from lerf.geometry.contraction import contract
from lerf.model import Model
from lerf.queries.maps import (
    AROUND_SHARE,
    NearCache,
    feature_map,
    near_pixels,
    raw_relevancy_maps,
    relevancy_maps,
    with_surroundings,
)
from lerf.queries.near import NEAREST, SOFTEN
from lerf.queries.refined import relevancy_of_surface
from lerf.queries.relevancy import relevancy
from lerf.queries.scales import relevancy_at
from lerf.rendering.view_cache import ViewCache
from lerf.steps import finish

PHOTO = 3


@pytest.fixture(scope="module", params=["lift", "deferred"])
def model(request, analytic_models) -> Model:
    return analytic_models(request.param)


def encoded(model: Model, pixels: torch.Tensor):
    """What language reads of a few pixels, traced by themselves."""
    heaviest, samples = model.language.picture_samples
    index = torch.full((len(pixels),), PHOTO)
    return model.language.encode(model.radiance.trace(model.cameras, index, pixels, heaviest, samples))


def test_raw_maps_are_relevancy_pixel_by_pixel(model, analytic_capture) -> None:
    phrases = model.phrases(["red", "blue", "yellow"])
    scales = [0.05, 0.08, 0.05]
    maps = finish(raw_relevancy_maps(model.views, model.cameras, PHOTO, phrases, scales))
    width, height = model.cameras.sizes[PHOTO].tolist()
    assert maps.shape == (3, height, width)
    owners = analytic_capture.owners(PHOTO)
    assert torch.equal(maps[:, owners == SKY], torch.zeros(3, int((owners == SKY).sum())))
    pixels = image_pixels(width, height)
    some = torch.arange(0, len(pixels), 37)
    hit = owners.flatten()[some] != SKY
    for row, scale in enumerate(scales):
        expected = relevancy_at(model.language, encoded(model, pixels[some]), phrases.chosen([row]), scale)[0] * hit
        torch.testing.assert_close(maps[row].flatten()[some], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("raw", [True, False])
def test_each_phrase_is_relevant_on_its_sphere(model, analytic_capture, raw) -> None:
    phrases = model.phrases([sphere.name for sphere in SPHERES])
    scale = float(model.language.scales[0])
    maps = model.relevancy_maps(model.cameras, PHOTO, phrases, [scale] * 3, raw=raw)
    owners = analytic_capture.owners(PHOTO)
    for number in owners.unique().tolist():
        if number >= 0 and (owners == number).sum() > 30:
            assert owners.flatten()[maps[number].argmax()] == number
            assert maps[number][owners == number].median() > 3 * maps[number][owners != number].median()


def test_maps_are_what_the_surface_says_next_to_each_pixel(model, analytic_capture) -> None:
    phrases, scales = model.phrases(["red", "blue"]), [0.05, 0.08]
    depth = finish(model.radiance.render(model.cameras, PHOTO)).depth
    near = finish(near_pixels(model.surface, model.cameras, PHOTO, depth))
    maps = finish(relevancy_maps(model.surface, near, tuple(depth.shape[::-1]), phrases, scales))
    owners = analytic_capture.owners(PHOTO)
    assert torch.equal(maps[:, owners == SKY], torch.zeros(2, int((owners == SKY).sum())))
    read = near.read(finish(relevancy_of_surface(model.surface, phrases, scales)).refined).view_as(maps)
    torch.testing.assert_close(maps, with_surroundings(read, depth.isfinite()))
    # By hand: the four nearest points by their distances, in logarithmic odds.
    surface = model.surface
    moved = torch.stack([surface.graph.propagate(one) for one in raw_of(model, phrases, scales)])
    found = torch.where(surface.answering, moved, 0.0)
    height, width = depth.shape
    index = torch.full((height * width,), PHOTO)
    rays = model.cameras.rays(index, image_pixels(width, height))
    places = rays.origins + rays.directions * (depth.flatten() / rays.axis_cosine)[:, None]
    for pixel in range(0, height * width, 53):
        if owners.flatten()[pixel] == SKY:
            continue
        away = (contract(places[pixel]) - surface.contracted).norm(dim=-1)
        near = away.topk(NEAREST, largest=False).indices
        near = near[away[near] < surface.join_size]
        share = 1 / (away[near] + SOFTEN * surface.join_size)
        odds = (torch.logit(found[:, near], eps=1e-6) * share / share.sum()).sum(-1)
        expected = torch.sigmoid(odds) if len(near) else torch.zeros(2)
        # Where relevancy is next to nothing its odds are a matter of rounding.
        torch.testing.assert_close(read[:, pixel // width, pixel % width], expected, atol=3e-3, rtol=0)


@pytest.mark.parametrize(("height", "reach"), [(20, 1), (240, 2), (600, 5)])
def test_surroundings_are_the_seen_pixels_around(height, reach) -> None:
    generator = torch.Generator().manual_seed(height)
    maps, seen = torch.rand(2, height, 15, generator=generator), torch.rand(height, 15, generator=generator) < 0.6
    mixed = with_surroundings(maps, seen)
    for y, x in ((0, 0), (height - 1, 14), (height // 2, 7), (3, 11), (height - 2, 0)):
        window = slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)
        for own, result in zip(maps, mixed, strict=True):
            around = torch.logit(own[window][seen[window]]).mean()
            expected = torch.sigmoid((1 - AROUND_SHARE) * torch.logit(own[y, x]) + AROUND_SHARE * around)
            torch.testing.assert_close(result[y, x], expected if seen[y, x] else torch.tensor(0.0), atol=1e-4, rtol=0)


def test_of_an_even_thing_the_inside_is_most_relevant() -> None:
    """Reading order alone would decide, and take its rim."""
    maps = torch.full((1, 240, 320), 0.2)
    maps[:, 50:70, 80:110] = 0.9
    peak = divmod(int(with_surroundings(maps, torch.ones(240, 320, dtype=torch.bool)).argmax()), 320)
    assert 52 <= peak[0] < 68
    assert 82 <= peak[1] < 108


def raw_of(model: Model, phrases, scales) -> torch.Tensor:
    surface = model.surface
    rows = [
        relevancy_at(surface.language, surface.latent, phrases.chosen([row]), scale)[0]
        for row, scale in enumerate(scales)
    ]
    return torch.where(surface.answering, torch.stack(rows), 0.0)


def test_a_pixel_away_from_everything_that_photos_saw_answers_nothing(model) -> None:
    depth = torch.full((4, 5), 40.0)
    near = finish(near_pixels(model.surface, model.cameras, PHOTO, depth))
    assert near.read(torch.ones(2, len(model.surface))).abs().max() == 0


def test_views_are_remembered_within_a_budget(model, monkeypatch) -> None:
    rendered = []
    whole = model.radiance.render
    monkeypatch.setattr(type(model.radiance), "render", lambda self, *given: rendered.append(given[1]) or whole(*given))
    views = NearCache(model.radiance)
    first = finish(views.near(model.surface, model.cameras, PHOTO))
    assert finish(views.near(model.surface, model.cameras, PHOTO)) is first
    assert rendered == [PHOTO]
    other = replace(model.surface)
    assert finish(views.near(other, model.cameras, PHOTO)) is not first
    small = NearCache(model.radiance, budget=first.bytes)
    rendered.clear()
    for photo in (0, 1, 1, 0):
        finish(small.near(model.surface, model.cameras, photo))
    assert rendered == [0, 1, 0]


def test_exclusive_maps_lead_or_are_nothing(model) -> None:
    phrases, scales = model.phrases(["red", "blue", "yellow"]), [0.05, 0.05, 0.05]
    free = model.relevancy_maps(model.cameras, PHOTO, phrases, scales)
    apart = model.relevancy_maps(model.cameras, PHOTO, replace(phrases, exclusive=True), scales)
    torch.testing.assert_close(apart, torch.where(free == free.amax(0), free, 0.0))


def test_features_are_the_embeddings_and_relevancy_follows_from_them(model) -> None:
    phrases, scale = model.phrases("red"), 0.06
    features = finish(feature_map(model.views, model.cameras, PHOTO, scale))
    width, height = model.cameras.sizes[PHOTO].tolist()
    assert features.shape == (height, width, model.language.width)
    maps = finish(raw_relevancy_maps(model.views, model.cameras, PHOTO, phrases, [scale]))[0]
    again = relevancy(features, phrases.queries, phrases.canonical, phrases.temperature)[0]
    known = maps > 0
    assert known.float().mean() > 0.4
    torch.testing.assert_close(again[known], maps[known], atol=1e-4, rtol=0)


def test_dense_features_are_there_or_refused(model) -> None:
    steps = feature_map(model.views, model.cameras, PHOTO, None)
    if model.language.dense_width:
        width, height = model.cameras.sizes[PHOTO].tolist()
        assert finish(steps).shape == (height, width, model.language.dense_width)
    else:
        with pytest.raises(QueryError, match="no dense features"):
            finish(steps)


def test_a_picture_comes_in_steps(analytic_capture: AnalyticCapture, model, monkeypatch) -> None:
    monkeypatch.setattr("lerf.rendering.view_cache.rays_at_once", lambda device, samples: 500)
    views = ViewCache(model.radiance, model.language)
    phrases = model.phrases("red")
    steps = raw_relevancy_maps(views, model.cameras, PHOTO, phrases, [0.05])
    assert sum(1 for _ in steps) == 4
    parts = finish(raw_relevancy_maps(views, model.cameras, PHOTO, phrases, [0.05]))
    whole = finish(raw_relevancy_maps(model.views, model.cameras, PHOTO, phrases, [0.05]))
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
