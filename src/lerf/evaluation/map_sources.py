"""Where the relevancy maps of a view come from: the run, the 2D baseline, or the files of another method.

Files of another method are NPY arrays of floats [height, width], higher meaning more relevant, one for each view and
phrase, at DIR/<view>/<phrase>.npy. The view is the photo's whole name, as the capture lists it, where DIR has such a
folder, and otherwise its file name without folder and suffix, which no other photo may have then. In the phrase every
character but ASCII letters, digits, space and `_ . - ~` is written as in URLs, %XX for each byte of its UTF-8
(`urllib.parse.quote(phrase, safe=" ")`): "a mug's handle" is `a mug%27s handle.npy`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable
from urllib.parse import quote

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.arrays import read_npy
from lerf.errors import ConfigError
from lerf.evaluation.baseline import pyramid_maps
from lerf.evaluation.truth import check_aspect
from lerf.files import is_absent, is_folder, read_bytes
from lerf.model import Model
from lerf.queries.phrases import Phrases
from lerf.scenes.scene import Scene

LARGEST_MAP = 1_000_000_000
"""Bytes of one map."""


@runtime_checkable
class MapSource(Protocol):
    """A method that is scored."""

    def maps(self, photo: int, texts: Sequence[str]) -> list[Float[Tensor, "_height _width"]]:
        """Relevancy of phrases over a photo, each at any resolution."""
        ...


class FieldMaps:
    """Maps rendered from the run, every phrase at one scale for the whole scene."""

    def __init__(self, model: Model, phrases: Phrases, scales: Sequence[float]) -> None:
        """`scales` in normalised units, one for each phrase."""
        self.model, self.phrases, self.scales = model, phrases, list(scales)

    def maps(self, photo: int, texts: Sequence[str]) -> list[Float[Tensor, "_height _width"]]:
        chosen, rows = _subset(self.phrases, texts)
        scales = [self.scales[row] for row in rows]
        return list(self.model.relevancy_maps(self.model.cameras, photo, chosen, scales).cpu())


class PyramidMaps:
    """The 2D baseline: the encoder's pyramid of the photo itself."""

    def __init__(self, model: Model, phrases: Phrases, capture: Scene | None = None) -> None:
        self.model, self.phrases, self.capture = model, phrases, capture

    def maps(self, photo: int, texts: Sequence[str]) -> list[Float[Tensor, "_height _width"]]:
        return list(pyramid_maps(self.model, _subset(self.phrases, texts)[0], photo, self.capture))


LARGEST_MAP = 2_000_000_000
"""Bytes of a stored map."""


class StoredMaps:
    """Another method's maps."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.folder, self.scene = Path(folder), scene
        self._stems = Counter(PurePosixPath(photo.name).stem for photo in scene.photos)
        self._digests: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over the maps read so far: their places in the folder, sorted, and what they hold."""
        lines = [f"{path} {digest}\n" for path, digest in sorted(self._digests.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def maps(self, photo: int, texts: Sequence[str]) -> list[Float[Tensor, "_height _width"]]:
        return [self._read(photo, text) for text in texts]

    def _read(self, photo: int, text: str) -> Float[Tensor, "height width"]:
        path = self._view_folder(photo) / map_name(text)
        if is_absent(path):
            raise ConfigError(f"There is no map {path}; write the relevancy of {text!r} in that view there.")
        content = read_bytes(path, error=ConfigError, remedy="write a smaller map", largest=LARGEST_MAP)
        try:
            array = read_npy(content)
        except ValueError as error:
            raise ConfigError(f"The map {path} cannot be read ({error}); write it with numpy.save.") from error
        if array.ndim != 2 or 0 in array.shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ConfigError(
                f"The map {path} holds {array.dtype} of shape {list(array.shape)}; write finite floats [height, width]."
            )
        check_aspect(self.scene, photo, array.shape[1], array.shape[0], f"The maps like {path}", ConfigError)
        self._digests[path.relative_to(self.folder).as_posix()] = hashlib.sha256(content).hexdigest()
        if float(np.abs(array).max()) > float(np.finfo(np.float32).max):
            raise ConfigError(f"The map {path} holds numbers beyond single precision; write relevancies about 0 to 1.")
        return torch.from_numpy(array.astype(np.float32))

    def _view_folder(self, photo: int) -> Path:
        name = self.scene.photos[photo].name
        whole, stem = self.folder / name, PurePosixPath(name).stem
        if is_folder(whole):
            return whole
        if self._stems[stem] > 1:
            raise ConfigError(f"Several photos are called {stem!r}; write the maps of {name} into {whole}.")
        return self.folder / stem


def map_name(text: str) -> str:
    """File name of the map of a phrase."""
    return f"{quote(text, safe=' ')}.npy"


def at_size(scores: Float[Tensor, "_h _w"], height: int, width: int) -> Float[Tensor, "height width"]:
    """A map at the resolution of the truth, bilinear."""
    if tuple(scores.shape) == (height, width):
        return scores
    return F.interpolate(scores[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]


def _subset(phrases: Phrases, texts: Sequence[str]) -> tuple[Phrases, list[int]]:
    row_of = {text: row for row, text in enumerate(phrases.texts)}
    rows = [row_of[text] for text in texts]
    return phrases.chosen(rows), rows
