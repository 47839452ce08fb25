"""Look-ups in masks against a loop over pixels, and what encoders are shown of a mask."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mask_support import PHOTO, WIDTH, Recorder, picture, tiles
from torch.nn import functional as F

from lerf.masks.embed import embed_crops, pool_tiles
from lerf.masks.masked_table import masked_table
from lerf.masks.photo_masks import PhotoMasks, layered


def random_masks(seed: int, levels: int) -> PhotoMasks:
    random = np.random.default_rng(seed)
    ids = random.integers(-1, 3, (levels, 15, 20)).astype(np.int32)
    ids += np.where(ids >= 0, 3 * np.arange(levels)[:, None, None], 0).astype(np.int32)
    return PhotoMasks(ids, 3 * levels)


def embeddings(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=-1).half()


def by_hand(table, masks, features, photo, pixel, ratio):
    """The definition, a pixel at a time."""
    own = masks[photo]
    if own is not None:
        row, column = int(pixel[1] / PHOTO[1] * own.ids.shape[1]), int(pixel[0] / PHOTO[0] * own.ids.shape[2])
        over = sorted((float(own.ratios[number]), number) for number in own.ids[:, row, column] if number >= 0)
        if over:
            below = [one for one in over if one[0] <= ratio]
            above = [one for one in over if one[0] >= ratio]
            low, high = (below or above)[-1 if below else 0], (above or below)[0 if above else -1]
            share = 0.0 if low == high else np.log(ratio / low[0]) / np.log(high[0] / low[0])
            first, second = (features[photo][number].float() for number in (low[1], high[1]))
            return first * (1 - share) + second * share
    return table.interpolate(torch.tensor([photo]), torch.tensor([pixel]), torch.tensor([ratio]))[0]


@given(seed=st.integers(0, 500), levels=st.integers(1, 4))
def test_look_ups_are_those_of_the_definition(seed, levels):
    base = tiles(3, seed)
    masks = [random_masks(seed, levels), None, random_masks(seed + 1, 1)]
    features = [embeddings(3 * levels, seed), None, embeddings(3, seed + 1)]
    table = masked_table(base, masks, [PHOTO, PHOTO, PHOTO], features, "cpu")
    random = torch.Generator().manual_seed(seed)
    photo = torch.randint(3, (40,), generator=random)
    pixels = torch.rand(40, 2, generator=random) * torch.tensor(PHOTO).float()
    ratio = torch.rand(40, generator=random) * 0.9 + 0.05
    found = table.interpolate(photo, pixels, ratio)
    for row in range(40):
        expected = by_hand(base, masks, features, int(photo[row]), pixels[row].tolist(), float(ratio[row]))
        torch.testing.assert_close(found[row], expected, atol=2e-3, rtol=0)
    unit = table.interpolate(photo, pixels, ratio, renormalise=True)
    torch.testing.assert_close(unit, F.normalize(found, dim=-1), atol=3e-3, rtol=0)


def test_a_mask_without_an_embedding_is_none():
    features = embeddings(3, 0)
    features[1] = 0
    base, masks = tiles(1), random_masks(0, 1)
    table = masked_table(base, [masks], [PHOTO], [features], "cpu")
    row, column = np.argwhere(masks.ids[0] == 1)[0]
    pixel = torch.tensor([[(column + 0.5) * 2, (row + 0.5) * 2]]).float()
    photo, ratio = torch.tensor([0]), torch.tensor([0.3])
    assert torch.equal(table.interpolate(photo, pixel, ratio), base.interpolate(photo, pixel, ratio))


@pytest.mark.parametrize("reduced", [1, 2])
def test_crops_show_the_thing_and_what_was_asked_for_around_it(reduced):
    box = np.zeros((30, 40), bool)
    box[8:22, 8:22] = True
    box[8:10, 8:10] = False
    masks = layered([box[::reduced, ::reduced]], (30 // reduced, 40 // reduced))
    seen = {}
    for crop in ("black", "blur", "context"):
        encoder = Recorder()
        embed_crops(picture(), masks, encoder, crop, "cpu")
        (seen[crop],) = encoder.seen
        assert seen[crop].shape == (3, 16, 16)
        # The box is in the middle of each, the red beside it too.
        assert seen[crop][:, 8, 5].tolist() == pytest.approx([0, 0, 1], abs=0.05)
    corner = {crop: tile[:, 0, 0].tolist() for crop, tile in seen.items()}
    assert corner["black"] == pytest.approx([0, 0, 0], abs=0.15)
    assert corner["context"] == pytest.approx([1, 0, 0], abs=0.05)
    assert 0.1 < corner["blur"][0] <= 1.0


def test_crops_are_squares_padded_with_black():
    bar = np.zeros((30, 40), bool)
    bar[12:18, 0:40] = True
    encoder = Recorder()
    embed_crops(picture(), layered([bar], (30, 40)), encoder, "context", "cpu")
    assert float(encoder.seen[0][:, 0].abs().max()) < 0.05
    assert float(encoder.seen[0][:, 8].max()) > 0.8


def test_a_mask_without_a_pixel_is_not_shown():
    masks = PhotoMasks(np.zeros((1, 30, 40), np.int32), 2)
    encoder = Recorder()
    found = embed_crops(picture(), masks, encoder, "black", "cpu")
    assert len(encoder.seen) == 1
    assert found[1].tolist() == [0, 0, 0]


def test_pooling_is_the_mean_of_the_tiles_under_a_mask():
    base = tiles(1)
    left = np.zeros((30, 40), bool)
    left[:, :12] = True
    masks = layered([left], (30, 40))
    found = pool_tiles(base, 0, PHOTO, masks)
    at = np.argwhere(left)
    pixels = torch.from_numpy(at[:, ::-1] + 0.5).float()
    ratio = torch.full((len(at),), float(masks.ratios[0]))
    expected = base.interpolate(torch.zeros(len(at), dtype=torch.long), pixels, ratio).mean(0)
    assert float((found[0] * F.normalize(expected, dim=0)).sum()) > 0.99
