"""The points that answer: of rays and of cells, and the depth that a photo shows at a pixel."""

import math

import pytest
import torch
from sources import CELL, KINDS, source_on, traced

from lerf.geometry.contraction import contract
from lerf.geometry.extent import robust_diagonal
from lerf.language.cell_language import CellLanguage
from lerf.queries.propagation import SurfaceGraph
from lerf.queries.surface import JOIN_SHARE, Surface, depths_at, surface_of_cells, surface_of_rays
from lerf.radiance.surface import TracedSurface

RAYS = traced(60)
DEPTHS = {4: torch.tensor([[1.0, 2.0, 3.0], [4.0, math.nan, 6.0]])}


def of_rays(kind: str) -> Surface:
    return surface_of_rays(TracedSurface(RAYS, torch.zeros(60, dtype=torch.int64), DEPTHS), source_on(RAYS, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_surface_of_rays_is_what_language_reads_along_them(kind) -> None:
    surface = of_rays(kind)
    assert len(surface) == len(surface.latent) == 60
    assert torch.equal(surface.positions, RAYS.median_position)
    torch.testing.assert_close(surface.contracted, contract(RAYS.median_position))
    for name, tensor in source_on(RAYS, kind).encode(RAYS).tensors.items():
        assert torch.equal(surface.latent.tensors[name], tensor)
    assert surface.join_size == pytest.approx(JOIN_SHARE * robust_diagonal(surface.contracted))
    expected = SurfaceGraph.of(surface.contracted).transition
    assert (surface.graph.transition != expected).nnz == 0
    assert len(surface.coarse) == 60


def test_a_surface_of_cells_has_a_point_in_each() -> None:
    language = source_on(RAYS, "cells")
    assert isinstance(language, CellLanguage)
    surface = surface_of_cells(language, DEPTHS)
    assert torch.equal(surface.positions, language.index.positions)
    assert surface.rays.weights.shape == (len(language.index), 1)
    assert torch.equal(surface.latent.low, language.index.low)
    assert surface.depth_maps is DEPTHS
    assert surface.join_size >= CELL
    # Cells that touch are joined, however small the surface is.
    near = language.index.positions.norm(dim=-1) < 0.2
    assert near.any()
    small = Surface(surface.rays[near], surface.latent[near], surface.graph, {}, CELL)
    assert small.join_size == CELL


def test_depths_are_those_of_the_cell_of_the_raster() -> None:
    """A raster of 2 x 3 cells over a picture of 90 x 60 pixels."""
    pixels = torch.tensor([[0.0, 0.0], [29.9, 29.9], [30.1, 0.5], [89.9, 59.9], [45.0, 45.0], [5.0, 30.0]])
    found = depths_at(of_rays("deferred"), 4, (90, 60), pixels)
    assert found[:4].tolist() == [1.0, 1.0, 2.0, 6.0]
    assert math.isnan(float(found[4]))
    assert float(found[5]) == 4.0


def test_outside_the_picture_no_depth_is_known() -> None:
    pixels = torch.tensor([[-0.1, 5.0], [90.0, 5.0], [5.0, 60.0], [5.0, -3.0], [math.nan, math.nan]])
    assert depths_at(of_rays("deferred"), 4, (90, 60), pixels).isnan().all()
