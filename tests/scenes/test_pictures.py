"""Files with more than 8 bits a value, kinds of masks, and files that no decoder should see."""

import os
import threading
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from scene_files import picture, save, save_deep_png, transforms, write_capture, write_transforms

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.deep import deep_values
from lerf.scenes.load import read_scene
from lerf.scenes.photos import read_header, read_mask, read_photo, white_of
from lerf.scenes.record import scene_from_plain, scene_to_plain


def noise(channels, bits, seed=0, shape=(8, 12)):
    values = np.random.default_rng(seed).integers(0, 1 << bits, (*shape, channels), np.uint16)
    values[0, 0] = (1 << bits) - 1
    return values


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_read_whole(tmp_path, channels):
    values = noise(channels, 16)
    np.testing.assert_array_equal(deep_values(save_deep_png(tmp_path / "a.png", values), "Photo"), values)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_either_byte_order(tmp_path, order, compression, channels):
    values = noise(channels, 16)
    tifffile.imwrite(
        tmp_path / "a.tif", values if channels > 1 else values[..., 0], byteorder=order, compression=compression,
        photometric="rgb" if channels > 1 else "minisblack", extrasamples=["unassalpha"] if channels == 4 else None,
    )  # fmt: skip
    np.testing.assert_array_equal(deep_values(tmp_path / "a.tif", "Photo"), values)
    assert read_header(tmp_path / "a.tif").deep


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_bits_in_use_are_those_of_the_whole_capture(tmp_path, bits, channels):
    write_capture(tmp_path)
    for number in range(4):
        values = noise(channels, bits, number) if number == 2 else noise(channels, 8, number) // 2
        save_deep_png(tmp_path / f"images/{number:04d}.png", values)
    scene = read_scene(tmp_path)
    white = (1 << bits) - 1
    assert {photo.white for photo in scene.photos} == {white}
    for number in (1, 2):
        values = deep_values(scene.photos[number].path, "Photo").astype(float)
        np.testing.assert_allclose(scene.pixels(number), np.broadcast_to(values * 255 / white, (8, 12, 3)), atol=0.51)
    assert any(f"{white} is shown as white" in note for note in scene.notes) == (bits != 16)
    again = scene_from_plain(scene_to_plain(scene))
    np.testing.assert_array_equal(again.pixels(1), scene.pixels(1))


def test_8_bit_photos_beside_deep_ones_stay(tmp_path):
    write_capture(tmp_path)
    before = load_scene(tmp_path).pixels(0)
    save_deep_png(tmp_path / "images/0001.png", noise(3, 12))
    with pytest.warns(LerfWarning, match=r"1 photos have files of more than 8 bits .* 12 bits: 4095 is shown as white"):
        scene = load_scene(tmp_path)
    np.testing.assert_array_equal(scene.pixels(0), before)
    assert scene.pixels(1).max() == 255


def test_opacity_of_deep_photos(tmp_path):
    values = noise(4, 12)
    values[..., 3] = 65535
    values[2, 3, 3] = 0
    path = save_deep_png(tmp_path / "a.png", values)
    assert read_header(path).has_alpha
    assert white_of([path]) == 4095
    found = read_photo(path, white=4095)
    assert found[2, 3, 3] == 0
    assert (found[..., 3] == 255).sum() == 8 * 12 - 1
    np.testing.assert_allclose(found[..., :3], values[..., :3] * 255.0 / 4095, atol=0.51)


def test_transparent_value_of_a_deep_photo_is_opaque_in_header_and_pixels(tmp_path):
    image = Image.fromarray(noise(1, 16)[..., 0])
    image.save(tmp_path / "a.png", transparency=7)
    assert not read_header(tmp_path / "a.png").has_alpha
    assert read_photo(tmp_path / "a.png").shape[2] == 3


KEPT = np.ones((4, 6), bool)
KEPT[1, 2] = KEPT[3, 3:] = False


def mask_file(folder, kind):
    path = folder / "m.png"
    if kind.startswith("16 bit"):
        return save_deep_png(path, (KEPT[..., None] * int(kind.split()[-1])).astype(np.uint16))
    if kind == "16 bits of colour":
        return save_deep_png(path, (KEPT[..., None] * np.array([1, 0, 1])).astype(np.uint16))
    if kind.startswith("tiff"):
        values = KEPT.astype(kind.split()[1])
        values = values * (0.7 if values.dtype.kind == "f" else 200)
        tifffile.imwrite(folder / "m.tif", values.astype(kind.split()[1]), byteorder=kind.split()[2])
        return folder / "m.tif"
    grey = Image.fromarray(np.where(KEPT, 255, 0).astype(np.uint8))
    if kind == "1":
        grey.convert("1").save(path)
    elif kind == "palette":
        # The index is no brightness: white comes first.
        image = Image.fromarray((~KEPT).astype(np.uint8)).convert("P")
        image.putpalette([255, 255, 255, 0, 0, 0])
        image.save(path)
    elif kind == "labels":
        image = Image.fromarray(KEPT.astype(np.uint8)).convert("P")
        image.putpalette([0, 0, 0, 0, 0, 200])  # blue is dark as a grey
        image.save(path)
    elif kind == "grey and alpha":
        Image.merge("LA", (grey, Image.new("L", grey.size, 255))).save(path)
    elif kind == "cut-out":
        Image.merge("RGBA", (*Image.new("RGB", grey.size).split(), grey)).save(path)
    elif kind == "CMYK":
        grey.convert("CMYK").save(folder / "m.tif")
        return folder / "m.tif"
    return path


