"""Triton's kernels, interpreted, against the definitions, forward and backward."""

import pytest
import torch

from lerf import kernels
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import AdamStep, GradientSink, ProposalSettings
from lerf.networks.hash_grid import HashGrid
from lerf.queries.near import point_grid
from lerf.training.optimiser import SparseAdam

pytestmark = pytest.mark.usefixtures("interpreted")
EPSILON = torch.finfo(torch.float32).eps
LAYOUTS = {
    "dense": GridLayout((2, 5, 9), 2, 12),
    "mixed": GridLayout.geometric(5, 4, 200, 2, 10),
    "one feature": GridLayout((3, 50), 1, 8),
    "eight features": GridLayout((3, 50), 8, 8),
    "three features, which are the definition's": GridLayout((3, 50), 3, 8),
    "one hashed entry": GridLayout((7,), 2, 0),
}


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


POINTS = {
    "random": random(300, 3),
    "none": torch.zeros(0, 3),
    "faces": torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3),
    "outside": random(200, 3) * 10 - 5,
    "cell borders": torch.cartesian_prod(*[torch.arange(5) / 4.0] * 3),
    "one place": torch.full((500, 3), 0.37),
    "transposed": random(3, 64).T,
    "many blocks": random(2500, 3),
}


def outcomes(run, *inputs):
    """What `run(*inputs)` gives and the gradients of the inputs that need some, by the definition and by Triton."""
    found = []
    for backend in ("reference", "triton"):
        given = [each.detach().clone().requires_grad_(each.requires_grad) if isinstance(each, torch.Tensor) else each
                 for each in inputs]  # fmt: skip
        with kernels.use(backend):
            out = run(*given)
            wanted = [each for each in given if isinstance(each, torch.Tensor) and each.requires_grad]
            if wanted:
                out.backward(random(*out.shape, seed=9) * 2 - 1)
        found.append([out.detach(), *(each.grad for each in wanted)])
    return zip(*found, strict=True)


def assert_near(found, share):
    for theirs, ours in found:
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(
            ours, theirs, rtol=0, atol=share * max(float(theirs.abs().max()) if theirs.numel() else 0, 1)
        )


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hash_encode(layout, points):
    layout, points = LAYOUTS[layout], POINTS[points].clone().requires_grad_()
    table = (random(layout.entries, layout.features, seed=1) * 2 - 1).requires_grad_()
    found = outcomes(lambda p, t: kernels.hash_encode(p, t, layout), points, table)
    # Of the points of one place, as of those at a clamped face, many add to the same entries in another order.
    assert_near(found, EPSILON * (4 * max(layout.resolutions) + 500))


@pytest.mark.parametrize("layout", ["mixed", "eight features", "three features, which are the definition's"])
def test_encode_composite(layout):
    layout, weights = LAYOUTS[layout], torch.softmax(random(70, 12) * 4, -1)
    weights[:, 3] = 0.0
    table = random(layout.entries, layout.features, seed=1).requires_grad_()
    found = outcomes(lambda t: kernels.encode_composite(random(70, 12, 3), weights, t, layout), table)
    assert_near(found, 4e-6)


