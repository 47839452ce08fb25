"""Files beside a transforms.json: masks, a cloud of points, and what only other programs use."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lerf.errors import LerfWarning, SceneError
from lerf.files import is_file, is_folder
from lerf.ply_reading import read_ply
from lerf.scenes.finder import as_written
from lerf.scenes.listing import Shot
from lerf.scenes.side_masks import with_side_masks
from lerf.scenes.sparse_points import SparsePoints


def with_masks_beside(shots: Sequence[Shot], root: Path) -> tuple[list[Shot], list[str]]:
    """Shots with the masks of a folder `masks`, where no frame names one; and what there is to tell.

    Masks are named after photos as beside a COLMAP model: masks/0001.png is for images/0001.jpg, and for 0001.jpg of
    the folder that holds all photos, whatever its name.

    Raises:
        SceneError: a mask cannot be read.
    """
    if any(shot.mask_path is not None for shot in shots):
        return list(shots), []
    names = [shot.name for shot in shots]
    common = _common_folder(names)
    masked, notes = with_side_masks(shots, names, [root])
    if common and not any(shot.mask_path for shot in masked):
        masked, notes = with_side_masks(shots, [name.removeprefix(f"{common}/") for name in names], [root])
    found = [shot.mask_path for shot in masked if shot.mask_path is not None]
    if not found:
        return masked, list(notes)
    return masked, [f"Masks are those in {found[0].parent}, where white takes part: no frame names any.", *notes]


def _common_folder(names: Sequence[str]) -> str:
    """The folder in which, or under which, all names are; empty where that is the capture's own."""
    try:
        return os.path.commonpath([os.path.dirname(name) for name in names])
    except ValueError:  # none, or some of them elsewhere
        return ""


def points_beside(ply_file_path: str | None, path: Path) -> tuple[Path | None, list[str]]:
    """The file of points that a transforms.json names, and what there is to tell.

    Args:
        ply_file_path: as the file states it; None: it names none.
        path: of the file.
    """
    if not ply_file_path:
        return None, []
    stated = as_written(ply_file_path)
    for place in (path.parent / stated, path.parent / stated.name):
        if is_file(place):
            return place, []
    return None, [f"The points of {path.name}, {ply_file_path}, are not there and not used."]


def read_points(path: Path) -> SparsePoints:
    """The points of a PLY file, which are in the frame of the poses: nerfstudio's ns-process-data moves both alike.

    It applies `applied_transform` to COLMAP's and Metashape's points as to the poses, turns the points of Polycam as
    their poses, and copies those of Record3D, OpenSfM and RealityCapture beside poses that it does not turn either
    (nerfstudio 1.1.5, process_data/*_utils.py); its own parser takes both through one transform.

    Raises:
        SceneError: the file holds no points.
    """
    cloud = read_ply(path, error=SceneError, remedy="export it again, or remove ply_file_path from the capture")
    finite = np.isfinite(cloud.positions).all(1)
    if not finite.all():
        warnings.warn(
            LerfWarning(f"{(~finite).sum()} of the {len(finite)} points of {path} have no position and are not used."),
            stacklevel=2,
        )
    return SparsePoints(cloud.positions[finite], None if cloud.colours is None else cloud.colours[finite])


def other_files(photos: Sequence[Path]) -> list[str]:
    """What to tell of files beside the photos that instant-ngp would use."""
    notes = []
    for folder in map(Path, dict.fromkeys(os.path.dirname(photo) for photo in photos)):
        for start, what in (("dynamic_mask_", "instant-ngp's dynamic masks"), ("rays_", "instant-ngp's rays")):
            if is_folder(folder) and any(folder.glob(f"{start}*")):
                advice = "; add mask_path, where white takes part, to the frames" if "mask" in start else ""
                notes.append(f"Files found and not used: {what}, {folder / start}*{advice}.")
    return notes
