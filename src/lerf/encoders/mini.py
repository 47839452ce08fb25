"""`mini`: the encoder that ships with the package, trained on generated scenes alone (`recipes/mini`).

It knows the words of its vocabulary: some sixty kinds of everyday objects, their parts, colours, materials and uses.
Its model card is `docs/mini.md`.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lerf.encoders.mini_text import TextTower, Vocabulary
from lerf.encoders.mini_tower import STRIDE, ImageTower, padded_to, tent
from lerf.encoders.nearest_words import nearest_words
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid, refuse_blank
from lerf.errors import ConfigError, EncoderError, LerfWarning

CODE_VERSION = "mini-1"
"""Part of the fingerprint: change it whenever image embeddings change."""
HEIGHT = 240
"""Photos are resized to this height: what the tower was trained at."""
SPACING = 8.0
"""Distance between the middles of windows, in pixels of the resized photo."""
OTHERS = "conse (--encoder conse)"
DEFAULTS = EncoderDefaults(tile_ratios=(0.07, 0.105, 0.16, 0.24, 0.36), temperature=13.0, threshold=0.6)
"""Temperature: the factor on cosines that training learnt. Threshold: `recipes/mini/calibrate.py` says how chosen."""


class UnknownWordsWarning(LerfWarning):
    """A phrase has words that the encoder never learnt."""


class _Weights:
    """Both towers, read once."""

    def __init__(self, path: Path | None, device: str) -> None:
        source = path or Path(str(files("lerf.encoders").joinpath("data").joinpath("mini.safetensors")))
        try:
            data = source.read_bytes()
            with safe_open(source, framework="pt") as archive:
                about = archive.metadata() or {}
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
            self.vocabulary = Vocabulary(json.loads(about["vocabulary"]))
            self.width = int(about["width"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise EncoderError(
                f"{source} does not hold weights of the encoder mini ({type(error).__name__}: {error}); leave "
                "--weights out to use those of the package, or make them with `make mini-encoder`."
            ) from error
        self.image, self.text = ImageTower(self.width), TextTower(len(self.vocabulary), self.width)
        try:
            for prefix, tower in (("image.", self.image), ("text.", self.text)):
                own = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
                tower.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in own.items()})
            self.mean, self.deviation = (tensors[f"map.{name}"].float().to(device) for name in ("mean", "deviation"))
        except (RuntimeError, KeyError) as error:
            raise EncoderError(
                f"{source} holds weights of another version of the encoder mini; leave --weights out to use those of "
                "the package."
            ) from error
        for tower in (self.image, self.text):
            tower.eval().requires_grad_(False).to(device)
        self.image = self.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sha = hashlib.sha256(data).hexdigest()

    def feature_map(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n channels rows columns"]:
        """Map of pictures of any size, padded to what the tower takes."""
        return self.image.feature_map(padded_to(pictures).contiguous(memory_format=torch.channels_last))


def _at_working_height(photo: Float[Tensor, "3 h w"]) -> tuple[Float[Tensor, "1 3 rows columns"], float, float]:
    """The photo 240 pixels high, and how many of its own pixels one of these is, across and down."""
    _, height, width = photo.shape
    columns = max(1, round(width * HEIGHT / height))
    small = F.interpolate(photo[None], (HEIGHT, columns), mode="bilinear", antialias=True)
    return small, width / columns, height / HEIGHT


class Mini:
    """Image-text encoder; see the module. Implements `DenseImageTextEncoder`."""

    name = "mini"
    input_size = 64
    defaults = DEFAULTS

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        self._device = device
        self._towers = _Weights(weights, device)
        self.width = self._towers.width
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {self._towers.sha}".encode()).hexdigest()
        self.image_tower = self._towers.image
        self._last: tuple[Tensor, Tensor] | None = None

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases. Words outside the vocabulary warn (`UnknownWordsWarning`).

        Raises:
            QueryError: a phrase is blank.
        """
        refuse_blank(phrases)
        for phrase in phrases:
            self._warn_of_unknown(phrase)
        with torch.inference_mode():
            return self._towers.text(self._towers.vocabulary.encode(list(phrases)).to(self._device))

    def _warn_of_unknown(self, phrase: str) -> None:
        unknown = self._towers.vocabulary.unknown(phrase)
        if not unknown and self._towers.vocabulary.encode([phrase])[0].ne(1).any():
            return
        near = [nearest_words(word, self._towers.vocabulary.words) for word in unknown]
        listed = "; ".join(f"{', '.join(words)} (in {sense})" for words, sense in near) or "none"
        said = ", ".join(f'"{word}"' for word in unknown) or f'anything in "{phrase}"'
        warnings.warn(
            f"The encoder mini never learnt {said}; the nearest words that it knows: {listed}. "
            f"Encoders that know more: {OTHERS}.",
            UnknownWordsWarning,
            stacklevel=3,
        )

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles width"]:
        """Unit embeddings of tiles, each taken for the only window of a picture as large as it; RGB in 0..1."""
        size = tiles.shape[-1]
        with torch.inference_mode():
            features = self._towers.feature_map(tiles.to(self._device))
            middle, side = (torch.full((1,), value, device=self._device) for value in (size / 2, float(size)))
            means = torch.einsum(
                "ncrs,r,s->nc",
                features,
                tent(middle, side, features.shape[2], size)[0],
                tent(middle, side, features.shape[3], size)[0],
            )
            return self._towers.image.embed(means, side.expand(len(means)))

    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        """Unit embeddings of windows of `tile_ratio` times the photo's height, centred 8 pixels apart.

        Levels share the feature map of a photo: it is kept until another photo is asked about.
        """
        if not 0.0 < tile_ratio <= 1.0:
            raise ConfigError(f"A tile ratio must lie in (0, 1], not {tile_ratio}.")
        with torch.inference_mode():
            small, x, y = _at_working_height(photo.to(self._device))
            height, width = small.shape[-2:]
            features = self._map_of(small)
            xs, ys = (torch.arange(SPACING / 2, extent, SPACING, device=self._device) for extent in (width, height))
            side = tile_ratio * HEIGHT
            down = tent(ys, torch.full_like(ys, side), features.shape[1], height)
            across = tent(xs, torch.full_like(xs, side), features.shape[2], width)
            means = torch.einsum("crs,yr,xs->yxc", features, down, across)
            grid = self._towers.image.embed(means, torch.full(means.shape[:2], side, device=self._device))
        return FeatureGrid(grid, x * SPACING / 2, y * SPACING / 2, x * SPACING, y * SPACING)

    def _map_of(self, small: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "channels rows columns"]:
        if self._last is None or self._last[0].shape != small.shape or not torch.equal(self._last[0], small):
            self._last = (small, self._towers.feature_map(small)[0])
        return self._last[1]


