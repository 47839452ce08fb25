"""LangSplat's preprocessed features, written in their layout: read back to the same maps, or refused."""

import numpy as np
import pytest
import torch
from mask_support import PHOTO, Recorder, picture, tiles
from torch.nn import functional as F

from lerf.errors import SceneError
from lerf.masks.embed import embed_crops
from lerf.masks.mask_files import find_masks
from lerf.masks.masked_table import masked_table
from lerf.masks.photo_masks import PhotoMasks
from lerf.masks.store import embed_masks


class Photos:
    def __len__(self) -> int:
        return 2

    def pixels(self, index: int) -> np.ndarray:
        return picture() if index == 0 else picture()[:, ::-1].copy()


def levels(seed: int) -> np.ndarray:
    """[4, H, W] of numbers counted over all levels; one number owns no pixel, one level is empty."""
    random = np.random.default_rng(seed)
    coarse = random.integers(-1, 2, (4, 3, 4)).repeat(10, 1).repeat(10, 2)
    ids = np.where(coarse >= 0, coarse + np.array([0, 2, 5, 7])[:, None, None], -1)
    ids[2] = -1
    return ids.astype(np.int32)


def write(folder, encoder):
    """Two photos; the first at half its size, its name with a dot within."""
    for number, name in enumerate(("a.b", "c")):
        ids = levels(number)
        ids = ids[:, ::2, ::2] if number == 0 else ids
        rows = embed_crops(Photos().pixels(number), PhotoMasks(ids, 10), encoder, "black", "cpu")
        rows[(rows == 0).all(-1)] = F.normalize(torch.ones(3), dim=0)
        np.save(folder / f"{name.split('.')[0]}_s.npy", ids)
        np.save(folder / f"{name.split('.')[0]}_f.npy", rows.numpy().astype(np.float16 if number else np.float32))
    return ["a.b.jpg", "c.jpg"]


def test_they_are_read_back_to_the_same_maps(tmp_path):
    names = write(tmp_path, Recorder())
    encoder = Recorder()
    embedded = embed_masks(Photos(), find_masks(tmp_path, names), encoder, "black", root=tmp_path / "cache")
    base = tiles(2, width=3)
    table = masked_table(
        base,
        [one.masks for one in embedded],
        [one.size for one in embedded],
        [one.embeddings for one in embedded],
        "cpu",
    )
    for photo, name in enumerate(("a", "c")):
        ids, rows = np.load(tmp_path / f"{name}_s.npy"), np.load(tmp_path / f"{name}_f.npy").astype(np.float32)
        ratios = embedded[photo].masks.ratios
        for _, row, column in np.argwhere(ids >= 0)[::17]:
            over = [number for number in ids[:, row, column] if number >= 0]
            scale = PHOTO[0] / ids.shape[2]
            pixel = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]]).float()
            for number in over:
                found = table.interpolate(
                    torch.tensor([photo]), pixel, torch.tensor([ratios[number]]), renormalise=True
                )[0]
                same = [n for n in over if ratios[n] == ratios[number]]
                assert max(float(found @ torch.from_numpy(rows[n])) for n in same) > 0.999


def test_those_of_another_encoder_are_refused(tmp_path):
    names = write(tmp_path, Recorder())
    other = Recorder()
    other.encode_tiles = lambda tiles: F.normalize(-tiles.mean((-1, -2)).flip(-1) - 1e-3, dim=-1)
    with pytest.raises(SceneError, match="not those that recorder gives"):
        embed_masks(Photos(), find_masks(tmp_path, names), other, "black", root=tmp_path / "cache")
    wide = Recorder()
    wide.width = 512
    with pytest.raises(SceneError, match="embeds into 512 numbers"):
        embed_masks(Photos(), find_masks(tmp_path, names), wide, "black", root=tmp_path / "cache")


@pytest.mark.parametrize("kind", ["missing", "short", "nan"])
def test_damaged_ones_are_told(tmp_path, kind):
    names = write(tmp_path, Recorder())
    path = tmp_path / "a_f.npy"
    rows = np.load(path)
    if kind == "missing":
        path.unlink()
    elif kind == "short":
        np.save(path, rows[:3])
    else:
        rows[0] = np.nan
        np.save(path, rows)
    with pytest.raises(SceneError, match=r"a_f\.npy"):
        embed_masks(Photos(), find_masks(tmp_path, names), Recorder(), "black", root=tmp_path / "cache")


def test_crops_are_embedded_once(tmp_path):
    np.save(tmp_path / "c.npy", levels(1))
    files = find_masks(tmp_path, ["b.jpg", "c.jpg"])
    first, second = Recorder(), Recorder()
    before = embed_masks(Photos(), files, first, "black", root=tmp_path / "cache")
    after = embed_masks(Photos(), files, second, "black", root=tmp_path / "cache")
    assert before[0] is after[0] is None
    assert first.seen
    assert not second.seen
    assert torch.equal(before[1].embeddings, after[1].embeddings)
    np.save(tmp_path / "c.npy", levels(5))
    embed_masks(Photos(), files, second, "black", root=tmp_path / "cache")
    assert second.seen
