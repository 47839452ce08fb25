"""Pictures to an MP4 file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt8

from lerf.errors import ConfigError, StorageError
from lerf.files import write_atomically

QUALITY = 18
"""Constant rate factor of H.264: visually without loss, and small."""
X264_OPTIONS = {"crf": str(QUALITY), "threads": "1", "x264-params": "cpu-independent=1"}
"""By which the same pictures are the same bytes: several threads now and then write others, and so do the approximate
divisions that the encoder plans bit rates with, unless results must not depend on the processor."""


def require_video_library() -> Any:
    """The module `av` (PyAV, which carries FFmpeg).

    Raises:
        ConfigError: when it is not installed.
    """
    try:
        import av
    except ImportError:
        raise ConfigError(
            "Writing videos needs PyAV: pip install 'lerf[video]', or leave --video out and keep the PNG frames."
        ) from None
    return av


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], frames_a_second: float) -> int:
    """Write RGB pictures as H.264 in MP4, which every browser and player shows; returns how many.

    Sides of an odd length are made even by repeating the last row or column, because the chroma has half the
    resolution. The file is whole or absent.

    Raises:
        ConfigError: without PyAV, without frames, or when frames differ in size.
        StorageError: when the file cannot be written.
    """
    av = require_video_library()
    count = 0

    def write(file: BinaryIO) -> None:
        nonlocal count
        # By name, not through the file object: to move its index to the front, the muxer reads the file again.
        with av.open(file.name, "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(frames_a_second).limit_denominator(10_000))
            stream.pix_fmt, stream.options = "yuv420p", X264_OPTIONS
            first = None
            for picture in frames:
                even = np.pad(picture, [(0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)], mode="edge")
                if first is None:
                    first = even.shape
                    stream.height, stream.width = even.shape[:2]
                if even.shape != first:
                    raise ConfigError("The frames of a video differ in size; render them again into a new folder.")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
                count += 1
            if first is None:
                raise ConfigError("A video needs one frame or more.")
            container.mux(stream.encode(None))

    try:
        write_atomically(path, write)
    except av.error.FFmpegError as error:
        raise StorageError(f"Cannot write {path} ({error.strerror}); free space or choose another folder.") from error
    return count
