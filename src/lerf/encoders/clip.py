"""CLIP: phrases and tiles through the two towers of a published checkpoint (Radford et al. 2021, arXiv 2103.00020).

`openclip` is what the paper's method uses: OpenCLIP ViT-B/16 trained on LAION-2B (s34b_b88k), and `openclip-l` the
ViT-L/14 (s32b_b82k) of its big preset.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lerf.encoders import open_clip_layout
from lerf.encoders.checkpoint import build, class_named, digest_of, read_config, read_tensors
from lerf.encoders.dense_towers import Values, input_of
from lerf.encoders.dino import load as load_guide
from lerf.encoders.hub import Files, find_files
from lerf.encoders.open_clip_zoo import read_zoo
from lerf.encoders.patch_attention import check_attention, patch_values, refuse_attention
from lerf.encoders.preprocessing import Preprocessing, read_preprocessing, require_size
from lerf.encoders.protocols import FeatureGrid
from lerf.encoders.published import PUBLISHED
from lerf.encoders.tokenizer import read_tokenizer
from lerf.encoders.two_towers import DEFAULT_OPTIONS, DenseTowers, TowerOptions, TwoTowers

CODE_VERSION = "clip-2"
"""Part of the fingerprint: change it whenever image embeddings change."""
BASE, LARGE = PUBLISHED["openclip"].model, PUBLISHED["openclip-l"].model


class Clip(DenseTowers):
    """CLIP of `transformers`."""

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
        options: TowerOptions = DEFAULT_OPTIONS,
    ) -> None:
        """Arguments are those of `TwoTowers`.

        Raises:
            ConfigError: there is no such precision or attention.
            EncoderError: the network that guides the attention is missing.
        """
        super().__init__(name, network, tokenizer, preprocessing, width, digest, licence, options)
        self.attention = check_attention(options.attention)
        """How patches attend in dense features; a part of their cache's key, not of the encoder's identity."""
        self._guide = None
        if self.attention == "proxyclip":
            self._guide = load_guide(offline=options.offline, device=options.device)

    @property
    def dense_fingerprint(self) -> str | None:
        """What else than the encoder decides its dense features; None for those of before there was a choice."""
        guided = "" if self._guide is None else f" {self._guide.fingerprint}"
        return None if self.attention == "maskclip" else f"{self.attention}{guided}"

    def _values_of(self, photo: Tensor) -> Values:
        if self._guide is None:
            return self._values
        guide = self._guide.encode_photo(photo)
        return lambda picture: self._values(picture, guide)

    def _values(self, picture: Tensor, guide: FeatureGrid | None = None) -> Tensor:
        tower: Any = self._network.vision_model
        block = tower.encoder.layers[-1]
        tokens = input_of(block, lambda: tower(pixel_values=picture, interpolate_pos_encoding=True))
        patch = int(self._network.config.vision_config.patch_size)  # type: ignore[union-attr, arg-type]
        rows, columns = (side // patch for side in picture.shape[-2:])
        return patch_values(self.attention, block, tokens[0], rows, columns, guide)

    def _embed_values(self, values: Tensor) -> Tensor:
        network: Any = self._network
        return network.visual_projection(network.vision_model.post_layernorm(values))


def read_clip(
    name: str,
    files: Files,
    options: TowerOptions,
    statistics: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None,
) -> Clip:
    """CLIP from files in the layout of `transformers` or of open_clip.

    Args:
        name: what the encoder is called.
        files: where its files are.
        options: device, precision and templates.
        statistics: mean and deviation to use in place of the folder's own.

    Raises:
        EncoderError: the files are incomplete, damaged or of another architecture.
    """
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
    require_size(preprocessing, config.vision_config.image_size, files.folder)
    network = build(class_named("CLIPModel"), config, tensors, files.folder)
    licence = files.licence
    if licence == "not stated" and name in PUBLISHED:
        licence = PUBLISHED[name].licence
    return Clip(name, network, tokenizer, preprocessing, config.projection_dim, digest_of(files), licence, options)


def load_base(
    variant: str = "",
    weights: Path | None = None,
    offline: bool = False,
    device: str = "cpu",
    precision: str | None = None,
    templates: bool = False,
    attention: str | None = None,
) -> TwoTowers:
    """Registry entry `openclip`: ViT-B/16, width 512, licence MIT; `openclip:MODEL/PRETRAINED` the rest of its zoo."""
    options = TowerOptions(device, precision, templates, attention, offline)
    if variant:
        refuse_attention(attention, f"openclip:{variant}")
        return read_zoo(variant, weights, offline, options)
    return read_clip("openclip", find_files(BASE, weights, offline), options)


def load_large(
    weights: Path | None = None,
    offline: bool = False,
    device: str = "cpu",
    precision: str | None = None,
    templates: bool = False,
    attention: str | None = None,
) -> Clip:
    """Registry entry `openclip-l`: ViT-L/14, width 768, licence MIT.

    It was trained with a mean and deviation of 0.5 (the table of open_clip), whatever the folder's settings say.
    """
    half = (0.5, 0.5, 0.5)
    files = find_files(LARGE, weights, offline)
    options = TowerOptions(device, precision, templates, attention, offline)
    return read_clip("openclip-l", files, options, (half, half))
