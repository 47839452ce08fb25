"""From a path to a scene, whatever the format."""

from __future__ import annotations

import os
import shlex
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lerf.errors import LerfWarning, SceneError
from lerf.files import is_file, is_folder
from lerf.scenes.blender import TRAIN_FILE, load_blender
from lerf.scenes.colmap import find_models, load_colmap
from lerf.scenes.colmap_files import count_images
from lerf.scenes.finder import pictures_under
from lerf.scenes.scene import Scene
from lerf.scenes.transforms_json import load_transforms


def load_scene(path: str | os.PathLike[str], downscale: int | None = None) -> Scene:
    """Read a capture and check everything that can be checked without decoding its photos.

    Of photos with an alpha channel, and of masks, a few are decoded, to see whether they are cut out and which value is
    white; and photos with more than 8 bits a value, to see how many bits are in use.

    Formats, in the order tried: transforms.json of nerfstudio or instant-ngp (the file or its folder); Blender's
    transforms_train.json; a COLMAP model (its folder, or a capture with sparse/0 or another folder that holds one).

    Args:
        path: a folder, or a JSON file.
        downscale: divide the sides of every photo by this. None: per photo, the smallest power of two that brings its
            longest side to 1600 pixels or fewer. Ready-made photos in images_2, images_4, ... are used when they match.

    What was found and not used, repaired, guessed or left out (`Scene.notes`) is told as a `LerfWarning` each.

    Raises:
        SceneError: when there is no capture or something in it cannot be used; the message says what to do.
    """
    scene = read_scene(Path(path), downscale)
    for note in scene.notes:
        warnings.warn(note, LerfWarning, stacklevel=2)
    return scene


def read_scene(path: Path, downscale: int | None = None) -> Scene:
    """As `load_scene`, without a warning: for reading a capture again whose notes have been told.

    Raises:
        SceneError: as `load_scene`.
    """
    _refuse_unreachable(path)
    if is_file(path):
        if path.name.startswith("transforms_") and is_file(path.parent / TRAIN_FILE):
            return load_blender(path.parent, downscale)
        if path.suffix.lower() == ".json":
            return load_transforms(path, downscale)
        path = path.parent
    if is_file(path / "transforms.json"):
        return _with_rivals(load_transforms(path / "transforms.json", downscale), path)
    if is_file(path / TRAIN_FILE):
        return load_blender(path, downscale)
    if find_models(path):
        return load_colmap(path, downscale)
    photos = sum(1 for _ in islice(pictures_under(path), 2))
    if photos == 2:
        # With subfolders, as `lerf poses` looks for them.
        command = shlex.join(["lerf", "poses", str(path), "--output", "CAPTURE"])
        raise SceneError(f"{path} holds photos without poses: first find these with {command} (see docs/poses.md).")
    raise SceneError(
        f"{path} holds no capture: it needs transforms.json, transforms_train.json, or a COLMAP model in sparse/0."
    )


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


def _with_rivals(scene: Scene, path: Path) -> Scene:
    """The scene of transforms.json, telling what else in its folder poses photos and is not used."""
    notes = []
    if is_file(path / TRAIN_FILE):
        notes.append(f"{path} has transforms.json and {TRAIN_FILE}: the first is used; give the second to use it.")
    for folder in find_models(path):
        try:
            count = count_images(folder)
        except SceneError:
            continue  # nothing that could be used is left out
        # The model that transforms.json was made from is no news.
        if count > len(scene.photos):
            notes.append(
                f"transforms.json with {len(scene.photos)} photos is used, not the COLMAP model {folder} with {count}: "
                "give the model's folder to use it."
            )
    return replace(scene, notes=(*scene.notes, *notes)) if notes else scene
