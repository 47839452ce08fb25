"""Unit vectors: against the definition, forward and backward."""

import pytest
import torch

from lerf import kernels

CASES = {
    "random": torch.randn(40, 7, generator=torch.Generator().manual_seed(0)),
    "a batch of batches": torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)),
    "none": torch.zeros(0, 4),
    "no length": torch.zeros(3, 4),
    "hardly any length": torch.full((2, 3), 1e-13),
    "huge": torch.full((2, 3), 1e18),
    "one number": torch.tensor([[2.0], [-3.0]]),
}


def run(x, backend):
    leaf = x.clone().requires_grad_()
    with kernels.use(backend):
        out = kernels.unit_vectors(leaf)
        out.backward(torch.cos(torch.arange(out.numel(), dtype=torch.float32)).view_as(out))
    return out.detach(), leaf.grad


@pytest.mark.parametrize("case", CASES)
def test_fast_path_equals_the_definition(case):
    for ours, expected in zip(run(CASES[case], "auto"), run(CASES[case], "reference"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
