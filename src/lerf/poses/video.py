"""Frames of a video that are worth solving: the sharpest of each interval, without blur and without repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from lerf.errors import ConfigError, SceneError
from lerf.files import is_file, write_atomically
from lerf.scenes.sharpness import grey_of, sharpness, thumbnail

BLURRED = 0.3
"""A frame is blurred when it is less sharp than this share of the sharp ones among those chosen around it: of their
90th percentile, since most frames of a hasty film are blurred."""
AROUND = 10
"""Chosen frames on each side that it is compared with."""
REPEATED = 0.004
"""Frames whose thumbnails differ by less on average, brightness in 0..1, show the same from the same place."""
QUALITY = 95
"""Of the JPEG files written."""


@dataclass(frozen=True)
class FrameScore:
    """What is known of a frame after the first pass."""

    number: int
    sharpness: float
    thumbnail: Float[np.ndarray, "side side"]


@dataclass(frozen=True)
class ChosenFrames:
    """Which frames are taken."""

    numbers: tuple[int, ...]
    total: int
    """Frames of the video."""
    blurred: int
    """Intervals whose sharpest frame is blurred."""
    repeated: int
    """Intervals that show what the one before shows."""


@contextmanager
def _decoded(path: Path) -> Iterator[Iterator[UInt8[np.ndarray, "height width 3"]]]:
    """The frames of a video, upright.

    Raises:
        ConfigError: PyAV is not installed.
        SceneError: it is no video, or is cut off before its first frame.
    """
    try:
        import av
    except ImportError:
        raise ConfigError("Reading a video needs PyAV; install it with: pip install 'lerf[poses]'.") from None

    def frames(container: Any) -> Iterator[np.ndarray]:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        except av.error.InvalidDataError:
            # What was decoded before the damage is used; the caller says how many frames there were.
            return

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SceneError(f"{path} has no picture track: give a video or photos.")
            yield frames(container)
    except (av.error.FFmpegError, OSError) as error:
        raise SceneError(f"{path} cannot be read as a video ({error}): convert it to MP4.") from None


def choose_frames(path: Path, count: int, report: Callable[[int], object] = lambda done: None) -> ChosenFrames:
    """The sharpest frame of each of `count` intervals of equal length, without blurred and repeated ones.

    Args:
        path: the video.
        count: intervals.
        report: called with the number of frames looked at.

    Raises:
        ConfigError: PyAV is not installed.
        SceneError: it is no video, or has fewer than two frames.
    """
    scores = []
    with _decoded(path) as frames:
        for number, picture in enumerate(frames):
            grey = grey_of(picture)
            scores.append(FrameScore(number, sharpness(grey), thumbnail(grey)))
            report(number + 1)
    if len(scores) < 2:
        raise SceneError(f"{path} has {len(scores)} frames that can be read: give a longer video.")
    return choose(scores, count)


def choose(scores: list[FrameScore], count: int) -> ChosenFrames:
    """See `choose_frames`."""
    edges = np.linspace(0, len(scores), min(count, len(scores)) + 1).round().astype(int)
    best = [max(scores[low:high], key=lambda score: (score.sharpness, -score.number)) for low, high in pairwise(edges)]
    kept: list[FrameScore] = []
    blurred = repeated = 0
    for index, frame in enumerate(best):
        around = [other.sharpness for other in best[max(0, index - AROUND) : index + AROUND + 1]]
        if frame.sharpness < BLURRED * float(np.percentile(around, 90.0)):
            blurred += 1
        elif kept and float(np.abs(frame.thumbnail - kept[-1].thumbnail).mean()) < REPEATED:
            repeated += 1
        else:
            kept.append(frame)
    return ChosenFrames(tuple(frame.number for frame in kept), len(scores), blurred, repeated)


def write_frames(
    path: Path, numbers: tuple[int, ...], folder: Path, report: Callable[[int], object] = lambda done: None
) -> list[Path]:
    """Write frames as JPEG files named by their number; those that are there already stay.

    Raises:
        SceneError: the video ends before the last of them.
        StorageError: the folder cannot be written.
    """
    files = {number: folder / f"frame_{number:06d}.jpg" for number in numbers}
    missing = {number for number, file in files.items() if not is_file(file)}
    if missing:
        last = max(missing)
        with _decoded(path) as frames:
            for number, picture in enumerate(frames):
                if number in missing:
                    save = partial(Image.fromarray(picture).save, format="JPEG", quality=QUALITY)
                    write_atomically(files[number], save)
                    missing.discard(number)
                report(number + 1)
                if number >= last:
                    break
    if missing:
        raise SceneError(f"{path} ended before frame {min(missing)}: copy the video again.")
    return list(files.values())
