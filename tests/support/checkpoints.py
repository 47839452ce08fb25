"""Tiny random checkpoints in the layouts of the Hugging Face hub."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

WORDS = ("object", "things", "stuff", "texture", "red", "mug", "fox", "a", "the")
LAST_TOKENS = ("<|startoftext|>", "<|endoftext|>")
WIDTH, SIDE = 24, 32
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def processor_in_pillow(model: str, folder: Path):
    """A model's processor of pictures that works with Pillow; older versions of transformers have no other name."""
    import transformers

    name = f"{model}ImageProcessor"
    kind = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    return kind.from_pretrained(folder)


def embedding_of(result):
    """What `get_image_features` and `get_text_features` return: newer versions of transformers wrap it."""
    return getattr(result, "pooler_output", result)


def tower(**more) -> dict:
    return {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, **more}


def write_clip_tokenizer(folder: Path) -> int:
    """A CLIP tokenizer that knows letters and the words above; returns the length of its vocabulary."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    vocabulary, merges = [*letters, *(letter + "</w>" for letter in letters)], []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            joined = parts[0] + parts[1]
            if joined not in vocabulary:
                vocabulary.append(joined)
                merges.append((parts[0], parts[1]))
            parts = [joined, *parts[2:]]
    vocabulary += LAST_TOKENS
    # From files: what its class takes differs from one version of transformers to the next.
    write_settings(folder / "vocab.json", {token: index for index, token in enumerate(vocabulary)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{one} {other}\n" for one, other in merges))
    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    return len(vocabulary)


def clip_config(vocabulary: int, act: str = "gelu"):
    from transformers import CLIPConfig

    tokens = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    return CLIPConfig(
        projection_dim=WIDTH,
        text_config=tower(vocab_size=vocabulary, max_position_embeddings=16, hidden_act=act, **tokens),
        vision_config=tower(image_size=SIDE, patch_size=8, hidden_act=act),
    )


def random_network(kind, config, seed: int = 0, **settings):
    """A network whose every tensor is random, biases and norms too, so that none can be swapped unseen."""
    torch.manual_seed(seed)
    network = kind(config, **settings).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def write_preprocessor(folder: Path, **settings) -> None:
    usual = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "resample": 3}
    write_settings(folder / "preprocessor_config.json", {**usual, "image_mean": MEAN, "image_std": STD, **settings})


def write_settings(path: Path, settings: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


def write_clip(folder: Path, act: str = "gelu"):
    """CLIP in the layout of transformers; returns the network."""
    from transformers import CLIPModel

    folder.mkdir(parents=True, exist_ok=True)
    network = random_network(CLIPModel, clip_config(write_clip_tokenizer(folder), act))
    network.save_pretrained(folder)
    write_preprocessor(
        folder,
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        do_center_crop=True,
        image_processor_type="CLIPImageProcessor",
    )
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A tiny CLIP\n")
    return network


def write_siglip_tokenizer(folder: Path) -> int:
    """Whole words, with an end and a padding token, in a file of the library tokenizers."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(("<pad>", "<eos>", "<unk>", *WORDS))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=core, **named).save_pretrained(folder)
    return len(vocabulary)


def write_siglip(folder: Path, flexible: bool = False):
    """SigLIP, or SigLIP 2 of flexible resolution; returns the network."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    text = tower(vocab_size=write_siglip_tokenizer(folder), max_position_embeddings=12, projection_size=32)
    if flexible:
        config = transformers.Siglip2Config(text_config=text, vision_config=tower(num_patches=16, patch_size=8))
        network = random_network(transformers.Siglip2Model, config)
        write_preprocessor(folder, resample=2, patch_size=8, max_num_patches=16)
    else:
        config = transformers.SiglipConfig(text_config=text, vision_config=tower(image_size=SIDE, patch_size=8))
        network = random_network(transformers.SiglipModel, config)
        write_preprocessor(folder, size={"height": SIDE, "width": SIDE})
    network.save_pretrained(folder)
    return network


def write_dense(folder: Path, kind: str = "ViT", **more):
    """A vision transformer without pooling; returns the network."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(**tower(**{"image_size": SIDE, "patch_size": 8, **more}))
    settings = {"add_pooling_layer": False} if kind == "ViT" else {}
    network = random_network(getattr(transformers, f"{kind}Model"), config, **settings)
    network.save_pretrained(folder)
    write_preprocessor(folder, size=SIDE)
    return network


