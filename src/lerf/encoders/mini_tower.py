"""Image tower of `mini`: a small convolutional pyramid network, and embeddings of windows of any size.

The network makes one feature map at a quarter of the picture's resolution, in one pass. A window's embedding is the
mean of the map over the window, weighted by a tent that falls off from its middle, and a head that is told how large
the window is. So a whole pyramid of tiles costs one pass over the photo, and neighbouring levels share all of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STRIDE = 4
"""Pixels per cell of the feature map."""
DEEPEST = 32
"""Pixels per cell of the coarsest map inside; pictures are padded to a multiple of it."""
CHANNELS = (64, 128, 192, 224)
"""Of the maps at strides 4, 8, 16 and 32."""
BLOCKS = (1, 3, 3, 1)
"""Residual blocks at each stride: most where maps are small, since large ones cost memory traffic, not products."""
MAP_WIDTH = 128


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
        stages, before = [], 3
        for level, (channels, blocks) in enumerate(zip(CHANNELS, BLOCKS, strict=True)):
            size, stride = (2 * STRIDE, STRIDE) if level == 0 else (2, 2)
            down = (convolution(before, channels, size, stride), nn.ReLU())
            stages.append(nn.Sequential(*down, *(Block(channels) for _ in range(blocks))))
            before = channels
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, MAP_WIDTH, 1) for channels in CHANNELS)
        self.merged = convolution(MAP_WIDTH, MAP_WIDTH)
        self.head = nn.Sequential(nn.Linear(MAP_WIDTH + 2, 256), nn.ReLU(), nn.Linear(256, width))

    def feature_map(self, pictures: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n channels rows columns"]:
        """Map at stride 4; height and width must be multiples of 32."""
        x = (pictures - 0.5) * 4.0
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        # From coarse to fine as in feature pyramid networks (Lin et al. 2016, arXiv 1612.03144); mixed at stride 8,
        # since a convolution at stride 4 would cost as much as all blocks together.
        x = self.lateral[3](maps[3])
        for level in (2, 1):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear") + self.lateral[level](maps[level])
        x = F.relu(self.merged(x))
        return F.relu(F.interpolate(x, scale_factor=2.0, mode="bilinear") + self.lateral[0](maps[0]))

    def embed(
        self, means: Float[Tensor, "*windows channels"], sides: Float[Tensor, "*windows"]
    ) -> Float[Tensor, "*windows width"]:
        """Unit embeddings of windows from the means of the map over them; sides in pixels of the picture."""
        size = (sides.log2() - 5.0)[..., None]
        return F.normalize(self.head(torch.cat([means, size, size.square()], dim=-1)), dim=-1)


def tent(
    centres: Float[Tensor, " windows"], sides: Float[Tensor, " windows"], cells: int, inside: int
) -> Float[Tensor, "windows cells"]:
    """Weights of the cells along one axis for windows at any place and of any size; rows sum to 1.

    A tent is 1 in the middle of its window and falls to 0 at its ends, so that what is in the middle counts most. Cells
    whose middle lies at or beyond `inside` (the picture's side without padding) have no weight; windows cut by the
    border are weighed by what is left. Places and sides are in pixels, the first pixel's left edge at 0.
    """
    middles = (torch.arange(cells, device=centres.device) + 0.5) * STRIDE
    # A tent narrower than the spacing of cells could miss them all: it is never narrower than two cells.
    half = sides.clamp_min(2.0 * STRIDE)[:, None] / 2
    weights = (1.0 - (middles - centres[:, None]).abs() / half).clamp_min(0.0) * (middles < inside)
    return weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-6)


def padded_to(picture: Float[Tensor, "n 3 h w"], multiple: int = DEEPEST) -> Float[Tensor, "n 3 rows columns"]:
    """Continued by its edge on the right and below to a multiple."""
    height, width = picture.shape[-2:]
    return F.pad(picture, (0, -width % multiple, 0, -height % multiple), mode="replicate")
