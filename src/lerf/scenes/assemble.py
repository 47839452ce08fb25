"""From a checked list of shots to a scene: files, orientation, resolution, masks, split, normalised frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lerf.errors import SceneError
from lerf.files import is_absent, is_file, resolver
from lerf.geometry.similarity import normalising_similarity
from lerf.scenes.finder import PhotoFinder, some_of
from lerf.scenes.listing import Listing, Missing, Shot, held_out
from lerf.scenes.photos import (
    PhotoHeader,
    Size,
    mask_values,
    orientation_in_use,
    read_header,
    read_photo,
    reduced,
    sizes_fit,
    white_of,
)
from lerf.scenes.pose_checks import outlier_notes
from lerf.scenes.scene import Photo, Scene
from lerf.scenes.selection import poses_notes, usable, without_pose

Item = TypeVar("Item")
Progress = Callable[[int, int], object]

WITHOUT_POSE = "photos_without_pose"
"""Entry of `Scene.metadata`: how many photos lie among the listed ones and have no pose."""
LONGEST_SIDE = 1600
"""Without a stated downscale a photo is halved until its longest side is at most this, as nerfstudio does."""

TRANSPARENT_SHARE = 0.01
"""Training photos show a cut-out when more than this share of their pixels lets something through."""
SAMPLE = 16
"""Photos whose transparency is looked at, and masks whose white is, evenly spread over those that have any."""


def assemble(
    listing: Listing, downscale: int | None, missing: Missing = "refuse", progress: Progress = lambda done, total: None
) -> Scene:
    """Look at every photo's header and build the scene.

    Args:
        listing: what the reader found, photos in the scene's order.
        downscale: divide every picture's sides by this; None: per photo, the smallest power of two that brings its
            longest side to `LONGEST_SIDE` pixels or fewer.
        missing: what to do about photos that are not there, or whose pose cannot be used.
        progress: called with the photos looked at and their number.

    Raises:
        SceneError: no photos, a photo listed twice, missing or unreadable; a size that contradicts its camera or mask;
            a pose that is none; all photos taken from one point; nothing left to train on; a corrupt photo among those
            whose transparency is looked at.
    """
    root = listing.root
    if downscale is not None and downscale < 1:
        raise SceneError(f"A downscale of {downscale} is impossible: give 1 for full size, or 2, 4, 8.")
    if not listing.shots:
        raise SceneError(f"The capture {root} lists no photos: add frames with poses to it.")
    if len(listing.shots) == 1:
        raise SceneError(
            f"The capture {root} has one photo only, which gives no depth: add photos taken from other positions."
        )
    progress(0, len(listing.shots))
    _refuse_repeats(listing.shots)
    builder = _Builder(root, downscale, PhotoFinder())
    strays = without_pose(root, listing.shots)
    listing = usable(listing, builder.is_missing, missing)
    shots, names = listing.shots, [shot.name for shot in listing.shots]
    train, test = held_out(names) if listing.split is None else listing.split
    if not train:
        raise SceneError(f"The capture {root} leaves no photo to train on: list fewer in its test split.")
    photos, told = _with_whites(_looked_at(shots, builder, progress), builder.deep)
    poses = np.stack([shot.pose for shot in shots])
    outliers = outlier_notes(names, poses[:, :, 3])
    said = (*poses_notes(strays, len(shots), root), *listing.notes, *outliers, *builder.notes(), *told)
    return Scene(
        root, photos, train, test, normalising_similarity(poses),
        "alpha" if _is_cut_out([photos[index] for index in train]) else None,
        {**listing.metadata, WITHOUT_POSE: len(strays)} if strays else listing.metadata, said, listing.points_path,
    )  # fmt: skip


def _is_cut_out(photos: Sequence[Photo]) -> bool:
    """Whether the photos are of something cut out, as opposed to some of them having an alpha channel for no reason."""
    with_alpha = [photo for photo in photos if photo.has_alpha]
    if len(with_alpha) <= TRANSPARENT_SHARE * len(photos):
        return False
    chosen = _sample(with_alpha)
    count = len(chosen)
    clear = 0.0
    for photo in chosen:
        clear += float((read_photo(photo.path, white=photo.white)[..., 3] < 255).mean())
        # Few photos decide it where most of a photo is transparent.
        if clear / count * len(with_alpha) > TRANSPARENT_SHARE * len(photos):
            return True
    return False


def _with_whites(photos: Sequence[Photo], deep: Sequence[bool]) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """Photos that know which values are white in them and in their masks, and what there is to tell of that."""
    notes = []
    white = Photo.white
    if any(deep):
        white = white_of(photo.path for photo, is_one in zip(photos, deep, strict=True) if is_one)
        if white != Photo.white:
            notes.append(
                f"{sum(deep)} photos have files of more than 8 bits whose largest value, over all of them, calls for "
                f"{white.bit_length()} bits: {white} is shown as white."
            )
    masks = sorted({photo.mask_path for photo in photos if photo.mask_path is not None})
    largest = [float(mask_values(path).max()) for path in _sample(masks)]
    mask_white = max(largest, default=0.0)
    if masks and mask_white not in (0.0, 1.0, 255.0, 65535.0):
        notes.append(
            f"The largest value in the masks is {mask_white:g}: pixels of at least half of it take part, darker ones "
            "are ignored."
        )
    return tuple(replace(photo, white=white, mask_white=mask_white) for photo in photos), tuple(notes)


def _sample(items: Sequence[Item]) -> list[Item]:
    count = min(len(items), SAMPLE)
    return [items[number * len(items) // count] for number in range(count)]


def _refuse_repeats(shots: Sequence[Shot]) -> None:
    seen: set[Path] = set()
    follow = resolver()
    for shot in shots:
        place = follow(shot.path)
        if place in seen:
            raise SceneError(f"Photo {shot.name} is listed twice: keep one of its poses.")
        seen.add(place)


def _looked_at(shots: Sequence[Shot], builder: _Builder, progress: Progress) -> list[Photo]:
    photos = []
    for number, shot in enumerate(shots, start=1):
        photos.append(builder.photo(shot))
        progress(number, len(shots))
    return photos


class _Builder:
    """Looks at the files of one shot after the other."""

    def __init__(self, root: Path, downscale: int | None, finder: PhotoFinder) -> None:
        self._root, self._downscale, self._finder = root, downscale, finder
        self._unfit: dict[str, list[str]] = {}
        self.deep: list[bool] = []
        """Of each photo so far, whether the file that is decoded has more than 8 bits a value."""

    def notes(self) -> tuple[str, ...]:
        """What was found and not used."""
        return tuple(
            f"The folder {folder} is not used where its pictures are not the listed ones reduced by its factor: "
            f"{some_of(names)}."
            for folder, names in self._unfit.items()
        )

    def photo(self, shot: Shot) -> Photo:
        """The photo of a shot, at the resolution in use.

        Raises:
            SceneError: see `assemble`.
        """
        stated = shot.optics.size
        header: PhotoHeader | None = None
        if is_file(shot.path) or stated is None:
            header = read_header(shot.path)
            full = header.size_when(_orientation(header, stated, shot))
        else:
            full = stated  # the full-size photo was not shipped; its reductions may have been
        factor = self._factor(full)
        path = shot.path
        size = reduced(full, factor)
        ready = self._ready_made(shot.path, factor)
        if ready is not None:
            ready_header = read_header(ready)
            turn = orientation_in_use(ready_header, stated or full)
            # A folder called images_4 whose pictures are not a quarter of the full size is something else.
            if turn is not None and _is_reduction(ready_header.size_when(turn), full, factor):
                path, header, size = ready, ready_header, ready_header.size_when(turn)
            elif is_file(shot.path):
                self._unfit.setdefault(ready.relative_to(self._root).parts[0], []).append(shot.name)
            else:
                width, height = ready_header.size
                raise SceneError(
                    f"Photo {ready} is {width}x{height} pixels, which is not {full[0]}x{full[1]}, the size that its "
                    f"camera is for, reduced by {factor}: restore {shot.name}."
                )
        if header is None:
            header = read_header(path)
        orientation = _orientation(header, stated or full, shot)
        # Without a stated size the numbers refer to the full-size photo, whatever file is decoded.
        camera = shot.optics.camera(full, shot.pose, shot.name).scaled_to(*size)
        self.deep.append(header.deep)
        return Photo(shot.name, path, camera, full, self._mask(shot, full, size, factor), orientation, header.has_alpha)

    def _factor(self, full: Size) -> int:
        return _automatic_downscale(full) if self._downscale is None else self._downscale

    def is_missing(self, shot: Shot) -> bool:
        """Whether a shot's photo is neither where the capture says nor reduced in a folder such as images_4."""
        if not is_absent(shot.path):
            return False
        stated = shot.optics.size
        return stated is None or self._ready_made(shot.path, self._factor(stated)) is None

    def _ready_made(self, path: Path, factor: int) -> Path | None:
        """The file that images_4 or masks_4 holds for one in images or masks: images/a/1.jpg -> images_4/a/1.jpg."""
        if factor == 1 or not path.is_relative_to(self._root):
            return None
        parts = list(path.relative_to(self._root).parts)
        places = [number for number, part in enumerate(parts[:-1]) if part in ("images", "masks")]
        if not places:
            return None
        parts[places[0]] += f"_{factor}"
        return self._finder.find_reduced(self._root.joinpath(*parts))

    def _mask(self, shot: Shot, full: Size, size: Size, factor: int) -> Path | None:
        if shot.mask_path is None:
            return None
        mask_path = shot.mask_path
        if not is_file(mask_path):
            mask_path = self._ready_made(mask_path, factor) or mask_path
        found = read_header(mask_path, "Mask").size
        if found not in (full, size, shot.optics.size) or not sizes_fit(found, full):
            raise SceneError(
                f"Mask {mask_path} is {found[0]}x{found[1]} pixels but photo {shot.name} is {full[0]}x{full[1]}: save "
                "the mask at the photo's size."
            )
        return mask_path


def _is_reduction(size: Size, full: Size, factor: int) -> bool:
    return all(abs(side - whole / factor) < 1 for side, whole in zip(size, full, strict=True))


def _orientation(header: PhotoHeader, stated: Size | None, shot: Shot) -> int:
    orientation = orientation_in_use(header, stated)
    if orientation is None:
        assert stated is not None
        raise SceneError(
            f"Photo {shot.name} is {header.size[0]}x{header.size[1]} pixels but its camera is for "
            f"{stated[0]}x{stated[1]}: use the photos that the poses were estimated from, or, if these "
            "are undistorted, the cameras that were written with them."
        )
    return orientation


def _automatic_downscale(size: Size) -> int:
    factor = 1
    while max(size) / factor > LONGEST_SIDE:
        factor *= 2
    return factor
