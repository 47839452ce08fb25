"""From a checked list of shots to a scene: files, orientation, resolution, masks, split, normalised frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lerf.errors import SceneError
from lerf.geometry.similarity import normalising_similarity
from lerf.scenes.listing import Shot
from lerf.scenes.photos import PhotoHeader, Size, orientation_in_use, read_header, read_photo, sizes_fit
from lerf.scenes.scene import Photo, Scene

LONGEST_SIDE = 1600
"""Without a stated downscale a photo is halved until its longest side is at most this, as nerfstudio does."""

TRANSPARENT_SHARE = 0.01
"""Training photos show a cut-out when more than this share of their pixels lets something through."""
ALPHA_SAMPLE = 16
"""Photos whose transparency is looked at, evenly spread over those that have an alpha channel."""

EXTENSIONS = (".png", ".jpg", ".jpeg")


class PhotoFinder:
    """Finds files whose extension is left out, or written in another case; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[Path]]] = {}

    def find(self, path: Path) -> Path:
        """The file meant by `path`, or `path` itself when there is none, so that the error can name it."""
        if path.is_file():
            return path
        similar = self._listing(path.parent)
        if path.suffix.lower() in EXTENSIONS:
            same = [found for found in similar.get(path.stem, ()) if found.suffix.lower() == path.suffix.lower()]
            return same[0] if same else path
        candidates = similar.get(path.name, ())
        return candidates[0] if candidates else path

    def find_reduced(self, path: Path) -> Path | None:
        """A file of the same stem as `path`, in any format; None when there is none."""
        if path.is_file():
            return path
        candidates = self._listing(path.parent).get(path.stem, ())
        return candidates[0] if candidates else None

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._folders:
            stems: dict[str, list[Path]] = {}
            if folder.is_dir():
                files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in EXTENSIONS]
                for file in sorted(files, key=lambda file: EXTENSIONS.index(file.suffix.lower())):
                    stems.setdefault(file.stem, []).append(file)
            self._folders[folder] = stems
        return self._folders[folder]


def assemble(
    root: Path,
    shots: Sequence[Shot],
    split: tuple[tuple[int, ...], tuple[int, ...]],
    downscale: int | None,
    metadata: dict[str, Any],
    notes: Sequence[str] = (),
) -> Scene:
    """Look at every photo's header and build the scene.

    Args:
        root: the capture's folder; folders named like images_4 are looked for under it.
        shots: what the reader listed, in order.
        split: indices of the photos to train on and of those held out.
        downscale: divide every picture's sides by this; None: per photo, the smallest power of two that brings its
            longest side to `LONGEST_SIDE` pixels or fewer.
        metadata: kept in the scene.
        notes: what the reader found and did not use, repaired, guessed or left out; see `Scene.notes`.

    Raises:
        SceneError: no photos, a photo listed twice, missing or unreadable; a size that contradicts its camera or mask;
            all photos taken from one point; nothing left to train on; a corrupt photo among those whose transparency is
            looked at.
    """
    if downscale is not None and downscale < 1:
        raise SceneError(f"A downscale of {downscale} is impossible: give 1 for full size, or 2, 4, 8.")
    if not shots:
        raise SceneError(f"The capture {root} lists no photos: add frames with poses to it.")
    if len(shots) == 1:
        raise SceneError(
            f"The capture {root} has one photo only, which gives no depth: add photos taken from other positions."
        )
    _refuse_repeats(shots)
    train, test = split
    if not train:
        raise SceneError(f"The capture {root} leaves no photo to train on: list fewer in its test split.")
    finder = PhotoFinder()
    photos = tuple(_photo(root, shot, downscale, finder) for shot in shots)
    similarity = normalising_similarity(np.stack([shot.pose for shot in shots]))
    background: Literal["alpha"] | None = "alpha" if _is_cut_out([photos[index] for index in train]) else None
    return Scene(root, photos, train, test, similarity, background, metadata, tuple(notes))


def reduced(size: Size, factor: int) -> Size:
    """Sides divided by `factor`, rounded to whole pixels, at least 1."""
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))


