"""Encodings summed along rays in one kernel: against the definition, forward and backward."""

import numba
import pytest
import torch

from lerf import kernels
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import GradientSink

EPSILON = torch.finfo(torch.float32).eps
LAYOUTS = {
    "one cell": GridLayout((1,), 2, 8),
    "mixed": GridLayout.geometric(6, 4, 200, 2, 10),
    "one feature": GridLayout((3, 50), 1, 8),
    "eight features": GridLayout((3, 50), 8, 8),
}


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def sparse_weights(rays, samples):
    weights = random(rays, samples, seed=3)
    weights[weights < 0.4] = 0.0
    return weights


RAYS = {
    "random": (random(40, 5, 3), random(40, 5, seed=3)),
    "many blocks": (random(700, 3, 3), sparse_weights(700, 3)),
    "no ray": (torch.zeros(0, 4, 3), torch.zeros(0, 4)),
    "no sample": (torch.zeros(4, 0, 3), torch.zeros(4, 0)),
    "no weight": (random(6, 2, 3), torch.zeros(6, 2)),
    "one place": (torch.full((50, 3, 3), 0.37), random(50, 3, seed=3)),
    "outside and huge": (
        torch.cat([random(20, 2, 3) * 10 - 5, (random(20, 2, 3) - 0.5) * 3e38]), random(40, 2, seed=3),
    ),
    "not contiguous": (random(3, 8, 60).permute(2, 1, 0), random(8, 60, seed=3).T),
}  # fmt: skip


def run(points, weights, table, layout, gradient, backend):
    table = table.clone().requires_grad_()
    with kernels.use(backend):
        out = kernels.encode_composite(points, weights, table, layout)
        out.backward(gradient)
    return out.detach(), table.grad


@pytest.mark.parametrize("case", RAYS)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_fast_path_equals_the_definition(layout, case):
    points, weights = RAYS[case]
    table = random(layout.entries, layout.features, seed=1) * 2 - 1
    gradient = random(len(points), layout.width, seed=2) * 2 - 1
    out, of_table = run(points, weights, table, layout, gradient, "auto")
    expected, expected_table = run(points, weights, table, layout, gradient, "reference")
    near = EPSILON * (4 * max(layout.resolutions) + 32) * max(1, weights.shape[1])
    torch.testing.assert_close(out, expected, rtol=0, atol=near)
    terms = max(1, weights.numel())
    torch.testing.assert_close(of_table, expected_table, rtol=terms * EPSILON, atol=near * terms**0.5)


def test_it_collects_and_marks_as_the_encoding_does():
    layout = LAYOUTS["mixed"]
    points, weights = random(30, 4, 3), sparse_weights(30, 4)
    plain = (random(layout.entries, 2, seed=1)).requires_grad_()
    sinking = plain.detach().clone().requires_grad_()
    sink = GradientSink.of(sinking)
    kernels.encode_composite(points, weights, plain, layout).sum().backward()
    kernels.encode_composite(points, weights, sinking, layout, sink).sum().backward()
    assert sinking.grad is None
    torch.testing.assert_close(sink.values, plain.grad)
    assert torch.equal(sink.touched[: layout.entries] != 0, (plain.grad != 0).any(-1))


def test_neither_points_nor_weights_have_a_gradient():
    layout = LAYOUTS["mixed"]
    table = random(layout.entries, 2, seed=1).requires_grad_()
    points, weights = random(5, 2, 3).requires_grad_(), random(5, 2).requires_grad_()
    for backend in ("auto", "reference"):
        with kernels.use(backend):
            kernels.encode_composite(points, weights, table, layout).sum().backward()
    assert points.grad is None
    assert weights.grad is None


def test_any_number_of_threads_gives_the_same_bits():
    layout = LAYOUTS["mixed"]
    points, weights = random(3000, 4, 3), sparse_weights(3000, 4)
    table, gradient = random(layout.entries, 2, seed=1), random(3000, layout.width, seed=2) - 0.5
    first = run(points, weights, table, layout, gradient, "auto")
    threads = numba.get_num_threads()
    try:
        for count in {threads, 1}:
            numba.set_num_threads(count)
            for again, before in zip(run(points, weights, table, layout, gradient, "auto"), first, strict=True):
                assert torch.equal(again, before)
    finally:
        numba.set_num_threads(threads)
