"""Writes the files of this folder anew, and what ImageMagick decodes them to (magick.json). No test runs this.

Needs ImageMagick with HEIC, pillow-heif and tifffile: python tests/scenes/photo_kinds/make_kinds.py. Those that are
here were written with Pillow 13.0, pillow-heif 1.8.1, tifffile 2026.3.3 and ImageMagick 6.9.11-60 of Debian 12, and
decoded by the last, with libheif 1.15.1.
"""

from __future__ import annotations

import base64
import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent
MAGICK = shutil.which("magick") or "/usr/bin/convert"
WIDTH, HEIGHT = 22, 14
sys.path.insert(0, str(FOLDER.parent))

from scene_files import save_deep_png  # noqa: E402


def scene() -> np.ndarray:
    """Gradients and two patches, alike in no orientation."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x * 12, y * 18, (x + y) * 7], -1).astype(np.uint8)
    pixels[2:5, 3:8] = [250, 20, 30]
    pixels[8:11, 14:17] = [10, 200, 240]
    return pixels


PIXELS = scene()
RGB = Image.fromarray(PIXELS)
ALPHA = Image.fromarray((np.mgrid[:HEIGHT, :WIDTH][1] * 12).astype(np.uint8))
RGBA = Image.merge("RGBA", (*RGB.split(), ALPHA))
DEEP = PIXELS.astype(np.uint16) * 256 + PIXELS[::-1, ::-1]


def exif(**tags: object) -> bytes:
    """EXIF whose orientation is as given: a number, or the fields type, count and value of its entry."""
    kind, count, value = tags.get("entry", (3, 1, struct.pack("<HH", int(tags.get("orientation", 1)), 0)))
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 0x0112, kind, count) + value + b"\0\0\0\0"


def xmp(orientation: int) -> bytes:
    """An XMP packet that states an orientation."""
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def png_chunks(path: Path, inserted: bytes, name: bytes) -> None:
    """Put a chunk before the pixels of a PNG file."""
    data = path.read_bytes()
    place = data.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(inserted)) + name + inserted + struct.pack(">I", zlib.crc32(name + inserted))
    path.write_bytes(data[:place] + chunk + data[place:])


def jpegs() -> None:
    """JPEG and MPO."""
    RGB.save("rgb.jpg", quality=95)
    RGB.save("progressive.jpg", quality=95, progressive=True)
    RGB.save("420.jpg", quality=95, subsampling=2)
    RGB.convert("L").save("grey.jpg", quality=95)
    RGB.save("two.mpo", quality=95, save_all=True, append_images=[Image.new("RGB", (9, 9), "red")])
    shutil.copy("two.mpo", "mpo.jpg")
    ink = Image.fromarray(np.concatenate([255 - PIXELS, (PIXELS[..., :1] // 3)], 2), "CMYK")
    ink.save("cmyk.jpg", quality=95)
    data = bytearray(Path("cmyk.jpg").read_bytes())
    adobe = data.index(b"\xff\xee")
    assert data[adobe + 4 : adobe + 9] == b"Adobe"
    data[adobe + 15] = 2
    Path("ycck.jpg").write_bytes(data)
    length = struct.unpack(">H", data[adobe + 2 : adobe + 4])[0]
    Path("cmyk_without_marker.jpg").write_bytes(data[:adobe] + data[adobe + 2 + length :])
    ink.save("cmyk_with_profile.jpg", quality=95, icc_profile=profile())
    RGB.save("rgb_with_profile.jpg", quality=95, icc_profile=profile())
    Path("trailer.jpg").write_bytes(Path("rgb.jpg").read_bytes() + b"\0\0\0\x18ftypmp42" + bytes(100))


def profile() -> bytes:
    """A profile that exchanges red and blue, so that it shows where one is applied."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", data[128:132])[0]):
        at = 132 + 12 * number
        data[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(bytes(data[at : at + 4]), data[at : at + 4])
    return bytes(data)


def orientations() -> None:
    """EXIF and XMP, whole and broken."""
    import tifffile

    for number in range(2, 9):
        RGB.save(f"exif_{number}.jpg", quality=95, exif=exif(orientation=number))
    RGB.save("exif_0.jpg", quality=95, exif=exif(orientation=0))
    RGB.save("exif_9.jpg", quality=95, exif=exif(orientation=9))
    RGB.save("exif_65535.jpg", quality=95, exif=exif(orientation=65535))
    RGB.save("exif_ascii.jpg", quality=95, exif=exif(entry=(2, 2, b"6\0\0\0")))
    RGB.save("exif_two_values.jpg", quality=95, exif=exif(entry=(3, 2, struct.pack("<HH", 6, 6))))
    RGB.save("exif_beyond_the_end.jpg", quality=95, exif=exif(entry=(3, 900, struct.pack("<I", 60000))))
    RGB.save("exif_cut_off.jpg", quality=95, exif=exif(orientation=6)[:20])
    RGB.save("exif_of_noise.jpg", quality=95, exif=b"Exif\0\0" + np.random.default_rng(0).bytes(60))
    RGB.save("exif_empty.jpg", quality=95, exif=b"Exif\0\0")
    RGB.save("xmp_6.jpg", quality=95, xmp=xmp(6))
    RGB.save("exif_6.png", exif=exif(orientation=6))
    RGB.save("exif_6.webp", exif=exif(orientation=6), lossless=True)
    tag = Image.Exif()
    tag[0x0112] = 6
    RGB.save("exif_6.tif", exif=tag)
    RGB.save("exif_6_lzw.tif", exif=tag, compression="tiff_lzw")
    RGB.save("exif_6_jpeg.tif", exif=tag, compression="jpeg", quality=95)
    tifffile.imwrite("exif_6_deep.tif", DEEP, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    RGB.save("exif_6.heic", quality=98, exif=exif(orientation=6))
    RGB.save("exif_6.avif", quality=98, exif=exif(orientation=6), subsampling="4:4:4")


def pngs() -> None:
    """PNG of every kind of colour."""
    RGB.quantize(4).save("palette_of_2_bits.png", bits=2)
    RGB.quantize(16).save("palette_of_4_bits.png", bits=4)
    RGB.quantize(200).save("palette.png")
    RGB.quantize(200).save("palette_transparent.png", transparency=bytes(range(200)))
    RGB.convert("1").save("one_bit.png")
    RGB.convert("L").save("grey.png")
    RGB.convert("L").save("grey_transparent.png", transparency=int(PIXELS[3, 4] @ [0.299, 0.587, 0.114]))
    Image.merge("LA", (RGB.convert("L"), ALPHA)).save("grey_alpha.png")
    RGBA.save("rgba.png")
    RGB.save("rgb_transparent.png", transparency=(250, 20, 30))
    subprocess.run(
        [MAGICK, "rgba.png", "-interlace", "PNG", "-define", "png:color-type=6", "interlaced.png"], check=True
    )
    grey, alpha = DEEP[..., :1], np.asarray(ALPHA).astype(np.uint16)[..., None] * 257
    alpha[0, -1] = 65535
    for name, values in {
        "deep_grey": grey, "deep_grey_alpha": np.concatenate([grey, alpha], 2),
        "deep_rgb": DEEP, "deep_rgba": np.concatenate([DEEP, alpha], 2),
    }.items():  # fmt: skip
        save_deep_png(Path(f"{name}.png"), values)
    subprocess.run(
        [MAGICK, "deep_rgb.png", "-interlace", "PNG", "-define", "png:bit-depth=16", "-define", "png:color-type=2",
         "deep_interlaced.png"], check=True,
    )  # fmt: skip


def tiffs() -> None:
    """TIFF of every layout."""
    import tifffile

    ink = Image.fromarray(np.concatenate([255 - PIXELS, (PIXELS[..., :1] // 3)], 2), "CMYK")
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        RGB.save(f"{name}.tif", compression=name)
    ink.save("cmyk.tif", compression="tiff_lzw")
    RGB.quantize(200).save("palette.tif")
    RGB.convert("1").save("group4.tif", compression="group4")
    shape = {"photometric": "rgb"}
    tifffile.imwrite("tiled.tif", PIXELS, tile=(16, 16), **shape)
    tifffile.imwrite("planes.tif", np.moveaxis(PIXELS, 2, 0), planarconfig="separate", **shape)
    tifffile.imwrite("rgba.tif", np.asarray(RGBA), extrasamples=["unassalpha"], **shape)
    inks = np.asarray(ink).astype(np.uint16) * 257
    tifffile.imwrite("deep_cmyk.tif", inks, photometric="separated")
    tifffile.imwrite("deep.tif", DEEP, **shape)
    tifffile.imwrite("deep_big_endian.tif", DEEP, byteorder=">", **shape)
    tifffile.imwrite("deep_bigtiff.tif", DEEP, bigtiff=True, **shape)
    tifffile.imwrite("deep_planes.tif", np.moveaxis(DEEP, 2, 0), planarconfig="separate", **shape)
    tifffile.imwrite("deep_tiled.tif", DEEP, tile=(16, 16), compression="zlib", predictor=True, **shape)
    tifffile.imwrite(
        "deep_tiled_planes.tif", np.moveaxis(DEEP, 2, 0), tile=(16, 16), planarconfig="separate", byteorder=">",
        compression="zlib", predictor=True, **shape,
    )  # fmt: skip
    subprocess.run([MAGICK, "deep.tif", "-compress", "LZW", "deep_lzw.tif"], check=True)
    subprocess.run(
        [MAGICK, "deep.tif", "-compress", "LZW", "-define", "tiff:rows-per-strip=3", "deep_lzw_strips.tif"], check=True
    )
    subprocess.run([MAGICK, "deep.tif", "-compress", "RLE", "deep_packbits.tif"], check=True)
    tifffile.imwrite("deep_white_is_zero.tif", DEEP[..., 0], photometric="miniswhite")
    alpha = np.concatenate([DEEP, DEEP[::-1, :, :1]], 2)
    tifffile.imwrite("deep_rgba.tif", alpha, extrasamples=["unassalpha"], **shape)
    values = PIXELS.astype(np.float32) / 255
    tifffile.imwrite("float.tif", values, **shape)
    tifffile.imwrite("float_grey_big_endian.tif", values[..., 1], byteorder=">")
    tifffile.imwrite("float_planes.tif", np.moveaxis(values, 2, 0), planarconfig="separate", **shape)
    subprocess.run(
        [MAGICK, "float.tif", "-compress", "Zip", "-define", "quantum:format=floating-point", "-depth", "32",
         "float_deflate.tif"], check=True,
    )  # fmt: skip


def others() -> None:
    """JPEG 2000, WebP, GIF, BMP, HEIC, AVIF."""
    import pillow_heif

    RGB.save("rgb.jp2")
    RGB.save("rgb.j2k")
    RGB.save("lossy.jp2", irreversible=True, quality_mode="rates", quality_layers=[8])
    RGBA.save("rgba.jp2")
    RGB.save("lossy.webp", quality=90)
    RGBA.save("rgba.webp", lossless=True, exact=True)
    RGB.save("animated.webp", save_all=True, append_images=[Image.new("RGB", RGB.size)], lossless=True)
    RGB.save("rgb.gif")
    RGB.quantize(100).save("transparent.gif", transparency=7, interlace=1)
    RGB.save("animated.gif", save_all=True, append_images=[Image.new("RGB", RGB.size)])
    RGB.save("rgb.bmp")
    RGB.quantize(200).save("palette.bmp")
    RGB.save("rgb.heic", quality=98)
    RGB.save("444.heic", quality=98, chroma=444)
    RGBA.save("rgba.heic", quality=98)
    RGB.save("rgb.avif", quality=98, subsampling="4:4:4")
    RGBA.save("rgba.avif", quality=98, subsampling="4:4:4")
    pillow_heif.encode("RGB;16", RGB.size, DEEP.tobytes(), "deep.heic", quality=98)
    smooth = RGB.resize((150, 100), Image.Resampling.BICUBIC)
    smooth.save("grid.heic", quality=90, tile_size=64)


def decoded(name: str) -> dict[str, object]:
    """What ImageMagick shows of the first picture, upright, 8 bits of red, green, blue and opacity."""
    done = subprocess.run(
        [MAGICK, f"{name}[0]", "-auto-orient", "-colorspace", "sRGB", "-type", "TrueColorAlpha", "-depth", "8",
         "-format", "%w %h", "-write", "info:", "rgba:-"], capture_output=True, check=True,
    )  # fmt: skip
    for end in range(3, 12):
        width, _, height = done.stdout[:end].partition(b" ")
        if width.isdigit() and height.isdigit() and len(done.stdout) == end + int(width) * int(height) * 4:
            packed = base64.b85encode(zlib.compress(done.stdout[end:], 9)).decode()
            return {"size": [int(width), int(height)], "rgba": packed}
    raise ValueError(f"{name}: {done.stderr.decode()}")


if __name__ == "__main__":
    import os

    import pillow_heif

    os.chdir(FOLDER)
    pillow_heif.register_heif_opener()
    for group in (jpegs, orientations, pngs, tiffs, others):
        group()
    kept = (Path(__file__).name, "magick.json")
    names = sorted(path.name for path in FOLDER.iterdir() if path.is_file() and path.name not in kept)
    Path("magick.json").write_text(json.dumps({name: decoded(name) for name in names}, indent=1) + "\n")
    print(len(names), sum(os.path.getsize(name) for name in names), os.path.getsize("magick.json"))
