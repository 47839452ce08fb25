"""Image tower of `mini`: a small convolutional network that sees every window at one size.

A picture is resized until the windows of a level are `WINDOW` pixels across. Then one pass over it gives a feature map,
and a window's embedding is the mean of the map over the window, weighted by a tent that falls off from its middle, and
a head that is told how large the window was. So the network need not learn that things have many sizes, and a whole
pyramid of tiles costs as many passes over the photo as it has levels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STRIDE = 8
"""Pixels per cell of the feature map."""
WINDOW = 32
"""Pixels across a window, once its picture is resized."""
MARGIN = STRIDE
"""Pixels that a picture is continued by on every side: what is beyond its border is no window's to see."""
STEM, CHANNELS = 32, (128, 256)
"""Of the map at stride 2, and of those at strides 4 and 8."""
BLOCKS = (1, 2)
"""Residual blocks at strides 4 and 8: most where maps are small, since large ones cost memory traffic, not products."""
FINE, FINE_LAYERS = 4, 4 + BLOCKS[0]
"""Stride of the finer map of the two, and the layers that make it: two convolutions, their activations and the
blocks."""


class Block(nn.Module):
    """Two 3 x 3 convolutions and a residual (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return F.relu(x + self.second(F.relu(self.first(x))))


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation, without activation; a strided one sees each cell about its middle."""
    padding = (size - stride) // 2
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, padding, bias=False), nn.BatchNorm2d(outputs))


class ImageTower(nn.Module):
    """See the module. Input RGB in 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers, before = [convolution(3, STEM, 4, 2), nn.ReLU()], STEM
        for channels, blocks in zip(CHANNELS, BLOCKS, strict=True):
            layers += [convolution(before, channels, 2, 2), nn.ReLU(), *(Block(channels) for _ in range(blocks))]
            before = channels
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(before + 2, 256), nn.ReLU(), nn.Linear(256, width))

    def feature_map(self, pictures: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n channels rows columns"]:
        """Map at stride 8; height and width must be multiples of 8."""
        return self.trunk((pictures - 0.5) * 4.0)

    def maps(
        self, pictures: Float[Tensor, "n 3 height width"]
    ) -> tuple[Float[Tensor, "n fine high wide"], Float[Tensor, "n channels rows columns"]]:
        """The maps at stride 4 and at stride 8, of which the second is `feature_map`."""
        fine = self.trunk[:FINE_LAYERS]((pictures - 0.5) * 4.0)
        return fine, self.trunk[FINE_LAYERS:](fine)

    def embed(
        self, means: Float[Tensor, "*windows channels"], sides: Float[Tensor, "*windows"]
    ) -> Float[Tensor, "*windows width"]:
        """Unit embeddings of windows from the means of the map over them.

        Args:
            means: of the feature map, weighted by `tent`.
            sides: of the windows, in pixels of the picture at 240 pixels of height.
        """
        size = (sides.log2() - 5.0)[..., None]
        return F.normalize(self.head(torch.cat([means, size, size.square()], dim=-1)), dim=-1)


def tent(
    centres: Float[Tensor, " windows"],
    cells: int,
    inside: tuple[Float[Tensor, " #windows"], Float[Tensor, " #windows"]],
    first: float = 0.0,
) -> Float[Tensor, "windows cells"]:
    """Weights of the cells along one axis for windows at any place; rows sum to 1.

    A tent is 1 in the middle of its window and falls to 0 at its ends, so that what is in the middle counts most. Cells
    whose middle lies outside the picture have no weight: windows cut by the border are weighed by what is left.

    Args:
        centres: of the windows, in pixels of the resized picture.
        cells: of the map along this axis.
        inside: where the picture begins and ends.
        first: the left (upper) edge of the first cell, negative where the picture was continued.
    """
    middles = (torch.arange(cells, device=centres.device) + 0.5) * STRIDE + first
    weights = (1.0 - (middles - centres[:, None]).abs() / (WINDOW / 2)).clamp_min(0.0)
    weights = weights * ((middles > inside[0][:, None]) & (middles < inside[1][:, None]))
    return weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-6)


def framed(picture: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 rows columns"]:
    """Continued by its edge: by `MARGIN` on the left and above, by that or a little more on the right and below."""
    height, width = picture.shape[-2:]
    right, below = MARGIN + -width % STRIDE, MARGIN + -height % STRIDE
    return F.pad(picture, (MARGIN, right, MARGIN, below), mode="replicate")
