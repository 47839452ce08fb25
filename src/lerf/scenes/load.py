"""From a path to a scene, whatever the format."""

from __future__ import annotations

import os
import shlex
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lerf.errors import LerfWarning, SceneError
from lerf.files import folders_in, is_file, is_folder
from lerf.scenes.assemble import Progress, assemble
from lerf.scenes.finder import name_in, pictures_under, some_of
from lerf.scenes.listing import Listing, Missing
from lerf.scenes.model_points import MODEL_POINTS, read_model_points, with_model_points
from lerf.scenes.readers import READERS, colmap, transforms_json
from lerf.scenes.readers.colmap import find_models
from lerf.scenes.readers.colmap_files import count_images
from lerf.scenes.readers.protocol import Reader
from lerf.scenes.readers.transforms_split import SPLIT_FILES
from lerf.scenes.readers.unnamed_photos import photos_in
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

Found = tuple[Reader, Path]
"""A reader and what it found."""
DEEPEST_INNER, MOST_INNER = 3, 100
"""Levels under a folder without poses, and folders on one, that are looked into for captures."""


def load_scene(
    path: str | os.PathLike[str],
    downscale: int | None = None,
    missing: Missing = "refuse",
    progress: Progress = lambda done, total: None,
) -> Scene:
    """Read a capture and check everything that can be checked without decoding its photos.

    Of photos with an alpha channel, and of masks, a few are decoded, to see whether they are cut out and which value is
    white; and photos with more than 8 bits a value, to see how many bits are in use.

    The formats are those of `lerf.scenes.readers.READERS`, in the order tried.

    Args:
        path: a folder, or a file with poses.
        downscale: divide the sides of every photo by this. None: per photo, the smallest power of two that brings its
            longest side to 1600 pixels or fewer. Ready-made photos in images_2, images_4, ... are used when they match.
        missing: photos that are not there, or whose pose cannot be used: refuse the capture, or skip them.
        progress: called with the photos looked at and their number.

    What was found and not used, repaired, guessed or left out (`Scene.notes`) is told as a `LerfWarning` each.

    Raises:
        SceneError: when there is no capture or something in it cannot be used; the message says what to do.
    """
    scene = read_scene(Path(path), downscale, missing, progress)
    for note in scene.notes:
        warnings.warn(note, LerfWarning, stacklevel=2)
    return scene


def read_scene(
    path: Path,
    downscale: int | None = None,
    missing: Missing = "refuse",
    progress: Progress = lambda done, total: None,
) -> Scene:
    """As `load_scene`, without a warning: for reading a capture again whose notes have been told.

    Raises:
        SceneError: as `load_scene`.
    """
    _refuse_unreachable(path)
    root = path.parent if is_file(path) else path
    found, notes = find_poses(path), list[str]()
    if not found and (inner := _inner_capture(path)) is not None:
        notes = [f"{path} holds no capture itself: that in {inner} is read."]
        root, found = inner, find_poses(inner)
    first, *others = found or [_only_choice(path)]
    listing = first[0].read(first[1], root)
    rivals = _rivals(first, listing, others, root)
    if listing.metadata.get("format") == transforms_json.READER.name:
        models = [place for reader, place in others if reader is colmap.READER]
        listing = with_model_points(listing, models[0], root) if models else listing
    return assemble(replace(listing, notes=(*notes, *listing.notes, *rivals)), downscale, missing, progress)


def read_points(scene: Scene) -> SparsePoints | None:
    """The 3D points that the capture's pose tool estimated, in the capture frame; None where it has none.

    Raises:
        SceneError: their file is damaged.
    """
    if scene.points_path is None:
        return None
    frame = scene.metadata.get(MODEL_POINTS)
    if frame is not None:
        return read_model_points(scene.points_path, frame)
    reader = next(reader for reader in READERS if reader.name == scene.metadata["format"])
    assert reader.points is not None, f"{reader.name} names a file of points that it does not read"
    return reader.points(scene.points_path)


def pose_place(path: Path, scene: Scene) -> Path:
    """The pose file, or folder of pose files, that a scene was read from; `path` is what `load_scene` was given."""
    model = scene.metadata.get("model")
    return Path(model) if isinstance(model, str) else next((place for _, place in find_poses(path)), path)


