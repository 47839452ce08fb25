"""Two towers, one of pictures and one of phrases, as encoders: what CLIP, SigLIP and the models of open_clip share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.encoders.dense_towers import Values, encode_levels
from lerf.encoders.preprocessing import Preprocessing
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid, refuse_blank, refuse_not_finite
from lerf.encoders.templates import TEMPLATES, ensemble
from lerf.errors import ConfigError, EncoderError

DEFAULTS = EncoderDefaults(
    tile_ratios=(0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5), temperature=10.0, threshold=0.5, features="tiles"
)
"""Tiles and temperature of the paper. The threshold is the tie of relevancy, not calibrated on photos."""
Precision = Literal["float32", "bfloat16", "float16"]
TILES_A_BATCH = 64
"""Pictures that enter the network at once; more gain nothing on a CPU and little on a GPU."""


def choose_precision(asked: str | None, device: str) -> Precision:
    """The precision of the image tower: what is asked for, or half precision on a GPU and single elsewhere.

    On a GPU that is bfloat16, which has the range of single precision, or float16 where the GPU is too old for it.

    Raises:
        ConfigError: there is no such precision.
    """
    if asked is None:
        if not device.startswith("cuda"):
            return "float32"
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if asked not in get_args(Precision):
        raise ConfigError(f"There is no precision '{asked}'; known are {', '.join(get_args(Precision))}.")
    return asked  # type: ignore[return-value]


@dataclass(frozen=True)
class TowerOptions:
    """What whoever loads two towers may choose."""

    device: str = "cpu"
    """Torch device."""
    precision: str | None = None
    """Of the image tower; see `choose_precision`."""
    templates: bool = False
    """Embed phrases in several sentences each (`templates.py`)."""
    attention: str | None = None
    """How patches attend in dense features of CLIP (`patch_attention.py`); None is its default."""
    offline: bool = False
    """Forbid the download of another network that dense features need."""


DEFAULT_OPTIONS = TowerOptions()


class TwoTowers:
    """Image-text encoder over a network with `get_image_features` and `get_text_features`.

    Implements `ImageTextEncoder`. Only the image tower may have less than single precision: phrases are few.
    """

    defaults = DEFAULTS
    code_version: str
    """Part of the fingerprint: a class changes its own whenever its image embeddings change."""

    def __init__(
        self,
        name: str,
        network: nn.Module,
        tokenizer: Any,
        preprocessing: Preprocessing,
        width: int,
        digest: str,
        licence: str = "not stated",
        options: TowerOptions = DEFAULT_OPTIONS,
    ) -> None:
        """
        Args:
            name: the name that the encoder is asked for.
            network: both towers; moved to the device.
            tokenizer: of `transformers`.
            preprocessing: what the image tower wants.
            width: length of an embedding of either tower.
            digest: SHA-256 of the weights.
            licence: of the weights.
            options: device, precision and templates.

        Raises:
            ConfigError: there is no such precision.
        """
        self.precision = choose_precision(options.precision, options.device)
        self.name = name
        self.width = width
        self.input_size = preprocessing.size
        self.licence = licence
        self.fingerprint = hashlib.sha256(f"{self.code_version} {preprocessing} {digest}".encode()).hexdigest()
        self.weights_digest = digest
        self._network = network.to(options.device)
        self._dtype = getattr(torch, self.precision)
        for module in self._image_modules():
            module.to(self._dtype)
        self._templates = TEMPLATES if options.templates else ()
        self._tokenizer = tokenizer
        self._preprocessing = preprocessing
        self._device = options.device

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases; long ones are cut at what the text tower was trained with.

        Raises:
            QueryError: a phrase is blank.
        """
        refuse_blank(phrases)
        if self._templates and phrases:
            return ensemble(self._embed_sentences, phrases, self._templates)
        return self._embed_sentences(phrases)

    def _embed_sentences(self, phrases: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            parts = [
                self._embed_phrases(list(phrases[start : start + TILES_A_BATCH]))
                for start in range(0, len(phrases), TILES_A_BATCH)
            ]
            return _unit(parts, self.width, self._device)

    def known(self, phrases: Sequence[str]) -> tuple[float | None, ...]:
        """0 for a phrase of which the tokenizer reads a part as nothing; else None: captions teach any word."""
        return tuple(None if self._reads(phrase) else 0.0 for phrase in phrases)

    def why_unknown(self, phrase: str) -> str:
        """See `ExplainsUnknown.why_unknown`."""
        return f'The tokenizer of the encoder {self.name} has no words for a part of "{phrase}"'

    def _reads(self, phrase: str) -> bool:
        tokenizer = self._tokenizer
        tokens = tokenizer(phrase, add_special_tokens=False)["input_ids"]
        special = set(tokenizer.all_special_ids)
        return any(token not in special for token in tokens) and tokenizer.unk_token_id not in tokens

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles width"]:
        """Unit embeddings of tiles; RGB in 0..1. Tiles of another size than `input_size` are resized as Pillow does."""
        with torch.inference_mode():
            parts = [
                self._embed_pictures(self._preprocessing.prepare(part.to(self._device, torch.float32))).float()
                for part in tiles.split(self._tiles_a_batch)
                if len(part)
            ]
            return _unit(parts, self.width, self._device)

    @property
    def _tiles_a_batch(self) -> int:
        # On a GPU whoever cuts the tiles sizes the batch to its memory.
        return 2**20 if self._device.startswith("cuda") else TILES_A_BATCH

    def _image_modules(self) -> list[nn.Module]:
        """The parts of the network that only pictures pass."""
        return [getattr(self._network, name) for name in ("vision_model", "visual_projection")
                if hasattr(self._network, name)]  # fmt: skip

    def _embed_phrases(self, phrases: list[str]) -> Tensor:
        """(phrases, width), of any length each."""
        limit = self._network.config.text_config.max_position_embeddings  # type: ignore[union-attr]
        tokens = self._tokenizer(phrases, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        return self._features("text", input_ids=self._of_tower(tokens), attention_mask=tokens["attention_mask"])

    def _of_tower(self, tokens: Any) -> Tensor:
        """Token numbers of phrases.

        Raises:
            EncoderError: the text tower has no such tokens.
        """
        numbers, config = tokens["input_ids"], self._network.config
        largest, size = int(numbers.max()), int(config.text_config.vocab_size)  # type: ignore[union-attr, arg-type]
        if largest >= size:
            raise EncoderError(
                f"The tokenizer of {self.name} is of another model: it gives token {largest}, and the text tower has "
                f"{size}; fetch the whole folder of the model."
            )
        return numbers

    def _embed_pictures(self, pictures: Tensor) -> Tensor:
        """(pictures, width), of any length each, from normalised pictures (pictures, 3, size, size)."""
        return self._features("image", pixel_values=pictures.to(self._dtype))

    def _features(self, tower: str, **inputs: Any) -> Tensor:
        on_device = {
            key: value.to(self._device) if isinstance(value, Tensor) else value for key, value in inputs.items()
        }
        result = getattr(self._network, f"get_{tower}_features")(**on_device)
        # transformers 5 returns an object with the projected embedding in this place, 4 the embedding itself.
        return refuse_not_finite(getattr(result, "pooler_output", result), self.name)


class DenseTowers(TwoTowers):
    """Two towers whose image tower also gives embeddings of all places at once. Implements `PyramidEncoder`."""

    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        """Unit embeddings as of tiles of `tile_ratio` times the photo's height (`dense_towers.py`).

        Raises:
            ConfigError: the ratio is not in (0, 1].
        """
        return self.encode_photo_levels(photo, [tile_ratio])[0]

    def encode_photo_levels(
        self, photo: Float[Tensor, "3 height width"], tile_ratios: Sequence[float]
    ) -> list[FeatureGrid]:
        """A grid for each ratio; levels share passes over the photo.

        Raises:
            ConfigError: a ratio is not in (0, 1].
        """
        with torch.inference_mode():
            return encode_levels(
                photo.to(self._device),
                tile_ratios,
                self.input_size,
                int(self._network.config.vision_config.patch_size),  # type: ignore[union-attr, arg-type]
                lambda image: self._preprocessing.normalise(image).to(self._dtype),
                self._values_of(photo),
                lambda values: self._embed_values(values.to(self._dtype)),
            )

    def _values_of(self, photo: Tensor) -> Values:
        """What gives the values of a photo's pictures at every size."""
        return self._values

    def _values(self, picture: Tensor) -> Tensor:
        """(patches, channels) of what the last attention gathers, from a normalised picture of whole patches."""
        raise NotImplementedError

    def _embed_values(self, values: Tensor) -> Tensor:
        """(cells, width), of any length each."""
        raise NotImplementedError


def _unit(parts: list[Tensor], width: int, device: str) -> Tensor:
    return F.normalize(torch.cat(parts), dim=-1) if parts else torch.empty(0, width, device=device)
