"""Captures posed by COLMAP.

The capture frame is COLMAP's world. COLMAP stores world-to-camera with x right, y down, z forwards; poses here are
camera-to-world with y up and z backwards.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.files import is_file, is_folder, resolved
from lerf.scenes.finder import PhotoFinder, as_written, name_in
from lerf.scenes.listing import Listing, Shot, Split
from lerf.scenes.readers.axes import from_world_to_camera, rotation_of_quaternion
from lerf.scenes.readers.colmap_files import Model, ModelImage, count_images, files_of, read_model
from lerf.scenes.readers.colmap_points import points_file, read_points
from lerf.scenes.readers.protocol import Reader
from lerf.scenes.readers.text_lines import TextLines
from lerf.scenes.side_masks import with_side_masks

PREFERRED = (".", "sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse")
"""Where models are looked for under a capture first; of models with equally many photos the first here is used."""
DEEPEST = 4
"""Levels of folders in which models are looked for, as in dense/0/sparse/0."""
MOST_FOLDERS = 20_000
"""Folders that are looked into."""
PHOTO_FOLDERS = ("images", "input")
HELD_OUT_FILE = "test.txt"

_BESIDE = re.compile(r"(images|input|masks?|depths?|normals|labels|stereo|videos?)(_.*)?")
"""Folders that hold many pictures and no models."""
_OF_A_MODEL = re.compile(r"\d+|sparse|dense|distorted|undistorted|colmap|model")
"""Folders of a capture in which models lie; a user may give one of these as well."""
UNIT_TOLERANCE = 1e-2
"""By how much the length of a rotation's quaternion may differ from 1 before it is told."""


def find_models(path: Path) -> list[Path]:
    """All folders at or under `path` that hold a COLMAP model, those in `PREFERRED` first."""
    found: list[tuple[int, int, list[str], Path]] = []
    waiting: list[tuple[Path, tuple[str, ...]]] = [(path, ())]
    looked = 0
    while waiting and looked < MOST_FOLDERS:
        folder, parts = waiting.pop(0)
        looked += 1
        if files_of(folder) is not None:
            name = "/".join(parts) or "."
            rank = PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)
            found.append((rank, len(parts), [part.zfill(9) for part in parts], folder))
        if len(parts) < DEEPEST:
            waiting += [(folder / inner, (*parts, inner)) for inner in _inner_folders(folder)]
    return [folder for *_, folder in sorted(found, key=lambda one: one[:3])]


def find(path: Path) -> Path | None:
    """The folder in or under which there is a model with cameras and images; a path may also be a file of one."""
    folder = path.parent if is_file(path) and path.stem in ("cameras", "images", "points3D") else path
    return folder if not is_file(folder) and any(_is_whole(model) for model in find_models(folder)) else None


def read(path: Path, _root: Path) -> Listing:
    """Read the COLMAP model with the most photos at or under `path`, photos in the order of their names.

    Photos are looked for in the folder `images` beside the model, else in that of the capture, else in `input`, else in
    the capture's folder itself, and else as `PhotoFinder` does; masks in `masks` beside them. When `path` is the
    model's own folder, the capture is the nearest folder above it with a folder `images`. Held out are the photos that
    `test.txt` beside the model names, as of Gaussian splatting's captures; without it every 8th.

    Raises:
        SceneError: when no model is complete, or a camera is not supported.
    """
    model, notes = _largest(path)
    images = sorted(model.images, key=lambda image: image.name)
    root = _capture_folder(path, model.folder)
    places = _photo_places(root, model.folder)
    finder = PhotoFinder(root)
    shots = []
    for image in images:
        if image.camera not in model.cameras:
            raise SceneError(
                f"Photo {image.name} uses camera {image.camera}, which {model.folder} lacks: export it again."
            )
        if not image.name:
            raise SceneError(f"A photo in {model.folder} has no name: export it again.")
        photo = finder.find(
            places[0] / as_written(image.name), [place / as_written(image.name) for place in places[1:]]
        )
        shots.append(Shot(name_in(root, photo), photo, _pose(image), model.cameras[image.camera]))
    beside = [folder for folder in (_base(root, model.folder), root) if is_folder(folder)]
    shots, told = with_side_masks(shots, [image.name for image in images], beside)
    split, split_notes = _split(model.folder, [image.name for image in images])
    said = (*notes, *model.notes, *_odd_rotations(images), *finder.notes(), *told, *split_notes)
    metadata = {"format": "colmap", "model": str(model.folder)}
    return Listing(root, shots, split, metadata, said, points_file(model.folder))


