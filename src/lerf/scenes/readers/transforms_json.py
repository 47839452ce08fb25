"""Captures in transforms.json: nerfstudio's form and instant-ngp's.

Intrinsics may stand at the top, in each frame, or both (the frame wins, a group of keys at a time, see
`lerf.scenes.readers.transforms_keys`). The capture frame is that of the file as given: nerfstudio's
`applied_transform` is recorded in `Scene.metadata`, not undone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import numpy as np

from lerf.documents import converted, read_document
from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.geometry.bounds import LARGEST_COORDINATE, LARGEST_SCALE
from lerf.geometry.similarity import is_rotation
from lerf.scenes.finder import PhotoFinder
from lerf.scenes.listing import Listing, Optics, Shot, Split
from lerf.scenes.nerfstudio_frame import ASSUMED_ENTRY, ORIENTATIONS
from lerf.scenes.readers.protocol import Reader, beginning_of
from lerf.scenes.readers.transforms_keys import CARRIED, LENS, unused_notes
from lerf.scenes.readers.transforms_lens import Lens, doubts, merged, optics_of

STEM = "transforms"
FILE, TRAIN_FILE = f"{STEM}.json", f"{STEM}_train.json"
"""The second is Blender's, which is a capture with the files beside it."""
REMEDY = "export the capture again or repair the file"
ASSUMED_TRANSFORM = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]]
"""What nerfstudio takes for `applied_transform` where the file has none and lies beside COLMAP's model."""


Content = TypeVar("Content")
MATRICES = ("transform_matrix", "transform_matrix_start", "transform_matrix_end")
Matrix = list[list[float | Literal["NaN"]]]
"""A pose whose estimation failed may hold NaN: that is this frame's fault, not the file's."""


class Document(Lens, kw_only=True):
    """The whole file but for its frames, which are read one by one to say which of them is wrong."""

    frames: Any = None
    train_filenames: list[str] | None = None
    val_filenames: list[str] | None = None
    test_filenames: list[str] | None = None
    applied_transform: list[list[float]] | None = None
    applied_scale: float | None = None
    orientation_override: str | None = None
    aabb_scale: float | None = None


class Frame(Lens, kw_only=True):
    """One posed photo."""

    file_path: str = ""
    mask_path: str | None = None
    transform_matrix: Matrix | None = None
    transform_matrix_start: Matrix | None = None
    transform_matrix_end: Matrix | None = None

    def pose(self, where: str) -> Matrix | None:
        """The matrix, or instant-ngp's two for the start and the end of a moment where they are one.

        Raises:
            SceneError: the camera moves in between.
        """
        ends = [self.transform_matrix_start, self.transform_matrix_end]
        stated = [matrix for matrix in (self.transform_matrix, *ends) if matrix is not None]
        if any(matrix != stated[0] for matrix in stated):
            raise SceneError(
                f"{where} moves from transform_matrix_start to transform_matrix_end, which is not supported: give one "
                "transform_matrix."
            )
        return stated[0] if stated else None


def find(path: Path) -> Path | None:
    """transforms.json in a folder; or a file that begins with this name, or lists frames."""
    if not is_file(path):
        return path / FILE if is_file(path / FILE) else None
    if path.suffix.lower() != ".json" or (path.name.startswith(f"{STEM}_") and is_file(path.parent / TRAIN_FILE)):
        return None
    return path if path.name.startswith(STEM) or b'"frames"' in beginning_of(path) else None


def read(path: Path, _root: Path) -> Listing:
    """Read a transforms.json.

    `train_filenames`, `val_filenames` and `test_filenames` set the split: validation photos are held out together
    with test photos, a photo listed on both sides is held out, and one listed nowhere is used by neither (with one
    side listed only, the other side is the rest). Otherwise every 8th photo is held out.

    Raises:
        SceneError: for anything in the file that cannot be used.
    """
    notes, finder = list[str](), PhotoFinder(path.parent)
    content = read_frames(path)
    shots = read_shots(content, path, finder, notes)
    document = _document(content, path)
    split = _split(document, [shot.name for shot in shots], path)
    metadata: dict[str, Any] = {"format": "transforms.json", **carried(content, path)}
    if document.applied_transform is None and is_folder(path.parent / "colmap/sparse/0"):
        metadata |= {"applied_transform": ASSUMED_TRANSFORM, ASSUMED_ENTRY: True}
    return Listing(path.parent, shots, split, metadata, [*notes, *finder.notes()])


