"""SigLIP and SigLIP 2 checkpoints, and what relevancy makes of their sigmoid."""

import pytest
import torch
from checkpoints import SIDE, embedding_of, processor_in_pillow, write_dense, write_siglip

from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError
from lerf.queries.relevancy import relevancy

transformers = pytest.importorskip("transformers")
normalise = torch.nn.functional.normalize


@pytest.fixture(scope="module", params=[False, True], ids=["fixed", "flexible"])
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("siglip")
    network = write_siglip(folder, flexible=request.param)
    return folder, network, load_encoder(f"hf:{folder}", offline=True)


def inputs_of_the_library(folder, network, pixels):
    processor = processor_in_pillow("Siglip2" if "Siglip2" in type(network).__name__ else "Siglip", folder)
    return processor([picture.permute(1, 2, 0).numpy() for picture in pixels], return_tensors="pt")


def tokens_of(folder, phrases):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer(phrases, padding="max_length", truncation=True, max_length=12, return_tensors="pt")["input_ids"]


def test_keeps_the_protocol(written):
    encoder = written[2]
    assert isinstance(encoder, ImageTextEncoder)
    assert (encoder.width, encoder.input_size, encoder.defaults.temperature) == (32, SIDE, 10.0)
    for embedded in (encoder.encode_text(["a mug", "fox"]), encoder.encode_tiles(torch.rand(2, 3, SIDE, SIDE))):
        assert embedded.shape == (2, 32)
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("side", [SIDE, 57])
def test_tiles_equal_the_library(written, side):
    folder, network, encoder = written
    pixels = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    with torch.inference_mode():
        expected = embedding_of(network.get_image_features(**inputs_of_the_library(folder, network, pixels)))
    torch.testing.assert_close(encoder.encode_tiles(pixels / 255.0), normalise(expected, dim=-1), atol=1e-5, rtol=0)


def test_phrases_are_lower_case_and_padded_to_the_full_length(written):
    folder, network, encoder = written
    with torch.inference_mode():
        expected = embedding_of(network.get_text_features(tokens_of(folder, ["the red mug", "fox"])))
    embedded = encoder.encode_text(["The RED mug", "fox"])
    torch.testing.assert_close(embedded, normalise(expected, dim=-1), atol=1e-5, rtol=0)


def test_bias_cancels_in_relevancy_and_scale_is_its_temperature(written):
    """The network's own logits, s cos + b, through the softmax of relevancy: the same whatever b, and ours at t = s."""
    folder, network, encoder = written
    pixels = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    canonical, query = list(encoder.defaults.canonical), ["fox"]
    tiles, texts = encoder.encode_tiles(pixels / 255.0), encoder.encode_text([*query, *canonical])
    for bias in (-16.0, 3.0):
        network.logit_scale.data.fill_(2.0)
        network.logit_bias.data.fill_(bias)
        inputs = inputs_of_the_library(folder, network, pixels)
        with torch.inference_mode():
            logits = network(input_ids=tokens_of(folder, [*query, *canonical]), **inputs).logits_per_image
        pairs = torch.stack([logits[:, :1].expand(-1, len(canonical)), logits[:, 1:]])
        expected = pairs.softmax(dim=0)[0].amin(dim=1)
        ours = relevancy(tiles, texts[:1], texts[1:], temperature=float(torch.tensor(2.0).exp()))[0]
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_another_type_of_model_is_refused(tmp_path):
    write_dense(tmp_path)
    with pytest.raises(EncoderError, match="type 'vit'"):
        load_encoder(f"hf:{tmp_path}")


def test_hf_needs_a_model():
    with pytest.raises(EncoderError, match="after hf:"):
        load_encoder("hf")