class MiniMap:
    """`mini-map`: the feature map of the same tower as dense regulariser. Implements `DenseEncoder`.

    Channels are standardised by their mean and deviation over the training pictures, so that squared errors are of
    order one a channel.
    """

    name = "mini-map"

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        self._device = device
        self._towers = _Weights(weights, device)
        self.width = len(self._towers.mean)
        self.fingerprint = hashlib.sha256(f"map {CODE_VERSION} {self._towers.sha}".encode()).hexdigest()

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        """Map of the whole photo; RGB in 0..1."""
        with torch.inference_mode():
            small, x, y = _at_working_height(photo.to(self._device))
            height, width = small.shape[-2:]
            features = self._towers.feature_map(small)
            kept = features[0, :, : -(-height // STRIDE), : -(-width // STRIDE)].permute(1, 2, 0)
            return FeatureGrid(
                ((kept - self._towers.mean) / self._towers.deviation).contiguous(),
                STRIDE * x / 2,
                STRIDE * y / 2,
                STRIDE * x,
                STRIDE * y,
            )


def load(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> Mini:
    """Registry entry `mini`. Needs no network access, so `offline` changes nothing."""
    return Mini(weights, device)


def load_map(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> MiniMap:
    """Registry entry `mini-map`. Needs no network access, so `offline` changes nothing."""
    return MiniMap(weights, device)
