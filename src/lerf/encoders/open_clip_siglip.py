"""SigLIP and SigLIP 2 in open_clip's own layout on the hub, mapped onto the towers of `transformers`.

open_clip takes the image tower from timm, where it has other names again: queries, keys and values in one matrix, and
those of the pooling head in two. Which GELU a tower has is open_clip's choice too, not that of the original weights:
exact in most image towers, the approximation by tanh in others (`TANH`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch
from torch import Tensor

from lerf.encoders.checkpoint import read_json, require_transformers
from lerf.encoders.open_clip_layout import SETTINGS, Pictures, block_tensor, preprocessing_of
from lerf.encoders.preprocessing import Preprocessing, Side
from lerf.errors import EncoderError

HEADS = {"base": 12, "large": 16, "so400m": 16, "giantopt": 16}
"""Heads of the image tower by its size; all else is seen from the tensors."""
TANH = {("base", 32), ("so400m", 16), ("giantopt", 16)}
"""Size and patch of image towers whose GELU is approximated by tanh (timm 1.0)."""
_NAME = re.compile(r"vit_(?P<size>base|large|so400m|giantopt)_patch(?P<patch>\d+)_siglip_(?P<side>\d+)")
_GELU = {True: "gelu_pytorch_tanh", False: "gelu"}
_OUTSIDE_BLOCKS = {
    "visual.trunk.patch_embed.proj": "vision_model.embeddings.patch_embedding",
    "visual.trunk.norm": "vision_model.post_layernorm",
    "visual.trunk.attn_pool.proj": "vision_model.head.attention.out_proj",
    "visual.trunk.attn_pool.norm": "vision_model.head.layernorm",
    "visual.trunk.attn_pool.mlp.fc1": "vision_model.head.mlp.fc1",
    "visual.trunk.attn_pool.mlp.fc2": "vision_model.head.mlp.fc2",
    "text.token_embedding": "text_model.embeddings.token_embedding",
    "text.ln_final": "text_model.final_layer_norm",
    "text.text_projection": "text_model.head",
}
_WHOLE = {
    "visual.trunk.pos_embed": "vision_model.embeddings.position_embedding.weight",
    "visual.trunk.attn_pool.latent": "vision_model.head.probe",
    "text.positional_embedding": "text_model.embeddings.position_embedding.weight",
    "logit_scale": "logit_scale",
    "logit_bias": "logit_bias",
}
_BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_IMAGE_BLOCKS, _TEXT_BLOCKS = "visual.trunk.blocks.", "text.transformer.resblocks."
Small = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class _Tokens(msgspec.Struct, forbid_unknown_fields=True):
    clean: Literal["canonicalize", "lower", "whitespace"] = "lower"


class _Norm(msgspec.Struct, forbid_unknown_fields=True):
    eps: Annotated[float, msgspec.Meta(gt=0, le=1e-2)] = 1e-5


class _Act(msgspec.Struct, forbid_unknown_fields=True):
    approximate: Literal["none", "tanh"] = "none"


class _Vision(msgspec.Struct, forbid_unknown_fields=True):
    image_size: Side
    timm_model_name: str
    timm_pool: Literal["map"]
    timm_proj: Literal["none"]
    timm_model_pretrained: bool = False


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    context_length: Small
    vocab_size: Small
    width: Small
    heads: Small
    layers: Small
    no_causal_mask: Literal[True]  # type: ignore[valid-type]
    proj_bias: Literal[True]  # type: ignore[valid-type]
    pool_type: Literal["last"]
    hf_tokenizer_name: str = ""
    mlp_ratio: Annotated[float, msgspec.Meta(gt=0, le=100)] = 4.0
    tokenizer_kwargs: _Tokens = msgspec.field(default_factory=_Tokens)
    norm_kwargs: _Norm = msgspec.field(default_factory=_Norm)
    act_kwargs: _Act = msgspec.field(default_factory=_Act)


class _Model(msgspec.Struct):
    embed_dim: Small
    vision_cfg: _Vision
    text_cfg: _Text


class _Settings(msgspec.Struct):
    model_cfg: _Model
    preprocess_cfg: Pictures = msgspec.field(default_factory=Pictures)


def is_siglip(folder: Path) -> bool:
    """Whether a folder in open_clip's layout holds a SigLIP."""
    vision = read_json(folder / SETTINGS).get("model_cfg", {})
    vision = vision.get("vision_cfg", {}) if isinstance(vision, dict) else {}
    return isinstance(vision, dict) and bool(_NAME.fullmatch(str(vision.get("timm_model_name"))))


