"""Captures in transforms.json: nerfstudio's form and instant-ngp's.

Poses are camera to world, row by row, of cameras with x right, y up and z backwards; pixels are counted from the
picture's corner, so that the middle of a picture is at half its size (nerfstudio's docs/quickstart/data_conventions,
and `read_lens` of instant-ngp's src/nerf_loader.cu, which divides cx by the width). With instant-ngp's `from_mitsuba`,
cameras have x left and z forwards (`nerf_matrix_to_ngp` of its nerf_loader.h).

Intrinsics may stand at the top, in each frame, or both (the frame wins, a group of keys at a time, see
`lerf.scenes.readers.transforms_keys`). The capture frame is that of the file as given: nerfstudio's
`applied_transform` is recorded in `Scene.metadata`, not undone, and instant-ngp's `scale`, `offset` and `aabb_scale`
say where its own cube lies and change no pose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from lerf.documents import converted, read_document
from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.geometry.bounds import LARGEST_COORDINATE, LARGEST_SCALE
from lerf.geometry.similarity import is_rotation
from lerf.scenes.finder import PhotoFinder, as_written
from lerf.scenes.listing import Listing, Optics, Shot
from lerf.scenes.nerfstudio_frame import ASSUMED_ENTRY, ORIENTATIONS
from lerf.scenes.readers.protocol import Reader, beginning_of
from lerf.scenes.readers.transforms_beside import other_files, points_beside, read_points, with_masks_beside
from lerf.scenes.readers.transforms_keys import CARRIED, LENS, unused_notes
from lerf.scenes.readers.transforms_lens import Lens, doubts, merged, optics_of
from lerf.scenes.readers.transforms_split import SPLIT_FILES, listed_split, split_beside

STEM = "transforms"
FILE, TRAIN_FILE = f"{STEM}.json", f"{STEM}_train.json"
"""The second is Blender's, which is a capture with the files beside it."""
MOST_RENAMED = 100
"""JSON files of a folder that are looked into for frames."""
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
    ply_file_path: str | None = None
    from_mitsuba: bool | None = None
    normal_mts_args: Any = None
    applied_transform: list[list[float]] | None = None
    applied_scale: float | None = None
    orientation_override: str | None = None
    aabb_scale: float | None = None

    @property
    def is_mitsubas(self) -> bool:
        """Whether cameras have Mitsuba's axes, as instant-ngp decides it."""
        return self.normal_mts_args is not None if self.from_mitsuba is None else self.from_mitsuba


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


def find_renamed(path: Path) -> Path | None:
    """The one JSON file of a folder that lists frames, where no file has the usual name."""
    files = renamed_files(path)
    return files[0] if len(files) == 1 else None


def renamed_files(path: Path) -> list[Path]:
    """JSON files of a folder that list frames with poses, where no file has the usual name."""
    if not is_folder(path) or is_file(path / FILE) or is_file(path / TRAIN_FILE):
        return []
    files = sorted(islice(path.glob("*.json"), MOST_RENAMED))
    return [file for file in files if is_file(file) and _lists_frames(beginning_of(file))]


def _lists_frames(beginning: bytes) -> bool:
    return b'"frames"' in beginning and b'"transform_matrix' in beginning


def read(path: Path, _root: Path) -> Listing:
    """Read a transforms.json.

    `train_filenames`, `val_filenames` and `test_filenames` set the split: validation photos are held out together
    with test photos, a photo listed on both sides is held out, and one listed nowhere is used by neither (with one
    side listed only, the other side is the rest). Without these lists the files that `split_beside` finds set it, and
    else every 8th photo is held out.

    Raises:
        SceneError: for anything in the file that cannot be used.
    """
    notes, finder = list[str](), PhotoFinder(path.parent)
    content = read_frames(path)
    shots = read_shots(content, path, finder, notes)
    document = _document(content, path)
    metadata: dict[str, Any] = {"format": "transforms.json", **carried(content, path)}
    if document.applied_transform is None and is_folder(path.parent / "colmap/sparse/0"):
        metadata |= {"applied_transform": ASSUMED_TRANSFORM, ASSUMED_ENTRY: True}
    held_out = [*(document.val_filenames or ()), *(document.test_filenames or ())]
    split = listed_split(document.train_filenames or (), held_out, [shot.name for shot in shots], path)
    if split is None and path.name == FILE:
        split, files, told = split_beside(path, [frame["file_path"] for frame in content["frames"]])
        notes += told
        metadata |= {SPLIT_FILES: files} if files else {}
    points, told = points_beside(document.ply_file_path, path)
    return Listing(path.parent, shots, split, metadata, [*notes, *told, *finder.notes()], points)


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
    document = _document(content, path)
    lenses = _Lenses(document, path.name)
    keys: set[str] = set()
    matrices, photos, names, optics, masks = [], [], [], [], []
    for number, entry in enumerate(entries):
        where = f"Frame {number} of {path}"
        frame = _typed(entry, Frame, where)
        if not frame.file_path:
            raise SceneError(f"{where} has no file_path: add the path of its photo.")
        keys.update(entry)
        photo = finder.find(path.parent / as_written(frame.file_path))
        photos.append(photo)
        names.append(_name(photo, path.parent))
        matrix = frame.pose(where)
        matrices.append(_turned(matrix) if document.is_mitsubas and matrix is not None else matrix)
        optics.append(lenses.of(frame, not LENS.isdisjoint(entry), names[-1]))
        masks.append(finder.find(path.parent / as_written(frame.mask_path)) if frame.mask_path else None)
    shots, told = with_masks_beside(
        [Shot(*parts) for parts in zip(names, photos, matrices, optics, masks, strict=True)], path.parent
    )
    found = [*lenses.notes, *unused_notes(path.name, content, keys), *told, *other_files(photos)]
    notes.extend(note for note in dict.fromkeys(found) if note not in notes)
    return shots


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


def _turned(matrix: Matrix) -> Matrix:
    """A matrix without Mitsuba's axes: its first and third column the other way round, whatever its shape."""
    return [
        [-value if column in (0, 2) and not isinstance(value, str) else value for column, value in enumerate(row)]
        for row in matrix
    ]


def _name(path: Path, root: Path) -> str:
    # Compared as text: pathlib takes a tenth of a millisecond for it, which is seconds for 100,000 photos.
    name, folder = path.as_posix(), root.as_posix()
    if folder == ".":
        return name
    return name.removeprefix(folder if folder.endswith("/") else f"{folder}/")


READER = Reader("transforms.json", FILE, find, read, read_points)
RENAMED = Reader("transforms.json", f"a file like {FILE}", find_renamed, read, read_points)
