"""CLIP: phrases and tiles through the two towers of a published checkpoint (Radford et al. 2021, arXiv 2103.00020).

`openclip` is what the paper's method uses: OpenCLIP ViT-B/16 trained on LAION-2B (s34b_b88k), and `openclip-l` the
ViT-L/14 (s32b_b82k) of its big preset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lerf.encoders import open_clip_layout
from lerf.encoders.checkpoint import build, digest_of, read_config, read_tensors, require_transformers
from lerf.encoders.hub import Files, find_files
from lerf.encoders.preprocessing import Preprocessing, read_preprocessing
from lerf.encoders.protocols import EncoderDefaults, refuse_blank
from lerf.errors import EncoderError

CODE_VERSION = "clip-1"
"""Part of the fingerprint: change it whenever image embeddings change."""
BASE = "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
LARGE = "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"
DEFAULTS = EncoderDefaults(tile_ratios=(0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5), temperature=10.0, threshold=0.5)
"""Tiles and temperature of the paper. The threshold is the tie of relevancy, not calibrated on photos."""
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
"""Files of which a tokenizer has at least one."""
TILES_A_BATCH = 64
"""Pictures that enter the network at once; more gain nothing on a CPU and little on a GPU."""


class TwoTowers:
    """Image-text encoder over a network with `get_image_features` and `get_text_features`.

    Implements `ImageTextEncoder`.
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
        """
        self.name = name
        self.width = width
        self.input_size = preprocessing.size
        self.licence = licence
        self.fingerprint = hashlib.sha256(f"{self.code_version} {preprocessing} {digest}".encode()).hexdigest()
        self.weights_digest = digest
        self._network = network.to(device)
        self._tokenizer = tokenizer
        self._preprocessing = preprocessing
        self._device = device

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases; long ones are cut at what the text tower was trained with.

        Raises:
            QueryError: a phrase is blank.
        """
        refuse_blank(phrases)
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
                self._embed_pictures(self._preprocessing.prepare(part.to(self._device, torch.float32)))
                for part in tiles.split(TILES_A_BATCH)
                if len(part)
            ]
            return _unit(parts, self.width, self._device)

    def _embed_phrases(self, phrases: list[str]) -> Tensor:
        """(phrases, width), of any length each."""
        limit = self._network.config.text_config.max_position_embeddings  # type: ignore[union-attr]
        tokens = self._tokenizer(phrases, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        return self._features("text", input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])

    def _embed_pictures(self, pictures: Tensor) -> Tensor:
        """(pictures, width), of any length each, from normalised pictures (pictures, 3, size, size)."""
        return self._features("image", pixel_values=pictures)

    def _features(self, tower: str, **inputs: Tensor) -> Tensor:
        on_device = {key: value.to(self._device) for key, value in inputs.items()}
        result = getattr(self._network, f"get_{tower}_features")(**on_device)
        # transformers 5 returns an object with the projected embedding in this place, 4 the embedding itself.
        return getattr(result, "pooler_output", result)


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
) -> TwoTowers:
    """CLIP from files in the layout of `transformers` or of open_clip.

    Args:
        name: what the encoder is called.
        files: where its files are.
        device: torch device.
        statistics: mean and deviation to use in place of the folder's own.

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
    return TwoTowers(
        name, network, tokenizer, preprocessing, config.projection_dim, digest_of(files), files.licence, device
    )


def load_base(weights: Path | None = None, offline: bool = False, device: str = "cpu") -> TwoTowers:
    """Registry entry `openclip`: ViT-B/16, width 512, licence MIT."""
    return read_clip("openclip", find_files(BASE, weights, offline), device)


def load_large(weights: Path | None = None, offline: bool = False, device: str = "cpu") -> TwoTowers:
    """Registry entry `openclip-l`: ViT-L/14, width 768, licence MIT.

    It was trained with a mean and deviation of 0.5 (the table of open_clip), whatever the folder's settings say.
    """
    half = (0.5, 0.5, 0.5)
    return read_clip("openclip-l", find_files(LARGE, weights, offline), device, statistics=(half, half))
