"""Synthetic captures of the Blender kind: transforms_train.json, transforms_val.json, transforms_test.json.

Photos usually have transparency, which `Scene.pixels` composites onto white. Files, poses and intrinsics are read as
in `transforms_json`; the split is that of the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.finder import PhotoFinder, some_of
from lerf.scenes.listing import Listing, Shot
from lerf.scenes.readers.protocol import Reader
from lerf.scenes.readers.transforms_json import STEM, TRAIN_FILE, carried, read_frames, read_shots

HELD_OUT_FILES = ("transforms_test.json", "transforms_val.json")


def find(path: Path) -> Path | None:
    """The folder that holds transforms_train.json; a path may also be one of the files in it."""
    folder = path.parent if is_file(path) and path.name.startswith(f"{STEM}_") else path
    return folder if is_file(folder / TRAIN_FILE) else None


def read(found: Path, _root: Path) -> Listing:
    """Read a folder: train from transforms_train.json, held out from the test file, or else from the val file.

    Without either of these nothing is held out.

    Raises:
        SceneError: for anything in the files that cannot be used.
    """
    finder, notes = PhotoFinder(found), list[str]()
    content = read_frames(found / TRAIN_FILE)
    train = read_shots(content, found / TRAIN_FILE, finder, notes)
    metadata = {"format": "blender", **carried(content, found / TRAIN_FILE)}
    test: list[Shot] = []
    used = [TRAIN_FILE]
    for name in HELD_OUT_FILES:
        if is_file(found / name):
            test = read_shots(read_frames(found / name), found / name, finder, notes)
            _refuse_unrendered(test, found, name)
            used.append(name)
            break
    if unused := sorted({file.name for file in found.glob(f"{STEM}_*.json")} - set(used)):
        notes.append(f"Of {found}, {' and '.join(used)} {'are' if used[1:] else 'is'} used, and not {some_of(unused)}.")
    split = tuple(range(len(train))), tuple(range(len(train), len(train) + len(test)))
    return Listing(found, [*train, *test], split, metadata, [*notes, *finder.notes()])


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


READER = Reader("blender", f"Blender's {TRAIN_FILE}", find, read)
