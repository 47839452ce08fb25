"""Photos as cameras and programs make them, decoded by ImageMagick and by us.

`photo_kinds` holds small files of every kind, and in magick.json what ImageMagick decodes each of them to: upright, 8
bits of red, green, blue and opacity (`photo_kinds/make_kinds.py` says how). Where OpenCV or ImageMagick is on the
machine, it is asked again. Kinds that ImageMagick 6 shows otherwise than they were written are held against what was
written.
"""

import base64
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from photo_kinds.make_kinds import ALPHA, PIXELS
from scene_files import reads_avif

from lerf.scenes.photos import read_header, read_photo, white_of

FOLDER = Path(__file__).parent / "photo_kinds"
MAGICK = json.loads((FOLDER / "magick.json").read_text())
STORED = {"exif_6.png", "exif_6.webp", "xmp_6.jpg"}
"""ImageMagick 6 knows the orientation of JPEG's and TIFF's EXIF alone, and shows these as they are stored."""
TURNED_BY_TEXT = "exif_ascii.jpg"
"""The orientation is the letter 6; ImageMagick takes it, OpenCV and browsers do not."""
AS_WRITTEN = {"444.heic": 5, "rgb.avif": 8, "rgba.avif": 8, "exif_6.avif": 8, "exif_6_jpeg.tif": 8}
"""With the difference that compression makes. ImageMagick 6 halves the colours of the first four, and turns the last
twice. The others of these kinds have their colours halved as they are stored."""
OPAQUE_THERE = {"rgba.heic"}
"""ImageMagick 6 does not decode the opacity of HEIC."""


def decoded(name):
    """A photo as we show it upright, and its header."""
    path = FOLDER / name
    if path.suffix == ".heic":
        pytest.importorskip("pillow_heif", reason="HEIC needs lerf[heic]")
    if path.suffix == ".avif" and not reads_avif():
        pytest.skip("this Pillow reads no AVIF")
    header = read_header(path)
    white = white_of([path]) if header.deep else 65535
    return read_photo(path, orientation=header.orientation, white=white), header


def turned(pixels):
    """By a quarter clockwise, which is what orientation 6 asks for."""
    return np.rot90(pixels, -1)


def difference(one, other):
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("name", sorted(set(MAGICK) - set(AS_WRITTEN)))
def test_against_imagemagick(name):
    found, header = decoded(name)
    width, height = MAGICK[name]["size"]
    expected = np.frombuffer(zlib.decompress(base64.b85decode(MAGICK[name]["rgba"])), np.uint8)
    expected = expected.reshape(height, width, 4)
    if name in STORED:
        assert header.orientation == 6
        expected = turned(expected)
    if name == TURNED_BY_TEXT:
        assert header.orientation == 1
        expected = np.rot90(expected)
    # Half a step in 8 bits is rounded in either direction; HEIC is also converted from YCbCr by either library.
    most = 2 if name.endswith(".heic") else 1
    assert difference(found[..., :3], expected[..., :3]) <= most
    assert header.has_alpha == (found.shape[2] == 4)
    if name in OPAQUE_THERE:
        assert difference(found[..., 3], np.asarray(ALPHA)) <= 5
    elif header.has_alpha:
        assert difference(found[..., 3], expected[..., 3]) <= 1
    else:
        assert (expected[..., 3] == 255).all()


@pytest.mark.parametrize("name", sorted(AS_WRITTEN))
def test_against_what_was_written(name):
    found, header = decoded(name)
    expected = turned(PIXELS) if name.startswith("exif_6") else PIXELS
    assert header.orientation == (6 if name.startswith("exif_6") else 1)
    assert difference(found[..., :3], expected) <= AS_WRITTEN[name]
    if header.has_alpha:
        assert difference(found[..., 3], np.asarray(ALPHA)) <= 5


@pytest.mark.parametrize("name", sorted(MAGICK))
def test_orientation_is_that_of_the_name(name):
    header = decoded(name)[1]
    kind, _, rest = name.partition("_")
    number = rest.split(".")[0].split("_")[0] if kind in ("exif", "xmp") else ""
    if name == "exif_6.heic":  # turned by the decoder
        assert (header.size, header.orientation) == ((14, 22), 1)
    elif name == "exif_two_values.jpg":
        assert header.orientation == 6
    else:
        assert header.orientation == (int(number) if number in "2345678" and number else 1)


@pytest.mark.parametrize("name", sorted(name for name in MAGICK if "deep" in name or "float" in name))
def test_deep_files_are_known_as_such(name):
    # Ink and HEIC of more than 8 bits are decoded to 8.
    assert decoded(name)[1].deep == (name not in ("deep_cmyk.tif", "deep.heic"))


def magick_of_today():
    for name in ("magick", "convert"):
        program = shutil.which(name)
        if program is not None:
            said = subprocess.run([program, "-version"], capture_output=True, text=True).stdout
            if said.startswith("Version: ImageMagick"):
                return program
    pytest.skip("ImageMagick is not on this machine")


LOSSLESS = sorted(
    name for name in MAGICK if name.endswith((".png", ".tif", ".jpg", ".mpo", ".bmp", ".gif", ".webp"))
    and name not in (*AS_WRITTEN, *STORED, TURNED_BY_TEXT, "lossy.webp")
)  # fmt: skip
"""Or JPEG, which all decode with the same library."""


def test_against_the_imagemagick_of_this_machine():
    program = magick_of_today()
    for name in LOSSLESS:
        found, _ = decoded(name)
        arguments = [f"{FOLDER / name}[0]", "-auto-orient", "-colorspace", "sRGB", "-type", "TrueColor", "-depth", "8"]
        data = subprocess.run([program, *arguments, "rgb:-"], capture_output=True).stdout
        if name.endswith(".webp") and not data:
            continue  # built without it
        expected = np.frombuffer(data, np.uint8).reshape(*found.shape[:2], 3)
        visible = found[..., 3] > 0 if found.shape[2] == 4 else np.ones(found.shape[:2], bool)
        assert difference(found[..., :3][visible], expected[visible]) <= 2, name


def test_against_opencv():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    for name in LOSSLESS:
        header = read_header(FOLDER / name)
        read = cv2.imread(str(FOLDER / name), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if read is None or header.has_alpha or header.deep:
            continue  # it reads no GIF in some builds, and shows opacity and depth otherwise
        assert difference(read_photo(FOLDER / name), read[..., ::-1]) <= 2, name


def test_against_the_library_that_colmap_reads_with():
    colmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    for name in LOSSLESS:
        if not name.endswith((".png", ".jpg", ".tif", ".bmp")) or name == "deep_white_is_zero.tif":
            continue  # the last of which it shows as a negative
        header = read_header(FOLDER / name)
        bitmap = colmap.Bitmap.read(FOLDER / name, True)
        assert difference(read_photo(FOLDER / name)[..., :3], bitmap.to_array()) <= 1, (name, header)
