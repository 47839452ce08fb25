"""Masks in a folder beside photos: `masks/0001.jpg.png`, as COLMAP names them, or `masks/0001.png`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lerf.scenes.finder import Key, as_written, normal_name, pictures_under, stem_of
from lerf.scenes.listing import Shot
from lerf.scenes.photos import read_header, sizes_fit

FOLDERS = ("masks", "mask")
"""Names of the folder."""


@dataclass(frozen=True)
class SideMasks:
    """A folder of masks."""

    folder: Path
    pictures: dict[Key, Path]
    """By path under the folder, in `normal_name`'s form; and again without extensions where that is free."""
    count: int

    @staticmethod
    def beside(places: Sequence[Path]) -> SideMasks | None:
        """The first folder of masks in one of `places` that holds pictures; None when there is none."""
        for folder in (place / name for place in places for name in FOLDERS):
            files = list(pictures_under(folder))
            if files:
                stems = {(*file.key[:-1], stem_of(file.key[-1])): file.path for file in reversed(files)}
                return SideMasks(folder, {**stems, **{file.key: file.path for file in files}}, len(files))
        return None

    def of(self, name: str) -> Path | None:
        """The mask of a photo whose path under the folder of photos is `name`."""
        key = tuple(normal_name(part) for part in as_written(name).parts)
        if not key:
            return None
        # masks/0001.jpg.png and masks/0001.jpg before masks/0001.png
        for last in (key[-1], stem_of(key[-1])):
            for parts in ((*key[:-1], last), (*key[1:-1], last) if key[0] == "images" and len(key) > 1 else ()):
                if parts and parts in self.pictures:
                    return self.pictures[parts]
        return None


def with_side_masks(
    shots: Sequence[Shot], names: Sequence[str], places: Sequence[Path]
) -> tuple[list[Shot], tuple[str, ...]]:
    """Shots with the masks that lie beside their photos, and what there is to tell of these.

    Args:
        shots: without masks.
        names: of the photos, as the pose file states them.
        places: folders that may hold a folder of masks.

    Raises:
        SceneError: a mask cannot be read.
    """
    masks = SideMasks.beside(places)
    if masks is None:
        return list(shots), ()
    found = [masks.of(name) for name in names]
    known = [(path, shot) for path, shot in zip(found, shots, strict=True) if path is not None]
    folder = masks.folder.name
    if not known:
        return list(shots), (
            f"Masks found and not used: none of the {masks.count} pictures in {folder} is named after a photo, as "
            f"{names[0]}.png would be.",
        )
    sizes = [(read_header(path, "Mask").size, shot) for path, shot in known]
    apart = [(size, shot) for size, shot in sizes if shot.optics.size and not sizes_fit(size, shot.optics.size)]
    if len(apart) == len(known):
        size, shot = apart[0]
        stated = shot.optics.size or size
        return list(shots), (
            f"Masks found and not used: those in {folder} are for other photos, {size[0]}x{size[1]} pixels where the "
            f"camera of {shot.name} is for {stated[0]}x{stated[1]}.",
        )
    notes: tuple[str, ...] = ()
    if len(known) < len(shots):
        without = next(name for name, path in zip(names, found, strict=True) if path is None)
        notes = (
            f"{len(known)} of {len(shots)} photos have a mask in {folder}; the others, {without} for one, are used "
            "whole.",
        )
    return [replace(shot, mask_path=path) for shot, path in zip(shots, found, strict=True)], notes
