"""Picture files by way of Pillow: recognised by content, opened with bounds, decoded, every fault a `SceneError`.

Colour profiles that a file carries are not applied, as OpenCV and ImageMagick do not unless they are told to: what is
shown are the stored numbers. Ink (CMYK) becomes light by R = (1 - C)(1 - K), as in these.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageFile, features

from lerf.errors import SceneError
from lerf.files import is_file, is_folder

LARGEST_PIXELS = 1 << 28
"""Pixels of a picture: above those of phones of 200 megapixels, and 1 GiB where Pillow keeps them decoded."""
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "JPEG2000", "BMP", "GIF", "PPM", "TGA")
"""Formats that are tried, by content, beside HEIF and AVIF: none that runs another program or fetches other files."""
ORIENTATION = int(ExifTags.Base.Orientation)
UPRIGHT = 1
"""EXIF orientation of a picture that is shown as it is stored; the others are 2 to 8."""

MOST_BOXES = 1000
"""That are looked at in a HEIF or AVIF file."""

_HEAD = 256
"""Bytes from the start of a file that say which format it has."""
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_STORED = "stored orientation"
"""Under which a TIFF file's is kept in `Image.info`."""
_NEW_SUBFILE, _SUB_FILES, _DNG_VERSION = 254, 330, 50706
"""Tags of TIFF."""
_XMP_ORIENTATION = re.compile(r"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")
_LOCK = threading.Lock()
"""Pillow's limit and filters of warnings belong to the whole process, so that threads take turns to change them."""


@contextmanager
def opened(path: Path, what: str) -> Iterator[Image.Image]:
    """A picture whose header is read and whose pixels are not; `what` names it in errors: "Photo" or "Mask".

    Of files with several pictures it is the first, or the one that the file calls its primary one. Its size is that of
    the stored pixels, but for HEIC, where rotations are a part of the decoding.

    Raises:
        SceneError: when there is no such file, or it is not a picture, or it has too many pixels, or a package that
            reads its format is not installed.
    """
    if not is_file(path):
        raise _no_file(path, what)
    try:
        with our_limit():
            image = Image.open(path, formats=_formats_of(path, what))
            if image.format == "TIFF":
                try:
                    _leave_unturned(image)
                except BaseException:
                    image.close()
                    raise
    except SceneError:
        raise
    except Image.DecompressionBombError:
        raise too_many(path, what) from None
    except OSError as error:
        said = f"cannot be read ({error.strerror.lower()})" if error.strerror else "cannot be read as an image"
        raise SceneError(f"{what} {path} {said}: replace it or remove its entry.") from None
    except Exception:  # decoders meet hostile bytes with errors of every class
        raise SceneError(f"{what} {path} cannot be read as an image: replace it or remove its entry.") from None
    with image:
        if image.width * image.height > LARGEST_PIXELS:
            raise too_many(path, what)
        if image.format == "TIFF":
            refuse_raw(image.tag_v2, path, what)  # type: ignore[attr-defined]
        yield image


@contextmanager
def our_limit() -> Iterator[None]:
    """Pillow without warnings, and with `LARGEST_PIXELS` in place of its own limit, which honest photos exceed."""
    with _LOCK, warnings.catch_warnings():
        # Large photos and broken metadata; what matters of them is checked here.
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, LARGEST_PIXELS // 2  # it refuses twice as many
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _formats_of(path: Path, what: str) -> list[str]:
    """What Pillow is to try for a file; HEIF and AVIF only where the file says that it is one.

    Raises:
        SceneError: a package that reads them is not installed, or such a file is cut off.
        OSError: the file cannot be read.
    """
    Image.init()
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if head[4:8] != b"ftyp":
            return [name for name in FORMATS if name in Image.OPEN]
        if not _is_whole(file):
            raise cut_off(path, what)
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS:
        if not features.check("avif"):
            raise _not_installed(path, what, "AVIF", "Pillow 11.3 or newer")
        return ["AVIF"]
    if brands & _HEIF_BRANDS:
        try:
            import pillow_heif
        except ImportError:
            raise _not_installed(path, what, "HEIC", "pillow-heif") from None
        if "HEIF" not in Image.OPEN:
            pillow_heif.register_heif_opener()
        return ["HEIF"]
    return []


def _is_whole(file: BinaryIO) -> bool:
    """Whether the boxes of pixels and of what is said about them end within the file (ISO/IEC 14496-12, 4.2).

    Of HEIC files that are cut off libheif decodes what is there, and green where nothing is.
    """
    size, at = file.seek(0, os.SEEK_END), 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # the rest of the file, or no box
            break
        at += length
        if at > size and head[4:8] in (b"meta", b"mdat"):
            return False
        if at >= size:
            break
    return True


def _leave_unturned(image: Image.Image) -> None:
    """Keep a TIFF file's pixels and size as stored: Pillow would turn them as its orientation says, and no others."""
    exif = image.getexif()
    orientation = exif.get(ORIENTATION)
    if orientation is not None:
        del exif[ORIENTATION]
    image.info[_STORED] = orientation
    tags = image.tag_v2  # type: ignore[attr-defined]
    image._size = (int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength]))  # type: ignore[attr-defined]