def _split(model: Path, names: list[str]) -> tuple[Split | None, tuple[str, ...]]:
    """The split of test.txt in a model's folder, and what there is to tell of it; `names` are of the photos."""
    file = model / HELD_OUT_FILE
    if not is_file(file):
        return None, ()
    listed = {as_written(line) for line in TextLines(file, "") if line}
    known = {as_written(name): number for number, name in enumerate(names)}
    stems = {name.with_suffix(""): number for name, number in known.items()}
    found = {known.get(name, stems.get(name)) for name in listed} - {None}
    test = tuple(sorted(number for number in found if number is not None))
    train = tuple(number for number in range(len(names)) if number not in set(test))
    if not test or not train:
        return None, (f"{file} names {len(test)} of the {len(names)} photos: it is not used to hold photos out.",)
    unknown = f"; {len(listed) - len(test)} of its lines are none of them" if len(listed) > len(test) else ""
    return (train, test), (f"{file} says which photos are held out: {len(test)} of {len(names)}{unknown}.",)


def _largest(path: Path) -> tuple[Model, tuple[str, ...]]:
    """The model with the most photos, and what there is to tell of the others."""
    folders = find_models(path)
    if not folders:
        raise SceneError(f"{path} holds no COLMAP model: give the folder with cameras.bin and images.bin.")
    folders = [folder for folder in folders if _is_whole(folder)] or folders[:1]
    if len(folders) == 1:
        return read_model(folders[0]), ()
    counts: dict[Path, int] = {}
    broken: dict[Path, SceneError] = {}
    for folder in folders:
        try:
            counts[folder] = count_images(folder)
        except SceneError as error:
            broken[folder] = error
    if not counts:
        raise broken[folders[0]]
    chosen = max(counts, key=lambda folder: counts[folder])
    others = [f"{_shown(path, folder)} ({counts.get(folder, 'broken')})" for folder in folders if folder != chosen]
    note = (
        f"{path} has {len(folders)} COLMAP models: {_shown(path, chosen)} with {counts[chosen]} photos is used, "
        f"{', '.join(others[:4])}{', ...' if len(others) > 4 else ''} is not. Give a model's own folder to use another."
    )
    return read_model(chosen), (note,)


def _is_whole(folder: Path) -> bool:
    files = files_of(folder)
    return files is not None and is_file(files[1])


def _shown(path: Path, folder: Path) -> str:
    return "that of the folder itself" if folder == path else name_in(path, folder)


def _inner_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_plain_folder(entry)]
    except (OSError, ValueError):
        return []
    return sorted(name for name in names if not name.startswith(".") and not _BESIDE.fullmatch(name.lower()))


def _is_plain_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _capture_folder(path: Path, model: Path) -> Path:
    if resolved(model) != resolved(path) and not _OF_A_MODEL.fullmatch(path.name.lower()):
        return path
    above = [path, *resolved(path).parents[:3]]
    return next((folder for folder in above if any(is_folder(folder / name) for name in PHOTO_FOLDERS)), path)


def _base(root: Path, model: Path) -> Path:
    """The folder whose `sparse` a model is in."""
    folder = model
    if folder != root and folder.name.isdigit():
        folder = folder.parent
    # One level alone: beside dense/0/sparse are dense/0/images.
    return folder.parent if folder != root and folder.name == "sparse" else folder


def _photo_places(root: Path, model: Path) -> list[Path]:
    """Folders that the names of a model's photos may be relative to, the likeliest first."""
    base = _base(root, model)
    # Gaussian splatting's layout: `distorted` was estimated from `input`, and `images` are undistorted.
    order = PHOTO_FOLDERS[::-1] if base.name == "distorted" else PHOTO_FOLDERS
    folders = [base / order[0], *(root / name for name in order)]
    there = [folder for folder in folders if is_folder(folder)]
    if not there and any(is_folder(root / f"images_{factor}") for factor in (2, 4, 8)):
        there = [root / "images"]  # only reductions were shipped
    return list(dict.fromkeys([*there, root, base]))


def _odd_rotations(images: list[ModelImage]) -> tuple[str, ...]:
    odd = [image.name for image in images if abs(math.hypot(*image.quaternion) - 1) > UNIT_TOLERANCE]
    if not odd:
        return ()
    return (f"The rotations of {len(odd)} photos, {odd[0]} for one, are not unit quaternions: they are normalised.",)


def _pose(image: ModelImage) -> np.ndarray:
    with np.errstate(all="ignore"):  # positions that are not finite are found by the check of all poses
        return from_world_to_camera(rotation_of_quaternion(image.quaternion), np.array(image.translation))


READER = Reader("colmap", "a COLMAP model in sparse/0", find, read, read_points)
