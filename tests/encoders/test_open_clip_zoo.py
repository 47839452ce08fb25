"""`openclip:MODEL/PRETRAINED`: our side of it on a stand-in, and open_clip itself where it is installed."""

import sys
import types
from pathlib import Path

import pytest
import torch
from checkpoints import into_hub_cache, write_open_clip, write_settings

from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError

SIZE = 16


class TinyNetwork(torch.nn.Module):
    """What open_clip builds, as far as we use it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.visual = torch.nn.Linear(3 * SIZE * SIZE, 5)
        self.text = torch.nn.Embedding(300, 5)

    def encode_image(self, pictures):
        return self.visual(pictures.flatten(1))

    def encode_text(self, tokens):
        return self.text(tokens).mean(1)


@pytest.fixture
def stand_in(monkeypatch):
    """A module with the functions of open_clip that are called, and what it was asked to build."""
    module = types.ModuleType("open_clip")
    module.asked = []
    table = {
        "on-hub": {"hf_hub": "someone/tiny/", "mean": (0.5,) * 3, "std": (0.25,) * 3, "quick_gelu": True},
        "elsewhere": {"url": "https://example.org/x.pt"},
    }

    def create_model(name, **settings):
        module.asked.append((name, settings))
        if b"broken" in Path(settings["pretrained"]).read_bytes():
            raise RuntimeError("size mismatch")
        return TinyNetwork()

    module.create_model = create_model
    module.list_models = lambda: ["Tiny"]
    module.list_pretrained_tags_by_model = lambda model: list(table)
    module.get_pretrained_cfg = lambda model, tag: table[tag]
    module.get_model_preprocess_cfg = lambda network: {
        "size": (SIZE, SIZE), "mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear",
        "resize_mode": "squash",
    }  # fmt: skip
    module.get_tokenizer = lambda model: lambda phrases: torch.tensor([[len(p), ord(p[0])] for p in phrases])
    monkeypatch.setitem(sys.modules, "open_clip", module)
    return module


def test_a_file_of_weights(stand_in, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    encoder = load_encoder(f"openclip:Tiny/{path}+bfloat16")
    name, settings = stand_in.asked[0]
    assert (name, settings["pretrained"], settings["weights_only"]) == ("Tiny", str(path), True)
    assert (encoder.width, encoder.input_size, encoder.precision) == (5, SIZE, "bfloat16")
    assert encoder.name == f"openclip:Tiny/{path}"
    tiles = torch.rand(3, 3, SIZE, SIZE)
    expected = TinyNetwork().encode_image((tiles - 0.5) / 0.25).detach()
    expected = torch.nn.functional.normalize(expected, dim=-1)
    assert (encoder.encode_tiles(tiles) * expected).sum(-1).min() > 0.999
    assert encoder.encode_text(["mug"]).norm() == pytest.approx(1.0)


def test_weights_of_its_table_come_through_our_hub(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    write_settings(tmp_path / "model" / "open_clip_config.json", {})
    (tmp_path / "model" / "open_clip_model.safetensors").write_bytes(b"weights")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    with pytest.raises(EncoderError, match="someone/tiny are not on this machine"):
        load_encoder("openclip:Tiny/on-hub", offline=True)
    into_hub_cache(tmp_path / "model", tmp_path / "hub", "someone/tiny")
    encoder = load_encoder("openclip:Tiny/on-hub", offline=True)
    settings = stand_in.asked[0][1]
    assert settings["pretrained"].endswith("open_clip_model.safetensors")
    assert settings["force_quick_gelu"] is True
    assert settings["force_preprocess_cfg"] == {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    assert encoder.licence == "apache-2.0"


def test_what_is_not_there_is_said(stand_in, tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"broken")
    for variant, message in (
        ("Huge/on-hub", "no model 'Huge'"),
        ("Tiny/other", "known are on-hub, elsewhere"),
        ("Tiny/elsewhere", "on no hub"),
        (f"Tiny/{tmp_path / 'broken.pt'}", "size mismatch"),
    ):
        with pytest.raises(EncoderError, match=message):
            load_encoder(f"openclip:{variant}", offline=True)
    with pytest.raises(EncoderError, match="is not a file"):
        load_encoder("openclip:Tiny/on-hub", weights=tmp_path)


def test_without_open_clip_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(EncoderError, match=r"pip install 'lerf\[openclip\]'"):
        load_encoder("openclip:ViT-B-16/laion2b_s34b_b88k", offline=True)


def test_open_clip_itself_equals_our_reading_of_its_layout(tmp_path):
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed: pip install 'lerf[openclip]'",
                                    exc_type=ImportError)  # fmt: skip
    import json

    write_open_clip(tmp_path)
    settings = json.loads((tmp_path / "open_clip_config.json").read_text())
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tiny-of-ours.json").write_text(json.dumps(settings["model_cfg"]))
    open_clip.add_model_config(tmp_path / "configs")
    theirs = load_encoder(f"openclip:tiny-of-ours/{tmp_path / 'open_clip_model.safetensors'}")
    ours = load_encoder(f"hf:{tmp_path}")
    pictures = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(theirs._embed_pictures(pictures), ours._embed_pictures(pictures), atol=1e-5, rtol=0)