def refuse_raw(tags: Any, path: Path, what: str) -> None:
    """
    Args:
        tags: of the first picture of a TIFF file.

    Raises:
        SceneError: that picture is a thumbnail of raw data, or raw itself, as in DNG and NEF.
    """
    if _DNG_VERSION in tags or (_SUB_FILES in tags and tags.get(_NEW_SUBFILE) == 1):
        raise SceneError(f"{what} {path} holds the raw data of a camera: develop it to JPEG or PNG.")


def exif_tag(image: Image.Image, tag: int, inner: int | None = None) -> Any:
    """A value of the file's EXIF data; None where it has none or they cannot be read, as picture viewers take it.

    Args:
        image: an opened picture.
        tag: number of the value.
        inner: number of the directory that the value lies in, if it is not the main one.
    """
    try:
        with our_limit():
            # Asking a PNG for its EXIF decodes it in search of a late chunk; the base class takes what the header has.
            exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
            return exif.get(tag) if inner is None else exif.get_ifd(inner).get(tag)
    except Exception:  # as in `opened`
        return None


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an opened picture, 1 to 8; where EXIF has none that of XMP; 1 where neither is one.

    AVIF and HEIC state rotations in the container, which decides (ISO/IEC 23008-12, 6.5.10): HEIC is decoded upright,
    and of AVIF Pillow gives the container's as that of EXIF.
    """
    if image.format == "HEIF":
        return UPRIGHT
    if image.format == "AVIF":
        image.info.pop("xmp", None)
    stored = image.info.get(_STORED) if image.format == "TIFF" else exif_tag(image, ORIENTATION)
    if stored is None:
        stored = xmp_orientation(_xmp_packet(image))
    return usable_orientation(stored)


def _xmp_packet(image: Image.Image) -> Any:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if packet:
        return packet
    # Pillow before 11 has that of JPEG among its segments.
    segments = (content for _, content in getattr(image, "applist", ()))
    return next((content for content in segments if content.startswith(b"http://ns.adobe.com/xap/1.0/\0")), None)


def xmp_orientation(packet: Any) -> int | None:
    """The orientation that an XMP packet states."""
    text = packet.decode("latin-1") if isinstance(packet, bytes) else packet
    found = _XMP_ORIENTATION.search(text) if isinstance(text, str) else None
    return int(found[1]) if found else None


def usable_orientation(value: Any) -> int:
    """A value of the tag as an orientation; 1 where it has another type or is out of range."""
    return value if isinstance(value, int) and UPRIGHT <= value <= 8 else UPRIGHT


def decode(image: Image.Image, path: Path, what: str) -> None:
    """Read the pixels of an opened picture.

    Raises:
        SceneError: when they are cut off, corrupt or more than the memory holds.
    """
    # Another library in the process may have told Pillow to fill cut-off photos with grey.
    tolerated, size = ImageFile.LOAD_TRUNCATED_IMAGES, image.size
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        if image.format == "TIFF" and size[0] * size[1] > (Image.MAX_IMAGE_PIXELS or LARGEST_PIXELS):
            with our_limit():  # which Pillow asks again here
                image.load()
        else:
            image.load()
        if image.size != size:
            raise ValueError("the header states another size")
    except Exception:  # as in `opened`; MemoryError is one
        raise cut_off(path, what) from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerated


def has_opacity(image: Image.Image) -> bool:
    """Whether some pixels of an opened picture may let something through."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def in_colour(image: Image.Image, path: Path, what: str) -> Image.Image:
    """A decoded picture as RGB, or RGBA where it `has_opacity`.

    Raises:
        SceneError: when its kind of colour is none that Pillow converts.
    """
    wanted = "RGBA" if has_opacity(image) else "RGB"
    try:
        return image if image.mode == wanted else image.convert(wanted)
    except (ValueError, OSError, MemoryError):
        raise SceneError(
            f"{what} {path} has colours of a kind that is not read ({image.mode}): save it as PNG."
        ) from None


def _no_file(path: Path, what: str) -> SceneError:
    if is_folder(path):
        return SceneError(f"{what} {path} is a folder: put the picture in its place or remove its entry.")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return SceneError(f"{what} {path} is missing: restore it or remove its entry from the capture.")
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        return SceneError(f"{what} {path} cannot be read ({said}): make it readable or remove its entry.")
    except ValueError:  # a NUL
        return SceneError(f"{what} {path} cannot be the name of a file: correct its entry in the capture.")
    return SceneError(f"{what} {path} is not a regular file: replace it or remove its entry.")


def cut_off(path: Path, what: str) -> SceneError:
    """The error for pixels that cannot be decoded."""
    return SceneError(
        f"The {what.lower()} {path} is cut off or corrupt: copy it again from its source or remove its entry."
    )


def too_many(path: Path, what: str) -> SceneError:
    """The error for a picture of more than `LARGEST_PIXELS`."""
    return SceneError(
        f"{what} {path} has more than {LARGEST_PIXELS // 10**6} million pixels, too many to decode safely: reduce it "
        "first."
    )


def _not_installed(path: Path, what: str, kind: str, needed: str) -> SceneError:
    return SceneError(f"{what} {path} is {kind}, which needs {needed}; install it with: pip install 'lerf[heic]'.")
