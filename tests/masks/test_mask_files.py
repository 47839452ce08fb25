"""Masks in every form that tools write them, read back to the same shapes; and what is no mask, in one sentence."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lerf.errors import SceneError
from lerf.masks.mask_files import find_masks, read_masks
from lerf.masks.photo_masks import MOST_LEVELS, layered, numbered
from lerf.masks.run_lengths import decode

SIZE = (12, 8)
"""Width and height."""


def shapes(seed: int = 0, count: int = 3) -> list[np.ndarray]:
    """Boxes that overlap."""
    random = np.random.default_rng(seed)
    masks = []
    for _ in range(count):
        left, top = random.integers(0, 8), random.integers(0, 5)
        mask = np.zeros((8, 12), bool)
        mask[top : top + random.integers(1, 4), left : left + random.integers(1, 5)] = True
        masks.append(mask)
    return masks


def encoded(mask: np.ndarray, compressed: bool) -> list[int] | str:
    """COCO's run lengths of a mask, written from their description and not from the reader."""
    flat = mask.T.reshape(-1)
    runs, value = [], False
    at = 0
    while at < len(flat):
        stop = at
        while stop < len(flat) and flat[stop] == value:
            stop += 1
        runs.append(stop - at)
        at, value = stop, not value
    if not compressed:
        return runs
    text = ""
    for index, run in enumerate(runs):
        number = run - runs[index - 2] if index > 2 else run
        while True:
            low, number = number & 31, number >> 5
            more = number != (-1 if low & 16 else 0)
            text += chr((low | 32 if more else low) + 48)
            if not more:
                break
    return text


@given(seed=st.integers(0, 10_000), height=st.integers(1, 70), width=st.integers(1, 70), text=st.booleans())
def test_run_lengths_are_read_back(seed, height, width, text):
    mask = np.random.default_rng(seed).random((height, width)) < 0.3
    mask = mask if seed % 3 else np.repeat(mask[:1], height, 0)
    assert (decode(encoded(mask, text), height, width) == mask).all()


@pytest.mark.parametrize(
    ("counts", "size"),
    [([3, 4], (2, 2)), ([5, -1], (2, 2)), ("", (2, 2)), ("\x01", (2, 2)), ("oooooooooooo", (2, 2)), ("P", (2, 2)),
     ([1], (0, 1)), ([1], (1 << 20, 1 << 20))],
)  # fmt: skip
def test_what_is_no_run_length(counts, size):
    with pytest.raises(ValueError, match=r"run lengths|pixels|text"):
        decode(counts, *size)


@given(seed=st.integers(0, 10_000), count=st.integers(0, 8))
def test_layers_keep_every_mask(seed, count):
    masks = shapes(seed, count)
    found = layered(masks, (8, 12))
    assert found.count == count
    ours = sorted(found.mask(number).tobytes() for number in range(count))
    assert ours == sorted(mask.tobytes() for mask in masks)
    areas = [found.mask(number).sum() for number in range(count)]
    np.testing.assert_allclose(found.ratios, np.sqrt(areas) / 8, rtol=1e-6)


def test_too_many_over_one_place():
    with pytest.raises(ValueError, match=f"more than {MOST_LEVELS}"):
        layered([np.ones((2, 2), bool)] * (MOST_LEVELS + 1), (2, 2))


def test_numbers_become_masks_from_zero():
    values = np.array([[[7, 7, -1], [2, 7, -1]], [[7, -1, -1], [-1, -1, 9]]])
    found = numbered(values, -1)
    assert found.ids.tolist() == [[[1, 1, -1], [0, 1, -1]], [[2, -1, -1], [-1, -1, 3]]]
    assert found.count == 4


def write_numbers(folder, name, masks):
    values = np.zeros((8, 12), np.uint8)
    for number, mask in enumerate(masks):
        values[mask & (values == 0)] = number + 1
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(folder / name)
    return [values == number for number in np.unique(values) if number]


def as_set(found) -> set[bytes]:
    return {found.mask(number).tobytes() for number in range(found.count)}


@pytest.mark.parametrize("place", ["hall/0001.png", "0001.png", "hall/0001.jpg.png", "0001.jpg.png"])
def test_a_number_a_pixel(tmp_path, place):
    written = write_numbers(tmp_path, place, shapes())
    (file,) = find_masks(tmp_path, ["hall/0001.jpg"])
    assert file is not None
    assert as_set(read_masks(file, SIZE)) == {mask.tobytes() for mask in written}


