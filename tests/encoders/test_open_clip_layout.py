"""open_clip's layout gives the network that it was exported from."""

import json

import pytest
import torch
from checkpoints import MEAN, SIDE, STD, embedding_of, write_open_clip, write_open_clip_siglip
from safetensors.torch import load_file, save_file

from lerf.encoders import checkpoint
from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize(("act", "pickled"), [("gelu", False), ("quick_gelu", False), ("gelu", True)])
def test_outputs_equal_those_of_the_exported_network(tmp_path, act, pickled):
    network = write_open_clip(tmp_path, act, pickled)
    encoder = load_encoder(f"hf:{tmp_path}", offline=True)
    assert encoder._network.config.vision_config.hidden_act == act
    assert (encoder._preprocessing.mean, encoder._preprocessing.std) == (tuple(MEAN), tuple(STD))
    tiles = torch.rand(3, 3, SIDE, SIDE)
    tokens = transformers.CLIPTokenizer.from_pretrained(tmp_path)(["the red fox"], return_tensors="pt")
    with torch.inference_mode():
        image = embedding_of(network.get_image_features(encoder._preprocessing.normalise(tiles)))
        text = embedding_of(network.get_text_features(tokens["input_ids"]))
    normalise = torch.nn.functional.normalize
    torch.testing.assert_close(encoder.encode_tiles(tiles), normalise(image, dim=-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.encode_text(["the red fox"]), normalise(text, dim=-1), atol=1e-5, rtol=0)


def test_the_activation_matters(tmp_path):
    """So that equality above says something."""
    write_open_clip(tmp_path, "quick_gelu")
    tiles = torch.rand(2, 3, SIDE, SIDE)
    right = load_encoder(f"hf:{tmp_path}").encode_tiles(tiles)
    settings = json.loads((tmp_path / "open_clip_config.json").read_text())
    settings["model_cfg"].pop("quick_gelu")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    assert (load_encoder(f"hf:{tmp_path}").encode_tiles(tiles) - right).abs().max() > 1e-4


def test_a_text_tower_under_its_own_name(tmp_path):
    write_open_clip(tmp_path)
    before = load_encoder(f"hf:{tmp_path}").encode_text(["fox"])
    tensors = load_file(tmp_path / "open_clip_model.safetensors")
    moved = {
        name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}": tensor
        for name, tensor in tensors.items()
    }
    save_file(moved, tmp_path / "open_clip_model.safetensors")
    torch.testing.assert_close(load_encoder(f"hf:{tmp_path}").encode_text(["fox"]), before)


@pytest.mark.parametrize(
    ("tower", "setting"),
    [("vision_cfg", {"timm_model_name": "vit_medium_patch16_clip_224"}), ("vision_cfg", {"layers": [3, 4, 6, 3]}),
     ("text_cfg", {"hf_model_name": "xlm-roberta-base"})],
)  # fmt: skip
def test_other_architectures_are_refused(tmp_path, tower, setting):
    write_open_clip(tmp_path)
    settings = json.loads((tmp_path / "open_clip_config.json").read_text())
    settings["model_cfg"][tower].update(setting)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(EncoderError, match="not plain transformers"):
        load_encoder(f"hf:{tmp_path}")


def test_a_stray_tensor_is_refused(tmp_path):
    write_open_clip(tmp_path)
    tensors = load_file(tmp_path / "open_clip_model.safetensors")
    save_file({**tensors, "visual.attn_pool.query": torch.zeros(1)}, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(EncoderError, match="attn_pool"):
        load_encoder(f"hf:{tmp_path}")


@pytest.mark.parametrize("act_of_words", ["gelu", "gelu_pytorch_tanh"])
def test_siglip_equals_the_exported_network(tmp_path, act_of_words):
    network = write_open_clip_siglip(tmp_path, act_of_words=act_of_words)
    encoder = load_encoder(f"hf:{tmp_path}", offline=True)
    assert (encoder.width, encoder.input_size) == (48, SIDE)
    assert (encoder._preprocessing.mean, encoder._preprocessing.resize) == (tuple(MEAN), None)
    normalise, tiles = torch.nn.functional.normalize, torch.rand(3, 3, SIDE, SIDE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokens = tokenizer(["the red fox"], padding="max_length", max_length=12, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        image = network.get_image_features(encoder._preprocessing.normalise(tiles)).pooler_output
        text = network.get_text_features(tokens).pooler_output
    torch.testing.assert_close(encoder.encode_tiles(tiles), normalise(image, dim=-1), atol=1e-5, rtol=0)
    # Punctuation goes, as open_clip's own tokenizer takes it away.
    torch.testing.assert_close(
        encoder.encode_text(["The red-- fox!"])[0], normalise(text, dim=-1)[0], atol=1e-5, rtol=0
    )
    grid = encoder.encode_photo_at(torch.rand(3, 40, 50), 0.5)
    assert grid.features.shape[-1] == 48


@pytest.mark.parametrize(
    ("tower", "setting"),
    [("text_cfg", {"no_causal_mask": False}), ("text_cfg", {"pool_type": "argmax"}), ("text_cfg", {"qk_norm": True}),
     ("vision_cfg", {"timm_pool": "avg"}), ("vision_cfg", {"timm_proj": "linear"})],
)  # fmt: skip
def test_other_siglips_are_refused(tmp_path, tower, setting):
    write_open_clip_siglip(tmp_path)
    settings = json.loads((tmp_path / "open_clip_config.json").read_text())
    settings["model_cfg"][tower].update(setting)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(EncoderError, match="another SigLIP than those that are known"):
        load_encoder(f"hf:{tmp_path}")


@pytest.mark.parametrize("name", ["visual.trunk.blocks.0.ls1.gamma", "visual.trunk.cls_token", "text.cls_emb"])
def test_a_stray_tensor_of_a_siglip_is_refused(tmp_path, name):
    write_open_clip_siglip(tmp_path)
    tensors = load_file(tmp_path / "open_clip_model.safetensors")
    save_file({**tensors, name: torch.zeros(1)}, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(EncoderError, match=name):
        load_encoder(f"hf:{tmp_path}")


def test_a_missing_tensor_of_a_siglip_is_named(tmp_path):
    write_open_clip_siglip(tmp_path)
    tensors = load_file(tmp_path / "open_clip_model.safetensors")
    for name in ("visual.trunk.attn_pool.kv.weight", "text.text_projection.bias", "visual.trunk.norm.bias"):
        save_file({key: one for key, one in tensors.items() if key != name}, tmp_path / "open_clip_model.safetensors")
        with pytest.raises(EncoderError, match=r"in_proj_weight|head|post_layernorm"):
            load_encoder(f"hf:{tmp_path}")
    save_file({"logit_scale": torch.zeros(())}, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(EncoderError, match="holds no weights of vit_base_patch16_siglip_32"):
        load_encoder(f"hf:{tmp_path}")


def test_a_transformers_that_cannot_load_a_class_is_told(tmp_path, monkeypatch):
    """As beside a torchvision that was made for another torch."""

    class Broken:
        def __getattr__(self, name):
            raise ModuleNotFoundError(f"Could not import module '{name}'")

    monkeypatch.setattr(checkpoint, "require_transformers", Broken)
    with pytest.raises(EncoderError, match=r"cannot load CLIPModel.*pip uninstall torchvision") as caught:
        checkpoint.class_named("CLIPModel")
    assert len(str(caught.value)) < 300
