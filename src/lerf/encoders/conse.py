"""`conse`: pictures and phrases joined through the classes of ImageNet (ConSE, Norouzi et al. 2014, arXiv 1312.5650).

A picture becomes the mean of class vectors under the class distribution of an EfficientNet-Lite. A phrase becomes the
mean of the vectors of the classes and hypernyms whose names are closest to it in a sentence encoder (MiniLM).

The original averages word vectors. They say little about absence ("bulldozer" is close to "bulldog"), so here

- class vectors come from WordNet (`taxonomy.py`): unrelated classes are orthogonal, and a phrase that is matched to a
  wrong class scores only where that class is seen. Half of a class's squared length is an axis of its own, so that a
  lemon is less than half an orange however close the two are in WordNet;
- the sum of both has as many dimensions as there are classes. It is projected onto fewer at random (Johnson and
  Lindenstrauss 1984), which moves every dot product a little. Principal axes would keep most of them better and lose
  the difference of some siblings wholly: it is small families that they leave out;
- one axis stands for *nothing in particular*. Every picture has a constant share of it, so the less sure the picture,
  the more it points along it; averaging embeddings that disagree moves them there as well. The words "object",
  "things", "stuff" and "texture" lie on it: they are the bar that a phrase must pass;
- one more axis stands for *unknown*. No picture has a share of it; a phrase far from all names lies on it, and so
  is found nowhere.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float16
from torch import Tensor

from lerf.devices import resized
from lerf.encoders.efficientnet_lite import STRIDE, load_network
from lerf.encoders.names import Names
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid, refuse_blank
from lerf.encoders.rivals import NamedThings
from lerf.encoders.taxonomy import CLASSES, load_taxonomy
from lerf.errors import ConfigError

CODE_VERSION = "conse-4"
"""Part of the fingerprint: change it whenever image embeddings change."""
AXES = 382
"""Axes that the class vectors are projected onto."""
SEED = 0
"""Of that projection."""
MEANT = 0.02
"""Share of a phrase from which a node is one of its meanings."""
RIDGE = 1.0
"""Squared length of a phrase's vector that counts as much as an error of 1 in its dot product with one class."""
SMALL_TILE = 0.3
"""Tile ratio up to which the dense pass uses the small window."""
_CANONICAL = ("object", "things", "stuff", "texture", "auto")
"""With what else is seen in the scene (`queries/rivals.py`)."""
_RATIOS = (0.2, 0.27, 0.37, 0.5)
DEFAULTS = {
    "lite0": EncoderDefaults(_RATIOS, temperature=10.0, threshold=0.48, canonical=_CANONICAL),
    "lite2": EncoderDefaults(_RATIOS, temperature=10.0, threshold=0.6, canonical=_CANONICAL),
}
"""Threshold: the relevancy that parts present from absent phrases best on the calibration photos."""


@dataclass(frozen=True)
class SpaceSettings:
    """Constants of the joint space; `benchmarks/calibrate_conse.py` measures them on photos no evaluation uses."""

    information_power: float = 2.0
    """Power of the information of WordNet nodes; above 1 kin are drawn apart."""
    kinship: float = 0.5
    """Share of a class's squared length that it has in common with its kin; the rest is its own."""
    doubt: float = 1.0
    """Length along the axis of nothing in particular; a sure picture has length 1 across it."""
    bar: float = 0.3
    """Share of a generic phrase that lies on that axis: a phrase passes where its dot product with a picture's class
    vector exceeds doubt * bar."""
    softness: float = 0.05
    """Softness of the choice among names close to a phrase, in cosine."""
    name_threshold: float = 0.5
    """Cosine to the closest name at which half of a phrase is unknown."""


