"""cameras.json, which the reference trainer of 3D Gaussian splatting writes beside its result, and others after it.

A list with an entry for each photo: `position` is the camera's centre, and `rotation` its rotation from camera to
world, row by row, of a camera with x right, y down and z forwards, in COLMAP's world; `fx` and `fy` are in pixels of
`width` x `height`, and the principal point is the middle of the picture (`camera_to_JSON` in utils/camera_utils.py of
graphdeco-inria/gaussian-splatting, which inverts world to camera, and its graphics_utils.py, where fields of view alone
make the projection). OpenSplat and its ports to Apple's devices write the same (`saveCameras`, which turns y and z of
an OpenGL camera round), with extensions in `img_name` and, by default, positions divided by the largest of them.

The trainer cuts `img_name` at its first full stop, and leaves folders out. Its own folder is elsewhere than the photos:
`cfg_args` in it says where these were.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from jaxtyping import Float

from lerf.documents import converted, read_document
from lerf.errors import SceneError
from lerf.files import is_folder
from lerf.scenes.finder import PhotoFinder, as_written, name_in
from lerf.scenes.listing import Listing, Optics, Shot, checked_size
from lerf.scenes.readers.axes import from_opencv
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in
from lerf.scenes.readers.unnamed_photos import photos_in

FILE = "cameras.json"
FOLDERS = (".", "output", "output/*", "model")
"""Of a capture, in which the trainer's result may lie."""
PHOTO_FOLDERS = ("images", "input")
REMEDY = "train again, or load the COLMAP model that it was made from"
ABOVE = 3
"""Levels above the file at which photos are looked for."""

_SOURCE = re.compile(rb"source_path='([^'\n]{1,4096})'")

Number = float | Literal["NaN"]
"""A pose whose estimation failed may hold NaN: that is this photo's fault, not the file's."""
Three = Annotated[list[Number], msgspec.Meta(min_length=3, max_length=3)]
Rows = Annotated[list[Three], msgspec.Meta(min_length=3, max_length=3)]


class Entry(msgspec.Struct, kw_only=True):
    """One photo; `id` counts them."""

    img_name: str
    width: float
    height: float
    position: Three
    rotation: Rows
    fx: float
    fy: float


def find(path: Path) -> Path | None:
    """cameras.json in a folder or in the trainer's result within it; or a file of this kind."""
    if not is_folder(path):
        return found_in(path, (FILE,), _is_one)
    folders = [place.relative_to(path).as_posix() for pattern in FOLDERS for place in sorted(_glob(path, pattern))]
    return found_in(path, (FILE,), _is_one, folders)


def read(path: Path, root: Path) -> Listing:
    """Read a cameras.json, photos in the order of the file; every 8th is held out.

    Raises:
        SceneError: for anything in the file that cannot be used.
    """
    listed = read_document(path, list, error=SceneError, remedy=REMEDY, nan_is_text=True)
    entries = [
        converted(entry, Entry, f"Entry {number} of {path}", error=SceneError, remedy=REMEDY)
        for number, entry in enumerate(listed)
    ]
    capture, notes = _capture(path, root)
    folder = next((capture / name for name in PHOTO_FOLDERS if is_folder(capture / name)), capture)
    if folder == capture and any(is_folder(capture / f"images_{factor}") for factor in (2, 4, 8)):
        folder = capture / "images"  # only reductions were shipped
    finder = PhotoFinder(capture)
    cut = _cut_names(folder, entries)
    shots = []
    for number, entry in enumerate(entries):
        if not entry.img_name:
            raise SceneError(f"Entry {number} of {path} has no img_name: {REMEDY}.")
        photo = cut.get(entry.img_name) or finder.find(folder / as_written(entry.img_name))
        name = name_in(capture, photo)
        optics = Optics(checked_size(entry.width, entry.height, name), (entry.fx, entry.fy))
        shots.append(Shot(name, photo, _pose(entry), optics))
    if cut:
        stated, photo = next(iter(cut.items()))
        notes.append(f"{len(cut)} names of {path.name} are cut at a full stop: {photo.name} is taken for {stated}.")
    return Listing(capture, shots, None, {"format": READER.name}, [*notes, *finder.notes()])


def _glob(path: Path, pattern: str) -> list[Path]:
    if "*" not in pattern:
        return [path / pattern]
    return [place for place in path.glob(pattern) if is_folder(place)]


def _is_one(path: Path) -> bool:
    beginning = beginning_of(path)
    return beginning.lstrip()[:1] == b"[" and all(
        name in beginning for name in (b'"img_name"', b'"position"', b'"rotation"')
    )


def _pose(entry: Entry) -> Float[np.ndarray, "3 4"]:
    rows = [[np.nan if value == "NaN" else value for value in row] for row in (*entry.rotation, entry.position)]
    return from_opencv(np.column_stack([np.array(rows[:3], np.float64), np.array(rows[3], np.float64)]))


def _capture(path: Path, root: Path) -> tuple[Path, list[str]]:
    """The folder under which the photos are, and what there is to tell.

    It is that which the user gave, else the file's own, else that which the trainer noted, else the nearest above.
    """
    noted = _SOURCE.search(beginning_of(path.parent / "cfg_args"))
    source = Path("" if noted is None else noted[1].decode("utf-8", "replace"))
    others = [*([source] if source.is_absolute() else []), *path.parent.parents[:ABOVE]]
    for place in (root, path.parent, *others):
        if any(is_folder(place / name) for name in PHOTO_FOLDERS):
            near = place in (root, path.parent)
            return place, [] if near else [f"The photos of {path} are looked for in {place}."]
    return root, []


def _cut_names(folder: Path, entries: Sequence[Entry]) -> dict[str, Path]:
    """Photos by stated names that are theirs up to their first full stop only.

    Raises:
        SceneError: two photos have the same name up to there.
    """
    stated = [entry.img_name for entry in entries]
    cut: dict[str, list[Path]] = {}
    whole = set[str]()
    for photo in photos_in(folder):
        whole |= {photo.name, photo.stem}
        cut.setdefault(photo.name.split(".")[0], []).append(photo)
    found: dict[str, Path] = {}
    for name in stated:
        if "." in name or name in whole or name not in cut:
            continue
        if len(cut[name]) > 1:
            raise SceneError(
                f"{name} may be {cut[name][0]} or {cut[name][1]}, as the trainer cuts names at their first full stop: "
                "load the COLMAP model that it was made from."
            )
        found[name] = cut[name][0]
    return found


READER = Reader("cameras.json", "a Gaussian splatting's cameras.json", find, read, is_copy=True)
