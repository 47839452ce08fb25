"""What an encoder must offer. Two small protocols; everything else is private to the encoder.

Embeddings of the image-text protocol are unit vectors of one shared space: the cosine of a phrase's embedding and a
tile's embedding says how well the phrase describes the tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.errors import EncoderError, QueryError


@dataclass(frozen=True)
class FeatureGrid:
    """A regular grid of embeddings laid over one photo.

    Cell (row i, column j) describes the photo around the point (x0 + j * dx, y0 + i * dy), in pixels of the photo with
    the centre of the first pixel at (0.5, 0.5).
    """

    features: Float[Tensor, "rows columns width"]
    x0: float
    y0: float
    dx: float
    dy: float

    def at(self, pixels: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch width"]:
        """Features at pixels (x, y) of the photo: bilinear between the middles of cells, and those of the outermost
        cells beyond. On the features' device, in 32 bits."""
        features = self.features.float()
        origin, step = (features.new_tensor(pair) for pair in ((self.x0, self.y0), (self.dx, self.dy)))
        rows, columns = features.shape[:2]
        # From -1 in the middle of the first cell to 1 in that of the last; a single cell is the same everywhere.
        last = features.new_tensor([max(columns - 1, 1), max(rows - 1, 1)])
        places = (2.0 * (pixels.to(features) - origin) / step / last - 1.0).nan_to_num(0.0).reshape(1, 1, -1, 2)
        found = F.grid_sample(features.permute(2, 0, 1)[None], places, padding_mode="border", align_corners=True)
        return found[0, :, 0].T.reshape(*pixels.shape[:-1], -1)


@dataclass(frozen=True)
class EncoderDefaults:
    """Settings that belong to an encoder, not to the caller, because they depend on its embedding space."""

    tile_ratios: tuple[float, ...]
    """Heights of the pyramid's tiles as fractions of the photo's height, smallest first."""
    temperature: float
    """Factor on cosines inside relevancy (`queries/relevancy.py`)."""
    threshold: float
    """Relevancy at which a phrase counts as present; calibrated on photos that no evaluation uses."""
    canonical: tuple[str, ...] = ("object", "things", "stuff", "texture")
    """Phrases that a query must beat."""
    features: Literal["tiles", "dense"] = "dense"
    """How the pyramid is made unless the user says; an encoder that cannot make it densely makes it by tiles."""


def refuse_not_finite(features: Tensor, name: str) -> Tensor:
    """The features that an encoder made.

    Raises:
        EncoderError: one is NaN or infinite: the weights are damaged, or too large for the precision.
    """
    if not bool(features.isfinite().all()):
        raise EncoderError(
            f"The encoder {name} gives numbers that are not finite: fetch its weights again, or use --device cpu."
        )
    return features


def refuse_blank(phrases: Sequence[str]) -> None:
    """What every `encode_text` asks first.

    Raises:
        QueryError: a phrase is blank.
    """
    if any(not phrase.strip() for phrase in phrases):
        raise QueryError("A phrase is empty; write what to look for.")


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Phrases and square image tiles into one space."""

    name: str
    """The name it is asked for, for example `conse`."""
    width: int
    """Length of an embedding."""
    input_size: int
    """Side in pixels of the tiles that `encode_tiles` expects."""
    fingerprint: str
    """SHA-256 over weights and code version: names the pyramid cache and is recorded in runs."""
    defaults: EncoderDefaults

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases."""
        ...

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles width"]:
        """Unit embeddings of tiles; RGB in 0..1, before any normalisation of the network's own."""
        ...


@runtime_checkable
class DenseImageTextEncoder(ImageTextEncoder, Protocol):
    """An image-text encoder that can embed all tiles of one height in a single pass over the photo."""

    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        """Unit embeddings as if of tiles of `tile_ratio` times the photo's height, on a regular grid."""
        ...


@runtime_checkable
class PyramidEncoder(DenseImageTextEncoder, Protocol):
    """One whose levels share passes over the photo: asked for all of them, it does less than level by level."""

    def encode_photo_levels(
        self, photo: Float[Tensor, "3 height width"], tile_ratios: Sequence[float]
    ) -> Sequence[FeatureGrid]:
        """What `encode_photo_at` gives for each of the ratios."""
        ...


@runtime_checkable
class DenseEncoder(Protocol):
    """A self-supervised or mid-level feature map, the regulariser of the language field (DINO in the paper)."""

    name: str
    width: int
    fingerprint: str

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        """Feature map of the whole photo; RGB in 0..1; no normalisation of the features."""
        ...
