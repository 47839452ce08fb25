"""CLIP: phrases and tiles through the two towers of a published checkpoint (Radford et al. 2021, arXiv 2103.00020).

`openclip` is what the paper's method uses: OpenCLIP ViT-B/16 trained on LAION-2B (s34b_b88k), and `openclip-l` the
ViT-L/14 (s32b_b82k) of its big preset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.encoders import open_clip_layout
from lerf.encoders.checkpoint import build, digest_of, read_config, read_tensors, require_transformers
from lerf.encoders.dense_towers import encode_levels, input_of
from lerf.encoders.hub import Files, find_files
from lerf.encoders.preprocessing import Preprocessing, read_preprocessing
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid, refuse_blank
from lerf.encoders.templates import TEMPLATES, ensemble
from lerf.errors import ConfigError, EncoderError

CODE_VERSION = "clip-2"
"""Part of the fingerprint: change it whenever image embeddings change."""
BASE = "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
LARGE = "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"
DEFAULTS = EncoderDefaults(
    tile_ratios=(0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5), temperature=10.0, threshold=0.5, features="tiles"
)
"""Tiles and temperature of the paper. The threshold is the tie of relevancy, not calibrated on photos."""
Precision = Literal["float32", "bfloat16", "float16"]
LICENCES = {"openclip": "mit", "openclip-l": "mit"}
"""Of weights whose model card was not fetched with them."""
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
"""Files of which a tokenizer has at least one."""
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


class TwoTowers:
    """Image-text encoder over a network with `get_image_features` and `get_text_features`.

    Implements `ImageTextEncoder`. Only the image tower may have less than single precision: phrases are few.
    """

    defaults = DEFAULTS
    code_version = CODE_VERSION

    def __init__(
        self,
        name: str,
        network: nn.Module,
        tokenizer: Any,
        preprocessing: Preprocessing,
        width: int,
        digest: str,
        licence: str = "not stated",
        device: str = "cpu",
        precision: str | None = None,
        templates: bool = False,
    ) -> None:
        """
        Args:
            name: the name that the encoder is asked for.
            network: both towers; moved to `device`.
            tokenizer: of `transformers`.
            preprocessing: what the image tower wants.
            width: length of an embedding of either tower.
            digest: SHA-256 of the weights.
            licence: of the weights.
            device: torch device.
            precision: of the image tower; see `choose_precision`.
            templates: embed phrases in several sentences each (`templates.py`).

        Raises:
            ConfigError: there is no such precision.
        """
        self.precision = choose_precision(precision, device)
        self.name = name
        self.width = width
        self.input_size = preprocessing.size
        self.licence = licence
        self.fingerprint = hashlib.sha256(f"{self.code_version} {preprocessing} {digest}".encode()).hexdigest()
        self.weights_digest = digest
        self._network = network.to(device)
        self._dtype = getattr(torch, self.precision)
        for module in self._image_modules():
            module.to(self._dtype)
        self._templates = TEMPLATES if templates else ()
        self._tokenizer = tokenizer
        self._preprocessing = preprocessing
        self._device = device

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
        return self._features("text", input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])

    def _embed_pictures(self, pictures: Tensor) -> Tensor:
        """(pictures, width), of any length each, from normalised pictures (pictures, 3, size, size)."""
        return self._features("image", pixel_values=pictures.to(self._dtype))

    def _features(self, tower: str, **inputs: Any) -> Tensor:
        on_device = {
            key: value.to(self._device) if isinstance(value, Tensor) else value for key, value in inputs.items()
        }
        result = getattr(self._network, f"get_{tower}_features")(**on_device)
        # transformers 5 returns an object with the projected embedding in this place, 4 the embedding itself.
        return getattr(result, "pooler_output", result)


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
                self._values,
                lambda values: self._embed_values(values.to(self._dtype)),
            )

    def _values(self, picture: Tensor) -> Tensor:
        """(patches, channels) of what the last attention would gather, from a normalised picture of whole patches."""
        raise NotImplementedError

    def _embed_values(self, values: Tensor) -> Tensor:
        """(cells, width), of any length each."""
        raise NotImplementedError


class Clip(DenseTowers):
    """CLIP of `transformers`."""

    def _values(self, picture: Tensor) -> Tensor:
        tower: Any = self._network.vision_model
        block = tower.encoder.layers[-1]
        tokens = input_of(block, lambda: tower(pixel_values=picture, interpolate_pos_encoding=True))
        # The first token is the class token.
        return block.self_attn.out_proj(block.self_attn.v_proj(block.layer_norm1(tokens[0, 1:])))

    def _embed_values(self, values: Tensor) -> Tensor:
        network: Any = self._network
        return network.visual_projection(network.vision_model.post_layernorm(values))


def _unit(parts: list[Tensor], width: int, device: str) -> Tensor:
    return F.normalize(torch.cat(parts), dim=-1) if parts else torch.empty(0, width, device=device)


def read_tokenizer(folder: Path, kind: str = "AutoTokenizer") -> Any:
    """Tokenizer of a class of `transformers` from a model's folder.

    Raises:
        EncoderError: its files are missing, or a package that it needs is.
    """
    transformers = require_transformers()
    if not any((folder / name).is_file() for name in VOCABULARIES):
        # Without them transformers 5 makes a tokenizer that knows no word, and says nothing.
        raise EncoderError(
            f"{folder} holds no tokenizer (one of {', '.join(VOCABULARIES)}); fetch the whole folder of the model."
        )
    # Code that a folder brings along is never run, nor is anybody asked whether it may.
    safe = {"trust_remote_code": False} if kind == "AutoTokenizer" else {}
    try:
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True, **safe)
    except ImportError as error:
        raise EncoderError(
            f"The tokenizer in {folder} needs another package ({str(error).strip().splitlines()[0]}); most need: pip "
            "install sentencepiece protobuf"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            f"{folder} holds no readable tokenizer ({type(error).__name__}: {str(error).splitlines()[0]}); fetch the "
            "whole folder of the model."
        ) from error


def read_clip(
    name: str,
    files: Files,
    device: str = "cpu",
    statistics: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None,
    precision: str | None = None,
    templates: bool = False,
) -> Clip:
    """CLIP from files in the layout of `transformers` or of open_clip.

    Args:
        name: what the encoder is called.
        files: where its files are.
        device: torch device.
        statistics: mean and deviation to use in place of the folder's own.
        precision: of the image tower; see `choose_precision`.
        templates: embed phrases in several sentences each.

    Raises:
        EncoderError: the files are incomplete, damaged or of another architecture.
    """
    transformers = require_transformers()
    if open_clip_layout.is_open_clip(files):
        config, preprocessing = open_clip_layout.read_settings(files.folder)
        tensors = open_clip_layout.rename(read_tensors(files), files.folder)
        # Repositories of open_clip come without the settings that AutoTokenizer looks for.
        tokenizer = read_tokenizer(files.folder, "CLIPTokenizer")
    else:
        config = read_config(files.folder)
        preprocessing = read_preprocessing(files.folder, square=False)
        tensors = read_tensors(files)
        tokenizer = read_tokenizer(files.folder)
    if statistics is not None:
        preprocessing = replace(preprocessing, mean=statistics[0], std=statistics[1])
    if preprocessing.size != config.vision_config.image_size:
        raise EncoderError(
            f"The settings in {files.folder} prepare pictures of {preprocessing.size} pixels for a network that takes "
            f"{config.vision_config.image_size}; fetch the folder again."
        )
    network = build(transformers.CLIPModel, config, tensors, files.folder)
    licence = files.licence if files.licence != "not stated" or name not in LICENCES else LICENCES[name]
    return Clip(
        name, network, tokenizer, preprocessing, config.projection_dim, digest_of(files), licence, device, precision,
        templates,
    )  # fmt: skip


def load_base(
    variant: str = "",
    weights: Path | None = None,
    offline: bool = False,
    device: str = "cpu",
    precision: str | None = None,
    templates: bool = False,
) -> TwoTowers:
    """Registry entry `openclip`: ViT-B/16, width 512, licence MIT; `openclip:MODEL/PRETRAINED` the rest of its zoo."""
    if variant:
        from lerf.encoders.open_clip_zoo import read_zoo

        return read_zoo(variant, weights, offline, device, precision, templates)
    return read_clip("openclip", find_files(BASE, weights, offline), device, precision=precision, templates=templates)


def load_large(
    weights: Path | None = None,
    offline: bool = False,
    device: str = "cpu",
    precision: str | None = None,
    templates: bool = False,
) -> Clip:
    """Registry entry `openclip-l`: ViT-L/14, width 768, licence MIT.

    It was trained with a mean and deviation of 0.5 (the table of open_clip), whatever the folder's settings say.
    """
    half = (0.5, 0.5, 0.5)
    files = find_files(LARGE, weights, offline)
    return read_clip("openclip-l", files, device, (half, half), precision, templates)
