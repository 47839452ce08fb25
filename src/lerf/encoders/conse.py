"""`conse`: pictures and phrases joined through the classes of ImageNet (ConSE, Norouzi et al. 2014, arXiv 1312.5650).

A picture becomes the mean of class vectors under the class distribution of an EfficientNet-Lite. A phrase becomes the
mean of the vectors of the classes and hypernyms whose names are closest to it in a sentence encoder (MiniLM).

Two things differ from the original, because plain word vectors say little about absence ("bulldozer" is close to
"bulldog"). Class vectors come from WordNet (`taxonomy.py`), so that unrelated classes are orthogonal: a phrase matched
to a wrong class scores only where that class is seen. And one more axis stands for *nothing in particular*: every
picture carries a constant share of it, so that an unsure picture, whose class vectors cancel, points along it; a phrase
near no name points along it too. So do "object", "things", "stuff" and "texture", which makes them the baseline that a
phrase must beat. Averaging embeddings that disagree moves them to that axis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.efficientnet_lite import STRIDE, load_network
from lerf.encoders.minilm import SentenceEncoder
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid
from lerf.encoders.taxonomy import CLASSES, load_taxonomy
from lerf.errors import ConfigError, QueryError

CODE_VERSION = "conse-1"
"""Part of the fingerprint: change it whenever image embeddings change."""
DENSE_TILE = 224
"""Side of a tile of the dense pass after resizing, in pixels."""


@dataclass(frozen=True)
class SpaceSettings:
    """Constants of the joint space, set by `benchmarks/calibrate_conse.py` on photos that no evaluation uses."""

    width: int = 384
    exponent: float = 1.0
    """Power of the information of WordNet nodes."""
    sharpness: float = 1.0
    """Factor on the network's logits."""
    doubt: float = 0.3
    """Share of the axis of nothing in particular in every picture."""
    name_temperature: float = 0.05
    """Softness of the choice among names close to a phrase, in cosine."""
    name_threshold: float = 0.5
    """Cosine to the closest name at which half of a phrase is doubt."""


class Conse:
    """Image-text encoder; see the module. Implements `DenseImageTextEncoder`."""

    def __init__(
        self,
        variant: str = "lite0",
        weights: Path | None = None,
        device: str = "cpu",
        settings: SpaceSettings | None = None,
        defaults: EncoderDefaults | None = None,
    ):
        self.name = "conse" if variant == "lite0" else f"conse-{variant}"
        self.settings = settings or SpaceSettings()
        self.width = self.settings.width
        self.input_size = 224
        self._network, sha = load_network(variant, weights, device)
        self._device = device
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {self.settings} {sha}".encode()).hexdigest()
        self.defaults = defaults or EncoderDefaults(
            tile_ratios=(0.12, 0.17, 0.25, 0.35, 0.5), temperature=10.0, threshold=0.6
        )
        self._nodes = _compressed(self.settings).to(device)
        self._sentences: SentenceEncoder | None = None
        self._names: tuple[Tensor, Tensor] | None = None

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases.

        Raises:
            QueryError: a phrase is blank.
        """
        if any(not phrase.strip() for phrase in phrases):
            raise QueryError("A phrase is empty; write what to look for.")
        weights, certainty = self.name_weights(phrases)
        vectors = weights @ self._nodes[:, :-1].cpu()
        vectors = F.normalize(vectors, dim=-1) * certainty[:, None]
        doubt = torch.sqrt((1.0 - certainty**2).clamp_min(0.0))
        return torch.cat([vectors, doubt[:, None]], dim=1).to(self._device)

    def name_weights(self, phrases: Sequence[str]) -> tuple[Float[Tensor, "phrases nodes"], Float[Tensor, " phrases"]]:
        """Distribution of each phrase over classes and hypernyms, and how certain it is that one of them is meant."""
        if self._sentences is None or self._names is None:
            taxonomy = load_taxonomy()
            self._sentences = SentenceEncoder()
            flat = [name for names in taxonomy.lemmas for name in names]
            owner = torch.tensor([node for node, names in enumerate(taxonomy.lemmas) for _ in names])
            self._names = (self._sentences.encode(flat), owner)
        embeddings, owner = self._names
        cosines = self._sentences.encode(list(phrases)) @ embeddings.T
        nodes = torch.full((len(phrases), len(self._nodes)), -1.0)
        nodes = nodes.scatter_reduce(1, owner.expand_as(cosines), cosines, "amax")
        settings = self.settings
        weights = torch.softmax(nodes / settings.name_temperature, dim=1)
        best = nodes.amax(dim=1)
        information = weights @ load_taxonomy().information
        certainty = torch.sigmoid((best - settings.name_threshold) / settings.name_temperature)
        return weights, certainty * information.clamp(0.0, 1.0).sqrt()

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles width"]:
        """Unit embeddings of tiles; RGB in 0..1."""
        with torch.inference_mode():
            return self.embed_logits(self._network(tiles.to(self._device)))

    def embed_logits(self, logits: Float[Tensor, "n 1000"]) -> Float[Tensor, "n width"]:
        """From the network's logits to the joint space."""
        chances = torch.softmax(logits * self.settings.sharpness, dim=-1)
        return F.normalize(chances @ self._nodes[:CLASSES], dim=-1)

    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        """Unit embeddings as of tiles of `tile_ratio` times the photo's height, from one pass over the photo.

        The photo is resized so that a tile becomes 224 pixels, and padded with its edge to a multiple of 32. Features
        are averaged over windows of 7 x 7 cells (a tile) cut off at the border, then classified. A cell is taken to
        describe the middle of its 32 pixels: the gradient of a feature by the pixels has its centre of mass within 6
        pixels of it.
        """
        if not 0.0 < tile_ratio <= 1.0:
            raise ConfigError(f"A tile ratio must lie in (0, 1], not {tile_ratio}.")
        with torch.inference_mode():
            _, height, width = photo.shape
            scale = DENSE_TILE / (tile_ratio * height)
            rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
            image = F.interpolate(photo[None].to(self._device), (rows, columns), mode="bicubic", antialias=True).clamp(
                0.0, 1.0
            )
            image = F.pad(image, (0, -columns % STRIDE, 0, -rows % STRIDE), mode="replicate")
            features = self._network.features(image.contiguous(memory_format=torch.channels_last))
            pooled = F.avg_pool2d(features, 7, 1, padding=3, count_include_pad=False)[0]
            embedded = self.embed_logits(self._network.classifier(pooled.permute(1, 2, 0).flatten(0, 1)))
            grid = embedded.reshape(*pooled.shape[1:], self.width)
        dx, dy = STRIDE * width / columns, STRIDE * height / rows
        return FeatureGrid(grid, dx / 2, dy / 2, dx, dy)


def _compressed(settings: SpaceSettings) -> Float[Tensor, "nodes width"]:
    """Node vectors in `width` - 1 principal axes of the class vectors, and the axis of doubt last."""
    vectors = load_taxonomy().vectors(settings.exponent)
    _, _, axes = torch.linalg.svd(vectors[:CLASSES], full_matrices=False)
    projected = vectors @ axes[: settings.width - 1].T
    return torch.cat([projected, torch.full((len(vectors), 1), settings.doubt)], dim=1)


def load(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> Conse:
    """Registry entry `conse`: EfficientNet-Lite0. Needs no network access, so `offline` changes nothing."""
    return Conse("lite0", weights, device)


def load_lite2(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> Conse:
    """Registry entry `conse-lite2`: EfficientNet-Lite2, slower and slightly better."""
    return Conse("lite2", weights, device)
