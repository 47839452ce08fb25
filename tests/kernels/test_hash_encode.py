"""The hash encoding: fast path against the definition, the definition against finite differences and big integers."""

import numba
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf import kernels
from lerf.kernels import reference
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import GradientSink

EPSILON = torch.finfo(torch.float32).eps
LAYOUTS = {
    "one cell": GridLayout((1,), 2, 8),
    "dense": GridLayout((2, 5, 9), 2, 12),
    "hashed": GridLayout((64, 301), 2, 9),
    "mixed": GridLayout.geometric(6, 4, 200, 2, 10),
    "one feature": GridLayout((3, 50), 1, 8),
    "eight features": GridLayout((3, 50), 8, 8),
    "one hashed entry": GridLayout((7,), 2, 0),
}
CORNERS = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


POINTS = {
    "random": random(300, 3),
    "none": torch.zeros(0, 3),
    "one": random(1, 3),
    "faces": CORNERS,
    "outside": random(200, 3) * 10 - 5,
    "huge": (random(50, 3) - 0.5) * 3e38,
    "infinite": torch.tensor([[torch.inf, -torch.inf, 0.3]]),
    "cell borders": torch.cartesian_prod(*[torch.arange(5) / 4.0] * 3),
    "one place": torch.full((500, 3), 0.37),
    "every other row and column": random(300, 6)[::2, ::2],
    "transposed": random(3, 64).T,
    "many blocks": random(5000, 3),
}


def table_of(layout, seed=1):
    return random(layout.entries, layout.features, seed=seed) * 2 - 1


def tolerance(layout):
    """Rounding of a coordinate moves a fraction by up to resolution * epsilon; a sum of eight products adds some."""
    return EPSILON * (4 * max(layout.resolutions) + 32)


def run(points, table, layout, out_gradient, backend):
    points, table = points.clone().requires_grad_(), table.clone().requires_grad_()
    with kernels.use(backend):
        out = kernels.hash_encode(points, table, layout)
        out.backward(out_gradient)
    return out.detach(), points.grad, table.grad


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS.keys())
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_fast_path_equals_the_definition(layout, points):
    table = table_of(layout)
    gradient = random(len(points), layout.width, seed=2) * 2 - 1
    out, of_points, of_table = run(points, table, layout, gradient, "auto")
    expected, expected_points, expected_table = run(points, table, layout, gradient, "reference")
    near = tolerance(layout)
    torch.testing.assert_close(out, expected, rtol=0, atol=near)
    # An entry collects one term for each point, each off by `near`, and their sum rounds once for each as well.
    torch.testing.assert_close(
        of_table, expected_table, rtol=len(points) * EPSILON, atol=near * (1 + len(points)) ** 0.5
    )
    # A slope is a difference of table values times the resolution, summed over features and levels.
    steep = sum(layout.resolutions) * layout.features * 2
    torch.testing.assert_close(of_points, expected_points, rtol=0, atol=near * steep)
    for result in (out, of_points, of_table):
        assert result.isfinite().all()


def test_inputs_that_are_not_contiguous():
    layout = LAYOUTS["mixed"]
    table = table_of(layout)
    points = random(3, 400)[:, ::2].T
    strange = torch.empty(layout.features, layout.entries).T.copy_(table)
    assert not strange.is_contiguous()
    gradient = random(layout.width, len(points), seed=2).T
    for ours, plain in zip(
        run(points, strange, layout, gradient, "auto"),
        run(points.contiguous(), table, layout, gradient.contiguous(), "auto"),
        strict=True,
    ):
        assert torch.equal(ours, plain)


def test_clamped_points_have_no_slope():
    layout = LAYOUTS["mixed"]
    points = torch.tensor([[-0.5, 0.4, 0.6], [0.3, 1.5, 0.6], [0.3, 0.4, 1e30]])
    for backend in ("auto", "reference"):
        _, slope, _ = run(points, table_of(layout), layout, torch.ones(3, layout.width), backend)
        assert (slope == 0).equal(torch.eye(3, dtype=torch.bool))


