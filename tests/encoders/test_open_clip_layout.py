"""open_clip's layout gives the network that it was exported from."""

import json

import pytest
import torch
from checkpoints import MEAN, SIDE, STD, embedding_of, write_open_clip
from safetensors.torch import load_file, save_file

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
    [("vision_cfg", {"timm_model_name": "vit_base_patch16_siglip_224"}), ("vision_cfg", {"layers": [3, 4, 6, 3]}),
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
