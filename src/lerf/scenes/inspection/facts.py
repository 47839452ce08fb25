"""What was found in a capture as rows for people and as JSON values."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from lerf.geometry.camera import Camera
from lerf.scenes.finder import some_of
from lerf.scenes.inspection.fit import Fit
from lerf.scenes.inspection.inspect import Count, Inspection
from lerf.scenes.inspection.overlap import Overlap
from lerf.scenes.inspection.verdict import Verdict
from lerf.scenes.scene import Scene

POSE_FILE = "pose file"
FARTHEST_UP = 30.0
"""Degrees by which the photos' up may differ from an axis and still be told by it."""
SOURCES = {
    "tracks": "by the points' tracks",
    "points": "by the points in each photo's frame, hidden or not",
    "frusta": "an estimate from the cameras' frusta",
}


def capture_facts(scene: Scene, place: Path, inspection: Inspection, verdict: Verdict) -> dict[str, Any]:
    """JSON values.

    Args:
        scene: the capture.
        place: its pose file, or folder of pose files.
        inspection: of the scene.
        verdict: on it.
    """
    count, points, pictures, overlap = inspection.count, inspection.points, inspection.pictures, inspection.overlap
    depths = inspection.depths
    return {
        "reader": scene.metadata.get("format"),
        "pose_file": str(place),
        "photos": count.used,
        "photos_at_hand": count.at_hand,
        "photos_without_pose": count.without_pose,
        "photos_with_unusable_poses": count.unusable_poses,
        "photos_missing": count.missing,
        "training_photos": len(scene.train),
        "held_out_photos": len(scene.test),
        "sizes": [list(size) for size in sorted({(photo.camera.width, photo.camera.height) for photo in scene.photos})],
        "cameras": sorted({camera_kind(photo.camera) for photo in scene.photos}),
        "lenses": len(_lenses(scene)),
        "normalised_units_per_capture_unit": scene.similarity.scale,
        "up": up_axis(scene),
        "points": None
        if points is None
        else {
            "count": points.count,
            "mean_reprojection_error": points.mean_error,
            "median_reprojection_error": points.median_error,
            "near": None if depths is None else depths.near,
            "median_depth": None if depths is None else depths.median,
            "far": None if depths is None else depths.far,
        },
        "fit": None if inspection.fit is None else _fit_facts(inspection.fit),
        "overlap": {
            "source": overlap.source,
            "photos_per_place": overlap.photos_per_place,
            "seen_by_three": overlap.seen_thrice,
            "parts": None if overlap.parts is None else list(overlap.parts),
            "photos_apart": [scene.photos[photo].name for photo in overlap.apart],
            "photos_towards_centre": overlap.towards_centre,
        },
        "baseline": inspection.baseline,
        "photos_looked_at": len(pictures.photos) + len(pictures.damaged),
        "blurred": [scene.photos[photo].name for photo in pictures.blurred],
        "detail": pictures.detail,
        "exposure_stops": pictures.stops,
        "damaged": list(pictures.damaged),
        "verdict": verdict.sentence,
        "advice": list(verdict.advice),
        "ok": verdict.ok,
    }


def capture_rows(scene: Scene, place: Path, inspection: Inspection, verdict: Verdict) -> list[tuple[str, str]]:
    """Names and values for people; as `capture_facts`. Only the value of `POSE_FILE` is a path alone."""
    kinds = Counter(camera_kind(photo.camera) for photo in scene.photos)
    cameras = " and ".join(kinds) if len(kinds) == 1 else ", ".join(f"{kind} ({n})" for kind, n in kinds.items())
    sizes = Counter((photo.camera.width, photo.camera.height) for photo in scene.photos)
    shown = [f"{width}x{height}" + (f" ({n})" if len(sizes) > 1 else "") for (width, height), n in sizes.most_common(4)]
    lenses = len(_lenses(scene))
    rows = [
        ("verdict", verdict.sentence),
        *(("what to do", advice) for advice in verdict.advice),
        ("reader", str(scene.metadata.get("format"))),
        (POSE_FILE, str(place)),
        ("photos", _photo_words(inspection.count)),
        ("held out", f"{len(scene.test)} to measure, {len(scene.train)} to train on"),
        ("sizes", ", ".join(shown) + (", ..." if len(sizes) > 4 else "")),
        ("cameras", f"{cameras}; {'one lens' if lenses == 1 else f'{lenses} lenses'}"),
        ("up", up_axis(scene) or "none of the capture's axes"),
        *_point_rows(inspection),
        ("overlap", _overlap_words(inspection.overlap)),
    ]
    if inspection.baseline is not None:
        rows.append(("baseline", f"photos spread over {inspection.baseline:.2g} of the distance of what they look at"))
    return [*rows, *_picture_rows(scene, inspection)]