def test_what_is_not_a_number_stays_inside_the_table():
    layout = LAYOUTS["mixed"]
    points, table = random(4, 3).requires_grad_(), table_of(layout).requires_grad_()
    spoilt = points.detach().clone()
    spoilt[1] = torch.nan
    out = kernels.hash_encode(spoilt, table, layout)
    out.sum().backward()
    assert out[[0, 2, 3]].isfinite().all()
    assert torch.equal(out[[0, 2, 3]], kernels.hash_encode(points, table, layout)[[0, 2, 3]])


@pytest.mark.parametrize("features", [1, 2, 8])
def test_gradients_of_the_definition_by_finite_differences(features):
    layout = GridLayout((3, 6), features, 6)
    # A third of the way into cells: a finite difference across a border would see two slopes.
    cells = torch.tensor([[0, 1, 2], [5, 0, 3], [2, 2, 2]], dtype=torch.float64)
    points = ((cells + torch.tensor([0.3, 0.4, 0.35])) / 6).requires_grad_()
    table = table_of(layout).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p, t: reference.hash_encode(p, t, layout), (points, table))


def test_two_runs_and_any_number_of_threads_give_the_same_bits():
    layout = GridLayout.geometric(8, 4, 512, 2, 12)
    points, table = random(20000, 3), table_of(layout)
    gradient = random(len(points), layout.width, seed=2) - 0.5
    first = run(points, table, layout, gradient, "auto")
    threads = numba.get_num_threads()
    try:
        for count in {threads, 1}:
            numba.set_num_threads(count)
            for again, before in zip(run(points, table, layout, gradient, "auto"), first, strict=True):
                assert torch.equal(again, before)
    finally:
        numba.set_num_threads(threads)


def test_a_gradient_sink_collects():
    layout = LAYOUTS["mixed"]
    points, plain = random(100, 3), table_of(layout).requires_grad_()
    sinking = table_of(layout).requires_grad_()
    sink = GradientSink.of(sinking)
    for part in (points[:30], points[30:]):
        kernels.hash_encode(part, plain, layout).square().sum().backward()
        kernels.hash_encode(part, sinking, layout, sink).square().sum().backward()
    assert sinking.grad is None
    torch.testing.assert_close(sink.values, plain.grad)


def brute_force_index(x, y, z, resolution, log2_entries):
    """Index of a vertex within its level: instant-ngp's hash (Müller et al. 2022, eq. 4) in 32-bit words."""
    if (resolution + 1) ** 3 <= 2**log2_entries:
        return x + y * (resolution + 1) + z * (resolution + 1) ** 2
    word = 2**32
    return ((x * 1) % word ^ (y * 2654435761) % word ^ (z * 805459861) % word) % 2**log2_entries


@given(st.sampled_from([(4, 8), (16, 14), (64, 10), (2048, 14), (2048, 0)]), st.data())
def test_vertices_read_the_entry_of_the_hash(grid, data):
    resolution, log2_entries = grid
    coordinates = st.lists(st.tuples(*[st.integers(0, resolution)] * 3), min_size=1, max_size=20)
    vertices = data.draw(coordinates)
    # Two levels, so that the offset of a level counts as well; resolutions are powers of two, so fractions are exact.
    layout = GridLayout((2, resolution), 1, log2_entries)
    table = torch.arange(layout.entries, dtype=torch.float32)[:, None]
    points = torch.tensor(vertices, dtype=torch.float32) / resolution
    first_entry = min(27, 2**log2_entries)
    expected = [first_entry + brute_force_index(x, y, z, resolution, log2_entries) for x, y, z in vertices]
    for backend in ("auto", "reference"):
        with kernels.use(backend):
            assert kernels.hash_encode(points, table, layout)[:, 1].tolist() == expected


def test_a_linear_table_is_interpolated_exactly():
    layout = GridLayout((5,), 3, 12)
    vertices = torch.cartesian_prod(*[torch.arange(6.0)] * 3).flip(-1)  # x fastest, as dense levels are stored
    points = random(100, 3)
    for backend in ("auto", "reference"):
        with kernels.use(backend):
            torch.testing.assert_close(kernels.hash_encode(points, vertices / 5, layout), points, rtol=0, atol=1e-6)
