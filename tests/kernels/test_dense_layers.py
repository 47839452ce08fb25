"""Dense layers of oneDNN and in bfloat16: against the definition, forward and backward."""

from itertools import pairwise

import pytest
import torch

from lerf import kernels
from lerf.kernels import cpu_dense
from lerf.networks.dense_layers import DenseLayers

WIDTHS = {"one layer": (5, 3), "head": (9, 16, 16, 4), "one output": (32, 64, 1), "wide": (129, 256, 262)}


def parameters(widths, bias=True):
    random = torch.Generator().manual_seed(1)
    weights = [torch.randn(b, a, generator=random) / a**0.5 for a, b in pairwise(widths)]
    return weights, [torch.randn(b, generator=random) if bias else None for b in widths[1:]]


def run(x, weights, biases, backend):
    leaves = [t if t is None else t.clone().requires_grad_() for t in (x, *weights, *biases)]
    with kernels.use(backend):
        out = kernels.dense_layers(leaves[0], leaves[1 : 1 + len(weights)], leaves[1 + len(weights) :])
        out.backward(torch.cos(torch.arange(out.numel(), dtype=torch.float32)).view_as(out))
    return [out.detach(), *(leaf.grad for leaf in leaves if leaf is not None)]


INPUTS = {
    "random": lambda width: torch.randn(200, width, generator=torch.Generator().manual_seed(0)),
    "one row": lambda width: torch.ones(1, width),
    "none": lambda width: torch.zeros(0, width),
    "not contiguous": lambda width: torch.randn(width, 70, generator=torch.Generator().manual_seed(0)).T,
    "all stopped": lambda width: torch.zeros(30, width),
}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS.keys())
def test_fast_path_equals_the_definition(widths, case, bias):
    x, (weights, biases) = INPUTS[case](widths[0]), parameters(widths, bias)
    ours, expected = (run(x, weights, biases, backend) for backend in ("auto", "reference"))
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


def test_without_gradients_the_result_is_the_same():
    x, (weights, biases) = INPUTS["random"](9), parameters((9, 16, 16, 4))
    expected = run(x, weights, biases, "reference")[0]
    with torch.no_grad():
        torch.testing.assert_close(kernels.dense_layers(x, weights, biases), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not cpu_dense.available(), reason="this torch was built without oneDNN")
def test_the_fast_path_is_taken(monkeypatch):
    called = []
    own = cpu_dense._linear
    monkeypatch.setattr(cpu_dense, "_linear", lambda *given: called.append(1) or own(*given))
    DenseLayers(4, 8, 2)(torch.randn(3, 4))
    assert len(called) == 2


def test_inputs_and_parameters_that_need_no_gradient_get_none():
    layers = DenseLayers(4, 8, 2)
    layers[0].weight.requires_grad_(False)
    layers(torch.randn(3, 4)).sum().backward()
    assert layers[0].weight.grad is None
    assert all(tensor.grad is not None for tensor in (layers[0].bias, layers[2].weight, layers[2].bias))


def test_modules_are_named_as_in_a_sequence():
    assert list(DenseLayers(4, 8, 2).state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS.keys())
def test_bfloat16_is_near_the_definition(widths, case, bias):
    """Eight bits of a number are kept: results are off by some thousandths; a gradient by more, where rounding moves a
    number across its rectifier."""
    x, (weights, biases) = INPUTS[case](widths[0]), parameters(widths, bias)
    ours, expected = (run(x, weights, biases, backend) for backend in ("bf16", "reference"))
    for place, (one, other) in enumerate(zip(ours, expected, strict=True)):
        assert one.dtype == torch.float32
        size = float(other.norm())
        assert float((one - other).norm()) <= (0.006 if place == 0 else 0.3) * size


def test_bfloat16_rounds_and_sums_in_single_precision():
    exact = torch.tensor([[1.0, 2.0**-8]])
    with kernels.use("bf16"):
        rounded = kernels.dense_layers(torch.tensor([[1.0 + 2.0**-9, 0.0]]), [exact], [None])
        total = kernels.dense_layers(torch.ones(1, 4096), [torch.ones(1, 4096) + 0.0], [torch.tensor([0.25])])
    assert rounded.tolist() == [[1.0]], "the input loses what its eight bits do not hold"
    assert total.tolist() == [[4096.25]], "the last bias is added in single precision"


def test_what_is_asked_is_single():
    x, (weights, biases) = INPUTS["random"](9), parameters((9, 16, 16, 4))
    with torch.no_grad(), kernels.use("bf16"):
        found = kernels.dense_layers(x, weights, biases)
    with torch.no_grad(), kernels.use("reference"):
        assert torch.equal(found, kernels.dense_layers(x, weights, biases))
