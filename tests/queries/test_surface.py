"""The points that answer: of rays and of cells."""

import math

import pytest
import torch
from sources import CELL, KINDS, source_on, traced

from lerf.geometry.contraction import contract
from lerf.geometry.extent import robust_diagonal
from lerf.language.cell_language import CellLanguage
from lerf.queries.propagation import SurfaceGraph
from lerf.queries.surface import JOIN_SHARE, Surface, surface_of_cells, surface_of_rays
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
    language, rays_of = surface.language, surface.latent
    features = language.dense(rays_of) if language.dense_width else None
    expected = SurfaceGraph.of(surface.contracted, features).transition
    assert all(map(torch.equal, surface.graph.transition, expected))


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
    small = Surface(surface.rays[near], language, surface.latent[near], surface.graph, {}, CELL)
    assert small.join_size == CELL
