"""SigLIP and SigLIP 2 (Zhai et al. 2023, arXiv 2303.15343; Tschannen et al. 2025, arXiv 2502.14786).

They are trained with a sigmoid for each pair, sigmoid(s cos + b), not with a softmax over a batch. Relevancy compares a
phrase with canonical ones through a softmax over two, exp(s q + b) / (exp(s q + b) + exp(s c + b)): the bias b cancels.
The learnt scale s (some 100) only sets how sharp the softmax is, which is the place of the temperature, so ours stands
there as it does for CLIP. Embeddings are therefore the plain unit vectors; s and b are not used.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lerf.encoders import open_clip_siglip
from lerf.encoders.checkpoint import build, class_named, digest_of, read_config, read_tensors
from lerf.encoders.dense_towers import input_of
from lerf.encoders.hub import Files
from lerf.encoders.preprocessing import (
    BILINEAR,
    SUPPORT,
    Preprocessing,
    read_preprocessing,
    read_settings,
    read_statistics,
    require_size,
)
from lerf.encoders.tokenizer import read_tokenizer
from lerf.encoders.two_towers import DenseTowers, TowerOptions
from lerf.errors import EncoderError

CODE_VERSION = "siglip-2"
"""Part of the fingerprint: change it whenever image embeddings change."""


class Siglip(DenseTowers):
    """SigLIP, and SigLIP 2 of fixed resolution."""

    code_version = CODE_VERSION

    without_punctuation = False
    """Whether phrases lose it: what some tokenizers do themselves and others leave to whoever calls them."""

    def _embed_phrases(self, phrases: list[str]) -> Tensor:
        # Trained on lower case only, and padded to the full length: the embedding is read at the last place.
        limit = self._network.config.text_config.max_position_embeddings  # type: ignore[union-attr]
        lower = [canonical(phrase) if self.without_punctuation else phrase.lower() for phrase in phrases]
        tokens = self._tokenizer(lower, padding="max_length", truncation=True, max_length=limit, return_tensors="pt")
        return self._features("text", input_ids=self._of_tower(tokens))

    def _values(self, picture: Tensor) -> Tensor:
        # The tower ends in a head with one query of its own, whose attention takes the place of CLIP's last one.
        return self._values_of_head(self._last_hidden(picture))

    def _last_hidden(self, picture: Tensor) -> Tensor:
        """(patches, channels) from a normalised picture of whole patches."""
        return self._input_of_head(pixel_values=picture, interpolate_pos_encoding=True)

    def _input_of_head(self, **inputs: Any) -> Tensor:
        head: Any = self._network.vision_model.head  # type: ignore[union-attr]
        return input_of(head, lambda: self._features("image", **inputs))[0]

    def _values_of_head(self, tokens: Tensor) -> Tensor:
        attention: Any = self._network.vision_model.head.attention  # type: ignore[union-attr]
        weight, bias = (stacked.chunk(3)[2] for stacked in (attention.in_proj_weight, attention.in_proj_bias))
        return attention.out_proj(F.linear(tokens, weight, bias))

    def _embed_values(self, values: Tensor) -> Tensor:
        head: Any = self._network.vision_model.head  # type: ignore[union-attr]
        return values + head.mlp(head.layernorm(values))


class SiglipOfAnySize(Siglip):
    """SigLIP 2 of flexible resolution ("naflex"), which takes rows of patches; a square tile fills them all."""

    def _embed_pictures(self, pictures: Tensor) -> Tensor:
        return self._features("image", **self._rows_of_patches(pictures))

    def _last_hidden(self, picture: Tensor) -> Tensor:
        return self._input_of_head(**self._rows_of_patches(picture))

    def _rows_of_patches(self, pictures: Tensor) -> dict[str, Tensor]:
        """What the network takes for normalised pictures of whole patches."""
        patch = int(self._network.config.vision_config.patch_size)  # type: ignore[union-attr, arg-type]
        count, channels, height, width = pictures.shape
        rows, columns = height // patch, width // patch
        patches = pictures.reshape(count, channels, rows, patch, columns, patch).permute(0, 2, 4, 3, 5, 1)
        return {
            "pixel_values": patches.reshape(count, rows * columns, -1).to(self._dtype),
            "pixel_attention_mask": torch.ones(count, rows * columns, dtype=torch.int32),
            "spatial_shapes": torch.tensor([[rows, columns]]).expand(count, 2),
        }


def canonical(phrase: str) -> str:
    """A phrase as SigLIP's captions were: lower case, without punctuation, single spaces (big_vision's
    `prompt_engineering.py`)."""
    return " ".join(phrase.replace("_", " ").translate(str.maketrans("", "", string.punctuation)).lower().split())


def read_open_clip_siglip(name: str, files: Files, options: TowerOptions) -> Siglip:
    """SigLIP from files in open_clip's layout.

    Raises:
        EncoderError: the files are incomplete, damaged or of another architecture.
    """
    tensors = read_tensors(files)
    config, preprocessing, without_punctuation = open_clip_siglip.read_settings(files.folder, tensors)
    tokenizer = read_tokenizer(files.folder)
    renamed = open_clip_siglip.rename(tensors, files.folder)
    network = build(class_named("SiglipModel"), config, renamed, files.folder)
    width = config.text_config.projection_size
    encoder = Siglip(name, network, tokenizer, preprocessing, width, digest_of(files), files.licence, options)
    encoder.without_punctuation = without_punctuation
    return encoder


def read_siglip(name: str, files: Files, options: TowerOptions) -> Siglip:
    """SigLIP from files in the layout of `transformers`.

    Raises:
        EncoderError: the files are incomplete, damaged or of another architecture.
    """
    config = read_config(files.folder)
    flexible = config.model_type == "siglip2"
    preprocessing = _of_any_size(files.folder) if flexible else read_preprocessing(files.folder, square=True)
    if not flexible:
        require_size(preprocessing, config.vision_config.image_size, files.folder)
    network = build(
        class_named("Siglip2Model" if flexible else "SiglipModel"), config, read_tensors(files), files.folder
    )
    width = getattr(config.text_config, "projection_size", None) or config.text_config.hidden_size
    if width != config.vision_config.hidden_size:
        raise EncoderError(f"The towers in {files.folder} have different widths; choose another checkpoint.")
    chosen = SiglipOfAnySize if flexible else Siglip
    return chosen(
        name,
        network,
        read_tokenizer(files.folder),
        preprocessing,
        width,
        digest_of(files),
        files.licence,
        options,
    )


def _of_any_size(folder: Path) -> Preprocessing:
    """The largest square that a network of flexible resolution takes."""
    settings, (mean, std) = read_settings(folder), read_statistics(folder)
    resample = BILINEAR if settings.resample is None else settings.resample
    if not isinstance(settings.patch_size, int) or resample not in SUPPORT:
        raise EncoderError(f"The preprocessor settings of {folder} ask for another filter; choose another checkpoint.")
    return Preprocessing(int(settings.max_num_patches**0.5) * settings.patch_size, mean, std, resample)
