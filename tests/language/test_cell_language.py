"""An index of cells as a language: the cell of a point, and embeddings composited from cells along rays."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from sources import CELL, index_of, one_a_cell, unit

from lerf.geometry.contraction import contract
from lerf.geometry.traced_rays import TracedRays
from lerf.language import cell_language
from lerf.language.cell_language import REACH, CellLanguage, CellLookup
from lerf.language.cells import CellIndex
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy
from lerf.queries.scales import relevancy_at


def rays_through(places: torch.Tensor, weights: torch.Tensor) -> TracedRays:
    """Rays whose samples lie at places, [rays, samples, 3]; each stops at its first."""
    ones = torch.ones(weights.shape)
    return TracedRays(places, weights, ones, ones[:, 0] > 0, ones[:, 0], places[:, 0])


def scattered(count: int = 40, scales: int = 3, width: int = 6) -> tuple[CellIndex, torch.Tensor]:
    """An index of scattered cells, and the embeddings of its cells in their order."""
    positions = one_a_cell(torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) * 0.8)
    embeddings = unit(scales, len(positions), width)
    index = index_of(positions, embeddings)
    return index, embeddings[:, torch.cdist(index.positions, positions).argmin(-1)]


def test_a_point_finds_the_closest_cell_within_reach() -> None:
    index, _ = scattered()
    lookup = CellLookup(index)
    assert lookup.find(index.positions).tolist() == list(range(len(index)))
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
    own = torch.floor(contract(points) / CELL)
    cells = torch.floor(contract(index.positions) / CELL)
    steps = (own[:, None] - cells[None]).abs().amax(-1)
    found = lookup.find(points)
    assert torch.equal(found >= 0, steps.amin(-1) <= REACH)
    near = found >= 0
    assert bool(near.any())
    assert not bool(near.all())
    assert torch.equal(steps[near].gather(1, found[near, None])[:, 0], steps[near].amin(-1))


def test_full_rank_keeps_every_cosine() -> None:
    """Relevancy of cells from their codes against relevancy of the embeddings that went in."""
    index, embeddings = scattered(400, 3, 12)
    assert index.compressed.basis.shape == (12, 12)
    torch.testing.assert_close(index.compressed.basis @ index.compressed.basis.T, torch.eye(12), atol=1e-5, rtol=0)
    queries, canonical = unit(2, 12, seed=1), unit(4, 12, seed=2)
    language = CellLanguage(index, 4)
    latent = language.encode_cells()
    for row, scale in enumerate(index.scales.tolist()):
        ours = relevancy_at(language, latent, Phrases(("a", "b"), queries, canonical, 10.0), scale)
        torch.testing.assert_close(ours, relevancy(embeddings[row], queries, canonical, 10.0), atol=2e-3, rtol=0)


def test_an_embedding_is_the_weighted_mean_at_the_interpolated_scale() -> None:
    positions = torch.tensor([[0.025, 0.025, 0.025], [0.525, 0.025, 0.025]])
    index = index_of(positions, unit(3, 2, 6))
    language = CellLanguage(index, 4)
    embeddings = language.index.unit_codes.view(3, 2, -1) @ index.compressed.basis
    # The third sample is near no cell.
    places = torch.stack([index.positions[0], index.positions[1], torch.tensor([0.0, 0.9, 0.9])])[None]
    latent = language.encode(rays_through(places, torch.tensor([[0.5, 0.3, 0.2]])))
    # A quarter of the way from the first scale to the second, in the logarithm.
    scale = float(index.scales[0] ** 0.75 * index.scales[1] ** 0.25)
    mixed = 0.75 * embeddings[0] + 0.25 * embeddings[1]
    expected = F.normalize(0.5 * mixed[0] + 0.3 * mixed[1], dim=0)
    torch.testing.assert_close(language.embed(latent, scale)[0], expected, atol=1e-5, rtol=0)
    for outside, row in ((0.01, 0), (5.0, 2)):
        at_end = F.normalize(0.5 * embeddings[row, 0] + 0.3 * embeddings[row, 1], dim=0)
        torch.testing.assert_close(language.embed(latent, outside)[0], at_end, atol=1e-5, rtol=0)


def test_a_ray_is_supervised_as_the_cell_is_where_it_stops() -> None:
    index, _ = scattered()
    varied = replace(index, low=0.1 + 0.01 * torch.arange(len(index)), high=0.9 - 0.01 * torch.arange(len(index)))
    language = CellLanguage(varied, 4)
    places = torch.stack([index.positions[3], index.positions[7], torch.tensor([0.0, 3.0, 3.0])])[:, None]
    low, high = language.supported(rays_through(places, torch.ones(3, 1)))
    assert low.tolist() == pytest.approx([0.13, 0.17, torch.inf])
    assert high.tolist() == pytest.approx([0.87, 0.83, -torch.inf])


def test_a_ray_near_no_cell_has_no_direction() -> None:
    index, _ = scattered()
    language = CellLanguage(index, 4)
    for samples in (1, 3):
        away = torch.full((2, samples, 3), 0.99) + torch.tensor([0.0, 0.0, 2.0])
        latent = language.encode(rays_through(away, torch.full((2, samples), 1 / samples)))
        assert not latent.supported.any()
        for scale in (float(index.scales[1]), 0.15):
            assert torch.equal(language.embed(latent, scale), torch.zeros(2, 6))
            assert torch.equal(language.cosines(latent, unit(4, 6), scale), torch.zeros(4, 2))


def test_cells_are_rays_that_stop_in_them() -> None:
    index, embeddings = scattered()
    language = CellLanguage(index, 4)
    cells, points = language.encode_cells(), language.encode(TracedRays.at_points(index.positions))
    assert len(cells) == len(index)
    assert cells.tensors.keys() == points.tensors.keys()
    for name, tensor in cells.tensors.items():
        assert torch.equal(tensor, points.tensors[name])
    assert torch.equal(cells.low, points.low)
    assert torch.equal(cells.high, points.high)
    torch.testing.assert_close(language.embed(cells, float(index.scales[1])), embeddings[1], atol=2e-3, rtol=0)


def test_a_scale_of_the_index_is_no_mixture() -> None:
    index, _ = scattered(scales=8)
    language = CellLanguage(index, 4)
    latent, codes = language.encode_cells(), index.unit_codes.view(8, len(index), -1)
    for row, scale in enumerate(index.scales.tolist()):
        torch.testing.assert_close(language.codes(latent, scale), codes[row], atol=1e-6, rtol=0)
    assert torch.equal(language.scales, index.scales)


def test_cells_are_compared_with_texts_once_for_all_parts_of_a_surface(monkeypatch) -> None:
    index, _ = scattered()
    language, latent = CellLanguage(index, 1), CellLanguage(index, 1).encode_cells()
    monkeypatch.setattr(language, "rays_at_once", 7)
    projected = []
    project = language.project
    monkeypatch.setattr(language, "project", lambda texts: projected.append(0) or project(texts))
    one, two = (Phrases(("a",), unit(1, 6, seed=seed), unit(2, 6, seed=9), 5.0) for seed in (3, 4))
    for phrases, level in ((one, 0), (two, 0), (two, 1), (one, 0)):
        found = relevancy_at(language, latent, phrases, float(index.scales[level]))
        fresh = relevancy_at(CellLanguage(index, 1), latent, phrases, float(index.scales[level]))
        torch.testing.assert_close(found, fresh)
    assert len(projected) == 4


@pytest.mark.parametrize(("kept", "times"), [(10**6, 3), (0, 5)])
def test_a_phrase_is_read_at_its_scale_from_what_was_tried_to_choose_it(monkeypatch, kept, times) -> None:
    index, _ = scattered(scales=3)
    language, latent = CellLanguage(index, 1), CellLanguage(index, 1).encode_cells()
    monkeypatch.setattr(cell_language, "KEPT_PRODUCTS", kept)
    projected = []
    project = language.project
    monkeypatch.setattr(language, "project", lambda texts: projected.append(0) or project(texts))
    phrase = Phrases(("a",), unit(1, 6, seed=3), unit(2, 6, seed=9), 5.0)
    assert phrase.chosen([0]) is phrase
    for scale in [*index.scales.tolist(), *index.scales[:2].tolist()]:
        found = relevancy_at(language, latent, phrase.chosen([0]), scale)
        assert torch.equal(found, relevancy_at(CellLanguage(index, 1), latent, phrase, scale))
    assert len(projected) == times
