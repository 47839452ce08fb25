"""Dense features: keys of the last block, laid over the photo where they belong."""

import pytest
import torch
from checkpoints import MEAN, STD, write_clip, write_dense

from lerf.encoders.dino import LastKeys
from lerf.encoders.hub import find_files
from lerf.encoders.protocols import DenseEncoder
from lerf.encoders.registry import load_dense_encoder
from lerf.errors import EncoderError

transformers = pytest.importorskip("transformers")
KINDS = {
    "ViT": {},
    "Dinov2": {"mlp_ratio": 2},
    "Dinov2WithRegisters": {"mlp_ratio": 2, "num_register_tokens": 4},
    "DINOv3ViT": {"num_register_tokens": 4},
}
NAMES_OF_KEYS = ("2.attention.k_proj", "2.attention.attention.key")
"""Of the last block's, in newer and older versions of transformers."""


@pytest.mark.parametrize("kind", KINDS)
def test_keys_equal_a_hook_on_the_reference_network(tmp_path, kind):
    if not hasattr(transformers, f"{kind}Model"):
        pytest.skip(f"transformers {transformers.__version__} has no {kind}Model")
    network = write_dense(tmp_path, kind, **KINDS[kind])
    encoder = LastKeys("dino", find_files(str(tmp_path)), short_side=64)
    photo = torch.rand(3, 64, 88)
    seen = []
    key = next(module for name, module in network.named_modules() if name.endswith(NAMES_OF_KEYS))
    key.register_forward_hook(lambda module, inputs, output: seen.append(output))
    normalised = (photo - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.inference_mode():
        network(normalised[None], **({"interpolate_pos_encoding": True} if kind == "ViT" else {}))
    before = 1 + KINDS[kind].get("num_register_tokens", 0)
    grid = encoder.encode_photo(photo)
    assert grid.features.shape == (8, 11, encoder.width)
    torch.testing.assert_close(grid.features.flatten(0, 1), seen[0][0, before:], atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    write_dense(folder)
    return load_dense_encoder("dino", weights=folder, offline=True)


def test_keeps_the_protocol(encoder):
    assert isinstance(encoder, DenseEncoder)
    assert (encoder.name, encoder.width, len(encoder.fingerprint)) == ("dino", 32, 64)


@pytest.mark.parametrize("size", [(250, 375), (378, 504), (1000, 700)])
def test_the_map_covers_the_photo(encoder, size):
    grid = encoder.encode_photo(torch.rand(3, *size))
    rows, columns, _ = grid.features.shape
    assert min(rows, columns) in (62, 63), "the short side is about 500 pixels, a cell 8"
    assert (grid.dx * columns, grid.dy * rows) == pytest.approx((size[1], size[0]))
    assert (grid.x0, grid.y0) == (grid.dx / 2, grid.dy / 2)
    assert grid.dx == pytest.approx(grid.dy, rel=0.02)


def test_a_cell_describes_its_place(encoder):
    """Changing one patch of the photo changes its own cell's key most."""
    photo = torch.full((3, 504, 504), 0.5)
    before = encoder.encode_photo(photo)
    row, column = 20, 41
    y, x = int(before.y0 + row * before.dy), int(before.x0 + column * before.dx)
    photo[:, y - 4 : y + 4, x - 4 : x + 4] = torch.rand(3, 8, 8)
    change = (encoder.encode_photo(photo).features - before.features).norm(dim=-1)
    assert divmod(int(change.argmax()), change.shape[1]) == (row, column)


def test_names_of_variants(tmp_path):
    write_dense(tmp_path, "Dinov2", mlp_ratio=2)
    assert load_dense_encoder("dinov2", weights=tmp_path).name == "dinov2"
    assert load_dense_encoder(f"dinov2:{tmp_path}").name == f"dinov2:{tmp_path}"
    assert load_dense_encoder(f"dino:{tmp_path}").width == 32


@pytest.mark.slow
def test_full_size_maps_a_photo(tmp_path):
    """DINO ViT-S/8 with random weights: parameters as published for timm's vit_small_patch8_224."""
    wide = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 6}
    network = write_dense(tmp_path, image_size=224, **wide)
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_670_272
    grid = load_dense_encoder("dino", weights=tmp_path).encode_photo(torch.rand(3, 738, 994))
    assert grid.features.shape == (62, 84, 384)


def test_another_type_of_model_is_refused(tmp_path):
    write_clip(tmp_path)
    with pytest.raises(EncoderError, match="type 'clip'"):
        load_dense_encoder("dino", weights=tmp_path)
