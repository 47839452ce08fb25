"""Captures posed by Agisoft Metashape or PhotoScan: the XML of its Export Cameras.

Conventions, from the Python reference of Metashape (Camera.transform, ChunkTransform, Sensor.rotation and location) and
from converters of its files (nerfstudio's metashape_utils.py; Meta's metashape_to_krt.py, whose tests hold rigs against
poses): a camera's `transform` is 4x4 in rows, camera to chunk, with x right, y down, z forwards. The chunk's own
transform, or that of the component of its cameras, goes on to the world: scale * rotation @ p + translation. It is
applied, so that positions are in the units in which Metashape measures and as its meshes and clouds have them. Where
the chunk is referenced on the earth the world is geocentric: six million metres away, which files of points in single
precision cannot hold. Its translation is then left out and told, and kept in the scene's metadata.

A sensor of a rig has a `master_id`, `rotation` and `location`, its camera to the master's; its cameras name the one
that has the rig's transform by their own `master_id`. Calibrations are those of `lerf.scenes.readers.metashape_lens`.
Photos are called by their labels, mostly file names without an extension, and are as stored, whatever their EXIF
orientation. Cameras without a transform are not aligned and not listed; those that are switched off are not used, which
is told. Of several chunks, or of components that are not connected, the one with the most cameras is used. The region
is ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.listing import Listing, Optics
from lerf.scenes.readers.axes import from_opencv
from lerf.scenes.readers.metashape_lens import LeftOut, optics_of
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.text_lines import AGAIN, finite, numbers
from lerf.scenes.readers.xml_file import read_xml

NAMES = ("cameras.xml", "*.xml")
FAR = 1e5
"""Units of the world: the chunk of a referenced capture further from its origin is geocentric."""
ORIGIN = "metashape_origin"
"""Entry of the scene's metadata: the translation that was left out."""

Element = ElementTree.Element


def find(path: Path) -> Path | None:
    """An XML file of Metashape's in the folder."""
    return found_in(path, NAMES, _is_one)


def read(path: Path, root: Path) -> Listing:
    """Read the cameras of the largest chunk.

    Raises:
        SceneError: the file is damaged, no camera is aligned, or a lens cannot be expressed.
    """
    chunks = list(read_xml(path).iter("chunk"))
    chunk = max(chunks, key=lambda one: len(_cameras(one)), default=None)
    if chunk is None or not _cameras(chunk):
        raise SceneError(
            f"{path} has no camera that is aligned: run Align Photos in Metashape, then export the cameras again."
        )
    notes = rivals_of(path, NAMES, _is_one)
    if len(chunks) > 1:
        others = ", ".join(str(len(_cameras(one))) for one in chunks if one is not chunk)
        notes.append(
            f"{path} has {len(chunks)} chunks: that with {len(_cameras(chunk))} cameras is used, not {others}."
        )
    cameras = _connected(_cameras(chunk), path, notes)
    off = sum(1 for camera in chunk.iter("camera") if _is_off(camera))
    if off:
        notes.append(f"{off} cameras in {path} are switched off and not used.")
    to_world, metadata = _to_world(chunk, cameras[0].get("component_id"), path, notes)
    sensors = {str(sensor.get("id")): sensor for sensor in chunk.iter("sensor")}
    posed = _posed(cameras, sensors, to_world, path, notes)
    return listing_of(PoseFile(READER.name, path, notes, metadata=metadata), posed, root)


def _posed(
    cameras: Sequence[Element], sensors: dict[str, Element], to_world: np.ndarray, path: Path, notes: list[str]
) -> list[Posed]:
    transforms = {str(camera.get("id")): camera.find("transform") for camera in cameras}
    lenses: dict[str, Optics] = {}
    left_out = LeftOut()
    posed = []
    for camera in cameras:
        label, number = str(camera.get("label") or ""), str(camera.get("sensor_id"))
        if number not in sensors:
            raise SceneError(f"Photo {label} in {path} has the sensor {number[:20]}, which is not there: {AGAIN}.")
        if number not in lenses:
            lenses[number] = optics_of(sensors[number], path, left_out)
        transform = transforms[str(camera.get("master_id") or camera.get("id"))]
        assert transform is not None, "cameras without a transform were taken for aligned"
        rig = _matrix(transform.text, f"The transform of photo {label} in {path}")
        with np.errstate(all="ignore"):  # what is not finite is found by the check of all poses
            placed = to_world @ rig @ _offset(sensors[number], path)
        placed[:3, :3] /= np.cbrt(np.linalg.det(to_world[:3, :3]))
        posed.append(Posed(label, from_opencv(placed), lenses[number]))
    notes += left_out.notes(path)
    return posed


