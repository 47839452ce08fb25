"""Where samples are placed: fast path against the definition, and laws of both."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf import kernels
from lerf.kernels.reference import distance_of, spacing_of
from lerf.kernels.types import ProposalSettings

BACKENDS = ("auto", "reference")
NEAR, FAR = 0.05, 100.0
USUAL = ProposalSettings(samples=16, bins=96, near=NEAR, far=FAR, anneal=1.0, padding=0.05, cap=0.5)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def rays(count, seed=0, spread=1.0):
    origins = (random(count, 3, seed=seed) * 2 - 1) * spread
    directions = torch.nn.functional.normalize(random(count, 3, seed=seed + 1) - 0.5, dim=-1)
    return origins, directions, random(count, seed=seed + 2)


def blocks(side=16, seed=0, share=0.2):
    """Random matter: empty cells, thin ones and walls."""
    return (random(side, side, side, seed=seed) < share) * 10 ** (random(side, side, side, seed=seed + 1) * 5 - 2)


def edges_of(backend, origins, directions, grid, jitter, **changes):
    with kernels.use(backend):
        return kernels.proposal_edges(origins, directions, grid, jitter, USUAL._replace(**changes))


CASES = {
    "blocks": (blocks(), {}),
    "many blocks": (blocks(share=0.7), {}),
    "walls only": ((blocks(seed=3) > 0) * 1e4, {}),
    "start of annealing": (blocks(), {"anneal": 0.0}),
    "annealing": (blocks(share=0.7), {"anneal": 0.3}),
    "no padding": (blocks(), {"padding": 0.0}),
    "all padding": (blocks(), {"padding": 1.0}),
    "no cap": (blocks(), {"cap": 1.0}),
    "one sample": (blocks(), {"samples": 1}),
    "one bin": (blocks(), {"bins": 1}),
    "one cell": (torch.full((1, 1, 1), 0.3), {}),
    "short": (blocks(), {"near": 0.2, "far": 0.9}),
    "open sky": (torch.zeros(16, 16, 16), {}),
}


@pytest.mark.parametrize(("grid", "changes"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_fast_path_equals_the_definition(grid, changes, spread):
    origins, directions, jitter = rays(400, spread=spread)
    ours, expected = (spacing_of(edges_of(b, origins, directions, grid, jitter, **changes)) for b in BACKENDS)
    # Positions round differently, so that now and then a middle on the border of two cells reads the other cell, which
    # moves the edges of its ray; and where bins hold next to nothing, the inverse of the distribution is steep. So all
    # but a few rays agree closely.
    off = (ours - expected).abs().amax(-1)
    assert torch.quantile(off, 0.97) < 2e-4
    assert torch.quantile(off, 0.5) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    samples=st.integers(1, 40),
    bins=st.integers(1, 120),
    side=st.integers(1, 9),
    anneal=st.floats(0, 1),
    padding=st.floats(0, 1),
    cap=st.floats(0.05, 1),
    spread=st.sampled_from([0.0, 1.0, 1e4, 1e30]),
)
def test_edges_ascend_between_near_and_far(backend, seed, share, samples, bins, side, anneal, padding, cap, spread):
    origins, directions, jitter = rays(20, seed, spread)
    edges = edges_of(
        backend, origins, directions, blocks(side, seed, share), jitter,
        samples=samples, bins=bins, anneal=anneal, padding=padding, cap=cap,
    )  # fmt: skip
    assert edges.shape == (20, samples + 1)
    assert edges.isfinite().all()
    assert (edges[:, 1:] >= edges[:, :-1] * (1 - 1e-6)).all()
    # Far away a rounding of the spacing, which is near one, is worth 2 * far^2 epsilons of distance.
    assert (edges >= NEAR * (1 - 1e-5)).all()
    assert (edges <= FAR + 2 * FAR**2 * 1e-6).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_empty_space_is_sampled_evenly_in_spacing(backend, jitter):
    origins, directions, _ = rays(10)
    edges = edges_of(backend, origins, directions, torch.zeros(8, 8, 8), torch.full((10,), jitter))
    low, high = spacing_of(torch.tensor([NEAR, FAR])).tolist()
    expected = low + (high - low) * (torch.arange(17) + jitter) / 17
    torch.testing.assert_close(spacing_of(edges), expected.expand(10, -1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("towards", [-1.0, 1.0])
def test_a_dense_cell_attracts_the_samples(backend, axis, towards):
    side = 32
    directions = torch.zeros(1, 3)
    directions[0, axis] = towards
    place = directions[0] * 0.8  # inside the part of space that is not contracted
    cell = ((place + 2) / 4 * side).long()
    grid = torch.zeros(side, side, side)
    grid[cell[2], cell[1], cell[0]] = 1e3
    edges = edges_of(backend, torch.zeros(1, 3), directions, grid, torch.full((1,), 0.5))[0]
    # The cell is an eighth wide and spreads to one bin, a fiftieth or so, on either side.
    assert ((edges - 0.8).abs() < 0.25).float().mean() > 0.85


@pytest.mark.parametrize("backend", BACKENDS)
def test_matter_in_contracted_space_attracts_the_samples(backend):
    side, distance = 64, 5.0
    grid = torch.zeros(side, side, side)
    contracted = 2 - 1 / distance
    grid[side // 2, side // 2, int((contracted + 2) / 4 * side)] = 1e3
    edges = edges_of(backend, torch.zeros(1, 3), torch.tensor([[1.0, 0.01, 0.01]]), grid, torch.full((1,), 0.5))[0]
    assert ((spacing_of(edges) - spacing_of(torch.tensor(distance))).abs() < 0.05).float().mean() > 0.85


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_wall_hides_gets_padding_only(backend):
    grid = torch.zeros(16, 16, 16)
    grid[:, :, 11:] = 1e4  # from x = 0.75 on
    origins, directions, jitter = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]), torch.full((1,), 0.5)
    for anneal in (0.0, 0.5, 1.0):
        edges = edges_of(backend, origins, directions, grid, jitter, anneal=anneal, padding=0.0)
        # Half of the light passes each bin, so that 17 bins stop it all: a sixth of the spacing behind the wall.
        assert (spacing_of(edges) < 0.375 + 19 / 96).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_rays(backend):
    origins, directions, jitter = rays(0)
    assert edges_of(backend, origins, directions, blocks(), jitter).shape == (0, 17)


def test_inputs_as_views_and_a_second_run_give_the_same_bits():
    origins, directions, jitter = rays(100)
    wide = torch.cat([origins, directions], -1)
    strange = blocks().permute(2, 1, 0)
    first = edges_of("auto", wide[:, :3], wide[:, 3:], strange, jitter)
    assert torch.equal(first, edges_of("auto", origins, directions, strange.contiguous(), jitter))


@given(st.floats(0.001, 1e4))
def test_spacing_and_distance_are_inverse(distance):
    there = spacing_of(torch.tensor(distance, dtype=torch.float64))
    assert 0 < float(there) < 1
    assert float(distance_of(there)) == pytest.approx(distance, rel=1e-9)
