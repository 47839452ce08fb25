"""DINO: keys of a self-supervised vision transformer's last block as dense regulariser (Caron et al. 2021).

The paper's choice is DINO ViT-S/8 (Amir et al. 2021, arXiv 2112.05814, show that its keys tell parts apart). DINOv2 and
DINOv3 load the same way. DINOv3's weights are given out under a licence that has to be accepted on the hub.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lerf.devices import resized
from lerf.encoders.checkpoint import build, class_named, digest_of, read_config, read_tensors
from lerf.encoders.hub import Files, find_files
from lerf.encoders.preprocessing import read_statistics
from lerf.encoders.protocols import FeatureGrid, refuse_not_finite
from lerf.encoders.published import PUBLISHED
from lerf.errors import EncoderError

CODE_VERSION = "dino-1"
"""Part of the fingerprint: change it whenever features change."""
DINO, DINOV2 = PUBLISHED["dino"].model, PUBLISHED["dinov2"].model
SHORT_SIDE = 500
"""The photo is resized to about this short side, as in the paper."""
NETWORKS = {
    "vit": "ViTModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
}
"""Types of model to classes of `transformers`."""


class LastKeys:
    """Implements `DenseEncoder`; see the module."""

    def __init__(self, name: str, files: Files, device: str = "cpu", short_side: int = SHORT_SIDE) -> None:
        """
        Args:
            name: the name that the encoder is asked for.
            files: where its files are, in the layout of `transformers`.
            device: torch device.
            short_side: length in pixels, about, that the photo's short side is resized to.

        Raises:
            EncoderError: the files are incomplete, damaged or of another architecture.
        """
        config = read_config(files.folder)
        kind = config.model_type
        if kind not in NETWORKS:
            raise EncoderError(
                f"{files.folder} holds a model of type '{kind}', not one of {', '.join(NETWORKS)}; choose another."
            )
        settings: dict[str, Any] = {"add_pooling_layer": False} if kind == "vit" else {}
        network = build(class_named(NETWORKS[kind]), config, read_tensors(files), files.folder, **settings)
        mean, std = read_statistics(files.folder)
        digest = digest_of(files)
        self.name = name
        self.width = config.hidden_size
        self.licence = files.licence
        self.weights_digest = digest
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {short_side} {mean} {std} {digest}".encode()).hexdigest()
        self._patch = int(config.patch_size)
        self._before = 1 + int(getattr(config, "num_register_tokens", 0) or 0)
        self._short_side = short_side
        self._device = device
        self._mean, self._std = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
        # DINOv2 and DINOv3 fit their positions to the picture unasked.
        self._positions = {"interpolate_pos_encoding": True} if kind == "vit" else {}
        self._trunk, self._last_norm, self._keys = _cut_before_last_keys(network.to(device), config.num_hidden_layers)

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        """Keys of all heads side by side, one cell a patch, not normalised; RGB in 0..1.

        Both sides of the photo are resized to whole patches, so that the map covers it to the border.
        """
        with torch.inference_mode():
            _, height, width = photo.shape
            scale = self._short_side / (min(height, width) * self._patch)
            rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
            size = (rows * self._patch, columns * self._patch)
            image = resized(photo[None].to(self._device), size, "bicubic").clamp(0.0, 1.0)
            tokens = self._trunk(pixel_values=(image - self._mean) / self._std, **self._positions).last_hidden_state
            keys = self._keys(self._last_norm(tokens[0, self._before :])).reshape(rows, columns, self.width)
        refuse_not_finite(keys, self.name)
        return FeatureGrid(keys, width / columns / 2, height / rows / 2, width / columns, height / rows)


def _cut_before_last_keys(network: nn.Module, depth: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The network without its last block and final norm, and the norm and the projection to keys of that block."""
    blocks = next(module for module in network.modules() if isinstance(module, nn.ModuleList) and len(module) == depth)
    last = blocks[-1]
    del blocks[-1]
    for name in ("layernorm", "norm"):
        if isinstance(getattr(network, name, None), nn.Module):
            setattr(network, name, nn.Identity())
    first_norm = next(module for name, module in last.named_children() if name in ("layernorm_before", "norm1"))
    keys = next(module for name, module in last.named_modules() if name.endswith(("k_proj", ".key")))
    return network, first_norm, keys


def load(variant: str = DINO, weights: Path | None = None, offline: bool = False, device: str = "cpu") -> LastKeys:
    """Registry entry `dino`: DINO ViT-S/8, width 384, licence Apache-2.0; `dino:ID_OR_PATH` any other of the family."""
    return LastKeys("dino" if variant == DINO else f"dino:{variant}", find_files(variant, weights, offline), device)


def load_v2(variant: str = DINOV2, weights: Path | None = None, offline: bool = False, device: str = "cpu") -> LastKeys:
    """Registry entry `dinov2`: DINOv2 ViT-S/14, width 384, licence Apache-2.0; `dinov2:ID_OR_PATH` any other."""
    return LastKeys(
        "dinov2" if variant == DINOV2 else f"dinov2:{variant}", find_files(variant, weights, offline), device
    )
