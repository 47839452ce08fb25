"""Readers of poses, a module a format; `READERS` lists them in the order in which they are tried."""

from __future__ import annotations

from lerf.scenes.readers import (
    blender,
    bundler,
    cameras_json,
    colmap,
    llff,
    open3d_trajectory,
    polycam,
    record3d,
    scanner_app,
    transforms_json,
    visual_sfm,
)
from lerf.scenes.readers.protocol import Reader

READERS: tuple[Reader, ...] = (
    *(transforms_json.READER, blender.READER, colmap.READER),
    *(bundler.READER, visual_sfm.READER),
    *(cameras_json.READER, llff.READER, open3d_trajectory.READER),
    *(record3d.READER, polycam.READER, scanner_app.READER),
    transforms_json.RENAMED,
)
"""Where a folder holds several, the first is used and the others are told."""
