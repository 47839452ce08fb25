"""An index straight from pyramids: which views count, and what is found on a scene that is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from analytic import FLOOR, SAMPLES
from colour_words import ColourWords

from lerf.errors import RunError
from lerf.geometry.traced_rays import TracedRays
from lerf.language.bake import SCALES
from lerf.language.cell_language import CellLanguage
from lerf.language.lift import DEVIATIONS, LiftInputs, lift, outliers
from lerf.language.protocol import candidate_scales
from lerf.pyramids.lookup import PyramidTable, ResidentTable, open_photo_by_photo
from lerf.pyramids.store import build_pyramids
from lerf.radiance.surface import TracedSurface, trace_surface
from lerf.steps import finish


@pytest.fixture(scope="module")
def inputs(analytic_capture) -> LiftInputs:
    capture, train = analytic_capture, analytic_capture.scene.train
    surface = finish(trace_surface(capture.radiance, capture.cameras, train, SAMPLES, points=6000))
    return LiftInputs(surface, capture.radiance, capture.cameras, train, SAMPLES, ColourWords())


@pytest.fixture(scope="module")
def targets(analytic_capture) -> PyramidTable:
    return analytic_capture.pyramids[0]


@pytest.fixture(scope="module")
def index(inputs, targets):
    return lift(inputs, targets, "c" * 64)


def test_views_that_disagree_are_dropped() -> None:
    random = np.random.default_rng(0)
    cosines = random.uniform(0.5, 1.0, (200, 12)).astype(np.float32)
    cosines[random.uniform(size=cosines.shape) < 0.4] = np.nan
    dropped = outliers(torch.from_numpy(cosines)).numpy()
    for row, drop in zip(cosines, dropped, strict=True):
        seen = np.nonzero(~np.isnan(row))[0]
        expected: set[int] = set()
        if len(seen) > 2:
            expected |= set(seen[np.argsort(row[seen], kind="stable")][: int(0.2 * len(seen))].tolist())
            limit = row[seen].mean() - DEVIATIONS * row[seen].std() - 1e-5
            expected |= {view for view in seen.tolist() if row[view] < limit}
        assert set(np.nonzero(drop)[0].tolist()) == expected


def test_one_view_of_four_that_shows_something_else_goes() -> None:
    nan = float("nan")
    rows = torch.tensor([[0.9, 0.9, 0.1, 0.9], [0.9, 0.1, nan, nan], [nan, nan, nan, nan], [0.8, 0.8, 0.8, 0.8]])
    assert outliers(rows).tolist() == [[False, False, True, False], [False] * 4, [False] * 4, [False] * 4]


def test_what_is_known_of_the_index(inputs, targets, index) -> None:
    assert index.provenance.source == "lift"
    assert (index.provenance.encoder, index.provenance.checkpoint) == ("colour-words", "c" * 64)
    assert (index.low <= index.high).all()
    assert index.high.isfinite().all()
    torch.testing.assert_close(index.scales, candidate_scales(inputs.scale_range(targets), SCALES))
    asked = lift(inputs, targets, "c" * 64, scale_range=(0.02, 0.05), cell_size=0.1, scales=3)
    torch.testing.assert_close(asked.scales, candidate_scales((0.02, 0.05), 3))
    assert asked.provenance.cell_size == 0.1
    assert len(asked) < len(index)


def test_bounds_are_the_tiles_of_the_photos_that_see_a_cell(analytic_capture, inputs, targets, index) -> None:
    """Against every photo asked on its own whether anything stands before the cell."""
    cameras, radiance = analytic_capture.cameras, analytic_capture.radiance
    for cell in range(0, len(index), len(index) // 25):
        point, units = index.positions[cell], []
        for photo in inputs.train:
            (pixel,), (depth,) = cameras.project(photo, point[None])
            width, height = cameras.sizes[photo].tolist()
            if depth > 0 and 0 <= pixel[0] < width and 0 <= pixel[1] < height:
                rays = cameras.rays(torch.tensor([photo]), pixel[None])
                distance = float(radiance.hits(rays)[0]) * float(rays.axis_cosine)
                if abs(distance / float(depth) - 1) < 0.045:
                    units.append(float(depth) * height / float(cameras.focal[photo, 1]))
        assert units
        # Views that disagree are not asked, so the bounds may be narrower.
        ends = [float(index.low[cell]) / float(targets.ratios[0]), float(index.high[cell]) / float(targets.ratios[-1])]
        for end in ends:
            assert min(abs(end / unit - 1) for unit in units) < 0.02


def test_colour_words_find_their_spheres(analytic_capture, index) -> None:
    language, encoder = CellLanguage(index, SAMPLES), ColourWords()
    latent, own = language.encode_cells(), analytic_capture.scene.similarity.inverse()
    points = own.apply_points(index.positions.numpy())
    names = [sphere.name for sphere in analytic_capture.spheres]
    texts = encoder.encode_text([*names, "purple"])
    for scale in index.scales[:4].tolist():
        cosines = language.cosines(latent, texts, scale)
        for row, sphere in enumerate(analytic_capture.spheres):
            best = points[cosines[row].topk(20).indices]
            assert sphere.outside(best).max() < 0.05, sphere.name
            assert cosines[row].max() > 0.95
        assert cosines[-1].max() < 0.3


def test_the_floor_means_nothing_of_a_colour(analytic_capture, inputs, index) -> None:
    _, owner = analytic_capture.radiance.hits(
        analytic_capture.cameras.rays(inputs.surface.photo, _pixels_of(analytic_capture, inputs.surface))
    )
    language = CellLanguage(index, SAMPLES)
    latent = language.encode(inputs.surface.rays[owner == FLOOR])
    grey = language.cosines(latent, ColourWords().encode_text(["stone"]), float(index.scales[0]))[0]
    assert grey.quantile(0.1) > 0.8


def _pixels_of(capture, surface: TracedSurface) -> torch.Tensor:
    pixels = torch.empty(len(surface), 2)
    for photo in surface.photo.unique().tolist():
        own = surface.photo == photo
        pixels[own] = capture.cameras.project(photo, surface.rays.median_position[own])[0]
    return pixels


def test_an_embedding_is_the_mean_of_the_views_under_their_light(
    analytic_capture, inputs, targets, monkeypatch
) -> None:
    """Without dropping views, against a loop over cells and photos."""
    monkeypatch.setattr("lerf.language.lift.outliers", lambda cosines: torch.zeros_like(cosines, dtype=torch.bool))
    index = lift(inputs, targets, "c" * 64, scales=3)
    cameras, radiance, ratios = analytic_capture.cameras, analytic_capture.radiance, targets.ratios
    decoded = (index.unit_codes @ index.compressed.basis).view(3, len(index), -1)
    for cell in range(0, len(index), len(index) // 40):
        sums = torch.zeros(3, targets.width)
        for number, photo in enumerate(inputs.train):
            pixel, depth = cameras.project(photo, index.positions[cell : cell + 1])
            if not (depth[0] > 0 and (pixel[0] >= 0).all() and (pixel[0] < cameras.sizes[photo]).all()):
                continue
            rays = radiance.trace(cameras, torch.tensor([photo]), pixel, 1)
            there = float(rays.median_depth[0] / depth[0])
            if not (rays.hit[0] and 1 / 1.05 <= there <= 1.05):
                continue
            unit = depth * cameras.sizes[photo, 1] / cameras.focal[photo, 1]
            for row, scale in enumerate(index.scales):
                wanted = torch.minimum(torch.maximum(scale, index.low[cell]), index.high[cell])
                ratio = (wanted / unit).clamp(float(ratios[0]), float(ratios[-1]))
                sums[row] += targets.interpolate(torch.tensor([number]), pixel, ratio, renormalise=True)[0]
        # On the basis that the index keeps.
        expected = F.normalize(F.normalize(sums, dim=-1) @ index.compressed.basis.T, dim=-1) @ index.compressed.basis
        torch.testing.assert_close(decoded[:, cell], expected, atol=4e-3, rtol=0)


def test_photos_that_do_not_fit_into_memory_are_read_one_by_one(analytic_capture, inputs, index) -> None:
    scene = analytic_capture.scene
    photos = [lambda photo=photo: scene.pixels(photo) for photo in scene.train]
    table = open_photo_by_photo(build_pyramids(photos, ColourWords()), budget=1)
    assert isinstance(table, ResidentTable)
    assert table.cache_slots == 1
    again = lift(inputs, table, "c" * 64)
    torch.testing.assert_close(again.compressed.codes, index.compressed.codes)


def test_pixels_may_be_finer_than_the_cameras(inputs, targets, index) -> None:
    finer = replace(targets, origins=2 * targets.origins, steps=2 * targets.steps)
    again = lift(inputs, finer, "c" * 64, pixel_factors=torch.full((len(inputs.train), 2), 2.0))
    torch.testing.assert_close(again.compressed.codes, index.compressed.codes)


def test_progress_is_told_of_every_photo(inputs, targets) -> None:
    told = []
    lift(inputs, targets, "c" * 64, cell_size=0.2, scales=1, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, len(inputs.train)) for number in range(1, len(inputs.train) + 1)]


def test_a_surface_that_no_photo_sees_is_refused(inputs, targets) -> None:
    away = TracedRays.at_points(torch.rand(30, 3) + torch.tensor([0.0, 0.0, 30.0]))
    hidden = TracedSurface(away, torch.zeros(30, dtype=torch.int64), {})
    with pytest.raises(RunError, match="No cell of the surface has language"):
        lift(replace(inputs, surface=hidden), targets, "c" * 64, cell_size=0.1)
