"""A small photo, tiles of it, and an encoder that keeps what it is shown."""

import numpy as np
import torch
from torch.nn import functional as F

from lerf.encoders.protocols import EncoderDefaults
from lerf.pyramids.lookup import PyramidTable

WIDTH = 5
PHOTO = (40, 30)


class Recorder:
    """An encoder that keeps what it is shown and answers with the mean colour."""

    name, width, input_size, fingerprint = "recorder", 3, 16, "r"
    defaults = EncoderDefaults((0.2, 0.5), 10.0, 0.5)

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def encode_text(self, phrases):
        raise NotImplementedError

    def encode_tiles(self, tiles):
        self.seen += list(tiles)
        return F.normalize(tiles.mean((-1, -2)) + 1e-3, dim=-1)


def tiles(photos: int = 2, seed: int = 0, width: int = WIDTH) -> PyramidTable:
    """Two levels of 3x4 cells a photo."""
    random = torch.Generator().manual_seed(seed)
    cells = F.normalize(torch.randn(photos * 24, width, generator=random), dim=-1).half()
    starts = torch.arange(photos)[:, None] * 24 + torch.tensor([0, 12])
    shapes = torch.tensor([3, 4]).expand(photos, 2, 2)
    return PyramidTable(
        cells, torch.tensor([0.2, 0.5]), starts, shapes, torch.zeros(photos, 2, 2), torch.full((photos, 2, 2), 10.0)
    )


def picture() -> np.ndarray:
    """Red left half, green right half, and a blue box."""
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:, :20, 0] = pixels[:, 20:, 1] = 255
    pixels[10:20, 10:18] = (0, 0, 255)
    return pixels
