"""What a capture was when a run began: the content of every photo and mask, the cameras, the split.

A run is known by it as much as by its settings. Of each file the record holds a hash and, so that it need not be read
again to know it, what the file system says about it: a file of the same size that was not touched is the same file.
Poses and intrinsics are compared with a tolerance, since their last digits differ from one machine to another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from lerf.documents import read_document
from lerf.errors import RunError, SceneError
from lerf.files import is_file, sha256_of, write_atomically
from lerf.geometry.camera import Camera
from lerf.run.differences import listed
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene

FILE = "capture.json"
READERS = 4
"""Files that are hashed at a time."""
MANY_BYTES = 500_000_000
"""To read so many is announced."""
TOLERANCE = 1e-5
"""By how much rotations may differ; and positions, as a share of the cameras' spread; and intrinsics, as a share."""
NAMED = 3
"""Photos that a message names."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]


class FileRecord(msgspec.Struct, frozen=True):
    """A file's content, and by what it is recognised without reading it."""

    path: str
    size: Whole
    mtime_ns: Whole
    ctime_ns: Whole
    sha256: Annotated[str, msgspec.Meta(max_length=64)]


class PhotoRecord(msgspec.Struct, frozen=True):
    """One photo."""

    name: str
    camera: Annotated[list[Number], msgspec.Meta(min_length=6, max_length=32)]
    """Width, height, fx, fy, cx, cy, distortion, fisheye."""
    pose: Annotated[list[Number], msgspec.Meta(max_length=12)]
    """Camera to world in the capture frame, row by row; empty where it is not known."""
    file: FileRecord | None = None
    """The photo as the radiance sees it; None where it is not known."""
    original: FileRecord | None = None
    """The photo that features come from, where that is another file."""
    mask: FileRecord | None = None


class CaptureRecord(msgspec.Struct, frozen=True):
    """Content of `capture.json`."""

    photos: list[PhotoRecord]
    train: list[Whole]
    test: list[Whole]

    def files(self) -> list[tuple[str, FileRecord]]:
        """All files, each with the name of its photo."""
        return [
            (photo.name, file)
            for photo in self.photos
            for file in (photo.file, photo.original, photo.mask)
            if file is not None
        ]


def read_capture_record(run: Path) -> CaptureRecord | None:
    """The record of a run; None where an older version wrote none.

    Raises:
        RunError: it is damaged.
    """
    if not os.path.lexists(run / FILE):
        return None
    return read_document(
        run / FILE, CaptureRecord, error=RunError, remedy="delete it, and what the photos were is not checked any more"
    )


def write_capture_record(run: Path, record: CaptureRecord) -> None:
    """Write it, atomically."""
    data = msgspec.json.encode(record)
    write_atomically(run / FILE, lambda file: file.write(data))


def record_capture(
    scene: Scene,
    originals: Scene | None = None,
    before: CaptureRecord | None = None,
    announce: Callable[[str], None] | None = None,
    photos: Sequence[int] | None = None,
) -> CaptureRecord:
    """The record of a capture as it is now.

    Args:
        scene: at the resolution of the radiance.
        originals: the same photos as features see them, where these may be other files.
        before: an earlier record; files that were not touched since are not read.
        announce: is told when much has to be read.
        photos: those whose files are looked at, as indices into the scene's; by default all.

    Raises:
        SceneError: a file cannot be read.
    """
    wanted = set(range(len(scene)) if photos is None else photos)
    paths: dict[str, None] = {}
    others = [None if originals is None else originals.photos[at].path for at in range(len(scene))]
    for at, photo in enumerate(scene.photos):
        if at in wanted:
            paths |= {str(path): None for path in (photo.path, others[at], photo.mask_path) if path is not None}
    states = _states(list(paths), {} if before is None else {file.path: file for _, file in before.files()}, announce)

    def state(path: Path | None) -> FileRecord | None:
        return None if path is None else states.get(str(path))

    return CaptureRecord(
        [
            PhotoRecord(
                photo.name, _intrinsics(photo.camera), photo.camera.camera_to_world.ravel().tolist(),
                state(photo.path), None if others[at] == photo.path else state(others[at]), state(photo.mask_path),
            )
            for at, photo in enumerate(scene.photos)
        ],
        list(scene.train),
        list(scene.test),
    )  # fmt: skip


def record_of_run(run: Path, settings: TrainSettings, scene: Scene) -> CaptureRecord:
    """What a run recorded of its capture, or what its saved scene tells where an older version recorded nothing.

    Poses that the run corrected are not those of the capture, and are left out then.

    Raises:
        RunError: the record is damaged.
    """
    recorded = read_capture_record(run)
    if recorded is not None:
        return recorded
    corrected = settings.radiance_training.refine_poses or settings.radiance_run is not None
    return record_of_scene(scene, poses=not corrected)


def record_of_scene(scene: Scene, poses: bool) -> CaptureRecord:
    """What the scene that a run saved says of its capture, without any file.

    Args:
        scene: the run's.
        poses: whether its poses are those of the capture, not corrected ones.
    """
    return CaptureRecord(
        [
            PhotoRecord(
                photo.name, _intrinsics(photo.camera), photo.camera.camera_to_world.ravel().tolist() if poses else []
            )
            for photo in scene.photos
        ],
        list(scene.train),
        list(scene.test),
    )


