"""Synthetic captures of the Blender kind: transforms_train.json, transforms_val.json, transforms_test.json.

Photos usually have transparency, which `Scene.pixels` composites onto white. Files, poses and intrinsics are read as
in `transforms_json`; the split is that of the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.assemble import assemble
from lerf.scenes.finder import PhotoFinder
from lerf.scenes.listing import Shot
from lerf.scenes.scene import Scene
from lerf.scenes.transforms_json import carried, read_frames, read_shots

TRAIN_FILE = "transforms_train.json"
HELD_OUT_FILES = ("transforms_test.json", "transforms_val.json")


def load_blender(root: Path, downscale: int | None = None) -> Scene:
    """Read a folder: train from transforms_train.json, held out from the test file, or else from the val file.

    Without either of these nothing is held out.

    Raises:
        SceneError: for anything in the files or their photos that cannot be used.
    """
    finder, notes = PhotoFinder(root), list[str]()
    content = read_frames(root / TRAIN_FILE)
    train = read_shots(content, root / TRAIN_FILE, finder, notes)
    metadata = {"format": "blender", **carried(content, root / TRAIN_FILE)}
    test: list[Shot] = []
    for name in HELD_OUT_FILES:
        if is_file(root / name):
            test = read_shots(read_frames(root / name), root / name, finder, notes)
            _refuse_unrendered(test, root, name)
            break
    split = tuple(range(len(train))), tuple(range(len(train), len(train) + len(test)))
    return assemble(root, [*train, *test], split, downscale, metadata, [*notes, *finder.notes()])


def _refuse_unrendered(shots: Sequence[Shot], root: Path, name: str) -> None:
    """
    Raises:
        SceneError: none of the photos is there, nor a folder of reduced ones: they were posed and never rendered.
    """
    if not any(is_file(shot.path) for shot in shots) and not any(root.glob("images_*")):
        raise SceneError(
            f"None of the {len(shots)} photos of {name} is there ({shots[0].path} for one): render or copy them, or "
            f"move {name} out of {root} to do without them."
        )
