"""Options of CLIP's kin: half precision of the image tower, and phrases in several sentences."""

import pytest
import torch
from checkpoints import SIDE, write_clip, write_siglip

from lerf.encoders.registry import load_encoder
from lerf.encoders.templates import TEMPLATES, ensemble
from lerf.encoders.two_towers import choose_precision
from lerf.errors import ConfigError, EncoderError
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=["clip", "siglip", "siglip2"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "clip":
        write_clip(folder)
    else:
        write_siglip(folder, flexible=request.param == "siglip2")
    return folder


def test_bfloat16_is_close_and_stays_in_the_image_tower(folder):
    full, half = load_encoder(f"hf:{folder}"), load_encoder(f"hf:{folder}+bfloat16")
    assert (full.precision, half.precision) == ("float32", "bfloat16")
    tiles = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    one, other = full.encode_tiles(tiles), half.encode_tiles(tiles)
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    cosines = (one * other).sum(-1)
    assert cosines.min() > 0.999
    assert torch.equal(full.encode_text(["a red mug"]), half.encode_text(["a red mug"]))
    photo = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(1))
    dense = [encoder.encode_photo_at(photo, 0.5).features for encoder in (full, half)]
    assert dense[1].dtype == torch.float32
    assert (dense[0] * dense[1]).sum(-1).min() > 0.999


def test_features_of_another_precision_are_other_features(folder, tmp_path):
    pixels = torch.randint(0, 256, (40, 50, 3), dtype=torch.uint8).numpy()
    stores = [
        build_pyramids([lambda: pixels], load_encoder(name), PyramidOptions(tile_ratios=(0.9,)), root=tmp_path)
        for name in (f"hf:{folder}", f"hf:{folder}+bfloat16")
    ]
    assert stores[0].folder != stores[1].folder
    assert stores[0].fingerprint == stores[1].fingerprint, "either may be asked with the other's phrases"


def test_precision_by_default_is_single_without_a_gpu(monkeypatch):
    assert choose_precision(None, "cpu") == choose_precision(None, "mps") == "float32"
    for newer, expected in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda newer=newer: newer)
        assert choose_precision(None, "cuda:1") == expected
    assert choose_precision("float32", "cuda") == "float32"
    with pytest.raises(ConfigError, match="no precision 'int8'"):
        choose_precision("int8", "cpu")


def test_templates_are_off_by_default_and_average_sentences(folder):
    plain, templated = load_encoder(f"hf:{folder}"), load_encoder(f"hf:{folder}+templates")
    phrases = ["a red mug", "fox"]
    for index, phrase in enumerate(phrases):
        sentences = plain.encode_text([template.replace("{}", phrase) for template in TEMPLATES])
        mean = sentences.mean(0)
        got = templated.encode_text(phrases)[index]
        torch.testing.assert_close(got, mean / mean.norm(), atol=1e-5, rtol=0)
    assert plain.fingerprint == templated.fingerprint, "pictures are embedded alike"
    assert templated.encode_text([]).shape == (0, plain.width)


def test_templates_need_one_place_for_the_phrase():
    for bad in ([], ["a photo"], ["{} and {}"]):
        with pytest.raises(ConfigError, match="exactly one"):
            ensemble(lambda sentences: torch.eye(2)[: len(sentences)], ["mug"], bad)


def test_options_combine_and_an_encoder_without_them_refuses(folder):
    both = load_encoder(f"hf:{folder}+templates+bfloat16")
    assert both.precision == "bfloat16"
    assert both._templates == TEMPLATES
    with pytest.raises(EncoderError, match=r"'colour-words\+templates' cannot be called with .*templates"):
        load_encoder("colour-words+templates")
    with pytest.raises(EncoderError, match="no encoder named"):
        load_encoder("colour-words+nonsense")
