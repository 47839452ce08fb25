"""open_clip's own layout on the hub, mapped onto the CLIP towers of `transformers`.

open_clip itself needs torchvision. Its plain vision transformers are the same networks under other names, with the
projections of queries, keys and values stacked in one matrix and the last projections transposed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from torch import Tensor

from lerf.encoders.checkpoint import read_json, require_transformers
from lerf.encoders.hub import Files
from lerf.encoders.preprocessing import (
    BICUBIC,
    BILINEAR,
    OPENAI_MEAN,
    OPENAI_STD,
    Deviation,
    Preprocessing,
    Side,
    Statistic,
)
from lerf.errors import EncoderError
from lerf.files import is_file

SETTINGS = "open_clip_config.json"
VISION = {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "ls_init_value", "patch_dropout"}
TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "ls_init_value"}
"""Settings of towers that this module understands."""
_OUTSIDE_BLOCKS = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_TRANSPOSED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TOWERS = {"visual.transformer.resblocks.": "vision_model", "transformer.resblocks.": "text_model"}
_IGNORED = {"attn_mask", "input_resolution", "context_length", "vocab_size"}
"""Constants that some checkpoints carry beside the weights."""


class Pictures(msgspec.Struct):
    """`preprocess_cfg`."""

    mean: tuple[Statistic, Statistic, Statistic] | None = None
    std: tuple[Deviation, Deviation, Deviation] | None = None
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: str | None = None


def is_open_clip(files: Files) -> bool:
    """Whether the weights carry open_clip's names."""
    return files.weights[0].name.startswith("open_clip") or (
        is_file(files.folder / SETTINGS) and not is_file(files.folder / "config.json")
    )


def read_settings(folder: Path) -> tuple[Any, Preprocessing]:
    """`CLIPConfig` and preprocessing from `open_clip_config.json`.

    Raises:
        EncoderError: it is missing, or its towers are not plain transformers.
    """
    settings = read_json(folder / SETTINGS)
    try:
        model = settings["model_cfg"]
        _refuse_strange(model["vision_cfg"], model["text_cfg"], folder)
        pictures = msgspec.convert(settings.get("preprocess_cfg", {}), Pictures)
        size = msgspec.convert(model["vision_cfg"]["image_size"], Side)
        return _config(model), preprocessing_of(size, pictures)
    except EncoderError:
        raise
    except Exception as error:  # transformers raises what it likes where a size is senseless
        raise EncoderError(
            f"{folder / SETTINGS} is not understood ({type(error).__name__}: {error}); use a checkpoint in the layout "
            "of transformers."
        ) from error


def _refuse_strange(vision: dict[str, Any], text: dict[str, Any], folder: Path) -> None:
    strange = (set(vision) - VISION) | (set(text) - TEXT)
    plain = isinstance(vision["layers"], int) and not vision.get("ls_init_value") and not text.get("ls_init_value")
    if strange or not plain:
        raise EncoderError(
            f"{folder / SETTINGS} describes towers that are not plain transformers "
            f"({', '.join(sorted(strange)) or 'a convolutional or rescaled one'}); use a checkpoint in the layout "
            "of transformers."
        )


def _config(model: dict[str, Any]) -> Any:
    """`CLIPConfig` of open_clip's settings of a model."""
    vision, text = model["vision_cfg"], model["text_cfg"]
    shared = {
        # The towers of OpenAI were trained with an approximation of GELU; a wrong one costs accuracy silently.
        "hidden_act": "quick_gelu" if model.get("quick_gelu", False) else "gelu",
        "layer_norm_eps": 1e-5,
        "projection_dim": model["embed_dim"],
    }
    vocabulary = text["vocab_size"]
    return require_transformers().CLIPConfig(
        projection_dim=model["embed_dim"],
        text_config={
            **shared,
            "hidden_size": text["width"],
            "intermediate_size": int(text["width"] * text.get("mlp_ratio", 4.0)),
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "vocab_size": vocabulary,
            # The last two tokens of the vocabulary begin and end a phrase; the embedding is read at the end.
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": vocabulary - 1,
        },
        vision_config={
            **shared,
            "hidden_size": vision["width"],
            "intermediate_size": int(vision["width"] * vision.get("mlp_ratio", 4.0)),
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision.get("head_width", 64),
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
        },
    )


def preprocessing_of(size: int, pictures: Pictures) -> Preprocessing:
    """Preprocessing for pictures of `size` pixels from open_clip's settings of pictures."""
    return Preprocessing(
        size,
        pictures.mean or OPENAI_MEAN,
        pictures.std or OPENAI_STD,
        {"bicubic": BICUBIC, "bilinear": BILINEAR}[pictures.interpolation],
        None if pictures.resize_mode == "squash" else size,
    )


def rename(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Tensors under the names of `transformers.CLIPModel`.

    Raises:
        EncoderError: a tensor belongs to another architecture.
    """
    # Classes with a text tower of their own put its name before everything in it.
    plain = {name.removeprefix("module.").removeprefix("text."): tensor for name, tensor in tensors.items()}
    renamed: dict[str, Tensor] = {}
    for name, tensor in plain.items():
        if name in _IGNORED:
            continue
        if name in _OUTSIDE_BLOCKS:
            renamed[_OUTSIDE_BLOCKS[name]] = tensor
        elif name in _TRANSPOSED:
            renamed[_TRANSPOSED[name]] = tensor.T.contiguous()
        else:
            renamed.update(block_tensor(name, tensor, folder))
    return renamed


def block_tensor(name: str, tensor: Tensor, folder: Path) -> dict[str, Tensor]:
    """A tensor of a block of either tower under the names of `transformers`; several where it stacks several.

    Raises:
        EncoderError: it belongs to another architecture.
    """
    for prefix, tower in _TOWERS.items():
        if not name.startswith(prefix):
            continue
        index, _, rest = name.removeprefix(prefix).partition(".")
        layer = f"{tower}.encoder.layers.{index}."
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            stacked = zip("qkv", tensor.chunk(3), strict=True)
            return {f"{layer}self_attn.{letter}_proj.{kind}": part.contiguous() for letter, part in stacked}
        module, _, kind = rest.rpartition(".")
        if module in _BLOCK:
            return {f"{layer}{_BLOCK[module]}.{kind}": tensor}
    raise EncoderError(
        f"The weights in {folder} hold '{name}', which is no part of a plain CLIP; use a checkpoint in the layout of "
        "transformers."
    )
