"""`mini-things`: tells apart the things in a photo, whatever they are called; learnt on generated scenes alone.

A small head on the image tower of `mini` (`recipes/mini/things.py`) gives every place of a photo a vector.
exp(-|a - b|^2) of two neighbouring places is how likely both show one thing: the affinity of pixels as AffinityNet
learns it (Ahn and Kwak 2018, arXiv 1803.10464), here of vectors, so that any pair of places can be asked.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.arrays import read_tensors
from lerf.encoders.mini import HEIGHT, MAP_ZOOM, Weights, maps_of
from lerf.encoders.mini_tower import CHANNELS, FINE
from lerf.encoders.protocols import FeatureGrid
from lerf.errors import EncoderError
from lerf.files import read_bytes

CODE_VERSION = "mini-things-1"
"""Part of the fingerprint: change it whenever the vectors change."""
WIDTH = 16
FINE_WIDTH, COARSE_WIDTH, MIXED = 48, 96, 64
"""Channels of the head: of the fine map, of the coarse one, and of both together."""
DILATIONS = (1, 2, 4, 8)
"""Of the convolutions that look around on the coarse map; the last one sees an eighth of the photo's height."""
LARGEST = 100_000_000
"""Bytes of a file of weights."""
REMEDY = "install lerf again, or make them with `make mini-things`"


class ThingHead(nn.Module):
    """Maps of the tower to vectors at the finer map's resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(CHANNELS[0], FINE_WIDTH, 1)
        self.coarse = nn.Conv2d(CHANNELS[1], COARSE_WIDTH, 1)
        self.around = nn.ModuleList(
            nn.Conv2d(COARSE_WIDTH, COARSE_WIDTH, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        self.mix = nn.Conv2d(FINE_WIDTH + COARSE_WIDTH, MIXED, 3, padding=1)
        self.out = nn.Conv2d(MIXED, WIDTH, 1)

    def forward(
        self, fine: Float[Tensor, "n fine high wide"], coarse: Float[Tensor, "n coarse rows columns"]
    ) -> Float[Tensor, "n width high wide"]:
        """Vectors of places, from the maps that `mini.maps_of` makes."""
        seen = F.relu(self.coarse(coarse))
        for convolution in self.around:
            seen = seen + F.relu(convolution(seen))
        seen = F.interpolate(seen, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return self.out(F.relu(self.mix(torch.cat([F.relu(self.fine(fine)), seen], dim=1))))


class MiniThings:
    """See the module."""

    name = "mini-things"
    width = WIDTH

    def __init__(self, device: str = "cpu") -> None:
        source = Path(str(files("lerf.encoders").joinpath("data").joinpath("mini_things.safetensors")))
        data = read_bytes(source, error=EncoderError, remedy=REMEDY, largest=LARGEST)
        tensors, about = read_tensors(source, error=EncoderError, remedy=REMEDY)
        # Of its weights only the image tower goes to the device.
        weights = Weights(None, "cpu")
        if about.get("tower") != weights.sha:
            raise EncoderError(f"{source} was trained on another tower than the one beside it; {REMEDY}.")
        self._device, self._tower, self._head = device, weights.image.to(device), ThingHead()
        try:
            self._head.load_state_dict({name: value.float() for name, value in tensors.items()})
        except RuntimeError as error:
            raise EncoderError(f"{source} does not hold weights of mini-things; {REMEDY}.") from error
        self._head.eval().requires_grad_(False).to(device)
        digest = hashlib.sha256(data).hexdigest()
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {weights.sha} {digest}".encode()).hexdigest()

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        """Vectors over the whole photo, 120 rows of them; RGB in 0..1."""
        with torch.inference_mode():
            found = self._head(*maps_of(self._tower, photo.to(self._device)[None]))[0].permute(1, 2, 0)
        height, width = photo.shape[1:]
        rows = round(MAP_ZOOM * HEIGHT)
        down, across = FINE / rows * height, FINE / max(1, round(width * rows / height)) * width
        return FeatureGrid(found.contiguous(), across / 2, down / 2, across, down)