def changes(before: CaptureRecord, now: CaptureRecord) -> list[str]:
    """What is not as it was, each in a few words that begin with a number of photos; empty where nothing is."""
    old, new = ({photo.name: photo for photo in record.photos} for record in (before, now))
    both = [name for name in old if name in new]
    apart = _moved([old[name] for name in both], [new[name] for name in both])
    kinds = (
        ("changed", "changed", [name for name in both if _content_differs(old[name], new[name])]),
        ("is new", "are new", [name for name in new if name not in old]),
        ("is gone", "are gone", [name for name in old if name not in new]),
        ("has another mask", "have another mask", [name for name in both if _mask_differs(old[name], new[name])]),
        ("has another pose", "have another pose", [name for name, far in zip(both, apart, strict=True) if far]),
        (
            "has another lens or size", "have another lens or size",
            [name for name in both if _lens_differs(old[name].camera, new[name].camera)],
        ),
    )  # fmt: skip
    found = [_counted(names, one, many) for one, many, names in kinds if names]
    if len(both) == len(old) == len(new):
        if [*old] != [*new]:
            found.append("the photos are listed in another order")
        elif (before.train, before.test) != (now.train, now.test):
            found.append("other photos are held out")
    return found


def changed_files(record: CaptureRecord) -> list[str]:
    """Names of photos of which a file is not any more what the record says; files that have gone are left out."""
    touched = {
        file.path: file for _, file in record.files() if (now := _stat(file.path)) is not None and now != _seen(file)
    }
    states = _states(list(touched), {}, None)
    different = {path for path, file in touched.items() if states[path].sha256 != file.sha256}
    return list(dict.fromkeys(name for name, file in record.files() if file.path in different))


def _states(
    paths: Sequence[str], known: Mapping[str, FileRecord], announce: Callable[[str], None] | None
) -> dict[str, FileRecord]:
    """Files by path; those that are known and were not touched are not read."""
    seen = {path: _stat(path) for path in paths}
    states = {path: known[path] for path in paths if path in known and _seen(known[path]) == seen[path]}
    unread = [path for path in paths if path not in states]
    size = sum((seen[path] or (0,))[0] for path in unread)
    if announce is not None and size > MANY_BYTES:
        announce(f"Reading {len(unread)} files of the capture, {size / 1e9:.1f} GB, to know its content.")
    with ThreadPoolExecutor(READERS) as pool:
        return states | dict(zip(unread, pool.map(_read, unread), strict=True))


def _read(path: str) -> FileRecord:
    # Before the bytes: what changes meanwhile is then seen to have changed.
    seen = _stat(path)
    try:
        if seen is None or not is_file(Path(path)):
            raise FileNotFoundError(2, "No such file")
        return FileRecord(path, *seen, sha256_of(Path(path)))
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read ({(error.strerror or str(error)).lower()}): restore it, or remove its photo from "
            "the capture."
        ) from None


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, max(status.st_mtime_ns, 0), max(status.st_ctime_ns, 0)


def _seen(file: FileRecord) -> tuple[int, int, int]:
    return file.size, file.mtime_ns, file.ctime_ns


def _intrinsics(camera: Camera) -> list[float]:
    numbers = camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, *camera.distortion
    return [*map(float, numbers), float(camera.fisheye)]


def _content_differs(old: PhotoRecord, new: PhotoRecord) -> bool:
    pairs = ((old.file, new.file), (old.original, new.original))
    return any(a is not None and b is not None and a.sha256 != b.sha256 for a, b in pairs)


def _mask_differs(old: PhotoRecord, new: PhotoRecord) -> bool:
    if old.file is None or new.file is None:
        return False
    masks = [None if photo.mask is None else photo.mask.sha256 for photo in (old, new)]
    return masks[0] != masks[1]


def _lens_differs(old: Sequence[float], new: Sequence[float]) -> bool:
    if len(old) != len(new):
        return True
    allowed = TOLERANCE * np.maximum(np.abs(old), 1e-3)
    return bool((np.abs(np.subtract(old, new)) > allowed).any())


def _moved(old: Sequence[PhotoRecord], new: Sequence[PhotoRecord]) -> list[bool]:
    """Of each photo, whether its camera stands or looks elsewhere."""
    known = [len(a.pose) == len(b.pose) == 12 for a, b in zip(old, new, strict=True)]
    poses = [np.array([photo.pose for photo, one in zip(photos, known, strict=True) if one]).reshape(-1, 3, 4)
             for photos in (old, new)]  # fmt: skip
    if not any(known):
        return known
    centres = poses[0][:, :, 3]
    spread = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    far = 1e-12 * float(np.abs(centres).max())
    apart = np.abs(poses[0] - poses[1])
    moved = iter((apart[:, :, :3].max((1, 2)) > TOLERANCE) | (apart[:, :, 3].max(1) > TOLERANCE * spread + far))
    return [one and bool(next(moved)) for one in known]


def _counted(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names)} photo{'s' * (len(names) != 1)} {one if len(names) == 1 else many} ({listed(names, NAMED)})"
