"""Our towers against open_clip's own code, with random weights of the published architectures: the same to 1e-5.

open_clip builds each network, every tensor of it random; its weights and settings are written in its layout, and read
by us as from the hub. Widths, patches and heads are the published ones. So are the depths but for ViT-L/14 and for
QuickGELU, which have 4 layers, and so are the vocabularies but for SigLIP 2, which has 32,000 words in place of
256,000: to spare memory and time.
"""

import contextlib
import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import write_siglip_tokenizer
from PIL import Image
from safetensors.torch import save_file

from lerf.encoders.registry import load_encoder

try:
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
except ImportError as error:
    if os.environ.get("LERF_TEST_OPEN_CLIP") == "required":
        raise
    pytest.skip(f"open_clip cannot be imported ({error}): `make test-open-clip`", allow_module_level=True)

PHRASES = [
    "a red mug", "Fox", "the   red fox", "a photo of a dog's bowl, 2 spoons & 10% milk", "café au lait",
    "naïve façade", "it's \"striped\"", "42", "狐狸", "лиса", "🦊", "a" * 200, "word " * 120, "under_score-and.dots",
]  # fmt: skip


def build(name, **changes):
    """A network of open_clip whose every tensor is random, and its settings; `changes` go to both towers."""
    settings = open_clip.get_model_config(name)
    for tower in ("vision_cfg", "text_cfg"):
        known = set(settings[tower]) | {"layers"} if "timm_model_name" not in settings[tower] else set()
        settings[tower].update({key: value for key, value in changes.items() if key in known})
    torch.manual_seed(0)
    kind = open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP
    network = kind(**settings, output_dict=False).eval().requires_grad_(False)
    for parameter in network.parameters():
        # Biases and norms too, so that none can be swapped unseen.
        parameter.add_(torch.randn_like(parameter) * 0.02)
    return network, settings


def write_clip_words(folder):
    """The tokenizer of OpenAI that open_clip ships, in the files that the hub has."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe

    with gzip.open(default_bpe()) as packed:
        lines = packed.read().decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    words += ["<start_of_text>", "<end_of_text>"]
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(word, word): index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")


@contextlib.contextmanager
def written(folder: Path, network, settings, pictures):
    """The folder of a model in open_clip's layout; its weights, hundreds of megabytes, do not stay."""
    folder.mkdir()
    if "timm_model_name" in settings["vision_cfg"]:
        write_siglip_tokenizer(folder)
    else:
        write_clip_words(folder)
    about = {"model_cfg": settings, "preprocess_cfg": pictures}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()},
              folder / "open_clip_model.safetensors")  # fmt: skip
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def pictures_of(model, tag):
    """What open_clip's table says of the pictures of published weights."""
    told = open_clip.get_pretrained_cfg(model, tag)
    return {key: told[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in told}


def unit(embedded):
    return torch.nn.functional.normalize(embedded, dim=-1)


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, unit(theirs), atol=1e-5, rtol=0)


def compare_pictures(network, encoder, pictures):
    """Tiles at the network's own size, and photos of another, through the preprocessing of each."""
    side = encoder.input_size
    prepare = image_transform_v2(PreprocessCfg(size=side, **pictures), is_train=False)
    for size in (side, 301):
        pixels = np.random.default_rng(size).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        # A picture of pure noise is all edges: something smooth beside it.
        pixels[1] = np.linspace(0, 255, size).astype(np.uint8)[:, None, None]
        theirs = network.encode_image(torch.stack([prepare(Image.fromarray(one)) for one in pixels]))
        ours = encoder.encode_tiles(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0)
        assert_close(ours, theirs)


CLIPS = {
    "ViT-B/16": ("ViT-B-16", "laion2b_s34b_b88k", "openclip", {}),
    "ViT-B/16, QuickGELU": ("ViT-B-16-quickgelu", "openai", "hf", {"layers": 4}),
    "ViT-L/14": ("ViT-L-14", "laion2b_s32b_b82k", "openclip-l", {"layers": 4}),
    "ViT-L/14, QuickGELU": ("ViT-L-14-quickgelu", "openai", "hf", {"layers": 4}),
}


@pytest.mark.parametrize("case", CLIPS)
def test_clip(case, tmp_path):
    model, tag, name, changes = CLIPS[case]
    network, settings = build(model, **changes)
    with written(tmp_path / "model", network, settings, pictures_of(model, tag)) as folder:
        encoder = load_encoder(f"hf:{folder}" if name == "hf" else name, None if name == "hf" else folder, offline=True)
    assert encoder.width == settings["embed_dim"]
    with torch.inference_mode():
        compare_pictures(network, encoder, pictures_of(model, tag))
        theirs = network.encode_text(open_clip.get_tokenizer(model)(PHRASES))
        assert_close(encoder.encode_text(PHRASES), theirs)


SIGLIPS = {"SigLIP": "ViT-B-16-SigLIP", "SigLIP 2": "ViT-B-16-SigLIP2"}


@pytest.mark.parametrize("case", SIGLIPS)
def test_siglip(case, tmp_path):
    model = SIGLIPS[case]
    network, settings = build(model, vocab_size=32_000)
    with written(tmp_path / "model", network, settings, pictures_of(model, "webli")) as folder:
        encoder = load_encoder(f"hf:{folder}", offline=True)
    assert encoder.width == 768
    assert encoder._network.config.text_config.hidden_act == ("gelu_pytorch_tanh" if case == "SigLIP 2" else "gelu")
    with torch.inference_mode():
        compare_pictures(network, encoder, pictures_of(model, "webli"))
        # The published words are on the hub alone; numbers of random words, whole and padded, do as well.
        numbers = torch.randint(3, 32_000, (5, 64), generator=torch.Generator().manual_seed(1))
        numbers[1, 7:] = 1
        ours = encoder._features("text", input_ids=numbers)
        assert_close(unit(ours), network.encode_text(numbers))


def test_phrases_of_siglip_are_cleaned_as_open_clip_cleans_them():
    from lerf.encoders.siglip import canonical

    for phrase in PHRASES:
        assert canonical(phrase) == open_clip.tokenizer.canonicalize_text(phrase)


def test_a_wrong_activation_is_seen(tmp_path):
    """So that equality above says something."""
    network, settings = build("ViT-B-16-quickgelu", layers=2)
    with written(tmp_path / "model", network, {**settings, "quick_gelu": False}, {}) as folder:
        encoder = load_encoder(f"hf:{folder}", offline=True)
    tiles = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        theirs = unit(network.encode_image(encoder._preprocessing.normalise(tiles)))
        assert (encoder.encode_tiles(tiles) - theirs).abs().max() > 1e-4


def test_the_zoo_takes_open_clips_file_where_both_lie(tmp_path, monkeypatch):
    """Repositories often hold the same weights under the names of transformers too."""
    from checkpoints import into_hub_cache

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    network, settings = build("ViT-B-16", layers=1)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "one-layer.json").write_text(json.dumps(settings))
    open_clip.add_model_config(tmp_path / "configs")
    table = {"one-layer": {"tag": {"hf_hub": "someone/one-layer/"}}}
    monkeypatch.setattr(open_clip.pretrained, "_PRETRAINED", {**open_clip.pretrained._PRETRAINED, **table})
    with written(tmp_path / "model", network, settings, {}) as folder:
        (folder / "model.safetensors").write_bytes(b"of transformers")
        into_hub_cache(folder, tmp_path / "hub", "someone/one-layer")
    encoder = load_encoder("openclip:one-layer/tag", offline=True)
    tiles = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert_close(encoder.encode_tiles(tiles), network.encode_image(encoder._preprocessing.normalise(tiles)))
