"""Synthetic captures of the Blender kind: transforms_train.json, transforms_val.json, transforms_test.json.

Photos usually have transparency, which `Scene.pixels` composites onto white. Files, poses and intrinsics are read as
in `transforms_json`; the split is that of the files.
"""

from __future__ import annotations

from pathlib import Path

from lerf.files import is_file
from lerf.scenes.assemble import PhotoFinder, assemble
from lerf.scenes.listing import Shot
from lerf.scenes.scene import Scene
from lerf.scenes.transforms_json import read_frames, read_shots

TRAIN_FILE = "transforms_train.json"
HELD_OUT_FILES = ("transforms_test.json", "transforms_val.json")


def load_blender(root: Path, downscale: int | None = None) -> Scene:
    """Read a folder: train from transforms_train.json, held out from the test file, or else from the val file.

    Without either of these nothing is held out.

    Raises:
        SceneError: for anything in the files or their photos that cannot be used.
    """
    finder = PhotoFinder(root)
    train = read_shots(read_frames(root / TRAIN_FILE), root / TRAIN_FILE, finder)
    test: list[Shot] = []
    for name in HELD_OUT_FILES:
        if is_file(root / name):
            test = read_shots(read_frames(root / name), root / name, finder)
            break
    split = tuple(range(len(train))), tuple(range(len(train), len(train) + len(test)))
    return assemble(root, [*train, *test], split, downscale, {"format": "blender"}, notes=finder.notes())
