"""What a network wants of its input pictures, read from its own settings and done without torchvision.

Resizing a square reproduces Pillow to the bit: weights rounded to 22 binary places, along rows first, and a rounding to
8 bits after each of the two passes. Other antialiased resizers differ from it by one step of 255 here and there, which
the normalisation turns into a difference of 0.015. Recent versions of Pillow begin with the columns of some pictures
that are not square: there, and nowhere else, values can differ by some steps at sharp edges. Tiles are square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.devices import in_doubles
from lerf.documents import converted
from lerf.encoders.checkpoint import read_json
from lerf.errors import EncoderError
from lerf.files import is_file

BILINEAR, BICUBIC = 2, 3
"""Pillow's numbers of the filters, which settings files use."""
SUPPORT = {BILINEAR: 1.0, BICUBIC: 2.0}
FIXED_POINT = 2.0**22
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


Side = Annotated[int, msgspec.Meta(ge=1, le=8192)]
"""Pixels along one side of what a network takes."""
Statistic = Annotated[float, msgspec.Meta(ge=-1e3, le=1e3)]
Deviation = Annotated[float, msgspec.Meta(ge=1e-6, le=1e3)]


class _Sides(msgspec.Struct):
    height: Side | None = None
    width: Side | None = None
    shortest_edge: Side | None = None

    @property
    def both(self) -> tuple[int, ...]:
        return tuple(side for side in (self.height, self.width) if side is not None)


class Processor(msgspec.Struct):
    """What `preprocessor_config.json` says of the pictures that a network takes; all else changes nothing here."""

    image_mean: list[Statistic] | None = None
    image_std: list[Deviation] | None = None
    rescale_factor: float = 1 / 255
    resample: int | None = None
    size: Side | _Sides | None = None
    crop_size: Side | _Sides | None = None
    do_center_crop: bool | None = None
    do_resize: bool | None = True
    do_rescale: bool | None = True
    do_normalize: bool | None = True
    max_num_patches: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 256
    patch_size: Side | _Sides = 16


@dataclass(frozen=True)
class Preprocessing:
    """From 8-bit pictures to the input of a network."""

    size: int
    """Side in pixels of what enters the network."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: int = BICUBIC
    resize: int | None = None
    """Length that the short side is resized to before the middle is cut out; None resizes both sides to `size`."""

    def prepare(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3 size size"]:
        """Resized, cropped and normalised; RGB in 0..1, rounded to 8 bits first unless the size is right already."""
        height, width = images.shape[-2:]
        if (height, width) == (self.size, self.size) and self.resize in (None, self.size):
            return self.normalise(images)
        rows, columns = self.size, self.size
        if self.resize is not None:
            short, long = self.resize, int(self.resize * max(height, width) / min(height, width))
            rows, columns = (short, long) if height <= width else (long, short)
        resized = resize_as_pillow(images, rows, columns, self.resample)
        top, left = (rows - self.size) // 2, (columns - self.size) // 2
        return self.normalise(resized[..., top : top + self.size, left : left + self.size])

    def normalise(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3 height width"]:
        """Mean taken away, divided by deviation; RGB in 0..1."""
        mean, std = (images.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (images - mean) / std


def require_size(preprocessing: Preprocessing, size: object, folder: Path) -> None:
    """Make sure that pictures are prepared at the size that a network takes.

    Raises:
        EncoderError: they are not.
    """
    if preprocessing.size != size:
        raise EncoderError(
            f"The settings in {folder} prepare pictures of {preprocessing.size} pixels for a network that takes "
            f"{size}; fetch the folder again."
        )


def resize_as_pillow(
    images: Float[Tensor, "n channels height width"], rows: int, columns: int, resample: int = BICUBIC
) -> Float[Tensor, "n channels rows columns"]:
    """What `PIL.Image.resize` makes of the pictures rounded to 8 bits, along rows first; values in 0..1."""
    pixels = (in_doubles(images) * 255.0).round_().clamp_(0.0, 255.0)
    if columns != images.shape[-1]:
        pixels = _to_8_bits(pixels @ _weights(images.shape[-1], columns, resample).to(pixels.device).T)
    if rows != images.shape[-2]:
        pixels = _to_8_bits(_weights(images.shape[-2], rows, resample).to(pixels.device) @ pixels)
    return (pixels / 255.0).to(images.dtype).to(images.device)


def _to_8_bits(sums: Tensor) -> Tensor:
    return torch.floor(sums / FIXED_POINT + 0.5).clamp_(0.0, 255.0)


@lru_cache(maxsize=64)
def _weights(inputs: int, outputs: int, resample: int) -> Tensor:
    """Matrix (outputs, inputs) of whole numbers in units of 2^-22, as `precompute_coeffs` of Pillow makes them."""
    scale = inputs / outputs
    stretch = max(scale, 1.0)
    support = SUPPORT[resample] * stretch
    centre = (torch.arange(outputs, dtype=torch.float64) + 0.5) * scale
    first = (centre - support + 0.5).trunc().clamp_min(0.0)
    last = (centre + support + 0.5).trunc().clamp_max(inputs)
    position = torch.arange(inputs, dtype=torch.float64)
    weights = _kernel((position - centre[:, None] + 0.5) / stretch, resample)
    weights = weights * ((position >= first[:, None]) & (position < last[:, None]))
    fixed = weights / weights.sum(dim=1, keepdim=True) * FIXED_POINT
    return torch.trunc(fixed + torch.where(fixed < 0, -0.5, 0.5))


def _kernel(x: Tensor, resample: int) -> Tensor:
    x = x.abs()
    if resample == BILINEAR:
        return (1.0 - x).clamp_min(0.0)
    a = -0.5
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))


def read_statistics(folder: Path) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation of RGB in 0..1 that a model wants.

    Raises:
        EncoderError: the settings are missing or say something else.
    """
    return _statistics(read_settings(folder), folder)