@pytest.mark.parametrize(("rays", "samples"), [(0, 5), (1, 1), (50, 48), (300, 16)])
def test_render_weights(rays, samples):
    lengths = random(rays, samples, seed=1) * 0.2
    densities = random(rays, samples) * 3
    if rays > 1:
        lengths[:, -1], densities[0], densities[1] = 1e6, 0.0, 1e-5
    found = list(outcomes(lambda d: kernels.render_weights(d, lengths), densities.requires_grad_()))
    # A thin sample's weight has all its digits.
    assert_near(found, 1e-6)
    torch.testing.assert_close(found[0][1], found[0][0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("channels", [1, 3, 7, 64, 130])
def test_composite(channels):
    weights, values = random(50, 13), random(50, 13, channels, seed=1) * 2 - 1
    weights[:, 2] = 0.0
    assert_near(outcomes(kernels.composite, weights.requires_grad_(), values.requires_grad_()), 2e-6)


@pytest.mark.parametrize("anneal", [1.0, 0.3, 0.0, torch.tensor(0.5)])
@pytest.mark.parametrize(("bins", "samples"), [(96, 16), (48, 24), (64, 63)])
def test_proposal_edges(anneal, bins, samples):
    directions = torch.nn.functional.normalize(random(40, 3, seed=1) - 0.5, dim=-1)
    grid = torch.where(random(32, 32, 32) > 0.9, 10.0 * random(32, 32, 32, seed=2), 0.0)
    grid[:, :16] = 0.0
    settings = ProposalSettings(samples, bins, 0.05, 100.0, anneal, 0.05, 0.5)
    found = outcomes(
        lambda o: kernels.proposal_edges(o, directions, grid, random(40, seed=3), settings), random(40, 3) - 0.5
    )
    for theirs, ours in found:
        # At the far end a distance is half over what is left of its spacing.
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=1e-5)
        assert float(((ours - theirs) / theirs).abs().median()) < 1e-6


def test_refined_edges_and_points():
    edges, weights = random(40, 18).sort(-1).values * 3, random(40, 17, seed=1)
    weights[0] = 0.0
    assert_near(outcomes(lambda w: kernels.refined_edges(edges, w, 20, 0.02), weights), 2e-6)
    assert_near(outcomes(lambda o: kernels.interval_points(o, random(40, 3, seed=2), edges), random(40, 3)), 1e-6)


def test_direction_harmonics():
    directions = torch.nn.functional.normalize(random(70, 3) - 0.5, dim=-1)
    assert_near(outcomes(kernels.direction_harmonics, directions), 1e-6)
    assert_near(outcomes(kernels.direction_harmonics, directions.requires_grad_()), 1e-5)


def test_heaviest():
    weights = random(40, 21)
    weights[3], weights[4, 5:] = 0.0, 0.0
    with kernels.use("triton"):
        values, order = kernels.heaviest(weights, 6)
    torch.testing.assert_close(values, weights.topk(6).values, rtol=0, atol=0)
    torch.testing.assert_close(weights.gather(1, order), values, rtol=0, atol=0)
    assert all(len(set(row)) == 6 for row in order.tolist())


@pytest.mark.parametrize("most", [1, 4, 6])
@pytest.mark.parametrize("reach", [0.02, 0.1, 0.7])
def test_nearest_points(reach, most):
    points, queries = random(200, 3), 1.4 * random(300, 3, seed=1) - 0.2
    points[:100, 2] = 0.0
    queries[:3] = torch.tensor([[float("nan"), 0, 0], [float("inf"), 0, 0], [1e9, 0, 0]])
    grid = point_grid(points, torch.randperm(200, generator=torch.Generator().manual_seed(2)).int(), reach)
    (expected, distances), (found, apart) = _nearest(queries, grid, reach, most)
    torch.testing.assert_close(apart, distances, atol=1e-6, rtol=1e-5)
    assert torch.equal(found, expected)
    assert float((found >= 0).float().mean()) > (0.9 if reach > 0.5 else 0.0)
    assert (found[:3] == -1).all()


def _nearest(queries, grid, reach, most):
    for backend in ("reference", "triton"):
        with kernels.use(backend):
            yield kernels.nearest_points(queries, grid, reach, most)


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("features", [1, 2, 8, 3])
def test_sparse_adam(features, on_device):
    states = []
    for backend in ("reference", "triton"):
        table = random(1000, features)
        first, second = torch.zeros_like(table), torch.zeros_like(table)
        for step in range(1, 5):
            touched = random(1000, 1, seed=10 + step) < 0.3
            gradient = torch.where(touched, random(1000, features, seed=step) - 0.5, 0.0)
            numbers = [1e-2, 1 / (1 - 0.9**step), 1 / (1 - 0.99**step)]
            rate, one, two = map(torch.tensor, numbers) if on_device else numbers
            with kernels.use(backend):
                kernels.sparse_adam(table, gradient, first, second, AdamStep(rate, 0.9, 0.99, 1e-15, one, two))
            assert not gradient.any()
        states.append((table, first, second))
    assert_near(zip(*states, strict=True), 3e-7)


def test_the_gradient_is_collected_for_the_optimiser():
    layout, start = GridLayout((3, 40), 2, 8), random(GridLayout((3, 40), 2, 8).entries, 2)
    tables = {}
    for backend in ("triton", "reference"):
        grid = HashGrid(layout)
        grid.table = torch.nn.Parameter(start.clone())
        with kernels.use(backend):
            optimiser = SparseAdam(grid)
            assert isinstance(grid.sink, GradientSink) == (backend == "triton")
            for step in range(3):
                points = random(30, 3, seed=step)
                grid(points).backward(random(30, layout.width, seed=100 + step) - 0.5)
                assert (grid.table.grad is None) == (backend == "triton")
                optimiser.step(1e-2)
        tables[backend] = grid.table.detach()
    assert not torch.equal(tables["reference"], start)
    off = (tables["triton"] - tables["reference"]).abs().amax(-1)
    assert float(torch.quantile(off, 0.98)) < 1e-6


def test_samples_of_a_language_ray_are_the_heaviest_of_the_radiance():
    weights = random(9, 12)
    for theirs, ours in zip(kernels.heaviest(weights, 4), weights.topk(4, dim=-1), strict=True):
        assert torch.equal(theirs, ours)
