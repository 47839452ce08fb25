"""Masks of photos from a folder, in the forms that tools write them.

For a photo `hall/0001.jpg` a folder of masks may hold, looked for in this order; the folders of the photo's name may be
left out where no other photo has the same name:

`hall/0001_s.npy`, `hall/0001_f.npy`
    LangSplat's levels and embeddings (`langsplat.py`).
`hall/0001.npy`
    Numbers [levels, height, width] or [height, width], -1 where there is no mask.
`hall/0001.json`
    Masks as COCO's run lengths: a list, or `annotations`, of entries with `segmentation: {size, counts}`.
`hall/0001.png`, `hall/0001.jpg.png`
    A number a pixel, or a colour a mask; 0, or black, where there is none.
`hall/0001/*.png`
    A picture a mask, not black where it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
from jaxtyping import Bool
from PIL import Image

from lerf.arrays import map_npy
from lerf.documents import LARGEST, parse_document
from lerf.errors import SceneError
from lerf.files import is_file, is_folder, read_bytes
from lerf.masks.photo_masks import PhotoMasks, layered, numbered
from lerf.masks.run_lengths import decode
from lerf.scenes.finder import stem_of
from lerf.scenes.photos import mask_values, sizes_fit

REMEDY = "repair the file, or take it away to use tiles for this photo"
MOST_COLOURS = 4096
"""Masks of a picture; one of more colours is a photo."""
MOST_LEVELS, MOST_MASKS = 64, 1 << 20


class _Segmentation(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


class _Entry(msgspec.Struct):
    segmentation: _Segmentation


class _Annotations(msgspec.Struct):
    annotations: list[_Entry]


@dataclass(frozen=True)
class MaskFile:
    """Where the masks of a photo are."""

    paths: tuple[Path, ...]
    """One file; several where each holds one mask, or levels and embeddings."""
    kind: str
    """`langsplat`, `levels`, `runs`, `numbers` or `pictures`."""

    @property
    def content(self) -> str:
        """SHA-256 of the files, in their order."""
        digest = hashlib.sha256(self.kind.encode())
        for path in self.paths:
            digest.update(path.read_bytes())
        return digest.hexdigest()


def find_masks(folder: Path, names: Sequence[str]) -> list[MaskFile | None]:
    """The masks of each photo by its name in the capture; None for a photo without.

    Raises:
        SceneError: there is no such folder, or it has masks of none of the photos.
    """
    if not is_folder(folder):
        raise SceneError(f"There is no folder of masks {folder}; give --masks one.")
    last = [PurePosixPath(name).name for name in names]
    found: list[MaskFile | None] = []
    for name, short in zip(names, last, strict=True):
        places = [name] if last.count(short) > 1 or name == short else [name, short]
        found.append(next((file for place in places if (file := _masks_at(folder, place)) is not None), None))
    if not any(found):
        raise SceneError(
            f"{folder} has masks of none of the {len(names)} training photos: for {names[0]} it should hold "
            f"{stem_of(names[0])}.png, .npy, .json, or a folder of that name with a PNG a mask."
        )
    return found


def _masks_at(folder: Path, name: str) -> MaskFile | None:
    stem = folder / stem_of(name)
    levels = stem.with_name(stem.name + "_s.npy")
    if not is_file(levels):
        # LangSplat cuts a name at its first dot.
        levels = stem.with_name(stem.name.split(".")[0] + "_s.npy")
    if is_file(levels):
        return MaskFile((levels, levels.with_name(levels.name.removesuffix("_s.npy") + "_f.npy")), "langsplat")
    for suffix, kind in ((".npy", "levels"), (".json", "runs"), (".png", "numbers")):
        path = stem.with_name(stem.name + suffix)
        if is_file(path):
            return MaskFile((path,), kind)
    if is_file(path := folder / f"{name}.png"):
        return MaskFile((path,), "numbers")
    if is_folder(stem) and (pictures := tuple(sorted(path for path in stem.iterdir() if path.suffix == ".png"))):
        return MaskFile(pictures, "pictures")
    return None


def read_masks(file: MaskFile, size: tuple[int, int]) -> PhotoMasks:
    """The masks of a photo of `size` (width, height), at their own resolution.

    Raises:
        SceneError: a file cannot be read, is none of its kind, or its size is not the photo's nor a reduction of it.
    """
    if file.kind == "langsplat" or file.kind == "levels":
        masks = read_levels(file.paths[0])
    elif file.kind == "runs":
        masks = _read_runs(file.paths[0])
    elif file.kind == "numbers":
        masks = _read_numbers(file.paths[0])
    else:
        masks = _joined([_shape(path) for path in file.paths], file.paths[0])
    height, width = masks.ids.shape[1:]
    # Whoever reduces photos to a height may round the width either way, so half a pixel a side is no other shape.
    if not sizes_fit((width, height), size) and abs(width * size[1] - height * size[0]) > max(size):
        raise SceneError(
            f"The masks {file.paths[0]} have {width}x{height} pixels and the photo {size[0]}x{size[1]}: make them of "
            "this photo, or of a reduction of it."
        )
    return masks


def read_levels(path: Path) -> PhotoMasks:
    """Levels of numbers, -1 where there is none.

    Raises:
        SceneError: the file cannot be read or holds something else.
    """
    values = read_numbers(path)
    values = values[None] if values.ndim == 2 else values
    whole = values.ndim == 3 and values.size and (values.dtype.kind in "iu" or (values == np.round(values)).all())
    if not whole or len(values) > MOST_LEVELS or values.min() < -1 or values.max() >= MOST_MASKS:
        raise SceneError(
            f"The masks {path} are {values.dtype} of shape {list(values.shape)} and not whole numbers from -1 on, of "
            f"[levels, height, width]: {REMEDY}."
        )
    return PhotoMasks(values.astype(np.int32), int(values.max()) + 1)


def read_numbers(path: Path) -> np.ndarray:
    """The array of an NPY file.

    Raises:
        SceneError: it is none, or damaged.
    """
    try:
        return np.array(map_npy(path))
    except (OSError, ValueError) as problem:
        raise SceneError(f"The masks {path} are damaged ({problem}): {REMEDY}.") from None


def _read_runs(path: Path) -> PhotoMasks:
    remedy = f"write segmentation as size and counts, or {REMEDY}"
    data = read_bytes(path, error=SceneError, remedy=remedy, largest=LARGEST)
    if data.lstrip().startswith(b"{"):
        entries = parse_document(data, _Annotations, str(path), error=SceneError, remedy=remedy).annotations
    else:
        entries = parse_document(data, list[_Entry], str(path), error=SceneError, remedy=remedy)
    masks = []
    for number, entry in enumerate(entries):
        try:
            masks.append(decode(entry.segmentation.counts, *entry.segmentation.size))
        except ValueError as problem:
            raise SceneError(f"Mask {number} of {path} is wrong ({problem}): {REMEDY}.") from None
    if not masks:
        raise SceneError(f"{path} holds no mask: {REMEDY}.")
    return _joined(masks, path)


def _read_numbers(path: Path) -> PhotoMasks:
    values = _pixels(path)
    if values.ndim == 3:
        colours = values[..., :3].astype(np.int64)
        values = (colours[..., 0] << 32) + (colours[..., 1] << 16) + colours[..., 2]
    masks = numbered(values[None], 0)
    if masks.count > MOST_COLOURS:
        raise SceneError(f"The picture {path} has {masks.count} colours and is no picture of masks: {REMEDY}.")
    return masks


def _pixels(path: Path) -> np.ndarray:
    """Values of a PNG as they are stored: a palette's numbers, colours, or one channel of up to 16 bits."""
    mask_values(path)  # Refuses what is no picture, cut off or too large.
    with Image.open(path, formats=["PNG"]) as image:
        return np.array(image.convert("L") if image.mode == "1" else image)


def _shape(path: Path) -> Bool[np.ndarray, "height width"]:
    return mask_values(path) > 0


def _joined(masks: Sequence[Bool[np.ndarray, "_height _width"]], path: Path) -> PhotoMasks:
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        raise SceneError(f"The masks of {path} have different sizes: {REMEDY}.")
    try:
        return layered(masks, masks[0].shape)
    except ValueError as problem:
        raise SceneError(f"The masks of {path} cannot be used ({problem}): {REMEDY}.") from None