def read_settings(folder: Path, tensors: dict[str, Tensor]) -> tuple[Any, Preprocessing, bool]:
    """`SiglipConfig`, preprocessing, and whether phrases lose their punctuation.

    Raises:
        EncoderError: the settings are malformed or describe other towers.
    """
    try:
        settings = msgspec.convert(read_json(folder / SETTINGS), _Settings)
    except msgspec.ValidationError as error:
        raise EncoderError(
            f"{folder / SETTINGS} describes another SigLIP than those that are known ({error}); use a checkpoint in "
            "the layout of transformers."
        ) from None
    model, text = settings.model_cfg, settings.model_cfg.text_cfg
    named = _NAME.fullmatch(model.vision_cfg.timm_model_name)
    embedded = tensors.get("visual.trunk.patch_embed.proj.bias")
    if named is None or embedded is None:
        raise EncoderError(f"{folder} holds no weights of {model.vision_cfg.timm_model_name}; fetch them again.")
    hidden = tensors.get(f"{_IMAGE_BLOCKS}0.mlp.fc1.bias", embedded)
    config = require_transformers().SiglipConfig(
        text_config={
            "hidden_size": text.width,
            "intermediate_size": int(text.width * text.mlp_ratio),
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "max_position_embeddings": text.context_length,
            "vocab_size": text.vocab_size,
            # Not used: the embedding is read at the last place. The class's own lie beyond small vocabularies.
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
            "projection_size": model.embed_dim,
            "layer_norm_eps": text.norm_kwargs.eps,
            "hidden_act": _GELU[text.act_kwargs.approximate == "tanh"],
        },
        vision_config={
            "hidden_size": len(embedded),
            "intermediate_size": len(hidden),
            "num_hidden_layers": len({name.split(".")[3] for name in tensors if name.startswith(_IMAGE_BLOCKS)}),
            "num_attention_heads": HEADS[named["size"]],
            "image_size": model.vision_cfg.image_size,
            "patch_size": int(named["patch"]),
            "layer_norm_eps": 1e-6,
            "hidden_act": _GELU[(named["size"], int(named["patch"])) in TANH],
        },
    )
    preprocessing = preprocessing_of(model.vision_cfg.image_size, settings.preprocess_cfg)
    return config, preprocessing, text.tokenizer_kwargs.clean == "canonicalize"


def rename(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Tensors under the names of `transformers.SiglipModel`.

    Raises:
        EncoderError: a tensor belongs to another architecture.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        if name in _WHOLE:
            renamed[_WHOLE[name]] = tensor[None] if tensor.ndim == 0 else tensor
        elif module in _OUTSIDE_BLOCKS:
            renamed[f"{_OUTSIDE_BLOCKS[module]}.{kind}"] = tensor
        elif module == "visual.trunk.attn_pool.q":
            both = tensors.get(f"visual.trunk.attn_pool.kv.{kind}")
            if both is not None:
                renamed[f"vision_model.head.attention.in_proj_{kind}"] = torch.cat([tensor, both])
        elif name.startswith(_IMAGE_BLOCKS):
            renamed.update(_image_block(name, tensor, folder))
        elif name.startswith(_TEXT_BLOCKS):
            renamed.update(block_tensor(name.removeprefix("text."), tensor, folder))
        elif module != "visual.trunk.attn_pool.kv":
            raise _strange(name, folder)
    positions = "vision_model.embeddings.position_embedding.weight"
    if positions in renamed and renamed[positions].ndim == 3:
        renamed[positions] = renamed[positions][0]
    return renamed


def _image_block(name: str, tensor: Tensor, folder: Path) -> dict[str, Tensor]:
    index, _, rest = name.removeprefix(_IMAGE_BLOCKS).partition(".")
    module, _, kind = rest.rpartition(".")
    layer = f"vision_model.encoder.layers.{index}."
    if module == "attn.qkv":
        stacked = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{layer}self_attn.{letter}_proj.{kind}": part.contiguous() for letter, part in stacked}
    if module not in _BLOCK:
        raise _strange(name, folder)
    return {f"{layer}{_BLOCK[module]}.{kind}": tensor}


def _strange(name: str, folder: Path) -> EncoderError:
    return EncoderError(
        f"The weights in {folder} hold '{name}', which is no part of a SigLIP; use a checkpoint in the layout of "
        "transformers."
    )
