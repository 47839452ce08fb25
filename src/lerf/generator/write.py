"""A generated scene as a capture on disk, with labels, depths and annotation beside the photos."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lerf.errors import ConfigError
from lerf.files import write_atomically, write_json
from lerf.generator.annotation import DEPTH_UNIT, Annotation, LabelledPart, Thing, write_annotation
from lerf.generator.arrange import Composition, Setting, compose, drawn_setting
from lerf.generator.path import Camera, walk
from lerf.generator.phrases import scene_phrases
from lerf.generator.render import Photographer, Picture

VERSION = 1
"""Of what is drawn from a seed: pictures of another version are not mixed with those of this one."""
FEWEST_PIXELS = 60
"""A thing seen by fewer pixels in all views together is no object of the annotation."""


def write_scene(
    folder: str | os.PathLike[str],
    seed: int,
    setting: Setting | None = None,
    views: int = 60,
    held_out: int = 8,
    width: int = 320,
    height: int = 240,
    spp: int = 32,
    report: Callable[[int, int], None] | None = None,
) -> Annotation:
    """Photograph a scene and write it as a nerfstudio capture.

    A folder in which the same call stopped half-way is completed; its finished views are kept.

    Args:
        folder: made where missing.
        seed: everything follows from it.
        setting: "table", "shelf" or "desk"; drawn from the seed when None.
        views: photos of the training split.
        held_out: photos of the test split, between the others along the walk but off its line.
        width: of every photo, in pixels.
        height: of every photo, in pixels.
        spp: light paths a pixel: less noise for more time.
        report: called with the number of finished views and of all, after each.

    Raises:
        ConfigError: for senseless arguments, another scene in the folder, or a missing mitsuba.
        StorageError: when a file cannot be written.
    """
    _check(seed, views, held_out, width, height, spp)
    folder = Path(folder)
    composition = compose(seed, setting or drawn_setting(seed))
    arguments = {
        "version": VERSION, "seed": seed, "setting": composition.setting, "views": views, "held_out": held_out,
        "width": width, "height": height, "spp": spp,
    }  # fmt: skip
    _claim(folder, arguments)
    taken, between = walk(composition, views, held_out)
    shots = _named(taken, between)
    photographer: Photographer | None = None
    seen = np.zeros(256, dtype=np.int64)
    for number, (name, camera, _) in enumerate(shots):
        if not all(path.exists() for path in _files(folder, name)):
            photographer = photographer or Photographer(composition)
            picture = photographer.picture(camera.pose, camera.fov, width, height, spp, seed * 1000 + number)
            _save(folder, name, picture)
        labels = np.asarray(Image.open(folder / "labels" / f"{name}.png"))
        seen += np.bincount(labels.ravel(), minlength=256)
        if report is not None:
            report(number + 1, len(shots))
    annotation = _annotated(composition, seen)
    write_json(folder / "transforms.json", _transforms(shots, width, height))
    write_annotation(folder, annotation)
    return annotation


def _check(seed: int, views: int, held_out: int, width: int, height: int, spp: int) -> None:
    if not 0 <= seed < 2**20:
        raise ConfigError(f"The seed of a scene is 0 to {2**20 - 1}, not {seed}.")
    if not 2 <= views <= 2000 or not 0 <= held_out <= views:
        raise ConfigError(f"A capture has 2 to 2000 views and at most as many held out, not {views} and {held_out}.")
    if not (32 <= width <= 4096 and 32 <= height <= 4096):
        raise ConfigError(f"Photos are 32 to 4096 pixels wide and high, not {width} x {height}.")
    if not 1 < spp <= 4096:
        raise ConfigError(f"A pixel takes 2 to 4096 light paths, not {spp}.")


def _claim(folder: Path, arguments: dict[str, Any]) -> None:
    """Record what the folder holds, or check that it holds just that."""
    path = folder / "scene.json"
    if path.exists():
        try:
            recorded = json.loads(path.read_text())
        except (OSError, ValueError):
            recorded = None
        if recorded != arguments:
            raise ConfigError(f"{folder} holds a scene made with other settings; choose a new folder or delete it.")
    elif (folder / "transforms.json").exists() or (folder / "images").exists():
        raise ConfigError(f"{folder} holds another capture; choose a new folder.")
    else:
        write_json(path, arguments)


def _named(taken: tuple[Camera, ...], between: tuple[Camera, ...]) -> list[tuple[str, Camera, bool]]:
    """Names, cameras and whether held out: first the walk's photos, then the held-out ones."""
    shots = [(camera, False) for camera in taken] + [(camera, True) for camera in between]
    return [(f"{number:04d}", camera, out) for number, (camera, out) in enumerate(shots, 1)]


def _files(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return folder / "images" / f"{name}.jpg", folder / "labels" / f"{name}.png", folder / "depth" / f"{name}.png"


def _save(folder: Path, name: str, picture: Picture) -> None:
    units = np.clip(np.round(picture.depth / DEPTH_UNIT), 0, 65535).astype(np.uint16)
    photo, labels, depth = _files(folder, name)
    for path, pixels, options in (
        (photo, picture.colour, {"format": "JPEG", "quality": 95, "subsampling": 0}),
        (labels, picture.labels, {"format": "PNG", "optimize": True}),
        (depth, units, {"format": "PNG"}),
    ):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, **options)  # type: ignore[arg-type]
        data = buffer.getvalue()
        write_atomically(path, lambda file, data=data: file.write(data))  # type: ignore[misc]


def _transforms(shots: list[tuple[str, Camera, bool]], width: int, height: int) -> dict[str, Any]:
    """The capture in nerfstudio's form."""
    focal = 0.5 * width / np.tan(np.deg2rad(shots[0][1].fov) / 2)
    frames = [
        {"file_path": f"images/{name}.jpg", "transform_matrix": np.asarray(camera.pose).tolist()}
        for name, camera, _ in shots
    ]
    return {
        "camera_model": "OPENCV",
        "fl_x": float(focal),
        "fl_y": float(focal),
        "cx": width / 2,
        "cy": height / 2,
        "w": width,
        "h": height,
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "train_filenames": [f"images/{name}.jpg" for name, _, out in shots if not out],
        "test_filenames": [f"images/{name}.jpg" for name, _, out in shots if out],
        "frames": frames,
    }


def _annotated(composition: Composition, seen: np.ndarray) -> Annotation:
    """Things and parts that some view shows, and their phrases."""
    things = []
    for placed in composition.things:
        thing = placed.described()
        if seen[[part.label for part in thing.parts]].sum() >= (1 if thing.furniture else FEWEST_PIXELS):
            things.append(_shown(thing, seen))
    phrases = scene_phrases(tuple(things), composition.seed)
    return Annotation(composition.seed, composition.setting, tuple(things), tuple(phrases))


def _shown(thing: Thing, seen: np.ndarray) -> Thing:
    parts: tuple[LabelledPart, ...] = tuple(part for part in thing.parts if seen[part.label] > 0)
    return Thing(**{**thing.__dict__, "parts": parts})