class Conse:
    """Image-text encoder; see the module. Implements `DenseImageTextEncoder`."""

    def __init__(
        self,
        variant: str = "lite0",
        weights: Path | None = None,
        device: str = "cpu",
        settings: SpaceSettings | None = None,
    ):
        self.name = "conse" if variant == "lite0" else f"conse-{variant}"
        self.settings = settings or SpaceSettings()
        self.width = AXES + 2
        self.input_size = 224
        self.defaults = DEFAULTS[variant]
        self._network, sha = load_network(variant, weights, device)
        self._device = device
        table, digest = load_axes()
        self._classes, self._nodes = table.to(device), node_vectors(table)
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {self.settings} {sha} {digest}".encode()).hexdigest()
        self._names: Names | None = None

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases.

        Raises:
            QueryError: a phrase is blank.
        """
        refuse_blank(phrases)
        match = self._opened_names().match(list(phrases), self.settings.softness, self.settings.name_threshold)
        means = match.weights @ self._nodes.vectors
        # A picture of an animal has a small dot product with "animal", whose vector has a little of each of them. A
        # wide phrase gets so much of the bar itself that it passes at the same probability as a narrow one. What is
        # averaged is reach, not vectors: that a phrase is ambiguous among narrow meanings lowers no bar.
        reach = match.weights @ self._nodes.reach
        specific = (match.certainty * torch.sqrt(1.0 - match.generic))[:, None] * F.normalize(means, dim=-1)
        share = torch.maximum(torch.sqrt(match.generic), (1.0 - reach).clamp_min(0.0))
        generic = (self.settings.bar * match.certainty * share)[:, None]
        known = specific.square().sum(dim=1, keepdim=True) + generic.square()
        unknown = torch.sqrt((1.0 - known).clamp_min(0.0))
        return F.normalize(torch.cat([specific, generic, unknown], dim=1), dim=-1).to(self._device)

    def known(self, phrases: Sequence[str]) -> tuple[float, ...]:
        """For each phrase the share of its words that are read, less where none of it is near a name of ImageNet or
        WordNet: 1 for a certainty of a half and more, and proportional below."""
        names = self._opened_names()
        match = names.match(list(phrases), self.settings.softness, self.settings.name_threshold)
        near = (2.0 * match.certainty).clamp(max=1.0).tolist()
        return tuple(near[row] * names.read_share(phrase) for row, phrase in enumerate(phrases))

    def why_unknown(self, phrase: str) -> str:
        """See `ExplainsUnknown.why_unknown`."""
        names = self._opened_names()
        asked = names.unread(phrase) or [phrase]
        said = ", ".join(f'"{words}"' for words in asked)
        near = "; ".join(", ".join(names.nearest(words)) for words in asked)
        return f"The encoder {self.name} does not know {said}; the nearest names that it knows, in English: {near}"

    def named_things(self) -> NamedThings:
        """See `KnowsRivals.named_things`: the classes."""
        names = tuple(lemmas[0] for lemmas in load_taxonomy().lemmas[:CLASSES])
        return NamedThings(names, F.pad(self._classes, (0, 2)))

    def akin(self, phrases: Sequence[str]) -> Bool[Tensor, "phrases names"]:
        """See `KnowsRivals.akin`: the classes above, at or below the nodes that a phrase means."""
        match = self._opened_names().match(list(phrases), self.settings.softness, self.settings.name_threshold)
        above, meant = load_taxonomy().above, (match.weights >= MEANT).float()
        related = above[:, :CLASSES] | above[:CLASSES].T
        return meant @ related.float() > 0

    def _opened_names(self) -> Names:
        self._names = self._names or Names()
        return self._names

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles width"]:
        """Unit embeddings of tiles; RGB in 0..1."""
        with torch.inference_mode():
            return self.embed_logits(self._network(tiles.to(self._device)))

    def embed_logits(self, logits: Float[Tensor, "n 1000"]) -> Float[Tensor, "n width"]:
        """From the network's logits to the joint space."""
        vectors = torch.softmax(logits, dim=-1) @ self._classes
        rest = vectors.new_tensor([self.settings.doubt, 0.0]).expand(len(vectors), 2)
        return F.normalize(torch.cat([vectors, rest], dim=1), dim=-1)

    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        """Unit embeddings as of tiles of `tile_ratio` times the photo's height, from one pass over the photo.

        The photo is resized so that a tile becomes a window of 5 x 5 cells of 32 pixels (3 x 3 for tiles up to 0.3 of
        the height), and padded with its edge to a multiple of 32. Features are averaged over windows, cut off at the
        photo's border, and classified. Smaller windows than the 7 x 7 of training cost less and localise as well,
        since a cell sees far beyond its own 32 pixels. A cell is taken to describe the middle of these: the gradient
        of a feature by the pixels has its centre of mass within 6 pixels of it.
        """
        if not 0.0 < tile_ratio <= 1.0:
            raise ConfigError(f"A tile ratio must lie in (0, 1], not {tile_ratio}.")
        with torch.inference_mode():
            _, height, width = photo.shape
            window = 3 if tile_ratio <= SMALL_TILE else 5
            scale = window * STRIDE / (tile_ratio * height)
            rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
            image = resized(photo[None].to(self._device), (rows, columns), "bicubic").clamp(0.0, 1.0)
            image = F.pad(image, (0, -columns % STRIDE, 0, -rows % STRIDE), mode="replicate")
            features = self._network.features(image.contiguous(memory_format=torch.channels_last))
            pooled = F.avg_pool2d(features, window, 1, padding=window // 2, count_include_pad=False)[0]
            embedded = self.embed_logits(self._network.classifier(pooled.permute(1, 2, 0).flatten(0, 1)))
            grid = embedded.reshape(*pooled.shape[1:], self.width)
        dx, dy = STRIDE * width / columns, STRIDE * height / rows
        return FeatureGrid(grid, dx / 2, dy / 2, dx, dy)


@dataclass(frozen=True)
class NodeVectors:
    """What phrases are made of: the classes, then their hypernyms."""

    vectors: Float[Tensor, "nodes axes"]
    """Of unit length."""
    reach: Float[Tensor, " nodes"]
    """Mean dot product of a node's vector with the vectors of the classes at or below it."""


@cache
def load_axes() -> tuple[Float[Tensor, "classes axes"], str]:
    """Unit vectors of the classes on `AXES` axes, and the SHA-256 of the file that holds them.

    They come from a file, not from random numbers at run time, which differ from version to version: an embedding
    stored on one projection would mean something else on another.
    """
    data = files("lerf.encoders").joinpath("data").joinpath("conse_axes.npy").read_bytes()
    return torch.from_numpy(np.load(io.BytesIO(data))).float(), hashlib.sha256(data).hexdigest()


def node_vectors(classes: Float[Tensor, "classes axes"]) -> NodeVectors:
    """Vectors of all nodes. A hypernym's is that whose dot products with the classes come closest to 1 below it and to
    0 elsewhere (ridge regression): a mean of the classes below would lean to its largest family and to their kin."""
    below = load_taxonomy().above[:CLASSES].T.float()
    normal = classes.T @ classes + RIDGE * torch.eye(classes.shape[1])
    hypernyms = torch.linalg.solve(normal, (below[CLASSES:] @ classes).T).T
    vectors = F.normalize(torch.cat([classes, hypernyms]), dim=1)
    return NodeVectors(vectors, (vectors @ classes.T * below).sum(dim=1) / below.sum(dim=1))


def class_vectors(settings: SpaceSettings) -> Float[Tensor, "classes classes"]:
    """Unit vectors of the classes in as many dimensions, with the wanted dot products: `kinship` times the similarity
    of WordNet, and 1 of each with itself."""
    vectors = load_taxonomy().vectors(settings.information_power)[:CLASSES]
    wanted = settings.kinship * (vectors @ vectors.T) + (1.0 - settings.kinship) * torch.eye(CLASSES)
    values, axes = torch.linalg.eigh(wanted.double())
    return F.normalize(axes * values.clamp_min(0.0).sqrt(), dim=1).float()


def projected_classes(settings: SpaceSettings) -> Float16[np.ndarray, "classes axes"]:
    """What `data/conse_axes.npy` was made by: class vectors on random orthonormal axes, made unit vectors again."""
    normal = torch.randn(CLASSES, AXES, generator=torch.Generator().manual_seed(SEED))
    axes = torch.linalg.qr(normal)[0]
    return F.normalize(class_vectors(settings) @ axes, dim=1).numpy().astype(np.float16)


def load(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> Conse:
    """Registry entry `conse`: EfficientNet-Lite0. Needs no network access, so `offline` changes nothing."""
    return Conse("lite0", weights, device)


def load_lite2(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> Conse:
    """Registry entry `conse-lite2`: EfficientNet-Lite2, slower and slightly better."""
    return Conse("lite2", weights, device)