def as_open_clip(network) -> dict[str, torch.Tensor]:
    """Weights of a CLIP of transformers under the names that open_clip gives them."""
    state, result = network.state_dict(), {}
    for ours, theirs in (("vision_model", "visual.transformer"), ("text_model", "transformer")):
        for index in range(3):
            layer, block = f"{ours}.encoder.layers.{index}.", f"{theirs}.resblocks.{index}."
            for kind in ("weight", "bias"):
                stacked = [state[f"{layer}self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                result[f"{block}attn.in_proj_{kind}"] = torch.cat(stacked)
                result[f"{block}attn.out_proj.{kind}"] = state[f"{layer}self_attn.out_proj.{kind}"]
                result[f"{block}ln_1.{kind}"] = state[f"{layer}layer_norm1.{kind}"]
                result[f"{block}ln_2.{kind}"] = state[f"{layer}layer_norm2.{kind}"]
                result[f"{block}mlp.c_fc.{kind}"] = state[f"{layer}mlp.fc1.{kind}"]
                result[f"{block}mlp.c_proj.{kind}"] = state[f"{layer}mlp.fc2.{kind}"]
    text, picture = "text_model.embeddings.", "vision_model.embeddings."
    for kind in ("weight", "bias"):
        result[f"ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        result[f"visual.ln_pre.{kind}"] = state[f"vision_model.pre_layrnorm.{kind}"]
        result[f"visual.ln_post.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
    result["token_embedding.weight"] = state[text + "token_embedding.weight"]
    result["positional_embedding"] = state[text + "position_embedding.weight"]
    result["text_projection"] = state["text_projection.weight"].T
    result["logit_scale"] = state["logit_scale"]
    result["visual.class_embedding"] = state[picture + "class_embedding"]
    result["visual.positional_embedding"] = state[picture + "position_embedding.weight"]
    result["visual.conv1.weight"] = state[picture + "patch_embedding.weight"]
    result["visual.proj"] = state["visual_projection.weight"].T
    return {name: tensor.clone().contiguous() for name, tensor in result.items()}


def write_open_clip(folder: Path, act: str = "gelu", pickled: bool = False):
    """CLIP in open_clip's layout; returns the network of transformers that it equals."""
    from transformers import CLIPModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_clip_tokenizer(folder)
    network = random_network(CLIPModel, clip_config(vocabulary, act))
    tensors = as_open_clip(network)
    if pickled:
        torch.save(tensors, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(tensors, folder / "open_clip_model.safetensors")
    mlp = {"width": 32, "layers": 3, "mlp_ratio": 2.0}
    model = {
        "embed_dim": WIDTH,
        "vision_cfg": {"image_size": SIDE, "patch_size": 8, "head_width": 16, **mlp},
        "text_cfg": {"context_length": 16, "vocab_size": vocabulary, "heads": 2, **mlp},
        **({"quick_gelu": True} if act == "quick_gelu" else {}),
    }
    write_settings(folder / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": {"mean": MEAN, "std": STD}})
    return network


def write_open_clip_siglip(folder: Path, act: str = "gelu", act_of_words: str = "gelu"):
    """SigLIP in open_clip's layout, its image tower under timm's names; returns the network that it equals."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_siglip_tokenizer(folder)
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 12}
    words = {"vocab_size": vocabulary, "max_position_embeddings": 12, "projection_size": 48, "hidden_act": act_of_words,
             "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    config = transformers.SiglipConfig(
        text_config={**sizes, **words}, vision_config={**sizes, "image_size": SIDE, "patch_size": 16, "hidden_act": act}
    )
    network = random_network(transformers.SiglipModel, config)
    save_file(as_open_clip_siglip(network), folder / "open_clip_model.safetensors")
    model = {
        "embed_dim": 48,
        "custom_text": True,
        "vision_cfg": {
            "image_size": SIDE, "timm_model_name": f"vit_base_patch16_siglip_{SIDE}", "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            "context_length": 12, "vocab_size": vocabulary, "width": 48, "heads": 12, "layers": 2, "mlp_ratio": 2.0,
            "no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6},
            "tokenizer_kwargs": {"clean": "canonicalize"},
            **({"act_kwargs": {"approximate": "tanh"}} if act_of_words != "gelu" else {}),
        },
    }  # fmt: skip
    pictures = {"mean": MEAN, "std": STD, "resize_mode": "squash"}
    write_settings(folder / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": pictures})
    return network


def as_open_clip_siglip(network) -> dict[str, torch.Tensor]:
    """Weights of a SigLIP of transformers under the names that open_clip and timm give them."""
    state, result = network.state_dict(), {}
    names = {
        "vision_model.embeddings.patch_embedding": "visual.trunk.patch_embed.proj",
        "vision_model.post_layernorm": "visual.trunk.norm",
        "vision_model.head.attention.out_proj": "visual.trunk.attn_pool.proj",
        "vision_model.head.layernorm": "visual.trunk.attn_pool.norm",
        "vision_model.head.mlp.fc1": "visual.trunk.attn_pool.mlp.fc1",
        "vision_model.head.mlp.fc2": "visual.trunk.attn_pool.mlp.fc2",
        "text_model.final_layer_norm": "text.ln_final",
        "text_model.head": "text.text_projection",
    }
    layers = (("vision_model", "visual.trunk.blocks.{}.", "norm1", "norm2", "attn.qkv.", "attn.proj", "fc1", "fc2"),
              ("text_model", "text.transformer.resblocks.{}.", "ln_1", "ln_2", "attn.in_proj_", "attn.out_proj",
               "c_fc", "c_proj"))  # fmt: skip
    for kind in ("weight", "bias"):
        for ours, theirs in names.items():
            result[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
        q, *others = state[f"vision_model.head.attention.in_proj_{kind}"].chunk(3)
        result[f"visual.trunk.attn_pool.q.{kind}"] = q
        result[f"visual.trunk.attn_pool.kv.{kind}"] = torch.cat(others)
        for tower, block, first, second, stacked, out, up, down in layers:
            for index in range(2):
                layer, place = f"{tower}.encoder.layers.{index}.", block.format(index)
                parts = [state[f"{layer}self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                result[f"{place}{stacked}{kind}"] = torch.cat(parts)
                for one, other in (("self_attn.out_proj", out), ("layer_norm1", first), ("layer_norm2", second),
                                   ("mlp.fc1", f"mlp.{up}"), ("mlp.fc2", f"mlp.{down}")):  # fmt: skip
                    result[f"{place}{other}.{kind}"] = state[f"{layer}{one}.{kind}"]
    result["visual.trunk.pos_embed"] = state["vision_model.embeddings.position_embedding.weight"][None]
    result["visual.trunk.attn_pool.latent"] = state["vision_model.head.probe"]
    result["text.positional_embedding"] = state["text_model.embeddings.position_embedding.weight"]
    result["text.token_embedding.weight"] = state["text_model.embeddings.token_embedding.weight"]
    result["logit_scale"], result["logit_bias"] = state["logit_scale"][0], state["logit_bias"][0]
    return {name: tensor.clone().contiguous() for name, tensor in result.items()}


def into_hub_cache(folder: Path, cache: Path, name: str, revision: str = "main", commit: str = "0" * 39 + "1") -> None:
    """Put a folder's files where the hub's tools would have downloaded them: blobs, and links to them."""
    root = cache / f"models--{name.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir(exist_ok=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    for path in folder.iterdir():
        blob = root / "blobs" / f"{commit[-2:]}{path.name}"
        shutil.copy(path, blob)
        os.symlink(os.path.relpath(blob, snapshot), snapshot / path.name)


def write_sam(folder: Path, kind: str = "sam", seed: int = 0) -> None:
    """A tiny SAM, or SAM 2 as a part of its tracker (`sam2_video`), whose input has 64 pixels a side."""
    import transformers

    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "num_attention_heads": 2, "mlp_dim": 32, "iou_head_hidden_dim": 16}
    if kind == "sam":
        vision = {
            "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 16, "window_size": 2, "global_attn_indexes": [1],
            "num_pos_feats": 8, "mlp_dim": 32,
        }  # fmt: skip
        network, config, size = transformers.SamModel, transformers.SamConfig, {"longest_edge": 64}
    else:
        backbone = {
            "model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [64, 64],
            "blocks_per_stage": [1, 2, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 4, 4, 4],
            "global_attention_blocks": [4], "window_positional_embedding_background_size": [4, 4],
        }  # fmt: skip
        vision = {
            "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 16,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        }  # fmt: skip
        network, config, size = transformers.Sam2Model, transformers.Sam2Config, {"height": 64, "width": 64}
    parts = config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    torch.manual_seed(seed)
    network(parts).save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    write_settings(folder / "config.json", {**settings, "model_type": kind})
    write_settings(folder / "preprocessor_config.json", {"image_mean": MEAN, "image_std": STD, "size": size})