def find_poses(path: Path) -> list[Found]:
    """What each reader finds at a path, those that find nothing left out, in the order of `READERS`."""
    found = [(reader, reader.find(path)) for reader in READERS]
    return [(reader, place) for reader, place in found if place is not None]


def _inner_capture(path: Path) -> Path | None:
    """The one capture in a folder that has neither poses nor pictures itself; None where there is none.

    Raises:
        SceneError: there are several.
    """
    if is_file(path) or find_models(path) or transforms_json.renamed_files(path) or photos_in(path):
        return None
    folders = [path]
    for _ in range(DEEPEST_INNER):
        folders = [inner for folder in folders for inner in folders_in(folder)][:MOST_INNER]
        # COLMAP's models have been looked for this deep already.
        others = [reader for reader in READERS if reader is not colmap.READER]
        found = [folder for folder in folders if any(reader.find(folder) for reader in others)]
        if len(found) > 1:
            named = some_of([name_in(path, one) for one in found])
            raise SceneError(f"{path} holds {len(found)} captures, {named}: give one of them.")
        if found:
            return found[0]
    return None


def _only_choice(path: Path) -> Found:
    """What to read a path as where no reader finds anything.

    Raises:
        SceneError: nothing; with what to do.
    """
    if is_file(path):
        if path.suffix.lower() == ".json":
            return transforms_json.READER, path  # says what a transforms.json would have
        raise SceneError(f"{path} is not a file with poses that can be read: give {_formats()}.")
    if find_models(path):
        return colmap.READER, path  # says what the model lacks
    if several := [file.name for file in transforms_json.renamed_files(path)]:
        raise SceneError(f"{path} has {len(several)} files that list frames, {some_of(several)}: give one of them.")
    photos = sum(1 for _ in islice(pictures_under(path), 2))
    if photos == 2:
        # With subfolders, as `lerf poses` looks for them.
        command = shlex.join(["lerf", "poses", str(path), "--output", "CAPTURE"])
        raise SceneError(f"{path} holds photos without poses: first find these with {command} (see docs/poses.md).")
    raise SceneError(f"{path} holds no capture: it needs {_formats()}.")


def _formats() -> str:
    common = ", ".join(reader.what for reader in READERS[:3])
    return f"{common}, or another file with poses that docs/captures.md lists"


def _refuse_unreachable(path: Path) -> None:
    """
    Raises:
        SceneError: when a path leads to nothing, or to what may not be read; with the cause.
    """
    try:
        os.stat(path)
        if is_folder(path):
            with os.scandir(path):
                pass
    except FileNotFoundError:
        raise SceneError(f"{path} does not exist: give the folder of a capture.") from None
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise SceneError(f"{path} cannot be opened ({said}): give a capture's folder that you may read.") from None
    except ValueError:
        raise SceneError(f"{str(path)!r} cannot be a path: give the folder of a capture.") from None
    if not is_file(path) and not is_folder(path):
        raise SceneError(f"{path} is neither a file nor a folder: give the folder of a capture.")


def _rivals(used: Found, listing: Listing, others: list[Found], root: Path) -> list[str]:
    """What there is to tell of further files with poses in a capture, which are not used."""
    notes = []
    for reader, place in others:
        if reader.name == "colmap":
            notes += _rival_models(place, len(listing.shots), used[0].name)
            continue
        if reader.is_copy or (reader.name == "blender" and SPLIT_FILES in listing.metadata):
            continue
        name = place.relative_to(root).as_posix() if place != root and place.is_relative_to(root) else reader.what
        notes.append(f"{root} has {used[0].what} and {name}: the first is used; give the second to use it.")
    return notes


def _rival_models(place: Path, photos: int, used: str) -> list[str]:
    """COLMAP models with more photos than are used; that which another format was made from is no news."""
    notes = []
    for folder in find_models(place):
        try:
            count = count_images(folder)
        except SceneError:
            continue  # nothing that could be used is left out
        if count > photos:
            notes.append(
                f"{used} with {photos} photos is used, not the COLMAP model {folder} with {count}: give the model's "
                "folder to use it."
            )
    return notes