def _is_cut_out(photos: Sequence[Photo]) -> bool:
    """Whether the photos are of something cut out, as opposed to some of them having an alpha channel for no reason."""
    with_alpha = [photo for photo in photos if photo.has_alpha]
    if len(with_alpha) <= TRANSPARENT_SHARE * len(photos):
        return False
    count = min(len(with_alpha), ALPHA_SAMPLE)
    chosen = [with_alpha[number * len(with_alpha) // count] for number in range(count)]
    clear = 0.0
    for photo in chosen:
        clear += float((read_photo(photo.path)[..., 3] < 255).mean())
        # Few photos decide it where most of a photo is transparent.
        if clear / count * len(with_alpha) > TRANSPARENT_SHARE * len(photos):
            return True
    return False


def _refuse_repeats(shots: Sequence[Shot]) -> None:
    seen: set[Path] = set()
    for shot in shots:
        resolved = shot.path.resolve()
        if resolved in seen:
            raise SceneError(f"Photo {shot.name} is listed twice: keep one of its poses.")
        seen.add(resolved)


def _photo(root: Path, shot: Shot, downscale: int | None, finder: PhotoFinder) -> Photo:
    stated = shot.optics.size
    header: PhotoHeader | None = None
    if shot.path.is_file() or stated is None:
        header = read_header(shot.path)
        full = header.size_when(_orientation(header, stated, shot))
    else:
        full = stated  # the full-size photo was not shipped; its reductions may have been
    factor = _automatic_downscale(full) if downscale is None else downscale
    path = shot.path
    size = reduced(full, factor)
    ready = _ready_made(root, shot.path, factor, finder)
    if ready is not None:
        ready_header = read_header(ready)
        ready_size = ready_header.size_when(_orientation(ready_header, stated or full, shot))
        # A folder called images_4 whose pictures are not a quarter of the full size is something else.
        if abs(ready_size[0] - full[0] / factor) <= 1 and abs(ready_size[1] - full[1] / factor) <= 1:
            path, header, size = ready, ready_header, ready_size
    if header is None:
        header = read_header(path)
    orientation = _orientation(header, stated or full, shot)
    # Without a stated size the numbers refer to the full-size photo, whatever file is decoded.
    camera = shot.optics.camera(full, shot.pose, shot.name).scaled_to(*size)
    mask_path = _mask(root, shot, full, size, factor, finder)
    return Photo(shot.name, path, camera, full, mask_path, orientation, header.has_alpha)


def _orientation(header: PhotoHeader, stated: Size | None, shot: Shot) -> int:
    orientation = orientation_in_use(header, stated)
    if orientation is None:
        assert stated is not None
        raise SceneError(
            f"Photo {shot.name} is {header.size[0]}x{header.size[1]} pixels but its camera is for "
            f"{stated[0]}x{stated[1]}: use the photos that the poses were estimated from."
        )
    return orientation


def _automatic_downscale(size: Size) -> int:
    factor = 1
    while max(size) / factor > LONGEST_SIDE:
        factor *= 2
    return factor


def _ready_made(root: Path, path: Path, factor: int, finder: PhotoFinder) -> Path | None:
    """The file that images_4 or masks_4 holds for one in images or masks: images/a/1.jpg -> images_4/a/1.jpg."""
    if factor == 1 or not path.is_relative_to(root):
        return None
    folder, *rest = path.relative_to(root).parts
    if folder not in ("images", "masks") or not rest:
        return None
    return finder.find_reduced(root.joinpath(f"{folder}_{factor}", *rest))


def _mask(root: Path, shot: Shot, full: Size, size: Size, factor: int, finder: PhotoFinder) -> Path | None:
    if shot.mask_path is None:
        return None
    mask_path = shot.mask_path
    if not mask_path.is_file():
        mask_path = _ready_made(root, mask_path, factor, finder) or mask_path
    found = read_header(mask_path, "Mask").size
    if found not in (full, size, shot.optics.size) or not sizes_fit(found, full):
        raise SceneError(
            f"Mask {mask_path} is {found[0]}x{found[1]} pixels but photo {shot.name} is {full[0]}x{full[1]}: save the "
            "mask at the photo's size."
        )
    return mask_path