def _cameras(chunk: Element) -> list[Element]:
    """Cameras of a chunk that are switched on and aligned, or of a rig that is."""
    on = [camera for camera in chunk.iter("camera") if not _is_off(camera)]
    aligned = {str(camera.get("id")) for camera in on if camera.find("transform") is not None}
    return [camera for camera in on if str(camera.get("master_id") or camera.get("id")) in aligned]


def _is_off(camera: Element) -> bool:
    return str(camera.get("enabled", "true")).lower() in ("false", "0")


def _connected(cameras: Sequence[Element], path: Path, notes: list[str]) -> list[Element]:
    """The cameras of the largest component."""
    counts = Counter(camera.get("component_id") for camera in cameras)
    (largest, count), *others = counts.most_common()
    if others:
        shown = ", ".join(str(other) for _, other in others[:4])
        notes.append(
            f"{path} has {len(counts)} components that do not connect: that with {count} cameras is used, not {shown}."
        )
    return [camera for camera in cameras if camera.get("component_id") == largest]


def _to_world(chunk: Element, component: str | None, path: Path, notes: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
    """4x4, chunk to world, and what is to be kept in the scene's metadata."""
    own = [
        one.find("transform") for one in chunk.iter("component") if component is not None and one.get("id") == component
    ]
    transform = next((one for one in (*own, chunk.find("transform")) if one is not None), None)
    matrix = np.eye(4)
    if transform is None:
        return matrix, {}
    where = f"The transform of the chunk in {path}"
    matrix[:3, :3] = _values(transform.find("rotation"), 9, np.eye(3).ravel(), where).reshape(3, 3)
    matrix[:3, :3] *= _values(transform.find("scale"), 1, np.ones(1), where)[0]
    translation = _values(transform.find("translation"), 3, np.zeros(3), where)
    if not np.linalg.det(matrix[:3, :3]) > 0:
        raise SceneError(f"{where} is not a rotation with a positive scale: {AGAIN}.")
    local = "LOCAL_CS" in (chunk.findtext("reference") or "LOCAL_CS")
    if local or np.linalg.norm(translation) < FAR:
        matrix[:3, 3] = translation
        return matrix, {}
    shown = ", ".join(f"{value:.10g}" for value in translation)
    notes.append(
        f"The cameras in {path} are referenced on the earth: positions are in metres from the geocentric ({shown}), "
        f"which is left out because single precision cannot hold it ({ORIGIN} in the scene's metadata)."
    )
    return matrix, {ORIGIN: translation.tolist()}


def _offset(sensor: Element, path: Path) -> np.ndarray:
    """4x4, camera of a sensor to that of its rig's master."""
    offset = np.eye(4)
    if sensor.get("master_id") not in (None, sensor.get("id")):
        where = f"The offset of sensor {str(sensor.get('label'))[:60]} in {path}"
        offset[:3, :3] = _values(sensor.find("rotation"), 9, np.eye(3).ravel(), where).reshape(3, 3)
        offset[:3, 3] = _values(sensor.find("location"), 3, np.zeros(3), where)
    return offset


def _values(element: Element | None, count: int, otherwise: np.ndarray, where: str) -> np.ndarray:
    """The numbers in an element.

    Raises:
        SceneError: they are not as many.
    """
    if element is None:
        return otherwise
    try:
        words = (element.text or "").split()
        if len(words) != count:
            raise ValueError("another number of numbers")
        return np.array([finite(word) for word in words])
    except ValueError:
        raise SceneError(f"{where} is not {count} numbers: {AGAIN}.") from None


def _matrix(text: str | None, where: str) -> np.ndarray:
    try:
        return np.array(numbers((text or "").split(), 16)).reshape(4, 4)
    except ValueError:
        raise SceneError(f"{where} is not 16 numbers: {AGAIN}.") from None


def _is_one(path: Path) -> bool:
    start = beginning_of(path)
    return b"<document" in start and b"<chunk" in start


READER = Reader("metashape", "Metashape's cameras.xml", find, read)
