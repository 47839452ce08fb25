"""The kernel of sparse Adam against its definition."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf.kernels import cpu_adam, masked_adam, reference
from lerf.kernels.types import AdamStep, GradientSink


def step(number, rate):
    return AdamStep(rate, 0.9, 0.99, 1e-15, 1 / (1 - 0.9**number), 1 / (1 - 0.99**number))


@given(
    entries=st.integers(1, 300),
    features=st.integers(1, 8),
    share=st.floats(0, 1),
    marked=st.booleans(),
    kernel=st.sampled_from([cpu_adam, masked_adam]),
    seed=st.integers(0, 1000),
)
def test_steps_equal_the_definition(entries, features, share, marked, kernel, seed):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(*shape, generator=generator) * 2 - 1

    start = random(entries, features)
    ours, defined = ([start.clone(), torch.zeros_like(start), torch.zeros_like(start)] for _ in range(2))
    for number in range(1, 4):
        gradient = random(entries, features) * (torch.rand(entries, 1, generator=generator) < share)
        sink = GradientSink.of(start)
        sink.values.copy_(gradient)
        sink.touched[:entries] = (gradient != 0).any(-1)
        other = gradient.clone()
        numbers = step(number, 0.01 / number)
        kernel.sparse_adam(ours[0], sink.values, ours[1], ours[2], numbers, sink.touched if marked else None)
        reference.sparse_adam(defined[0], other, defined[1], defined[2], numbers)
        assert not sink.values.any()
        assert not other.any()
        assert not (marked and sink.touched.any())
        for one, expected in zip(ours, defined, strict=True):
            torch.testing.assert_close(one, expected, rtol=2e-5, atol=1e-6)
