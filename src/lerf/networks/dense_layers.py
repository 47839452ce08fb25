"""Fully connected networks of the fields."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from lerf import kernels


class DenseLayers(nn.Sequential):
    """Linear layers with rectifiers between them, run by `kernels.dense_layers`.

    Modules and their names are those of the `nn.Sequential` that it is.
    """

    def __init__(self, *widths: int) -> None:
        """`widths` from the inputs over the hidden layers to the outputs."""
        steps: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            steps += [nn.Linear(inside, outside), nn.ReLU()]
        super().__init__(*steps[:-1])

    @property
    def layers(self) -> list[nn.Linear]:
        """The linear ones, in order."""
        return [step for step in self if isinstance(step, nn.Linear)]

    def forward(self, x: Float[Tensor, "points inputs"]) -> Float[Tensor, "points outputs"]:
        """The last layer's outputs, not rectified."""
        layers = self.layers
        return kernels.dense_layers(x, [layer.weight for layer in layers], [layer.bias for layer in layers])
