"""A generated scene as a capture on disk, with labels, depths and annotation beside the photos."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from PIL import Image

from lerf.documents import read_document
from lerf.errors import ConfigError
from lerf.evaluation.annotations import VERSION as ANNOTATION_VERSION
from lerf.evaluation.annotations import Annotation, read_labels_of_view
from lerf.files import is_absent, is_file, write_atomically, write_json
from lerf_scenes.arrange import compose, drawn_setting
from lerf_scenes.composition import Composition, Setting
from lerf_scenes.path import Camera, capture_cameras
from lerf_scenes.phrases import scene_phrases
from lerf_scenes.render import Photographer, Picture

VERSION = 1
"""Of the scenes that seeds give: a folder of another version is not completed with pictures of this one."""
LARGEST_RECORD = 1_000_000
"""Bytes of `scene.json`."""
DEPTH_UNIT = 1e-4
"""Metres that one step of a depth picture stands for."""
FEWEST_PIXELS = 60
"""An object that fewer pixels of all views together show is left out of the annotation."""
LARGEST_RECORD = 1_000_000
"""Bytes of scene.json."""


@dataclass(frozen=True)
class Photography:
    """Number and size of the photos of a scene, and the light paths of each pixel.

    Raises:
        ConfigError: when a number is out of range.
    """

    views: int = 60
    """Photos of the training split."""
    held_out: int = 8
    """Photos of the test split, taken between the others and some centimetres beside their path."""
    width: int = 320
    """Of every photo, in pixels."""
    height: int = 240
    """Of every photo, in pixels."""
    spp: int = 32
    """Light paths a pixel: noise falls and time grows with them."""

    def __post_init__(self) -> None:
        if not 2 <= self.views <= 2000 or not 0 <= self.held_out <= self.views:
            raise ConfigError(
                f"A capture has 2 to 2000 views and at most as many held out, not {self.views} and {self.held_out}."
            )
        if not (32 <= self.width <= 4096 and 32 <= self.height <= 4096):
            raise ConfigError(f"Photos are 32 to 4096 pixels wide and high, not {self.width} x {self.height}.")
        if not 1 < self.spp <= 4096:
            raise ConfigError(f"A pixel takes 2 to 4096 light paths, not {self.spp}.")


DEFAULT = Photography()


def write_scene(
    folder: str | os.PathLike[str],
    seed: int,
    setting: Setting | None = None,
    photography: Photography = DEFAULT,
    report: Callable[[int, int], None] | None = None,
) -> Annotation:
    """Photograph a scene and write it as a nerfstudio capture.

    A folder in which the same call stopped half-way is completed; its finished views are kept.

    Args:
        folder: made where missing.
        seed: everything follows from it.
        setting: "table", "shelf" or "desk"; drawn from the seed when None.
        photography: number and size of the photos, and light paths a pixel.
        report: called with the number of finished views and of all, after each.

    Raises:
        ConfigError: for a seed out of range, another scene in the folder, or a missing mitsuba or scikit-image.
        StorageError: when a file cannot be written.
    """
    if not 0 <= seed < 2**20:
        raise ConfigError(f"The seed of a scene is 0 to {2**20 - 1}, not {seed}.")
    folder = Path(folder)
    composition = compose(seed, setting or drawn_setting(seed))
    _claim(folder, {
        "version": VERSION, "seed": seed, "setting": composition.setting, **dataclasses.asdict(photography)
    })  # fmt: skip
    shots = _named(*capture_cameras(composition, photography.views, photography.held_out))
    pixels = _photographed(folder, composition, shots, photography, report)
    annotation = _annotated(composition, pixels)
    write_json(folder / "transforms.json", _transforms(shots, photography.width, photography.height))
    write_annotation(folder, annotation)
    return annotation


def write_annotation(folder: str | os.PathLike[str], annotation: Annotation) -> None:
    """Write `annotation.json`, which `lerf.evaluation.annotations` reads."""
    write_json(Path(folder) / "annotation.json", {"version": ANNOTATION_VERSION, **dataclasses.asdict(annotation)})


def _photographed(
    folder: Path,
    composition: Composition,
    shots: list[tuple[str, Camera, bool]],
    photography: Photography,
    report: Callable[[int, int], None] | None,
) -> Int[np.ndarray, " labels"]:
    """Take the photos that the folder lacks.

    Returns:
        Pixels of each label in all views together.
    """
    photographer: Photographer | None = None
    pixels = np.zeros(256, dtype=np.int64)
    for number, (name, camera, _) in enumerate(shots):
        if not all(is_file(path) for path in _files(folder, name)):
            photographer = photographer or Photographer(composition)
            noise = composition.seed * 1000 + number
            picture = photographer.picture(
                camera.pose, camera.fov, photography.width, photography.height, photography.spp, noise
            )
            _save(folder, name, picture)
        labels = read_labels_of_view(folder, name)
        if labels.shape != (photography.height, photography.width):
            raise ConfigError(
                f"The labels of {name} in {folder} have another size; delete them, and they are made again."
            )
        pixels += np.bincount(labels.ravel(), minlength=256)
        if report is not None:
            report(number + 1, len(shots))
    return pixels


def _claim(folder: Path, arguments: dict[str, Any]) -> None:
    """Write `scene.json`, or check that the folder holds a scene of the same arguments.

    Raises:
        ConfigError: when it holds another scene or capture.
    """
    path = folder / "scene.json"
    if not is_absent(path):
        remedy = "choose a new folder or delete it"
        recorded = read_document(path, dict, error=ConfigError, remedy=remedy, largest=LARGEST_RECORD)
        others = [name for name in {**arguments, **recorded} if recorded.get(name) != arguments.get(name)]
        if others:
            told = ", ".join(f"{name} {recorded.get(name)} and not {arguments.get(name)}" for name in others)
            raise ConfigError(f"{folder} holds a scene made with other settings ({told}); {remedy}.")
    elif not (is_absent(folder / "transforms.json") and is_absent(folder / "images")):
        raise ConfigError(f"{folder} holds another capture; choose a new folder.")
    else:
        write_json(path, arguments)


def _named(taken: tuple[Camera, ...], between: tuple[Camera, ...]) -> list[tuple[str, Camera, bool]]:
    """Names, cameras and whether held out: the training photos, then the held-out ones."""
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
    held_out = [f"images/{name}.jpg" for name, _, out in shots if out]
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
        # nerfstudio asks for photos to validate on wherever a capture has lists of photos.
        "val_filenames": held_out,
        "test_filenames": held_out,
        "frames": frames,
    }


def _annotated(composition: Composition, pixels: Int[np.ndarray, " labels"]) -> Annotation:
    """Things and parts that the views show, and their phrases; `pixels` counts each label in all views together."""
    things = []
    for placed in composition.things:
        thing = placed.described()
        if pixels[[part.label for part in thing.parts]].sum() >= (1 if thing.furniture else FEWEST_PIXELS):
            shown = tuple(part for part in thing.parts if pixels[part.label] > 0)
            things.append(dataclasses.replace(thing, parts=shown))
    return Annotation(composition.seed, composition.setting, tuple(things), scene_phrases(things, composition.seed))
