"""Readers of poses, a module a format; `READERS` lists them in the order in which they are tried."""

from __future__ import annotations

from lerf.scenes.readers import blender, colmap, transforms_json
from lerf.scenes.readers.protocol import Reader

READERS: tuple[Reader, ...] = (transforms_json.READER, blender.READER, colmap.READER)
"""Where a folder holds several, the first is used and the others are told."""