def read_frames(path: Path) -> dict[str, Any]:
    """The JSON object in a file that lists frames.

    Raises:
        SceneError: when the file is missing or is not a JSON object.
    """
    return read_document(path, dict, error=SceneError, remedy=REMEDY, nan_is_text=True)


def carried(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a file says about its own coordinates (`CARRIED`), checked.

    Raises:
        SceneError: a value that cannot be.
    """
    document = _document(content, path)
    if document.applied_transform is not None and not _is_rigid(document.applied_transform):
        raise SceneError(
            f"The applied_transform of {path} is not a rotation and a position in three rows of four numbers: {REMEDY}."
        )
    scale = document.applied_scale
    if scale is not None and not 1 / LARGEST_SCALE <= scale <= LARGEST_SCALE:
        raise SceneError(f"The applied_scale of {path} is {scale:g}, where a factor of lengths should be: {REMEDY}.")
    if document.orientation_override not in (None, *ORIENTATIONS):
        raise SceneError(
            f"The orientation_override of {path} is '{document.orientation_override}'; nerfstudio knows "
            f"{', '.join(ORIENTATIONS)}."
        )
    return {key: content[key] for key in CARRIED if content.get(key) is not None}


def read_shots(content: Mapping[str, Any], path: Path, finder: PhotoFinder, notes: list[str]) -> list[Shot]:
    """The frames of a document, in the file's order; file names are relative to the folder of `path`.

    What is found and not used is appended to `notes`.

    Raises:
        SceneError: when there are no frames, or one has no file name, an impossible pose or impossible intrinsics.
    """
    entries = content.get("frames")
    if not isinstance(entries, list) or not entries:
        raise SceneError(f"{path} has no frames: export the capture again with at least two posed photos.")
    lenses = _Lenses(_document(content, path), path.name)
    keys: set[str] = set()
    matrices, photos, names, optics, masks = [], [], [], [], []
    for number, entry in enumerate(entries):
        where = f"Frame {number} of {path}"
        frame = _typed(entry, Frame, where)
        if not frame.file_path:
            raise SceneError(f"{where} has no file_path: add the path of its photo.")
        keys.update(entry)
        photo = finder.find(path.parent / _clean(frame.file_path))
        photos.append(photo)
        names.append(_name(photo, path.parent))
        matrices.append(frame.pose(where))
        optics.append(lenses.of(frame, not LENS.isdisjoint(entry), names[-1]))
        masks.append(finder.find(path.parent / _clean(frame.mask_path)) if frame.mask_path else None)
    found = [*lenses.notes, *unused_notes(path.name, content, keys), *_side_files(path.parent, photos, masks)]
    notes.extend(note for note in dict.fromkeys(found) if note not in notes)
    return [Shot(*parts) for parts in zip(names, photos, matrices, optics, masks, strict=True)]


class _Lenses:
    """Intrinsics of one frame after another; those of frames that state none are made once."""

    def __init__(self, top: Lens, file: str) -> None:
        self.notes: dict[str, None] = {}
        self._top, self._file = top, file
        self._shared: Optics | None = None

    def of(self, frame: Lens, states_any: bool, name: str) -> Optics:
        if not states_any and self._shared is not None:
            return self._shared
        values = merged(self._top, frame)
        optics = optics_of(values, name)
        self.notes.update(dict.fromkeys(doubts(values, self._top, self._file)))
        if not states_any:
            self._shared = optics
        return optics


def _document(content: Mapping[str, Any], path: Path) -> Document:
    top = {key: value for key, value in content.items() if key != "frames"}
    return _typed(top, Document, str(path))


def _typed(value: Any, kind: type[Content], where: str) -> Content:
    """
    Raises:
        SceneError: values of another type, NaN and infinity among them.
    """
    try:
        return converted(value, kind, where, error=SceneError, remedy=REMEDY)
    except SceneError:
        entries = value.items() if isinstance(value, dict) else ()
        for key, entry in entries:
            if key not in MATRICES and '"NaN"' in json.dumps(entry):
                raise SceneError(f"{where} has NaN or infinity in its {key}: {REMEDY}.") from None
        raise


def _is_rigid(matrix: Sequence[Sequence[float]]) -> bool:
    if [len(row) for row in matrix] not in ([4] * 3, [4] * 4) or list(matrix[3:]) not in ([], [[0, 0, 0, 1]]):
        return False
    rows = np.array(matrix[:3], np.float64)
    return is_rotation(rows[:, :3]) and bool((np.abs(rows[:, 3]) <= LARGEST_COORDINATE).all())


def _side_files(root: Path, photos: Sequence[Path], masks: Sequence[Path | None]) -> list[str]:
    """What to tell of files beside the photos that other programs would use."""
    notes = []
    if not any(masks) and is_folder(root / "masks"):
        notes.append(
            f"Masks found and not used: no frame names its file in {root / 'masks'}; add mask_path to the frames."
        )
    for folder in map(Path, dict.fromkeys(os.path.dirname(photo) for photo in photos)):
        for start, what in (("dynamic_mask_", "instant-ngp's dynamic masks"), ("rays_", "instant-ngp's rays")):
            if is_folder(folder) and any(folder.glob(f"{start}*")):
                advice = "; add mask_path, where white takes part, to the frames" if "mask" in start else ""
                notes.append(f"Files found and not used: {what}, {folder / start}*{advice}.")
    return notes


def _split(document: Document, names: list[str], path: Path) -> Split | None:
    train = _listed(document, ("train_filenames",), names, path)
    test = _listed(document, ("val_filenames", "test_filenames"), names, path)
    if train is None and test is None:
        return None
    every = set(range(len(names)))
    if test is None:
        assert train is not None
        test = every - train
    train = every - test if train is None else train - test
    return tuple(sorted(train)), tuple(sorted(test))


def _listed(document: Document, keys: Iterable[str], names: list[str], path: Path) -> set[int] | None:
    """Indices of the photos listed under any of `keys`, None when no such list is there or all are empty."""
    entries: list[str] = [entry for key in keys for entry in getattr(document, key) or ()]
    if not entries:
        return None
    index = {name: number for number, name in enumerate(names)}
    # A list may leave the extension out, as frames may; a stem that two photos share stays ambiguous.
    stems: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        stems.setdefault(_stem(name), []).append(number)
    found = set()
    for entry in entries:
        name = _name(path.parent / _clean(entry), path.parent)
        near = stems.get(name) or stems.get(_stem(name), [])
        if name in index:
            found.add(index[name])
        elif len(near) == 1:
            found.add(near[0])
        else:
            raise SceneError(f"The split in {path} lists {entry!r}, which is not a frame: remove it or add its pose.")
    return found


def _stem(name: str) -> str:
    folder, _, last = name.rpartition("/")
    stem = PurePosixPath(last).stem
    return f"{folder}/{stem}" if folder else stem


def _clean(file_path: str) -> PurePosixPath:
    return PurePosixPath(file_path.replace("\\", "/"))


def _name(path: Path, root: Path) -> str:
    # Compared as text: pathlib takes a tenth of a millisecond for it, which is seconds for 100,000 photos.
    name, folder = path.as_posix(), root.as_posix()
    if folder == ".":
        return name
    return name.removeprefix(folder if folder.endswith("/") else f"{folder}/")


READER = Reader("transforms.json", FILE, find, read)
