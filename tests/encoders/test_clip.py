"""CLIP checkpoints: both layouts' common parts, sizes as published."""

import json

import pytest
import torch
from checkpoints import MEAN, SIDE, STD, WIDTH, embedding_of, into_hub_cache, processor_in_pillow, write_clip

from lerf.encoders import clip, two_towers
from lerf.encoders.preprocessing import read_preprocessing
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError, QueryError

transformers = pytest.importorskip("transformers")

PUBLISHED = {
    "ViT-B/16": (149_620_737, 512, (512, 8, 2048), (768, 12, 3072, 12, 16)),
    "ViT-L/14": (427_616_513, 768, (768, 12, 3072), (1024, 16, 4096, 24, 14)),
}
"""Parameters, width, and the text and image towers."""


def published_config(name):
    _, width, (text, text_heads, text_mlp), (image, heads, mlp, layers, patch) = PUBLISHED[name]
    return transformers.CLIPConfig(
        projection_dim=width,
        text_config={
            "hidden_size": text,
            "num_attention_heads": text_heads,
            "intermediate_size": text_mlp,
            "hidden_act": "gelu",
        },
        vision_config={
            "hidden_size": image,
            "num_attention_heads": heads,
            "intermediate_size": mlp,
            "num_hidden_layers": layers,
            "patch_size": patch,
            "hidden_act": "gelu",
        },
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    return folder, write_clip(folder)


@pytest.fixture(scope="module")
def encoder(written):
    return load_encoder(f"hf:{written[0]}", offline=True)


def test_keeps_the_protocol(encoder):
    assert isinstance(encoder, ImageTextEncoder)
    assert (encoder.width, encoder.input_size, encoder.licence) == (WIDTH, SIDE, "mit")
    assert (len(encoder.fingerprint), len(encoder.weights_digest)) == (64, 64)
    assert (encoder.defaults.tile_ratios[0], encoder.defaults.tile_ratios[-1]) == (0.05, 0.5)
    assert (len(encoder.defaults.tile_ratios), encoder.defaults.temperature) == (7, 10.0)


def test_both_towers_give_unit_vectors_of_one_width(encoder):
    for embedded in (encoder.encode_text(["a red mug", "fox"]), encoder.encode_tiles(torch.rand(2, 3, SIDE, SIDE))):
        assert embedded.shape == (2, WIDTH)
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2))


def test_tiles_equal_the_library(written, encoder):
    pixels = torch.randint(0, 256, (5, 3, SIDE, SIDE), dtype=torch.uint8)
    processor = processor_in_pillow("CLIP", written[0])
    prepared = processor([p.permute(1, 2, 0).numpy() for p in pixels], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        expected = embedding_of(written[1].get_image_features(prepared))
    expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(encoder.encode_tiles(pixels / 255.0), expected, atol=1e-5, rtol=0)


def test_phrases_equal_the_library_whatever_their_company(written, encoder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(written[0])
    phrases = ["a red mug", "Fox", "the red fox " * 20]
    together = encoder.encode_text(phrases)
    for index, phrase in enumerate(phrases):
        tokens = tokenizer([phrase], truncation=True, max_length=16, return_tensors="pt")
        with torch.inference_mode():
            expected = embedding_of(written[1].get_text_features(tokens["input_ids"]))[0]
        torch.testing.assert_close(together[index], expected / expected.norm(), atol=1e-5, rtol=0)


def test_batches_do_not_change_embeddings(encoder, monkeypatch):
    tiles = torch.rand(7, 3, SIDE, SIDE)
    seen, network = [], encoder._network.get_image_features

    def spied(pixel_values):
        seen.append(len(pixel_values))
        return network(pixel_values=pixel_values)

    whole = encoder.encode_tiles(tiles)
    monkeypatch.setattr(two_towers, "TILES_A_BATCH", 3)
    monkeypatch.setattr(encoder._network, "get_image_features", spied)
    torch.testing.assert_close(encoder.encode_tiles(tiles), whole, atol=1e-5, rtol=0)
    assert seen == [3, 3, 1]
    assert encoder.encode_tiles(tiles[:0]).shape == (0, WIDTH)


def test_a_blank_phrase_is_refused(encoder):
    with pytest.raises(QueryError, match="empty"):
        encoder.encode_text(["mug", " "])


def test_the_names_of_the_paper_load_from_a_path_and_from_the_cache(written, tmp_path, monkeypatch):
    by_path = load_encoder("openclip", weights=written[0] / "model.safetensors", offline=True)
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    into_hub_cache(written[0], tmp_path / "hub", clip.BASE)
    into_hub_cache(written[0], tmp_path / "hub", clip.LARGE)
    base, large = load_encoder("openclip", offline=True), load_encoder("openclip-l", offline=True)
    assert (base.name, large.name) == ("openclip", "openclip-l")
    assert base.fingerprint == by_path.fingerprint
    assert (base._preprocessing.mean, base._preprocessing.std) == (tuple(MEAN), tuple(STD))
    assert large._preprocessing.mean == large._preprocessing.std == (0.5, 0.5, 0.5)
    assert large.fingerprint != base.fingerprint, "other statistics give other embeddings"


def test_weights_that_do_not_fit_are_refused(written, tmp_path):
    from safetensors.torch import load_file, save_file

    for path in written[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("visual_projection.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match="visual_projection"):
        load_encoder("openclip", weights=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EncoderError, match="does not hold readable weights"):
        load_encoder("openclip", weights=tmp_path)


def test_old_pickles_load_and_one_with_code_in_it_is_refused(written, tmp_path):
    for path in written[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").unlink()
    # As transformers wrote them before 2023: positions stored as well, and a wrong token said to end a phrase.
    old = {**written[1].state_dict(), "text_model.embeddings.position_ids": torch.arange(16)[None]}
    torch.save(old, tmp_path / "pytorch_model.bin")
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["text_config"]["eos_token_id"] = 2
    (tmp_path / "config.json").write_text(json.dumps({**settings, "torch_dtype": "float32", "_commit_hash": None}))
    pickled = load_encoder("openclip", weights=tmp_path)
    torch.testing.assert_close(
        pickled.encode_text(["fox"]), load_encoder("openclip", weights=written[0]).encode_text(["fox"])
    )
    torch.save({"weights": print}, tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="does not hold readable weights"):
        load_encoder("openclip", weights=tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(written, tmp_path):
    for path in written[0].iterdir():
        if "token" not in path.name and path.name not in ("vocab.json", "merges.txt"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EncoderError, match="tokenizer"):
        load_encoder("openclip", weights=tmp_path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name):
    with torch.device("meta"):
        network = transformers.CLIPModel(published_config(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED[name][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_full_size_encodes_a_tile(written, name):
    config = published_config(name)
    settings = read_preprocessing(written[0], square=False)
    settings = type(settings)(224, settings.mean, settings.std, settings.resample, 224)
    encoder = clip.Clip("full", transformers.CLIPModel(config).eval(), None, settings, config.projection_dim, "")
    embedded = encoder.encode_tiles(torch.rand(1, 3, 224, 224))
    assert embedded.shape == (1, PUBLISHED[name][1])
    assert float(embedded.norm()) == pytest.approx(1.0, abs=1e-5)
