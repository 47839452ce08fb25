"""Views that are kept between phrases."""

import pytest
import torch
from analytic import AnalyticCapture, AnalyticRadiance
from sources import field_of

import lerf.rendering.view_cache as module
from lerf.geometry.camera_table import CameraTable
from lerf.language.deferred import DeferredLanguage
from lerf.language.per_sample import PerSampleLanguage
from lerf.rendering.view_cache import ViewCache, ViewPart


class CountedRadiance(AnalyticRadiance):
    """It remembers the rays that it traced, and how many samples of each were wanted."""

    def __init__(self, capture: AnalyticCapture) -> None:
        super().__init__(capture.radiance.spheres, capture.radiance.floor)
        self.traced: list[int] = []
        self.wanted: set[tuple[int, int | None]] = set()

    def trace(self, cameras, index, pixels, heaviest, samples=None):
        self.traced.append(len(pixels))
        self.wanted.add((heaviest, samples))
        return super().trace(cameras, index, pixels, heaviest, samples)


@pytest.fixture
def radiance(analytic_capture) -> CountedRadiance:
    return CountedRadiance(analytic_capture)


@pytest.fixture
def language() -> DeferredLanguage:
    return DeferredLanguage(field_of())


@pytest.fixture(autouse=True)
def few_rays_at_once(monkeypatch) -> None:
    monkeypatch.setattr(module, "rays_at_once", lambda device, samples: 600)


def kept(views: ViewCache, cameras: CameraTable) -> list[int]:
    """Photos whose views are remembered."""
    traced = views.radiance.traced
    found = []
    for photo in range(len(cameras)):
        before, keys = len(traced), list(views._kept)
        if module.camera_key(cameras, photo) in keys:
            list(views.parts(cameras, photo))
            assert len(traced) == before
            found.append(photo)
    return found


def size_of(parts: list[ViewPart]) -> int:
    return sum(part.bytes for part in parts)


def test_a_view_is_traced_once(radiance, language, analytic_capture) -> None:
    views, cameras = ViewCache(radiance, language), analytic_capture.cameras
    first = list(views.parts(cameras, 0))
    pixels = int(cameras.sizes[0].prod())
    assert radiance.traced == [600, 600, pixels - 1200]
    assert radiance.wanted == {language.picture_samples}
    again = list(views.parts(cameras, 0))
    assert len(radiance.traced) == 3
    assert all(a is b for a, b in zip(again, first, strict=True))
    list(views.parts(cameras, 1))
    assert len(radiance.traced) == 6


def test_the_parts_are_the_pixels_row_by_row(radiance, language, analytic_capture) -> None:
    parts = list(ViewCache(radiance, language).parts(analytic_capture.cameras, 2))
    owners = analytic_capture.owners(2).flatten()
    assert torch.equal(torch.cat([part.hit for part in parts]), owners > -2)
    assert [len(part.hit) for part in parts] == [len(part.latent) for part in parts]


@pytest.mark.parametrize("kind", [DeferredLanguage, PerSampleLanguage])
def test_a_part_knows_the_memory_that_it_holds(radiance, analytic_capture, kind) -> None:
    language = kind(field_of("deferred" if kind is DeferredLanguage else "per-sample"))
    for part in ViewCache(radiance, language).parts(analytic_capture.cameras, 0):
        held = [part.hit, part.latent.low, part.latent.high, *part.latent.tensors.values()]
        assert part.bytes == sum(tensor.numel() * tensor.element_size() for tensor in held)


def test_a_camera_is_known_by_what_decides_its_rays(radiance, language, analytic_capture) -> None:
    """A free camera at a photo's place is the same view; one that is moved, turned or zoomed is not."""
    views, scene = ViewCache(radiance, language), analytic_capture.scene
    list(views.parts(analytic_capture.cameras, 3))
    traced = len(radiance.traced)
    camera = scene.normalised_camera(3)
    same = CameraTable.from_cameras([scene.normalised_camera(4), camera], are_photos=False)
    list(views.parts(same, 1))
    assert len(radiance.traced) == traced
    moved = scene.normalised_camera(3)
    moved.camera_to_world[0, 3] += 0.001
    zoomed = camera.scaled_to(24, 18)
    for other in (moved, zoomed):
        before = len(radiance.traced)
        list(views.parts(CameraTable.from_cameras([other]), 0))
        assert len(radiance.traced) > before


def test_the_oldest_views_go(radiance, language, analytic_capture) -> None:
    cameras = analytic_capture.cameras
    size = size_of(list(ViewCache(radiance, language).parts(cameras, 0)))
    views = ViewCache(radiance, language, budget=2 * size)
    for photo in (0, 1, 0, 2):
        list(views.parts(cameras, photo))
    assert kept(views, cameras) == [0, 2]
    assert sum(size_of(parts) for parts in views._kept.values()) <= 2 * size


def test_a_view_that_is_too_large_is_not_kept_and_drives_no_other_out(radiance, language, analytic_capture) -> None:
    cameras = analytic_capture.cameras
    small = CameraTable.from_cameras([analytic_capture.scene.normalised_camera(0).scaled_to(12, 9)])
    size = size_of(list(ViewCache(radiance, language).parts(cameras, 0)))
    views = ViewCache(radiance, language, budget=size - 1)
    list(views.parts(small, 0))
    whole = list(views.parts(cameras, 0))
    assert size_of(whole) == size
    assert kept(views, cameras) == []
    assert kept(views, small) == [0]
    again = list(views.parts(cameras, 0))
    for ours, theirs in zip(again, whole, strict=True):
        assert torch.equal(ours.latent.tensors["features"], theirs.latent.tensors["features"])


def test_a_view_that_was_asked_for_in_part_is_traced_again(radiance, language, analytic_capture) -> None:
    views, cameras = ViewCache(radiance, language), analytic_capture.cameras
    parts = views.parts(cameras, 0)
    first = next(parts)
    parts.close()
    assert kept(views, cameras) == []
    whole = list(views.parts(cameras, 0))
    assert radiance.traced[:2] == [600, 600]
    assert torch.equal(whole[0].latent.tensors["features"], first.latent.tensors["features"])
    assert kept(views, cameras) == [0]
