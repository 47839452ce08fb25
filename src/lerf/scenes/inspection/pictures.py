"""What a sample of a capture's photos looks like: how sharp, how bright; and which of them cannot be decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from lerf.errors import SceneError
from lerf.scenes.inspection.tracks import spread
from lerf.scenes.scene import Scene
from lerf.scenes.sharpness import SIDE, detail, grey_of

MOST_PHOTOS = 64
"""Photos that are decoded, evenly spread over the capture, so that it takes seconds."""
BLURRED = 0.4
"""A photo is blurred when its fine detail is less than this share of the median of all; three pixels of motion in 640
leave a quarter (measured on six captures)."""
SOFT = 0.09
"""... or less than this: photos in focus have 0.2 to 0.5, with three pixels of motion 0.05 to 0.1 (as measured)."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of linear red, green and blue, ITU-R BT.709."""
BRIGHTNESS_ENDS = (10, 90)
"""Percentiles of the photos' brightness between which exposure is said to differ."""


@dataclass(frozen=True)
class Pictures:
    """Photos that were looked at."""

    photos: tuple[int, ...]
    """Indices of those that could be decoded."""
    details: tuple[float | None, ...]
    """Of each `lerf.scenes.sharpness.detail`."""
    stops: float | None
    """By how much brightness differs between the photos, as a power of two; None for cut-outs, whose background is
    white, and for a single photo."""
    damaged: tuple[str, ...]
    """What is wrong with those that could not be decoded, a sentence each."""

    @property
    def detail(self) -> float | None:
        """The median of what is known of it."""
        known = [value for value in self.details if value is not None]
        return float(np.median(known)) if known else None

    @property
    def blurred(self) -> tuple[int, ...]:
        """Indices of blurred photos."""
        usual = self.detail
        if usual is None:
            return ()
        least, pairs = max(SOFT, BLURRED * usual), zip(self.photos, self.details, strict=True)
        return tuple(photo for photo, value in pairs if value is not None and value < least)


def look_at(scene: Scene, progress: Callable[[int, int], None] | None = None) -> Pictures:
    """Decode a sample of a scene's photos, reduced.

    Args:
        scene: the photos.
        progress: called with the photos done and their number.
    """
    chosen = spread(np.arange(len(scene)), MOST_PHOTOS).tolist()
    photos, details, brightness, damaged = [], [], [], []
    for done, photo in enumerate(chosen, start=1):
        try:
            picture = scene.pixels(photo, SIDE)
        except SceneError as error:
            damaged.append(str(error))
        else:
            photos.append(photo)
            details.append(detail(grey_of(picture)))
            brightness.append(brightness_of(picture))
        if progress is not None:
            progress(done, len(chosen))
    low, high = np.percentile(brightness, BRIGHTNESS_ENDS) if len(photos) > 1 else (0.0, 0.0)
    stops = None if scene.background == "alpha" or len(photos) < 2 else float(high - low)
    return Pictures(tuple(photos), tuple(details), stops, tuple(damaged))


def brightness_of(picture: UInt8[np.ndarray, "height width 3"]) -> float:
    """Mean light of a picture as a power of two: values are linear after the transfer function of sRGB (IEC 61966-2-1)
    is undone."""
    counts = np.stack([np.bincount(picture[..., channel].ravel(), minlength=256) for channel in range(3)])
    value = np.arange(256) / 255
    linear: Float[np.ndarray, " 256"] = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(np.log2(max(LUMINANCE @ (counts @ linear) / counts[0].sum(), 1e-6)))
