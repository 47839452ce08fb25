"""Many cameras as one struct of arrays: pixels to rays and points to pixels, in the normalised frame.

Lens distortion is undone on rays, never on photos. Perspective and fisheye cameras may be mixed within a batch. The
formulas are those of `lerf.geometry.distortion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.geometry import distortion as lenses
from lerf.geometry.camera import Camera
from lerf.geometry.rays import RayBundle

RESIDUAL = 1e-6
"""Steps are added until the distortion of a picture's grid of pixels is undone to this many pixels."""


@dataclass(frozen=True, eq=False)
class CameraTable:
    """Cameras of one scene, or of a path through it."""

    positions: Float[Tensor, "cameras 3"]
    rotations: Float[Tensor, "cameras 3 3"]
    """Camera to world; columns are right, up, backwards."""
    focal: Float[Tensor, "cameras 2"]
    """fx, fy in pixels."""
    centre: Float[Tensor, "cameras 2"]
    """cx, cy in pixels."""
    sizes: Int[Tensor, "cameras 2"]
    """Width and height in pixels."""
    lens: Float[Tensor, "cameras 8"]
    """The numbers of `lerf.geometry.distortion.lens_of`."""
    fisheye: Bool[Tensor, " cameras"]
    steps: tuple[int, int]
    """Radial and plane steps that `lerf.geometry.distortion` takes in `rays`; (0, 0) when no camera has distortion."""
    kinds: Literal["perspective", "fisheye", "mixed"]
    """Known in advance, so that a batch on a GPU need not be waited for to decide."""
    are_photos: bool = True
    """Whether indices in the table are indices of photos; otherwise rays carry photo -1."""

    @staticmethod
    def from_cameras(
        cameras: Sequence[Camera], device: torch.device | str = "cpu", are_photos: bool = True
    ) -> CameraTable:
        """Gather cameras whose poses are in the normalised frame (`Scene.normalised_camera`), as float32 on `device`.

        Raises:
            ValueError: when `cameras` is empty.
        """
        if not cameras:
            raise ValueError("A camera table needs at least one camera.")
        optics = [(camera.fx, camera.fy, camera.cx, camera.cy, *camera.lens, camera.fisheye) for camera in cameras]
        poses = np.stack([camera.camera_to_world for camera in cameras])
        distinct = {
            (key, camera.width, camera.height): camera for key, camera in zip(optics, cameras, strict=True)
        }.values()

        def tensor(values: Any, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.tensor(np.asarray(values), dtype=dtype, device=device)

        numbers = np.array(optics, np.float64)
        steps = [_steps_needed(camera) for camera in distinct]
        kinds = {camera.fisheye for camera in cameras}
        return CameraTable(
            positions=tensor(poses[:, :, 3]),
            rotations=tensor(poses[:, :, :3]),
            focal=tensor(numbers[:, :2]),
            centre=tensor(numbers[:, 2:4]),
            sizes=tensor([(camera.width, camera.height) for camera in cameras], torch.int64),
            lens=tensor(numbers[:, 4:12]),
            fisheye=tensor(numbers[:, 12] > 0, torch.bool),
            steps=(max(radial for radial, _ in steps), max(plane for _, plane in steps)),
            kinds="mixed" if len(kinds) == 2 else "fisheye" if True in kinds else "perspective",
            are_photos=are_photos,
        )

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def sizes_on_host(self) -> list[tuple[int, int]]:
        """Width and height of each camera in pixels, which to ask for does not mean to wait for a GPU each time."""
        return [(width, height) for width, height in self.sizes.tolist()]

    @cached_property
    def focal_on_host(self) -> list[tuple[float, float]]:
        """fx and fy of each camera in pixels, as `sizes_on_host`."""
        return [(fx, fy) for fx, fy in self.focal.tolist()]

    @cached_property
    def _lenses_on_host(self) -> list[tuple[list[float], bool]]:
        return list(zip(self.lens.tolist(), self.fisheye.tolist(), strict=True))

    def rays(self, photo: Int[Tensor, " rays"], pixels: Float[Tensor, "rays 2"]) -> RayBundle:
        """The rays of pixels.

        Args:
            photo: index of the camera of each ray in this table.
            pixels: continuous (x, y); a pixel's centre is at +0.5.
        """
        centre, focal, positions = (part.index_select(0, photo) for part in (self.centre, self.focal, self.positions))
        # Large gathers, and torch.sqrt of even these few numbers, wake torch's other threads, which costs more than it
        # saves: hence the lens in halves, one axis of the rotation at a time, and hypot.
        lens = [column for half in self.lens.split(4, 1) for column in half.index_select(0, photo).unbind(1)]
        x, y = ((pixels - centre) / focal).unbind(1)
        if self.kinds == "perspective":
            forward = _plane_directions(x, y, lens, self.steps)
        else:
            forward = _fisheye_directions(x, y, lens, self.steps)
        if self.kinds == "mixed":
            forward = torch.where(self.fisheye[photo][:, None], forward, _plane_directions(x, y, lens, self.steps))
        right, up, back = (axis.index_select(0, photo) for axis in self.rotations.permute(2, 0, 1).contiguous())
        directions = right * forward[:, :1] + up * forward[:, 1:2] + back * forward[:, 2:]
        source = photo if self.are_photos else torch.full_like(photo, -1)
        return RayBundle(positions, directions, -forward[:, 2], source)

    def project(
        self, photo: int, points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """Where one camera sees points, lens distortion included.

        Returns:
            pixels: continuous (x, y), which may lie outside the picture; NaN where a perspective camera has the point
                behind it, so that every comparison with the picture's borders fails.
            depth: along the optical axis, in the units of `points`; negative behind the camera.
        """
        local = (points - self.positions[photo]) @ self.rotations[photo]
        lens, fisheye = self._lenses_on_host[photo]
        bend = _on_fisheye if fisheye else _on_plane
        return bend(local, lens) * self.focal[photo] + self.centre[photo], -local[:, 2]

    def project_into(
        self, photos: Sequence[int], points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "photos points 2"], Float[Tensor, "photos points"]]:
        """Where several cameras see points: `project` of each, for few points much sooner."""
        rows = torch.as_tensor(photos, device=points.device)
        local = (points - self.positions[rows][:, None]) @ self.rotations[rows]
        lens = [column[:, None] for column in self.lens[rows].unbind(1)]
        plane = _on_fisheye(local, lens) if self.kinds == "fisheye" else _on_plane(local, lens)
        if self.kinds == "mixed":
            plane = torch.where(self.fisheye[rows][:, None, None], _on_fisheye(local, lens), plane)
        return plane * self.focal[rows][:, None] + self.centre[rows][:, None], -local[..., 2]


def _on_plane(local: Tensor, lens: Sequence[Any]) -> Tensor:
    """Where a perspective lens puts points of the camera's axes on its plane; NaN behind it."""
    right, down, depth = local[..., 0], -local[..., 1], -local[..., 2]
    ahead = torch.where(depth > 0, depth, torch.nan)
    return torch.stack(lenses.distort_plane(right / ahead, down / ahead, lens), -1)


def _on_fisheye(local: Tensor, lens: Sequence[Any]) -> Tensor:
    right, down, depth = local[..., 0], -local[..., 1], -local[..., 2]
    radius = torch.hypot(right, down)
    stretch = lenses.bend(torch.atan2(radius, depth), lens) / radius.clamp_min(1e-12)
    return torch.stack([right * stretch, down * stretch], -1)


def image_pixels(width: int, height: int, device: torch.device | str = "cpu") -> Float[Tensor, "pixels 2"]:
    """Centres (x, y) of all pixels of a picture, row by row."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij"
    )
    return torch.stack([x.reshape(-1), y.reshape(-1)], -1)


def _plane_directions(x: Tensor, y: Tensor, lens: Sequence[Any], steps: tuple[int, int]) -> Tensor:
    """Unit directions in the camera's axes (y up, z backwards) of points on the distorted plane (y down)."""
    if any(steps):
        x, y = lenses.undistort_plane(x, y, lens, *steps)
    shrink = torch.rsqrt(x * x + y * y + 1)
    return torch.stack([x * shrink, -y * shrink, -shrink], -1)


def _fisheye_directions(x: Tensor, y: Tensor, lens: Sequence[Any], steps: tuple[int, int]) -> Tensor:
    radius = torch.hypot(x, y)
    theta = lenses.unbend(radius, lens, steps[0])
    side = torch.sin(theta) / radius.clamp_min(1e-12)
    return torch.stack([x * side, -y * side, -torch.cos(theta)], -1)


def _steps_needed(camera: Camera) -> tuple[int, int]:
    """The fewest radial and plane steps that undo the camera's distortion within its picture."""
    if not any(camera.distortion):
        return 0, 0
    x, y = np.meshgrid(np.linspace(0, camera.width, 17), np.linspace(0, camera.height, 17))
    x, y = (x.ravel() - camera.cx) / camera.fx, (y.ravel() - camera.cy) / camera.fy
    radius = np.hypot(x, y)
    lens, focal = camera.lens, max(camera.fx, camera.fy)
    most = (lenses.RADIAL_STEPS, lenses.PLANE_STEPS)
    if camera.fisheye:
        for radial in range(1, lenses.RADIAL_STEPS):
            error = np.abs(lenses.bend(lenses.unbend(radius, lens, radial), lens) - radius)
            if (error * focal).max() <= RESIDUAL:
                return radial, 0
        return lenses.RADIAL_STEPS, 0
    # Mild lenses need no radial start; then two steps on the plane replace both.
    for steps in [*((0, plane) for plane in range(1, 7)), *((radial, 4) for radial in (4, 8, 16)), most]:
        again = lenses.distort_plane(*lenses.undistort_plane(x, y, lens, *steps), lens)
        if (np.hypot(again[0] - x, again[1] - y) * focal).max() <= RESIDUAL:
            return steps
    return most
