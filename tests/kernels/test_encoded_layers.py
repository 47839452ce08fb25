"""A hash grid and the layers on it in one pass, against the definition."""

import pytest
import torch

from lerf import kernels
from lerf.kernels.layout import GridLayout

LAYOUTS = {
    "dense": GridLayout((2, 5, 9), 2, 12),
    "hashed": GridLayout((64, 301), 2, 9),
    "mixed": GridLayout.geometric(7, 4, 200, 2, 10),
    "one feature": GridLayout((3, 50, 60), 1, 8),
    "eight features": GridLayout((3, 50), 8, 8),
    "one hashed entry": GridLayout((7,), 2, 0),
}


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


POINTS = {
    "random": random(700, 3),
    "none": torch.zeros(0, 3),
    "one": random(1, 3),
    "a block": random(256, 3),
    "faces": torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3),
    "outside": random(200, 3) * 10 - 5,
    "infinite": torch.tensor([[torch.inf, -torch.inf, 0.3]]),
    "cell borders": torch.cartesian_prod(*[torch.arange(5) / 4.0] * 3),
    "transposed": random(3, 64).T,
}


def parameters(width, hidden, outputs, biased):
    weights = [random(hidden, width, seed=2) - 0.5, random(outputs, hidden, seed=3) - 0.5]
    biases = [random(size, seed=4) - 0.5 if with_bias else None for size, with_bias in zip((hidden, outputs), biased)]  # noqa: B905
    return weights, biases


def both(points, layout, weights, biases):
    table = random(layout.entries, layout.features, seed=1) * 2 - 1
    for backend in ("auto", "reference"):
        with kernels.use(backend), torch.no_grad():
            yield kernels.encoded_layers(points, table, layout, weights, biases)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_equals_the_definition(layout, points):
    layout = LAYOUTS[layout]
    found, expected = both(POINTS[points], layout, *parameters(layout.width, 32, 8, (False, True)))
    # A coordinate's rounding moves a fraction by up to resolution * epsilon.
    within = torch.finfo(torch.float32).eps * (4 * max(layout.resolutions) + 32) * 8
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=within)


@pytest.mark.parametrize("biased", [(True, True), (False, False), (True, False)])
@pytest.mark.parametrize(("hidden", "outputs"), [(1, 1), (3, 1), (33, 5), (64, 16)])
def test_any_widths(hidden, outputs, biased):
    layout = LAYOUTS["one feature"]
    found, expected = both(random(300, 3), layout, *parameters(layout.width, hidden, outputs, biased))
    assert found.shape == (300, outputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


def test_other_numbers_of_layers_are_the_definitions():
    layout = LAYOUTS["mixed"]
    weights, biases = [random(4, layout.width) - 0.5], [None]
    found, expected = both(random(50, 3), layout, weights, biases)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_no_place_has_no_value_and_spoils_no_other():
    layout = LAYOUTS["mixed"]
    points, others = random(300, 3), torch.arange(300) != 7
    arguments = layout, *parameters(layout.width, 32, 8, (False, True))
    expected, _ = both(points, *arguments)
    points[7] = torch.nan
    with torch.no_grad():
        found = kernels.encoded_layers(points, random(layout.entries, layout.features, seed=1) * 2 - 1, *arguments)
    assert torch.equal(found[others], expected[others])
