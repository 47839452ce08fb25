"""Training photos as the ideal views that Gaussians are drawn into."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.kernels.types import SplatView
from lerf.radiance.splats.views import Window, windows
from lerf.scenes.scene import Scene

LONGEST = 640
"""Pixels of a photo's longer side: more take longer and change Gaussians that are wider little."""
KEPT_BYTES = 512 << 20
"""Of pictures that are kept; others are read again."""


@dataclass(frozen=True)
class PhotoView:
    """A photo, or what an ideal lens would have shown of a part of it."""

    view: SplatView
    """In the normalised frame, for a picture whose first pixel is that of `colours`."""
    colours: Float[Tensor, "height width 3"]
    """0..1."""
    known: Bool[Tensor, "height width"] | None
    """Pixels that the photo shows and its mask lets take part; None: all."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.colours.shape[1], self.colours.shape[0]


class PhotoViews:
    """Photos of a scene as ideal views: as they are where their lens is ideal, otherwise resampled."""

    def __init__(self, scene: Scene, photos: Sequence[int], longest: int = LONGEST) -> None:
        self.scene, self.photos, self.longest = scene, list(photos), longest
        self._kept: OrderedDict[int, list[PhotoView]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> list[PhotoView]:
        """The views of a photo: one, of a fisheye up to six.

        Raises:
            SceneError: the photo cannot be read.
        """
        if row not in self._kept:
            found = self._read(self.photos[row])
            size = sum(4 * view.colours.numel() for view in found)
            while self._kept and self._bytes + size > KEPT_BYTES:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= sum(4 * view.colours.numel() for view in gone)
            self._kept[row] = found
            self._bytes += size
        return self._kept[row]

    def _read(self, photo: int) -> list[PhotoView]:
        pixels = torch.from_numpy(self.scene.pixels(photo, self.longest)).float() / 255
        height, width = pixels.shape[:2]
        mask = self.scene.mask(photo)
        known = torch.ones(height, width) if mask is None else _reduced(torch.from_numpy(mask), width, height)
        table = CameraTable.from_cameras([self.scene.normalised_camera(photo).scaled_to(width, height)])
        found = windows(table, 0)
        if len(found) == 1 and found[0].bounds == (0.0, 0.0, float(width), float(height)):
            return [PhotoView(found[0].view, pixels, None if mask is None else known > 0.5)]
        return [view for window in found if (view := _resampled(window, table, pixels, known)) is not None]


def _reduced(mask: Bool[Tensor, "height width"], width: int, height: int) -> Float[Tensor, "_height _width"]:
    return F.interpolate(mask.float()[None, None], size=(height, width), mode="area")[0, 0]


def _resampled(
    window: Window, table: CameraTable, pixels: Float[Tensor, "height width 3"], known: Float[Tensor, "height width"]
) -> PhotoView | None:
    """What a photo shows of a window, on the window's own plane; None where that is nothing."""
    left, top, right, bottom = window.bounds
    width, height = max(1, round(right - left)), max(1, round(bottom - top))
    view = window.view
    places = image_pixels(width, height) + torch.tensor([left, top])
    plane = (places - torch.tensor(view.centre)) / torch.tensor(view.focal)
    directions = torch.cat([plane, torch.ones_like(plane[:, :1])], -1) @ view.rotation
    found, _ = table.project(0, table.positions[0] + directions)
    size = torch.tensor([pixels.shape[1], pixels.shape[0]])
    at = (2 * found / size - 1).nan_to_num(nan=-2.0).view(1, height, width, 2)
    layers = torch.cat([pixels, known[..., None]], -1).movedim(-1, 0)[None]
    seen = F.grid_sample(layers, at, mode="bilinear", padding_mode="zeros", align_corners=False)[0].movedim(0, -1)
    shown = seen[..., 3] > 0.999
    if not bool(shown.any()):
        return None
    moved = view._replace(centre=(view.centre[0] - left, view.centre[1] - top))
    return PhotoView(moved, seen[..., :3].contiguous(), shown)
