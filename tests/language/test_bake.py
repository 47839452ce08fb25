"""Gathering the surface's light into cells, and an index of a trained field."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from colour_words import ColourWords
from sources import DENSE, RANGE, field_of, one_a_cell, traced

import lerf
from lerf.errors import ConfigError, RunError
from lerf.geometry.contraction import contract
from lerf.geometry.traced_rays import TracedRays
from lerf.language.bake import SMALLEST, bake, default_cell_size, gather_cells, with_fidelity
from lerf.language.cells import CellIndex
from lerf.language.deferred import DeferredLanguage
from lerf.language.per_sample import PerSampleLanguage
from lerf.language.protocol import candidate_scales


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


def baked(model, **options) -> CellIndex:
    return bake(model.surface.rays, model.surface.latent, model.language, model.encoder, "c" * 64, **options)


@pytest.fixture(scope="module")
def index(model):
    return baked(model)


def cell_of(point: torch.Tensor, size: float) -> tuple[int, ...]:
    return tuple(math.floor(v / size) for v in contract(point[None])[0].tolist())


def random_rays(rays: int = 300, samples: int = 5) -> TracedRays:
    """Rays whose samples lie close together."""
    made, random = traced(rays, samples), torch.Generator().manual_seed(1)
    middle = torch.randn(rays, 1, 3, generator=random)
    positions = middle + 0.2 * torch.randn(rays, samples, 3, generator=random)
    return replace(made, positions=positions, median_position=positions[:, 0].clone())


def test_cells_are_the_weighted_means_of_the_light_in_them() -> None:
    rays, size = random_rays(), 0.4
    cells = gather_cells(rays, size, min_light=0.3)
    light: dict[tuple[int, ...], float] = {}
    sums: dict[tuple[int, ...], torch.Tensor] = {}
    members: dict[tuple[int, ...], list[int]] = {}
    for ray in range(len(rays.weights)):
        key = cell_of(rays.median_position[ray], size)
        members.setdefault(key, []).append(ray)
        for place, weight in zip(rays.positions[ray], rays.weights[ray], strict=True):
            if cell_of(place, size) == key:
                light[key] = light.get(key, 0.0) + float(weight)
                sums[key] = sums.get(key, torch.zeros(3)) + weight * place
    bright = sorted(key for key in light if light[key] >= 0.3)
    assert len(cells) == len(bright) > 50
    for row, key in enumerate(bright):
        assert float(cells.weights[row]) == pytest.approx(light[key], abs=1e-5)
        torch.testing.assert_close(cells.positions[row], sums[key] / light[key], atol=1e-5, rtol=1e-5)
        assert torch.nonzero(cells.cell_of == row).flatten().tolist() == members[key]
    assert int((cells.cell_of < 0).sum()) == sum(len(members[key]) for key in members if key not in bright)


def test_a_surface_too_faint_is_refused() -> None:
    with pytest.raises(RunError, match="bright enough"):
        gather_cells(random_rays(20), 0.4, min_light=1e3)


@pytest.mark.parametrize("size", [0.0, -1.0, 1e-7, math.nan, math.inf])
def test_a_size_that_no_cell_can_have_is_refused(size) -> None:
    with pytest.raises(ConfigError, match="size of cells"):
        gather_cells(random_rays(20), size)


def test_the_default_size_is_a_share_of_the_surface() -> None:
    points = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    assert default_cell_size(points) == pytest.approx(0.006 * 0.96 * 0.4 * 3**0.5, rel=0.05)
    assert default_cell_size(points[:1]) == SMALLEST


def test_a_cell_holds_the_mean_of_what_is_rendered_at_its_points(model, index) -> None:
    surface, language = model.surface, model.language
    cells = gather_cells(surface.rays, index.provenance.cell_size)
    decoded = (index.unit_codes @ index.compressed.basis).view(len(index.scales), len(index), -1)
    for row in range(0, len(index), len(index) // 5):
        members = torch.nonzero(index.locate(surface.positions) == row).flatten()
        for number, scale in enumerate(index.scales.tolist()):
            mean = torch.zeros(language.width)
            for point in members.tolist():
                own = surface.latent[torch.tensor([point])]
                assert bool(own.supported)
                mean += cells.light[point] * language.embed(own, scale)[0]
            assert float(F.normalize(mean, dim=0) @ decoded[number, row]) > 0.99


def test_scales_and_bounds_are_those_of_the_field(model, index) -> None:
    scales = model.language.scales
    torch.testing.assert_close(index.scales, candidate_scales((float(scales[0]), float(scales[-1])), 8))
    surface = model.surface
    lit = gather_cells(surface.rays, index.provenance.cell_size).light > 0
    members = torch.where(lit, index.locate(surface.positions), -1)
    for row in range(0, len(index), len(index) // 20):
        own = surface.latent[members == row]
        assert float(index.low[row]) == float(own.low.min())
        assert float(index.high[row]) == float(own.high.max())


@pytest.mark.parametrize("estimator", ["deferred", "per-sample"])
def test_only_what_was_supervised_is_in_the_index(estimator) -> None:
    """A field with either estimator, whose photos supervised half of the rays."""
    positions = one_a_cell(torch.randn(100, 3, generator=torch.Generator().manual_seed(2)))
    rays = TracedRays.at_points(positions)
    field = field_of(estimator, DENSE)
    half = rays[: len(rays) // 2]
    field.bounds.note(half.median_position, torch.full((len(half),), 0.2), torch.full((len(half),), 0.9))
    language = DeferredLanguage(field) if estimator == "deferred" else PerSampleLanguage(field)
    latent = language.encode(rays)
    made = bake(rays, latent, language, ColourWords(), "c" * 64, cell_size=0.05, scales=4)
    kept = rays[latent.supported]
    assert len(half) <= len(made) == len(kept) < len(rays)
    assert made.provenance.source == "field"
    assert torch.equal(made.locate(kept.median_position).sort().values, torch.arange(len(made)))
    torch.testing.assert_close(made.scales, candidate_scales(RANGE, 4))
    for row, scale in enumerate(made.scales.tolist()):
        expected = language.embed(latent[latent.supported], scale)
        decoded = (made.unit_codes.view(4, len(made), -1) @ made.compressed.basis)[row]
        cosines = (decoded[made.locate(kept.median_position)] * expected).sum(-1)
        assert cosines.min() > 0.95
    told = with_fidelity(made, rays, latent, language).provenance
    assert 0.95 < told.lowest_cosine <= told.cosine <= 1.0001
    with pytest.raises(RunError, match="another surface"):
        with_fidelity(made, TracedRays.at_points(positions + 50.0), latent, language)


def test_a_field_that_nothing_supervised_makes_no_index() -> None:
    language, rays = DeferredLanguage(field_of()), TracedRays.at_points(torch.rand(20, 3))
    with pytest.raises(RunError, match="No cell of the surface has language"):
        bake(rays, language.encode(rays), language, ColourWords(), "c" * 64, cell_size=0.05)


def test_few_large_cells_say_that_they_are_worse(model, index) -> None:
    coarse = baked(model, cell_size=8 * index.provenance.cell_size, scales=3)
    assert len(coarse) < 0.1 * len(index)
    fine, rough = (
        with_fidelity(each, model.surface.rays, model.surface.latent, model.language) for each in (index, coarse)
    )
    assert index.provenance.cosine is None
    assert 0.9 < fine.provenance.lowest_cosine <= fine.provenance.cosine <= 1.0001
    assert rough.provenance.lowest_cosine < fine.provenance.lowest_cosine
    assert rough.provenance.cosine < fine.provenance.cosine


def test_a_spoilt_index_is_told_from_a_good_one(model, index) -> None:
    turned = replace(index.compressed, codes=index.compressed.codes.roll(len(index) // 2, dims=1))
    good, spoilt = (
        with_fidelity(each, model.surface.rays, model.surface.latent, model.language).provenance.cosine
        for each in (index, replace(index, compressed=turned))
    )
    assert good > spoilt + 0.05
