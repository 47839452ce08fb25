"""A scene: posed photos, which of them are held out, and the similarity to the normalised frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity
from lerf.scenes.photos import Size, read_mask, read_photo, reduced


@dataclass(frozen=True)
class Photo:
    """One photo and its camera, at the resolution in use."""

    name: str
    """As the capture lists it, with forward slashes and its extension; unique within the scene."""
    path: Path
    """The file that is decoded: the listed one, or its ready-made reduction from a folder such as images_4."""
    camera: Camera
    """In the capture frame; width and height are the resolution in use."""
    original_size: Size
    """Width and height of the listed file, in the orientation in use."""
    mask_path: Path | None = None
    orientation: int = 1
    """EXIF orientation that is applied on decoding; 1 where the intrinsics refer to unrotated pixels."""
    has_alpha: bool = False
    white: int = 65535
    """Value that is white in the file, if it has more than 8 bits; see `lerf.scenes.photos.white_of`."""
    mask_white: float = 0.0
    """Value that is white in the masks of the capture."""


@dataclass(frozen=True)
class Scene:
    """Posed photos in the capture frame. Pixels are decoded on request and not kept."""

    root: Path
    photos: tuple[Photo, ...]
    train: tuple[int, ...]
    """Indices of the photos to learn from."""
    test: tuple[int, ...]
    """Indices of the held-out photos; disjoint from `train`."""
    similarity: Similarity
    """Capture frame to normalised frame."""
    background: Literal["alpha"] | None = None
    """"alpha" when photos carry transparency, which `pixels` composites onto white."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Format, and what the file says about its own coordinates (nerfstudio's applied_transform); plain JSON values."""
    notes: tuple[str, ...] = ()
    """What readers found and did not use, repaired, guessed or left out: a sentence each, told by `load_scene`."""
    points_path: Path | None = None
    """The file with the 3D points that the capture's pose tool estimated; see `lerf.scenes.load.read_points`."""

    def __len__(self) -> int:
        return len(self.photos)

    def pixels(self, index: int, longest: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
        """Colours of a photo, transparency composited onto white.

        Args:
            index: of the photo.
            longest: pixels that its longer side may have; None: the resolution in use.

        Raises:
            SceneError: when the file is missing, cut off or corrupt.
        """
        colours = self._decoded(index, longest)
        if colours.shape[2] == 3:
            return colours
        alpha = colours[..., 3:].astype(np.float32) / 255
        return np.rint(colours[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)

    def alpha(self, index: int) -> Float32[np.ndarray, "height width"] | None:
        """Opacity 0..1 of a photo's pixels; None when it has no transparency.

        Raises:
            SceneError: as `pixels`.
        """
        if not self.photos[index].has_alpha:
            return None
        return self._decoded(index)[..., 3].astype(np.float32) / np.float32(255)

    def mask(self, index: int) -> Bool[np.ndarray, "height width"] | None:
        """True where a pixel takes part, at the resolution in use; None when the photo has no mask.

        Raises:
            SceneError: when the file is missing, cut off or corrupt.
        """
        photo = self.photos[index]
        if photo.mask_path is None:
            return None
        return read_mask(photo.mask_path, (photo.camera.width, photo.camera.height), photo.mask_white)

    def normalised_camera(self, index: int) -> Camera:
        """A photo's camera in the normalised frame."""
        return self.photos[index].camera.moved(self.similarity)

    def to_original_pixel(self, index: int, x: float, y: float) -> Float[np.ndarray, " 2"]:
        """A continuous pixel (centres at +0.5) at the resolution in use, as one of the listed file's (x, y)."""
        photo = self.photos[index]
        return np.array(
            [x * photo.original_size[0] / photo.camera.width, y * photo.original_size[1] / photo.camera.height]
        )

    def _decoded(self, index: int, longest: int | None = None) -> UInt8[np.ndarray, "height width channel"]:
        photo = self.photos[index]
        size = photo.camera.width, photo.camera.height
        if longest is not None and max(size) > longest:
            size = reduced(size, max(size) / longest)
        return read_photo(photo.path, size, photo.orientation, photo.white)
