"""A scene as plain JSON values, so that a run remembers its cameras without the files of the capture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity
from lerf.scenes.scene import Photo, Scene


def scene_to_plain(scene: Scene) -> dict[str, Any]:
    """Everything but the pixels; `scene_from_plain` reads it without loss."""
    photos = []
    for photo in scene.photos:
        camera = asdict(photo.camera)
        camera["camera_to_world"] = photo.camera.camera_to_world.tolist()
        photos.append(
            {
                "name": photo.name,
                "path": str(photo.path),
                "camera": camera,
                "original_size": list(photo.original_size),
                "mask_path": str(photo.mask_path) if photo.mask_path else None,
                "orientation": photo.orientation,
                "has_alpha": photo.has_alpha,
                "white": photo.white,
                "mask_white": photo.mask_white,
            }
        )
    return {
        "root": str(scene.root),
        "photos": photos,
        "train": list(scene.train),
        "test": list(scene.test),
        "similarity": scene.similarity.to_dict(),
        "background": scene.background,
        "metadata": scene.metadata,
        "notes": list(scene.notes),
        "points_path": str(scene.points_path) if scene.points_path else None,
    }


def scene_from_plain(value: dict[str, Any]) -> Scene:
    """Inverse of `scene_to_plain`."""
    photos = []
    for item in value["photos"]:
        camera = dict(item["camera"])
        camera["camera_to_world"] = np.array(camera["camera_to_world"])
        camera["distortion"] = tuple(camera["distortion"])
        photos.append(
            Photo(
                name=item["name"],
                path=Path(item["path"]),
                camera=Camera(**camera),
                original_size=tuple(item["original_size"]),
                mask_path=Path(item["mask_path"]) if item["mask_path"] else None,
                orientation=item["orientation"],
                has_alpha=item["has_alpha"],
                white=item.get("white", Photo.white),
                mask_white=item.get("mask_white", Photo.mask_white),
            )
        )
    return Scene(
        root=Path(value["root"]),
        photos=tuple(photos),
        train=tuple(value["train"]),
        test=tuple(value["test"]),
        similarity=Similarity.from_dict(value["similarity"]),
        background=value["background"],
        metadata=value["metadata"],
        # Runs of earlier versions have none of these.
        notes=tuple(value.get("notes", ())),
        points_path=Path(value["points_path"]) if value.get("points_path") else None,
    )
