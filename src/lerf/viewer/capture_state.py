"""What all pages of a capture look at: its cameras, its sparse points, small copies of its photos, and what was found.

Small copies are decoded, and the capture is inspected, on a thread of their own that begins with the first listener.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from lerf.errors import SceneError
from lerf.geometry.bounds import LARGEST_COORDINATE
from lerf.scenes.inspection.facts import capture_rows
from lerf.scenes.inspection.inspect import Inspection, inspect
from lerf.scenes.inspection.tracks import spread
from lerf.scenes.inspection.verdict import Verdict, verdict_on
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

MOST_PICTURES = 200
"""Cameras that are shown with their photos, evenly spread; of the others the frusta are lines."""
MOST_CAMERAS = 5000
"""Cameras that are shown at all."""
MOST_POINTS = 300_000
THUMBNAIL = 160
"""Longest side of a photo's small copy, pixels."""
GREY = 128
"""Colour of points that have none."""
FARTHEST = 1e4
"""Normalised units from the middle of the scene beyond which a point is not shown: the page's numbers are short."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points as they are shown."""

    points: Float32[np.ndarray, "points 3"]
    """Normalised frame."""
    colours: UInt8[np.ndarray, "points 3"]
    left_out: int
    """Points of the capture that are not shown: of very many some, and those that are no numbers or far away."""


@dataclass(frozen=True)
class Findings:
    """What was found out about the capture."""

    rows: tuple[tuple[str, str], ...]
    """Names and values; see `lerf.scenes.inspection.facts.capture_rows`."""
    inspection: Inspection
    verdict: Verdict


class CaptureState:
    """A capture and what is derived from it. Every method may be called from any thread."""

    def __init__(self, scene: Scene, points: SparsePoints | None, place: Path, command: str = "") -> None:
        """
        Args:
            scene: the capture.
            points: its sparse points, if it has any.
            place: its pose file, or folder of pose files.
            command: that trains on it, as it can be pasted into a shell.
        """
        self.scene, self.place, self.command = scene, place, command
        self._points = points
        self.cloud = None if points is None else cloud_of(scene, points)
        cameras = spread(np.arange(len(scene)), MOST_CAMERAS)
        self.pictured: tuple[int, ...] = tuple(spread(cameras, MOST_PICTURES).tolist())
        """Photos that are shown with their pictures."""
        with_pictures = set(self.pictured)
        self.outlined: tuple[int, ...] = tuple(photo for photo in cameras.tolist() if photo not in with_pictures)
        """Photos of which lines are shown."""
        self.findings: Findings | None = None
        self.trouble = ""
        """What went wrong while the capture was inspected."""
        self.undecoded: set[int] = set()
        """Photos that cannot be decoded."""
        self._thumbnails: dict[int, UInt8[np.ndarray, "_h _w 3"]] = {}
        self._listeners: list[Callable[[int | None], None]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def to_normalised(self, point: Sequence[float]) -> Float[np.ndarray, " 3"]:
        """A point of the capture's frame in the normalised one."""
        inside: Float[np.ndarray, " 3"] = self.scene.similarity.apply_points(np.array([point], np.float64))[0]
        return inside

    def listen(self, listener: Callable[[int | None], None]) -> Callable[[], None]:
        """Call `listener` with each photo whose small copy is ready, and with None when there are findings or trouble;
        returns what stops it. The first who listens sets the work going."""
        with self._lock:
            self._listeners.append(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lerf-view-capture", daemon=True)
                self._thread.start()

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def close(self) -> None:
        """Give the work up after the photo in hand."""
        self._closed.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)

    def thumbnail(self, photo: int) -> UInt8[np.ndarray, "height width 3"] | None:
        """A small copy of a photo; None as long as it is not ready, and when it cannot be decoded."""
        with self._lock:
            return self._thumbnails.get(photo)

    @property
    def ready(self) -> bool:
        """Whether all is done that goes on by itself."""
        done = len(self._thumbnails) + len(self.undecoded & set(self.pictured))
        return done == len(self.pictured) and bool(self.findings is not None or self.trouble)

    def _work(self) -> None:
        for photo in self.pictured:
            if self._closed.is_set():
                return
            self._reduce(photo)
        try:
            inspection = inspect(self.scene, self._points, self._given_up)
            verdict = verdict_on(self.scene, inspection)
            rows = capture_rows(self.scene, self.place, inspection, verdict)
            self.findings = Findings(tuple(rows), inspection, verdict)
        except _GivenUpError:
            return
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            self.trouble = f"The capture could not be inspected ({type(error).__name__}: {error})."
        self._tell(None)

    def _reduce(self, photo: int) -> None:
        try:
            picture = self.scene.pixels(photo, THUMBNAIL)
        except SceneError:
            self.undecoded.add(photo)
        else:
            with self._lock:
                self._thumbnails[photo] = picture
        self._tell(photo)

    def _given_up(self, done: int, total: int) -> None:
        if self._closed.is_set():
            raise _GivenUpError

    def _tell(self, photo: int | None) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(photo)


class _GivenUpError(Exception):
    """The pages are closed."""


def cloud_of(scene: Scene, points: SparsePoints) -> Cloud | None:
    """A capture's points as they are shown; None where none of them can be."""
    sound = np.flatnonzero((np.abs(points.positions) <= LARGEST_COORDINATE).all(1))
    positions = scene.similarity.apply_points(points.positions[sound])
    near = (np.abs(positions) <= FARTHEST).all(1)
    chosen = spread(np.flatnonzero(near), MOST_POINTS)
    if len(chosen) == 0:
        return None
    colours = None if points.colours is None else points.colours[sound[chosen]]
    if colours is None:
        colours = np.full((len(chosen), 3), GREY, np.uint8)
    return Cloud(positions[chosen].astype(np.float32), colours, len(points) - len(chosen))


def camera_positions(scene: Scene) -> Float[np.ndarray, "photos 3"]:
    """Where the photos were taken, normalised frame."""
    captured = np.stack([photo.camera.camera_to_world[:, 3] for photo in scene.photos])
    found: Float[np.ndarray, "photos 3"] = scene.similarity.apply_points(captured)
    return found
