"""What language reads in views is kept between phrases, by the camera and within a budget."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lerf
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.rendering.view_cache import ViewCache

PIXELS = 96 * 72
"""Of each of the pictures."""


class Counting:
    """A radiance that counts the rays that it traces."""

    def __init__(self, radiance) -> None:
        self.radiance, self.rays = radiance, 0
        self.render = radiance.render

    def trace(self, cameras, index, pixels, heaviest, samples=None):
        self.rays += len(pixels)
        return self.radiance.trace(cameras, index, pixels, heaviest, samples)


@pytest.fixture
def cameras(analytic_capture):
    """Three photos' cameras with pictures large enough for several parts."""
    scene = analytic_capture.scene
    large = [scene.normalised_camera(photo).scaled_to(96, 72) for photo in range(3)]
    return CameraTable.from_cameras(large, are_photos=False)


@pytest.fixture
def radiance(analytic_capture):
    return Counting(analytic_capture.radiance)


@pytest.fixture(params=["deferred", "per-sample", "lift"])
def language(analytic_models, request):
    return analytic_models(request.param).language


def look_at(cache, cameras, index):
    """All parts of a view, and how many rays were traced for them."""
    before = cache.radiance.rays
    parts = list(cache.parts(cameras, index))
    return parts, cache.radiance.rays - before


def size_of(parts):
    return sum(part.bytes for part in parts)


def assert_same(parts, others):
    for part, other in zip(parts, others, strict=True):
        assert torch.equal(part.hit, other.hit)
        assert part.latent.tensors.keys() == other.latent.tensors.keys()
        for name, tensor in part.latent.tensors.items():
            torch.testing.assert_close(tensor, other.latent.tensors[name], rtol=0, atol=0, equal_nan=True)


def test_parts_are_the_pixels_row_by_row(cameras, radiance, language) -> None:
    parts, traced = look_at(ViewCache(radiance, language), cameras, 1)
    assert len(parts) > 1
    assert traced == PIXELS
    rays = radiance.trace(
        cameras, torch.ones(PIXELS, dtype=torch.long), image_pixels(96, 72), *language.picture_samples
    )
    assert torch.equal(torch.cat([part.hit for part in parts]), rays.hit)
    assert 0 < int(rays.hit.sum()) < PIXELS
    latent = language.encode(rays)
    joined = type(latent).joined([part.latent for part in parts])
    scale = float(language.scales[len(language.scales) // 2])
    torch.testing.assert_close(language.embed(joined, scale), language.embed(latent, scale), atol=1e-5, rtol=0)


def test_a_view_seen_before_is_not_traced(cameras, radiance, language) -> None:
    cache = ViewCache(radiance, language)
    first, _ = look_at(cache, cameras, 0)
    again, traced = look_at(cache, cameras, 0)
    assert traced == 0
    assert_same(again, first)
    other, traced = look_at(cache, cameras, 1)
    assert traced == PIXELS
    assert not torch.equal(torch.cat([part.hit for part in other]), torch.cat([part.hit for part in first]))


def test_a_view_is_kept_by_its_camera_and_not_by_its_row(cameras, radiance, analytic_capture, analytic_models) -> None:
    cache = ViewCache(radiance, analytic_models("deferred").language)
    camera = analytic_capture.scene.normalised_camera(2).scaled_to(96, 72)
    look_at(cache, cameras, 2)
    assert look_at(cache, CameraTable.from_cameras([camera], are_photos=False), 0)[1] == 0


@pytest.mark.parametrize("name", ["fx", "fy", "cx", "cy", "height", "fisheye", "distortion", "camera_to_world"])
def test_whatever_changes_a_camera_makes_another_view(analytic_capture, analytic_models, radiance, name) -> None:
    camera = analytic_capture.scene.normalised_camera(0).scaled_to(96, 72)
    value = {
        "fisheye": True,
        "distortion": (0.01, 0.0, 0.0, 0.0, 0.0, 0.0),
        "camera_to_world": camera.camera_to_world + np.eye(3, 4, 3) * 1e-4,
    }.get(name)
    changed = replace(camera, **{name: getattr(camera, name) + 1 if value is None else value})
    cache = ViewCache(radiance, analytic_models("deferred").language)
    for one in (camera, changed):
        _, traced = look_at(cache, CameraTable.from_cameras([one], are_photos=False), 0)
        assert traced == one.width * one.height


def test_bytes_are_those_of_the_tensors(cameras, radiance, language) -> None:
    parts, _ = look_at(ViewCache(radiance, language), cameras, 0)
    for part in parts:
        held = [part.hit, part.latent.low, part.latent.high, *part.latent.tensors.values()]
        assert part.bytes == sum(tensor.numel() * tensor.element_size() for tensor in held)


def test_the_view_looked_at_longest_ago_goes_first(cameras, radiance, language) -> None:
    largest = max(size_of(look_at(ViewCache(radiance, language), cameras, index)[0]) for index in range(3))
    cache = ViewCache(radiance, language, budget=2 * largest)
    for index in (0, 1, 0, 2):
        look_at(cache, cameras, index)
    assert [look_at(cache, cameras, index)[1] for index in (0, 2)] == [0, 0]
    assert look_at(cache, cameras, 1)[1] == PIXELS


def test_a_view_beyond_the_budget_is_traced_again_and_drives_nothing_out(
    analytic_capture, cameras, radiance, language
) -> None:
    parts, _ = look_at(ViewCache(radiance, language), cameras, 0)
    cache = ViewCache(radiance, language, budget=size_of(parts) - 1)
    small = CameraTable.from_cameras([analytic_capture.scene.normalised_camera(0).scaled_to(24, 18)], are_photos=False)
    look_at(cache, small, 0)
    for _ in range(2):
        again, traced = look_at(cache, cameras, 0)
        assert traced == PIXELS
        assert_same(again, parts)
    assert look_at(cache, small, 0)[1] == 0


def test_a_view_that_was_left_half_way_is_not_kept(cameras, radiance, language) -> None:
    cache = ViewCache(radiance, language)
    parts = cache.parts(cameras, 0)
    next(parts)
    parts.close()
    assert 0 < radiance.rays < PIXELS
    whole, traced = look_at(cache, cameras, 0)
    assert traced == PIXELS
    assert sum(len(part.hit) for part in whole) == PIXELS


def test_phrases_of_a_model_share_its_views(drawn_run) -> None:
    model = lerf.load(drawn_run, device="cpu")
    model.views.radiance = radiance = Counting(model.radiance)
    first = model.render(0, query="red", scale=0.2)
    pixels = radiance.rays
    assert pixels == int(model.cameras.sizes[0].prod())
    again = model.render(0, query=["red", "blue"], scale=0.2)
    model.render_features(0)
    assert radiance.rays == pixels
    torch.testing.assert_close(again.relevancy["red"], first.relevancy["red"], atol=1e-5, rtol=0)
    model.render(model.scene.photos[1].camera, query="red", scale=0.2)
    assert radiance.rays == 2 * pixels
    moved = model.render(model.scene.photos[0].camera, query="red", scale=0.2)
    torch.testing.assert_close(moved.relevancy["red"], first.relevancy["red"], atol=1e-4, rtol=0)