@pytest.mark.parametrize(
    "kind",
    [
        *(f"16 bits of {top}" for top in (1, 255, 4095, 65535)),
        "tiff float32 <", "tiff float32 >",
        "tiff uint16 <", "tiff uint16 >", "tiff uint32 <",
        "1", "palette", "labels", "grey and alpha", "cut-out", "CMYK",
    ],
)  # fmt: skip
def test_masks_of_any_kind(tmp_path, kind):
    np.testing.assert_array_equal(read_mask(mask_file(tmp_path, kind), (6, 4)), KEPT)


def test_nan_in_a_mask_is_ignored(tmp_path):
    values = KEPT.astype(np.float32)
    values[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "m.tif", values)
    expected = KEPT.copy()
    expected[0, 0] = False
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", (6, 4)), expected)


def test_white_of_masks_is_that_of_the_capture(tmp_path):
    document = transforms()
    for number, frame in enumerate(document["frames"]):
        frame["mask_path"] = f"masks/{number}.png"
        mask = np.full((8, 12), 200 if number else 3, np.uint8)  # the first ignores everything, but for noise
        mask[0, 0] = 0
        save(tmp_path / frame["mask_path"], mask)
    write_capture(tmp_path, document)
    with pytest.warns(LerfWarning, match="largest value in the masks is 200"):
        scene = load_scene(tmp_path)
    assert not scene.mask(0).any()
    assert scene.mask(1).sum() == 8 * 12 - 1
    assert not scene_from_plain(scene_to_plain(scene)).mask(0).any()


def hostile(kind, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere.png")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "header alone":
        path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "dangling", "empty", "noise", "header alone"])
@pytest.mark.parametrize("what", ["photo", "mask"])
def test_what_is_no_picture_is_refused_at_once(tmp_path, kind, what):
    document = transforms()
    document["frames"][1]["mask_path"] = "masks/1.png"
    write_capture(tmp_path, document)
    save(tmp_path / "masks/1.png", np.full((8, 12), 255, np.uint8))
    load_scene(tmp_path)
    hostile(kind, tmp_path / ("images/0001.png" if what == "photo" else "masks/1.png"))
    caught = []

    def load():
        try:
            load_scene(tmp_path)
        except SceneError as error:
            caught.append(str(error))

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(caught) == 1
    assert len(caught[0]) <= 300
    assert ("0001.png" if what == "photo" else "1.png") in caught[0]


@pytest.mark.parametrize("name", ["a\0b.png", "n" * 300 + ".png", "images", "", "."])
def test_impossible_names(tmp_path, name):
    document = transforms()
    write_capture(tmp_path, document)
    document["frames"][2]["file_path"] = name
    write_transforms(tmp_path, document)
    with pytest.raises(SceneError):
        load_scene(tmp_path)


def test_broken_exif_is_no_orientation(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 9
    Image.fromarray(picture(12, 8)).save(tmp_path / "a.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(tmp_path / "a.jpg").orientation == 1
        read_photo(tmp_path / "a.jpg")


def with_stated_size(path, width, height):
    """A PNG file that states another size than it has."""
    data = bytearray(path.read_bytes())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("limit", [None, 1, 1 << 40])
def test_pixels_are_bounded_whatever_pillow_allows(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    path = save(tmp_path / "a.png", picture(4, 4))
    np.testing.assert_array_equal(read_photo(path), picture(4, 4))
    with pytest.raises(SceneError, match="more than 268 million pixels"):
        read_header(with_stated_size(path, 60000, 60000))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_photos_of_200_megapixels_are_within_the_bound(tmp_path):
    path = save(tmp_path / "a.png", picture(4, 4))
    assert read_header(with_stated_size(path, 16320, 12240)).size == (16320, 12240)
    assert read_header(with_stated_size(path, 1 << 14, 1 << 14)).size == (1 << 14, 1 << 14)
    with pytest.raises(SceneError, match="more than 268 million pixels"):
        read_header(with_stated_size(path, 1 << 14, (1 << 14) + 1))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".gif", ".ppm", ".jp2"])
def test_damaged_bytes_never_leave_as_another_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    try:
        Image.fromarray(picture(40, 30)).save(path)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"this Pillow does not write {suffix}")
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), random.choice([64, len(data)])), random.integers(1, 6)):
            data[place] = random.integers(0, 256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)] if random.random() < 0.3 else data)
        try:
            read_header(path)
            read_photo(path)
            read_mask(path, (40, 30))
        except SceneError:
            refused += 1
    assert refused > 10