def camera_kind(camera: Camera) -> str:
    """What kind of lens a camera has."""
    kind = "fisheye" if camera.fisheye else "perspective"
    return f"{kind} with distortion" if any(camera.distortion) else kind


def up_axis(scene: Scene) -> str | None:
    """The axis of the capture that the photos' up is closest to; None where it is close to none."""
    up = scene.similarity.rotation[2]
    axis = int(abs(up).argmax())
    if abs(up[axis]) < math.cos(math.radians(FARTHEST_UP)):
        return None
    return f"{'-' if up[axis] < 0 else '+'}{'xyz'[axis]}"


def _lenses(scene: Scene) -> set[tuple[Any, ...]]:
    cameras = [photo.camera for photo in scene.photos]
    return {(c.width, c.height, c.fx, c.fy, c.cx, c.cy, c.distortion, c.fisheye) for c in cameras}


def _fit_facts(fit: Fit) -> dict[str, Any]:
    error = fit.error if fit.error is not None and math.isfinite(fit.error) else None
    return {"pairs": fit.pairs, "in_front": fit.in_front, "inside": fit.inside, "median_error": error}


def _photo_words(count: Count) -> str:
    left_out = [
        f"{number} {what}"
        for number, what in (
            (count.without_pose, "without a pose"),
            (count.unusable_poses, "with a pose that cannot be used"),
            (count.missing, "listed and missing"),
        )
        if number
    ]
    if not left_out:
        return f"{count.used}, all that are at hand"
    return f"{count.used} of {count.at_hand} at hand; {', '.join(left_out)}"


def _point_rows(inspection: Inspection) -> list[tuple[str, str]]:
    points, fit, depths = inspection.points, inspection.fit, inspection.depths
    if points is None:
        return [("sparse points", "none")]
    said = [f"{points.count:,}"]
    if points.mean_error is not None:
        said.append(f"reprojection error {points.mean_error:.2f} pixels on average, median {points.median_error:.2f}")
    if fit is not None and fit.error is not None and math.isfinite(fit.error):
        said.append(f"{fit.error:.2f} through the cameras as they are read")
    elif fit is not None:
        said.append(f"{fit.inside:.0%} land in photos")
    rows = [("sparse points", "; ".join(said))]
    if depths is not None:
        rows.append(
            ("depth", f"{depths.near:.3g} to {depths.far:.3g}, median {depths.median:.3g}, in units of the capture")
        )
    return rows


def _overlap_words(overlap: Overlap) -> str:
    said = [
        f"{overlap.photos_per_place:.1f} photos see a place on average, three or more see {overlap.seen_thrice:.0%} of "
        f"the places ({SOURCES[overlap.source]})",
        f"{overlap.towards_centre:.0%} look at the middle of the scene",
    ]
    if overlap.parts is not None and len(overlap.parts) > 1:
        parts = ", ".join(map(str, overlap.parts[:6])) + (", ..." if len(overlap.parts) > 6 else "")
        said.append(f"{len(overlap.parts)} groups that are not connected: {parts}")
    return "; ".join(said)


def _picture_rows(scene: Scene, inspection: Inspection) -> list[tuple[str, str]]:
    pictures = inspection.pictures
    looked = f"{len(pictures.photos)} photos looked at" if len(pictures.photos) < len(scene) else "all photos looked at"
    names = some_of([scene.photos[photo].name for photo in pictures.blurred])
    rows = [("blur", f"{len(pictures.blurred)} blurred{f' ({names})' if names else ''}; {looked}")]
    if pictures.detail is None:
        rows = [("blur", "not known: the photos are too small, or show nothing")]
    if pictures.stops is not None:
        rows.append(("exposure", f"brightness differs by {pictures.stops:.1f} stops between the photos"))
    return rows
