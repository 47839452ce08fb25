"""The 2D baseline against interpolating the embeddings themselves."""

import pytest
import torch

import lerf
from lerf.evaluation.baseline import pyramid_map, pyramid_maps
from lerf.geometry.camera_table import image_pixels
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids
from lerf.queries.relevancy import relevancy


@pytest.mark.parametrize("levels", [1, 3])
def test_maps_are_those_of_the_renormalised_interpolation(drawn_run, tiny, monkeypatch, levels) -> None:
    model = lerf.load(drawn_run, device="cpu")
    photo = model.scene.test[0]
    phrases = model.phrases(["red", "a yellow ball", "purple"])
    ratios = (0.1, 0.2, 0.3)[:levels]
    store = build_pyramids([lambda: model.scene.pixels(photo)], model.encoder, PyramidOptions(tile_ratios=ratios))
    monkeypatch.setattr("lerf.evaluation.baseline.build_pyramids", lambda *_, **__: store)
    table = PyramidTable.from_store(store)
    width, height = model.cameras.sizes[photo].tolist()
    pixels = image_pixels(width, height)
    where = torch.zeros(len(pixels), dtype=torch.int64)
    stack = []
    for ratio in ratios:
        asked = torch.full((len(pixels),), ratio)
        embedding = table.interpolate(where, pixels, asked, renormalise=True)
        stack.append(relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature))
    every = torch.stack(stack)
    best = every.amax(-1).argmax(0)
    expected = torch.stack([every[level, row] for row, level in enumerate(best.tolist())]).view(3, height, width)
    torch.testing.assert_close(pyramid_maps(model, phrases, photo), expected, rtol=0, atol=3e-3)
    torch.testing.assert_close(pyramid_map(model, model.phrases("red"), photo), expected[0], rtol=0, atol=3e-3)
