"""A solved model as a capture: transforms.json in nerfstudio's conventions, COLMAP's model, points as PLY.

All three are in one frame. Poses are camera to world with x right, y up and z backwards; pixel centres are at half
integers, as in COLMAP. With one camera its numbers stand at the top of transforms.json, with several in each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lerf.files import write_json
from lerf.geometry.similarity import Similarity
from lerf.ply import write_ply
from lerf.poses.colmap_library import library
from lerf.poses.inputs import SourcePhoto
from lerf.poses.upright import upright_similarity

POINTS_FILE = "sparse_points.ply"


@dataclass(frozen=True)
class SolvedPhoto:
    """A photo with its pose."""

    index: int
    """Among the photos given."""
    image: int
    """COLMAP's number."""
    pose: Float[np.ndarray, "3 4"]
    """Camera to world, OpenGL axes."""
    camera: int
    """COLMAP's number."""


def solved_photos(model: Any) -> list[SolvedPhoto]:
    """Photos of a model in the order of their index."""
    found = []
    for number in model.reg_image_ids():
        image = model.images[number]
        pose = np.array(image.cam_from_world().inverse().matrix())
        pose[:, 1:3] *= -1.0
        found.append(SolvedPhoto(int(Path(image.name).stem), int(number), pose, int(image.camera_id)))
    return sorted(found, key=lambda photo: photo.index)


def points_of(model: Any) -> tuple[Float[np.ndarray, "points 3"], UInt8[np.ndarray, "points 3"]]:
    """Positions and colours of a model's points, in the order of their numbers."""
    points = [model.points3D[number] for number in sorted(model.point3D_ids())]
    positions = np.array([point.xyz for point in points], np.float64).reshape(-1, 3)
    return positions, np.array([point.color for point in points], np.uint8).reshape(-1, 3)


def stand_upright(model: Any, photos: Sequence[SourcePhoto], scale: float) -> None:
    """Turn, move and scale a model so that it stands on the ground; see `upright.upright_similarity`."""
    colmap = library()
    solved = solved_photos(model)
    frame: Similarity = upright_similarity(
        np.stack([photo.pose for photo in solved]),
        np.array([photos[photo.index].orientation for photo in solved]),
        points_of(model)[0],
        scale,
    )
    model.transform(colmap.Sim3d(frame.scale, colmap.Rotation3d(frame.rotation), frame.translation))


def write_capture(folder: Path, model: Any, photos: Sequence[SourcePhoto]) -> None:
    """Write `sparse/0`, the points and, last, transforms.json; the photos are there already.

    Raises:
        StorageError: the folder cannot be written.
    """
    solved = solved_photos(model)
    for photo in solved:
        model.images[photo.image].name = photos[photo.index].name
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True, exist_ok=True)
    model.write(sparse)
    positions, colours = points_of(model)
    write_ply(folder / POINTS_FILE, positions, colours=colours)
    cameras = {number: _intrinsics(model.cameras[number]) for number in {photo.camera for photo in solved}}
    shared = next(iter(cameras.values())) if len(cameras) == 1 else {}
    frames = [
        {
            "file_path": f"images/{photos[photo.index].name}",
            "transform_matrix": [*photo.pose.tolist(), [0.0, 0.0, 0.0, 1.0]],
            **({} if shared else cameras[photo.camera]),
        }
        for photo in solved
    ]
    write_json(folder / "transforms.json", {**shared, "ply_file_path": POINTS_FILE, "frames": frames})


def _intrinsics(camera: Any) -> dict[str, Any]:
    """A camera in the names of transforms.json."""
    names = [name.strip() for name in camera.params_info.split(",")]
    values = dict(zip(names, (float(value) for value in camera.params), strict=True))
    focal = values.get("f")
    fisheye = camera.model.name == "OPENCV_FISHEYE"
    coefficients = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2")
    radial = {"k1": values["k"]} if "k" in values else {}
    return {
        "camera_model": "OPENCV_FISHEYE" if fisheye else "OPENCV",
        "w": int(camera.width),
        "h": int(camera.height),
        "fl_x": values["fx"] if focal is None else focal,
        "fl_y": values["fy"] if focal is None else focal,
        "cx": values["cx"],
        "cy": values["cy"],
        **{name: values.get(name, radial.get(name, 0.0)) for name in coefficients},
    }
