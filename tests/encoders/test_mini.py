"""The shipped encoder: its interface, its words, and that it knows a thing when it sees one."""

import warnings

import numpy as np
import pytest
import torch

from canvas import Canvas, collated
from lerf.encoders.mini import HEIGHT, SPACING, Mini, MiniMap, UnknownWordsWarning
from lerf.encoders.mini_tower import STRIDE, WINDOW
from lerf.encoders.protocols import DenseEncoder, DenseImageTextEncoder
from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import ConfigError, EncoderError, QueryError
from lerf.evaluation.annotations import read_annotation, read_labels_of_view
from lerf.scenes.demo import demo_capture
from lerf.scenes.load import load_scene


@pytest.fixture(scope="module")
def mini():
    return Mini()


@pytest.fixture(scope="module")
def photo():
    scene = load_scene(demo_capture())
    return torch.from_numpy(scene.pixels(scene.test[0])).permute(2, 0, 1).float() / 255.0


def test_names_lead_to_the_encoders(mini):
    assert isinstance(load_encoder("mini"), DenseImageTextEncoder)
    assert isinstance(load_dense_encoder("mini-map"), DenseEncoder)
    assert load_encoder("mini").fingerprint == mini.fingerprint


def test_phrases_are_unit_vectors_and_do_not_depend_on_their_company(mini):
    together = mini.encode_text(["mug", "a red mug on a wooden table", "something to drink from"])
    assert together.shape == (3, mini.width)
    assert torch.allclose(together.norm(dim=-1), torch.ones(3), atol=1e-4)
    assert torch.allclose(together[:1], mini.encode_text(["mug"]), atol=1e-5)


def test_known_words_do_not_warn(mini):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mini.encode_text(["the red mugs", "object", "things", "stuff", "texture", "gray teapot handle"])


def test_an_unknown_word_warns_with_the_nearest_words_and_other_encoders(mini):
    with pytest.warns(UnknownWordsWarning, match=r'never learnt "bananna".*banana.*in spelling.*conse'):
        mini.encode_text(["yellow bananna"])
    with pytest.warns(UnknownWordsWarning, match="42"):
        mini.encode_text(["42"])


def test_a_blank_phrase_is_refused(mini):
    with pytest.raises(QueryError, match="empty"):
        mini.encode_text(["mug", "  "])


def test_windows_of_a_photo_are_where_the_grid_says(mini, photo):
    ratio = 0.2
    grid = mini.encode_photo_at(photo, ratio)
    assert (grid.x0, grid.y0, grid.dx, grid.dy) == pytest.approx((SPACING / 2, SPACING / 2, SPACING, SPACING), rel=2e-3)
    assert grid.features.shape[:2] == (photo.shape[1] // SPACING, photo.shape[2] // SPACING)


def test_a_window_of_the_grid_is_the_same_window_alone_in_a_crop(mini, photo):
    """Resized, cut and embedded by the road that training takes."""
    ratio, row, column = 0.25, 11, 17
    grid = mini.encode_photo_at(photo, ratio)
    pixels = (photo.permute(1, 2, 0) * 255).round().byte().numpy()
    side = ratio * photo.shape[1]
    x, y = grid.x0 + column * grid.dx, grid.y0 + row * grid.dy
    # Shifted so that cells of the map lie alike under the window in both.
    shifts = [(middle * WINDOW / side - 56.0 + STRIDE / 2) % STRIDE - STRIDE / 2 for middle in (x, y)]
    cut = Canvas(pixels, side, 112).cut(x, y, side, *shifts)
    alone = mini.embed_crops(*collated([cut]), torch.tensor([ratio * HEIGHT]))
    assert torch.nn.functional.cosine_similarity(grid.features[row, column], alone[0], dim=-1) > 0.99


def test_a_mirrored_photo_has_the_mirrored_grid(mini):
    # Resized to 320 pixels, which the stride divides: windows of both grids then have the same cells.
    photo = torch.rand(3, 240, 240)
    grid, mirrored = (mini.encode_photo_at(way, 0.1).features for way in (photo, photo.flip(-1)))
    # One way alone differs by 0.1 and more here; products in bfloat16 leave 0.0005.
    torch.testing.assert_close(mirrored.flip(1), grid, rtol=0, atol=2e-3)


def test_a_photo_of_another_size_is_gridded_in_its_own_pixels(mini, photo):
    large = torch.nn.functional.interpolate(photo[None], scale_factor=2.0, mode="nearest")[0]
    small, big = mini.encode_photo_at(photo, 0.2), mini.encode_photo_at(large, 0.2)
    assert (big.x0, big.dx) == pytest.approx((2 * small.x0, 2 * small.dx))
    assert torch.nn.functional.cosine_similarity(small.features, big.features, dim=-1).mean() > 0.97


def test_tiles_are_unit_vectors(mini):
    embedded = mini.encode_tiles(torch.rand(3, 3, mini.input_size, mini.input_size))
    assert embedded.shape == (3, mini.width)
    assert torch.allclose(embedded.norm(dim=-1), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.5])
def test_a_senseless_tile_ratio_is_refused(mini, photo, ratio):
    with pytest.raises(ConfigError, match="tile ratio"):
        mini.encode_photo_at(photo, ratio)


def test_the_map_is_standardised(photo):
    encoder = MiniMap()
    grid = encoder.encode_photo(photo)
    assert grid.features.shape == (photo.shape[1] // 4, photo.shape[2] // 4, encoder.width)
    assert (grid.x0, grid.dx) == (2.0, 4.0)
    assert 0.3 < float(grid.features.std()) < 3.0


def test_wrong_weights_say_what_to_do(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(EncoderError, match="leave --weights out"):
        Mini(path)
    with pytest.raises(EncoderError, match="does not hold"):
        Mini(tmp_path / "missing.safetensors")


def test_it_names_the_things_of_the_demo_scene(mini):
    """Windows of one size at the middle of the things of held-out views; `docs/mini.md` says how good it is."""
    scene, folder = load_scene(demo_capture()), demo_capture()
    annotation = read_annotation(folder)
    kinds = sorted({thing.kind for thing in annotation.objects})
    texts = mini.encode_text(kinds)
    right = []
    for index in scene.test[:4]:
        labels = read_labels_of_view(folder, scene.photos[index].name.split("/")[-1].split(".")[0])
        pixels = torch.from_numpy(scene.pixels(index)).permute(2, 0, 1).float() / 255.0
        grid = mini.encode_photo_at(pixels, 0.16)
        for thing in annotation.objects:
            rows, columns = np.nonzero(np.isin(labels, [part.label for part in thing.parts]))
            if len(rows) < 300:
                continue
            place = grid.features[int(rows.mean() / grid.dy), int(columns.mean() / grid.dx)]
            right.append(kinds[int((texts @ place).argmax())] == thing.kind)
    assert len(right) > 20
    assert np.mean(right) > 0.6


def test_products_in_bfloat16_change_embeddings_little(mini, photo, monkeypatch):
    halves = mini.encode_photo_at(photo, 0.16).features
    monkeypatch.setattr("lerf.encoders.mini._halves_on_cpu", lambda: False)
    singles = mini.encode_photo_at(photo, 0.16).features
    assert float((halves * singles).sum(-1).min()) > 0.995
