"""From a path to a scene, whatever the format."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from lerf.errors import LerfWarning, SceneError
from lerf.scenes.blender import TRAIN_FILE, load_blender
from lerf.scenes.colmap import find_model, load_colmap
from lerf.scenes.scene import Scene
from lerf.scenes.transforms_json import load_transforms


def load_scene(path: str | os.PathLike[str], downscale: int | None = None) -> Scene:
    """Read a capture and check everything that can be checked without decoding its photos.

    Of photos with an alpha channel a few are decoded, to see whether they are cut out.

    Formats, in the order tried: transforms.json of nerfstudio or instant-ngp (the file or its folder); Blender's
    transforms_train.json; a COLMAP model (its folder, or a capture with sparse/0, sparse or colmap/sparse/0).

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
    if not path.exists():
        raise SceneError(f"{path} does not exist: give the folder of a capture.")
    if path.is_file():
        if path.name.startswith("transforms_") and (path.parent / TRAIN_FILE).is_file():
            return load_blender(path.parent, downscale)
        if path.suffix.lower() == ".json":
            return load_transforms(path, downscale)
        path = path.parent
    if (path / "transforms.json").is_file():
        return load_transforms(path / "transforms.json", downscale)
    if (path / TRAIN_FILE).is_file():
        return load_blender(path, downscale)
    if find_model(path) is not None:
        return load_colmap(path, downscale)
    raise SceneError(
        f"{path} holds no capture: it needs transforms.json, transforms_train.json, or a COLMAP model in sparse/0."
    )
