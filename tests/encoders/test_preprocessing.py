"""Our preprocessing against Pillow and against the processors of transformers that use it."""

import numpy as np
import pytest
import torch
from checkpoints import SIDE, processor_in_pillow, write_preprocessor, write_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lerf.encoders.preprocessing import BICUBIC, BILINEAR, read_preprocessing, resize_as_pillow
from lerf.errors import EncoderError


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_tensor(pixels):
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255.0


@given(
    sizes=st.tuples(*[st.integers(1, 90)] * 4), resample=st.sampled_from([BILINEAR, BICUBIC]), seed=st.integers(0, 99)
)
@settings(max_examples=60)
def test_resizing_is_that_of_pillow_to_the_bit(sizes, resample, seed):
    """Of pictures that are not square in one of the two orders of passes; which one depends on Pillow's version."""
    height, width, rows, columns = sizes
    pixels = picture(height, width, seed)
    expected = np.asarray(Image.fromarray(pixels).resize((columns, rows), resample))
    along_rows = resize_as_pillow(as_tensor(pixels), rows, columns, resample)[0]
    along_columns = resize_as_pillow(as_tensor(pixels).mT, columns, rows, resample)[0].mT
    ours = [(way * 255.0).round().permute(1, 2, 0).numpy() for way in (along_rows, along_columns)]
    assert any(np.array_equal(way, expected) for way in ours)


@given(inside=st.integers(1, 300), side=st.integers(1, 90), resample=st.sampled_from([BILINEAR, BICUBIC]))
@settings(max_examples=60)
def test_resizing_a_square_is_that_of_pillow_to_the_bit(inside, side, resample):
    pixels = picture(inside, inside, side)
    expected = np.asarray(Image.fromarray(pixels).resize((side, side), resample))
    ours = resize_as_pillow(as_tensor(pixels), side, side, resample)[0]
    np.testing.assert_array_equal((ours * 255.0).round().permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("size", [(SIDE, SIDE), (57, 57), (200, 200), (20, 20), (48, 77), (93, 40)])
@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("CLIP", {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}),
        ("CLIP", {"size": 40, "crop_size": SIDE}),
        ("Siglip", {"size": {"height": SIDE, "width": SIDE}}),
        ("Siglip", {"size": {"height": SIDE, "width": SIDE}, "resample": 2}),
    ],
)
def test_equals_the_processors_of_transformers(tmp_path, kind, asked, size):
    pytest.importorskip("transformers")
    clip = kind == "CLIP"
    write_preprocessor(tmp_path, do_center_crop=clip, **asked)
    pixels = picture(*size)
    expected = processor_in_pillow(kind, tmp_path)(pixels, return_tensors="pt")["pixel_values"]
    preprocessing, tensor = read_preprocessing(tmp_path, square=not clip), as_tensor(pixels)
    ways = [preprocessing.prepare(tensor)]
    if size[0] != size[1]:  # the order of passes depends on Pillow's version
        ways.append(preprocessing.prepare(tensor.mT).mT)
    assert min((way - expected).abs().max() for way in ways) < 1e-4


def test_settings_inside_those_of_a_processor(tmp_path):
    write_preprocessor(tmp_path, size=SIDE)
    plain = read_preprocessing(tmp_path, square=True)
    text = (tmp_path / "preprocessor_config.json").read_text()
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text('{"image_processor": ' + text + "}")
    assert read_preprocessing(tmp_path, square=True) == plain


@pytest.mark.parametrize(
    "asked",
    [{"resample": 1}, {"size": {}}, {"size": "224"}, {"size": 10**9}, {"size": {"height": -1, "width": -1}},
     {"image_std": [0, 1, 1]}, {"image_mean": ["a", 0, 0]}, {"rescale_factor": "x"}, {"resample": [3]},
     {"do_resize": "no"}, {"do_center_crop": True, "crop_size": None, "size": None},
     {"size": {"height": 32, "width": 64}}, {"size": None}, {"image_mean": None},
     {"image_std": [1, 1]}, {"rescale_factor": 1.0}, {"do_normalize": False}, {"do_resize": False}],
)  # fmt: skip
def test_what_is_not_done_here_is_refused(tmp_path, asked):
    write_preprocessor(tmp_path, **{"size": {"height": SIDE, "width": SIDE}, **asked})
    with pytest.raises(EncoderError, match="preprocessor"):
        read_preprocessing(tmp_path, square=True)


def test_missing_and_malformed_settings_are_refused(tmp_path):
    with pytest.raises(EncoderError, match="preprocessor_config"):
        read_preprocessing(tmp_path, square=True)
    (tmp_path / "preprocessor_config.json").write_text("[1]")
    with pytest.raises(EncoderError, match="expected 'object'"):
        read_preprocessing(tmp_path, square=True)
    write_settings(tmp_path / "preprocessor_config.json", {})
    with pytest.raises(EncoderError, match="no mean"):
        read_preprocessing(tmp_path, square=True)
