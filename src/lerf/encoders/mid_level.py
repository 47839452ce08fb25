"""`conse-mid`: a middle layer of EfficientNet-Lite0 as dense regulariser, where DINO is not installed.

Stride 16, 112 channels: the last map before the network gives up detail. Each channel is standardised by its mean
and deviation over the calibration photos (`data/conse_mid.tsv`), so that squared errors are of order one a channel.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.devices import resized
from lerf.encoders.efficientnet_lite import MID_STRIDE, STRIDE, load_network
from lerf.encoders.protocols import FeatureGrid

CODE_VERSION = "conse-mid-1"
SHORT_SIDE = 512
"""The photo is resized to this short side: the map then has about 32 cells across it."""
TABLE = "conse_mid.tsv"


class MidLevel:
    """Implements `DenseEncoder`."""

    name = "conse-mid"

    def __init__(self, weights: Path | None = None, device: str = "cpu"):
        self._network, sha = load_network("lite0", weights, device)
        self._device = device
        self.width = self._network.mid_width
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {sha}".encode()).hexdigest()
        lines = files("lerf.encoders").joinpath("data").joinpath(TABLE).read_text().splitlines()
        table = torch.tensor([[float(x) for x in line.split()] for line in lines if not line.startswith("#")])
        self._mean, self._deviation = table.to(device).unbind(dim=1)

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        """Map of the whole photo; RGB in 0..1. Padded with its edge to a multiple of 32 pixels after resizing."""
        with torch.inference_mode():
            features, x, y = raw_map(self._network, photo.to(self._device))
            features = (features.permute(1, 2, 0) - self._mean) / self._deviation
        return FeatureGrid(features.contiguous(), x / 2, y / 2, x, y)


def raw_map(
    network: torch.nn.Module, photo: Float[Tensor, "3 height width"]
) -> tuple[Float[Tensor, "channels rows columns"], float, float]:
    """Features before standardisation, and the size of a cell in pixels of the photo."""
    _, height, width = photo.shape
    scale = SHORT_SIDE / min(height, width)
    rows, columns = round(height * scale), round(width * scale)
    image = resized(photo[None], (rows, columns), "bicubic").clamp(0.0, 1.0)
    image = F.pad(image, (0, -columns % STRIDE, 0, -rows % STRIDE), mode="replicate")
    features = network.mid_level(image.contiguous(memory_format=torch.channels_last))[0]  # type: ignore[operator]
    return features, MID_STRIDE * width / columns, MID_STRIDE * height / rows


def load(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> MidLevel:
    """Registry entry `conse-mid`. Needs no network access, so `offline` changes nothing."""
    return MidLevel(weights, device)