@pytest.mark.parametrize("kind", ["16 bits", "palette", "colours"])
def test_numbers_in_other_pictures(tmp_path, kind):
    written = write_numbers(tmp_path, "0001.png", shapes())
    values = np.array(Image.open(tmp_path / "0001.png"))
    if kind == "16 bits":
        picture = Image.fromarray(values.astype(np.uint16) * 300)
    elif kind == "palette":
        picture = Image.new("P", values.shape[::-1])
        picture.frombytes(values.tobytes())
        picture.putpalette([0, 0, 0, *([9, 9, 9] * 255)])
    else:
        colours = np.array([[0, 0, 0], [255, 0, 0], [255, 0, 1], [3, 200, 7]], np.uint8)
        picture = Image.fromarray(colours[values])
    picture.save(tmp_path / "0001.png")
    (file,) = find_masks(tmp_path, ["0001.jpg"])
    assert as_set(read_masks(file, SIZE)) == {mask.tobytes() for mask in written}


@pytest.mark.parametrize("form", ["pictures", "runs", "text", "annotations", "levels"])
def test_masks_that_overlap(tmp_path, form):
    masks = shapes()
    if form == "pictures":
        (tmp_path / "0001").mkdir()
        for number, mask in enumerate(masks):
            Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / f"0001/{number}.png")
    elif form == "levels":
        np.save(tmp_path / "0001.npy", layered(masks, (8, 12)).ids)
    else:
        entries = [{"segmentation": {"size": [8, 12], "counts": encoded(m, form == "text")}, "area": 3} for m in masks]
        (tmp_path / "0001.json").write_text(json.dumps({"annotations": entries} if form == "annotations" else entries))
    (file,) = find_masks(tmp_path, ["0001.jpg"])
    assert as_set(read_masks(file, SIZE)) == {mask.tobytes() for mask in masks}


def test_photos_of_one_name_in_two_folders_need_their_folders(tmp_path):
    write_numbers(tmp_path, "a/1.png", shapes(1))
    write_numbers(tmp_path, "1.png", shapes(2))
    first, second = find_masks(tmp_path, ["a/1.jpg", "b/1.jpg"])
    assert first is not None
    assert first.paths == (tmp_path / "a/1.png",)
    assert second is None


def test_content_decides(tmp_path):
    write_numbers(tmp_path, "1.png", shapes(1))
    (file,) = find_masks(tmp_path, ["1.jpg"])
    before = file.content
    write_numbers(tmp_path, "1.png", shapes(2))
    assert file.content != before


def test_a_reduction_fits_and_another_shape_does_not(tmp_path):
    write_numbers(tmp_path, "1.png", shapes())
    (file,) = find_masks(tmp_path, ["1.jpg"])
    assert read_masks(file, (24, 16)).ids.shape == (1, 8, 12)
    with pytest.raises(SceneError, match=r"12x8 pixels and the photo 24x24"):
        read_masks(file, (24, 24))


def broken(folder, kind):
    """One file of masks that cannot be used."""
    if kind == "cut off":
        write_numbers(folder, "1.png", shapes())
        data = (folder / "1.png").read_bytes()
        (folder / "1.png").write_bytes(data[: len(data) // 2])
    elif kind == "photo":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)).save(folder / "1.png")
    elif kind == "fractions":
        np.save(folder / "1.npy", np.full((8, 12), 0.5))
    elif kind == "huge numbers":
        np.save(folder / "1.npy", np.full((8, 12), 1 << 40))
    elif kind == "polygons":
        (folder / "1.json").write_text(json.dumps([{"segmentation": [[1, 2, 3, 4, 5, 6]]}]))
    elif kind == "no masks":
        (folder / "1.json").write_text("[]")
    elif kind == "short runs":
        (folder / "1.json").write_text(json.dumps([{"segmentation": {"size": [8, 12], "counts": [3]}}]))
    elif kind == "two sizes":
        (folder / "1").mkdir()
        for number, side in enumerate((8, 9)):
            Image.fromarray(np.full((side, 12), 255, np.uint8)).save(folder / f"1/{number}.png")


@pytest.mark.parametrize(
    "kind", ["cut off", "photo", "fractions", "huge numbers", "polygons", "no masks", "short runs", "two sizes"]
)
def test_what_cannot_be_used_is_told_in_one_sentence(tmp_path, kind):
    broken(tmp_path, kind)
    (file,) = find_masks(tmp_path, ["1.jpg"])
    size = (120, 80) if kind == "photo" else SIZE
    with pytest.raises(SceneError) as told:
        read_masks(file, size)
    assert len(str(told.value)) <= 300


def test_no_folder_and_no_masks(tmp_path):
    with pytest.raises(SceneError, match="no folder of masks"):
        find_masks(tmp_path / "gone", ["1.jpg"])
    with pytest.raises(SceneError, match="masks of none of the 2 training photos"):
        find_masks(tmp_path, ["1.jpg", "2.jpg"])