def read_preprocessing(folder: Path, square: bool) -> Preprocessing:
    """Settings of the processor in a model's folder (`preprocessor_config.json`).

    Args:
        folder: folder in the hub's layout.
        square: what a size given as one number means: both sides (SigLIP), or the short side (CLIP).

    Raises:
        EncoderError: the settings are missing or ask for what is not done here.
    """
    settings = read_settings(folder)
    mean, std = _statistics(settings, folder)
    resample = BICUBIC if settings.resample is None else settings.resample
    size, crop = settings.size, settings.crop_size
    if isinstance(size, int):
        size = _Sides(size, size) if square else _Sides(shortest_edge=size)
    if isinstance(crop, int):
        crop = _Sides(crop, crop)
    sides = set((crop or _Sides()).both) if settings.do_center_crop else set()
    size = size or _Sides()
    resize = size.shortest_edge
    if resize is not None:
        sides = sides or {resize}
    else:
        sides |= set(size.both)
    if not sides:
        raise EncoderError(f"The preprocessor settings of {folder} say no size; fetch the whole folder of the model.")
    side = min(sides)
    if len(sides) != 1 or resample not in SUPPORT or (resize or side) < side or not settings.do_resize:
        raise EncoderError(
            f"The preprocessor settings of {folder} ask for more than resizing to a square with a bilinear or bicubic "
            "filter; choose another checkpoint."
        )
    return Preprocessing(side, mean, std, resample, resize)


def read_settings(folder: Path) -> Processor:
    """Settings of the processor in a model's folder.

    Raises:
        EncoderError: missing or malformed.
    """
    path = folder / "preprocessor_config.json"
    if not is_file(path) and is_file(folder / "processor_config.json"):
        path = folder / "processor_config.json"
        settings = read_json(path).get("image_processor", {})
    else:
        settings = read_json(path)
    return converted(settings, Processor, str(path), error=EncoderError, remedy="fetch the whole folder of the model")


def _statistics(settings: Processor, folder: Path) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    mean, std = settings.image_mean, settings.image_std
    if mean is None or std is None:
        raise EncoderError(f"The preprocessor settings of {folder} name no mean and deviation; fetch them again.")
    usual = math.isclose(settings.rescale_factor, 1 / 255, rel_tol=1e-6) and settings.do_normalize
    if len(mean) != 3 or len(std) != 3 or not usual or not settings.do_rescale:
        raise EncoderError(
            f"The preprocessor settings of {folder} do not normalise RGB in 0..1; choose another checkpoint."
        )
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
