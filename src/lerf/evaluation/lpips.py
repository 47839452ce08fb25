"""LPIPS: how different two pictures look to a network, after Zhang et al. 2018 (arXiv 1801.03924), AlexNet variant.

Per tapped layer l, features are scaled to unit length over channels, and the squared difference is weighted by channel,
averaged over places and summed over layers: sum_l mean_hw sum_c w_lc (x_lhwc - y_lhwc)^2, equation 1 of the paper with
w for the squares of its scales. Lower is more alike and 0 is equal. The weights are not part of this package; they are
read from a path that the user gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.errors import ConfigError, EncoderError
from lerf.files import is_file, is_folder

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""With `SHIFT`, the authors' scaling layer: RGB in -1..1 enters the network as (x - SHIFT) / SCALE."""
EPSILON = 1e-10
"""Added to the length of a feature before dividing by it, as in the authors' code."""
SHORTEST_SIDE = 31
"""Pixels; of a shorter side the second pooling leaves nothing."""


@dataclass(frozen=True)
class _Layer:
    """One convolution of AlexNet, followed by a ReLU that LPIPS taps."""

    index: int
    """Position in torchvision's `features`."""
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    pooled: bool
    """A 3x3 maximum of stride 2 comes before it."""


ALEXNET = (
    _Layer(0, 3, 64, 11, 4, 2, False),
    _Layer(3, 64, 192, 5, 1, 2, True),
    _Layer(6, 192, 384, 3, 1, 1, True),
    _Layer(8, 384, 256, 3, 1, 1, False),
    _Layer(10, 256, 256, 3, 1, 1, False),
)
WANTED = (
    "give AlexNet's LPIPS weights: one .safetensors or .pth file with the whole state of lpips.LPIPS(net='alex'), or a "
    "folder with torchvision's alexnet-*.pth and the lpips package's alex.pth"
)


@dataclass(frozen=True)
class Lpips:
    """The distance with its weights. Make one with `load_lpips`."""

    kernels: tuple[Float[Tensor, "_outputs _inputs _k _k"], ...]
    biases: tuple[Float[Tensor, " _outputs"], ...]
    channel_weights: tuple[Float[Tensor, " _outputs"], ...]

    @torch.no_grad()
    def features(self, pictures: Float[Tensor, "n 3 height width"]) -> list[Float[Tensor, "n _channels _h _w"]]:
        """The five tapped maps of RGB pictures in 0..1, before they are scaled to unit length."""
        x = pictures * 2 - 1
        x = (x - x.new_tensor(SHIFT)[:, None, None]) / x.new_tensor(SCALE)[:, None, None]
        taps = []
        for layer, kernel, bias in zip(ALEXNET, self.kernels, self.biases, strict=True):
            if layer.pooled:
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(F.conv2d(x, kernel, bias, layer.stride, layer.padding))
            taps.append(x)
        return taps

    @torch.no_grad()
    def distance(self, prediction: Float[Tensor, "height width 3"], target: Float[Tensor, "height width 3"]) -> float:
        """LPIPS of two pictures in 0..1.

        Raises:
            ConfigError: when a side is shorter than 31 pixels.
        """
        if min(prediction.shape[:2]) < SHORTEST_SIDE:
            height, width = prediction.shape[:2]
            raise ConfigError(f"LPIPS needs pictures of at least 31x31 pixels, not {width}x{height}; downscale less.")
        pair = torch.stack([prediction, target]).to(self.kernels[0]).permute(0, 3, 1, 2)
        total = 0.0
        for tap, weights in zip(self.features(pair), self.channel_weights, strict=True):
            unit = tap / (tap.square().sum(dim=1, keepdim=True).sqrt() + EPSILON)
            apart = (unit[0] - unit[1]).square()
            total += float((weights[:, None, None] * apart).sum(dim=0).mean())
        return total


def load_lpips(path: Path, device: str = "cpu") -> Lpips:
    """LPIPS with the weights at `path`.

    Args:
        path: one file (.safetensors, or a .pth of plain tensors) that holds convolutions and channel weights, or a
            folder with torchvision's `alexnet-*.pth` and the lpips package's `alex.pth`. Convolutions are named as in
            torchvision (`features.0.weight`) or as in the lpips package (`net.slice1.0.weight`), channel weights
            `lin0.model.1.weight`.
        device: where distances are computed.

    Raises:
        EncoderError: when the weights are missing, damaged or of another network.
    """
    path = Path(path)
    state = _read_state(path)

    def take(names: list[str], shape: tuple[int, ...]) -> Tensor:
        found = next((name for name in names if name in state), None)
        if found is None:
            raise EncoderError(f"{path} holds no {names[0]}; {WANTED}.")
        value = state[found]
        if not isinstance(value, Tensor) or tuple(value.shape) != shape or not value.is_floating_point():
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
            raise EncoderError(f"{found} in {path} has {got} and not {shape} floats; {WANTED}.")
        value = value.detach().float()
        if not bool(value.isfinite().all()):
            raise EncoderError(f"{found} in {path} holds values that are not finite; {WANTED}.")
        return value.to(device)

    kernels, biases, channel_weights = [], [], []
    for number, layer in enumerate(ALEXNET):
        names = [f"net.slice{number + 1}.{layer.index}", f"features.{layer.index}"]
        shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        kernels.append(take([f"{name}.weight" for name in names], shape))
        biases.append(take([f"{name}.bias" for name in names], (layer.outputs,)))
        channel_weights.append(take([f"lin{number}.model.1.weight"], (1, layer.outputs, 1, 1)).flatten())
    for name, expected in (("scaling_layer.shift", SHIFT), ("scaling_layer.scale", SCALE)):
        if name in state and not torch.allclose(take([name], (1, 3, 1, 1)).cpu().flatten(), torch.tensor(expected)):
            raise EncoderError(f"{name} in {path} is not that of LPIPS; {WANTED}.")
    return Lpips(tuple(kernels), tuple(biases), tuple(channel_weights))


def _read_state(path: Path) -> dict[str, Any]:
    """All arrays of a file or of the two files of a folder, by name."""
    if not is_folder(path):
        return _read_file(path)
    networks, weights = sorted(path.glob("alexnet-*.pth")), path / "alex.pth"
    if len(networks) != 1 or not is_file(weights):
        raise EncoderError(
            f"The folder {path} holds {len(networks)} alexnet-*.pth and {int(is_file(weights))} alex.pth instead of "
            f"one each; {WANTED}."
        )
    return {**_read_file(networks[0]), **_read_file(weights)}


def _read_file(path: Path) -> dict[str, Any]:
    if not is_file(path):
        raise EncoderError(f"There is no file or folder {path}; {WANTED}.")
    try:
        if path.suffix == ".safetensors":
            state: Any = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # What a damaged pickle raises depends on where the damage is.
        raise EncoderError(f"{path} cannot be read as weights ({type(error).__name__}); {WANTED}.") from error
    if not isinstance(state, Mapping):
        raise EncoderError(f"{path} holds a {type(state).__name__} and not arrays by name; {WANTED}.")
    return dict(state)
