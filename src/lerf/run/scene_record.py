"""The scene in a run's `scene.json`: every entry of its type and within bounds, every camera one that has rays."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch

from lerf.documents import converted
from lerf.errors import LerfError, SceneError
from lerf.geometry.bounds import LARGEST_RADIAL
from lerf.geometry.camera_table import CameraTable
from lerf.scenes.record import scene_from_plain
from lerf.scenes.scene import Photo, Scene

FAR = 1e9
"""Bound of distances in the normalised frame, where cameras are about 1 from the origin."""
TOLERANCE = 1e-3
"""By how much rows of a rotation may differ from unit vectors at right angles."""

Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
Number = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Pixels = Annotated[float, msgspec.Meta(ge=-1e7, le=1e7)]
Coefficient = Annotated[float, msgspec.Meta(ge=-LARGEST_RADIAL, le=LARGEST_RADIAL)]
Focal = Annotated[float, msgspec.Meta(ge=1e-3, le=1e9)]
Index = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Row = tuple[Number, Number, Number, Number]
Vector = tuple[Number, Number, Number]


class _Camera(msgspec.Struct):
    width: Side
    height: Side
    fx: Focal
    fy: Focal
    cx: Pixels
    cy: Pixels
    camera_to_world: tuple[Row, Row, Row]
    distortion: Annotated[list[Coefficient], msgspec.Meta(min_length=6, max_length=16)]
    fisheye: bool


class _Photo(msgspec.Struct):
    name: Name
    path: Name
    camera: _Camera
    original_size: tuple[Side, Side]
    mask_path: Name | None
    orientation: Annotated[int, msgspec.Meta(ge=1, le=8)]
    has_alpha: bool
    white: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)] = Photo.white
    mask_white: Annotated[float, msgspec.Meta(ge=0)] = Photo.mask_white


class _Similarity(msgspec.Struct):
    rotation: tuple[Vector, Vector, Vector]
    translation: Vector
    scale: Annotated[float, msgspec.Meta(ge=1e-12, le=1e12)]


class _Scene(msgspec.Struct):
    root: Name
    photos: Annotated[list[_Photo], msgspec.Meta(min_length=1, max_length=1_000_000)]
    train: Annotated[list[Index], msgspec.Meta(min_length=1)]
    test: list[Index]
    similarity: _Similarity
    background: Literal["alpha"] | None
    metadata: dict[str, Any]
    notes: list[str] = []
    """Runs of version 0.1 have none."""


def checked_scene(plain: Any, where: str, *, error: type[LerfError], remedy: str) -> Scene:
    """A scene from what `scenes.record.scene_to_plain` made of it.

    Raises:
        LerfError: of the class `error`: it is damaged; `where` says what is, `remedy` what to do.
    """
    missing = [
        field.name
        for field in msgspec.structs.fields(_Scene)
        if field.required and (not isinstance(plain, dict) or field.name not in plain)
    ]
    if missing:
        raise error(f"{where} is damaged (it has no {missing[0]}); {remedy}.")
    record = converted(plain, _Scene, where, error=error, remedy=remedy)
    try:
        _check_lists(record)
        scene = scene_from_plain(plain)
        _check_cameras(scene)
    except (KeyError, TypeError, ValueError, SceneError) as problem:
        raise error(f"{where} is damaged ({problem}); {remedy}.") from None
    return scene


def _check_lists(record: _Scene) -> None:
    listed = [*record.train, *record.test]
    if len(set(listed)) < len(listed) or max(listed) >= len(record.photos):
        raise ValueError("its split names a photo twice, or one that it does not have")
    if len({photo.name for photo in record.photos}) < len(record.photos):
        raise ValueError("two of its photos have one name")


def _check_cameras(scene: Scene) -> None:
    """Rotations are rotations, and rays all over every picture are finite."""
    poses = np.stack([photo.camera.camera_to_world for photo in scene.photos])
    rotations = np.concatenate([poses[:, :, :3], scene.similarity.rotation[None]])
    apart = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    if not bool(((apart <= TOLERANCE) & (np.linalg.det(rotations) > 0)).all()):
        raise ValueError("one of its poses is not a rotation")
    cameras = [photo.camera.moved(scene.similarity) for photo in scene.photos]
    with np.errstate(all="ignore"):
        table = CameraTable.from_cameras(cameras)
    places = torch.cartesian_prod(*[torch.linspace(0.0, 1.0, 9)] * 2)
    pixels = (table.sizes[:, None] * places).reshape(-1, 2).float()
    rays = table.rays(torch.arange(len(cameras)).repeat_interleave(len(places)), pixels)
    lengths = rays.directions.norm(dim=-1)
    if not bool((rays.origins.abs() <= FAR).all() & ((lengths - 1).abs() < 0.1).all()):
        raise ValueError("one of its cameras has rays that are not finite, or stands too far away")
