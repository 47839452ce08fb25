"""Readers of poses, a module a format; `READERS` lists them in the order in which they are tried."""

from __future__ import annotations

from lerf.scenes.readers import (
    alicevision,
    blender,
    bundler,
    cameras_json,
    colmap,
    kapture,
    llff,
    metashape,
    open3d_trajectory,
    openmvg,
    opensfm,
    polycam,
    reality_capture,
    record3d,
    scanner_app,
    transforms_json,
    visual_sfm,
)
from lerf.scenes.readers.protocol import Reader

READERS: tuple[Reader, ...] = (
    *(transforms_json.READER, blender.READER, colmap.READER),
    *(opensfm.READER, alicevision.READER, openmvg.READER, metashape.READER, reality_capture.READER),
    *(bundler.READER, visual_sfm.READER, kapture.READER),
    *(cameras_json.READER, llff.READER, open3d_trajectory.READER),
    *(record3d.READER, polycam.READER, scanner_app.READER),
    transforms_json.RENAMED,
)
"""Where a folder holds several, the first is used and the others are told."""
