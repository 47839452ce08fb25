"""Cameras as the ideal ones that splats are projected into.

A perspective camera is one such view; where its lens is distorted, its rays are looked up where an ideal lens would
have them. A fisheye is up to six views, the sides of a cube around it, each with the rays that go through that side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.geometry.camera_table import CameraTable
from lerf.kernels.types import SplatView

NEAR = 0.01
"""Normalised units; the cameras stand about 1 from the middle."""
BORDER = 33
"""Places along each side of a picture at which it is found out how far a distorted lens sees."""
SIDES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
)
"""Axes right, down and forwards of the views of a cube, in the camera's: ahead, right, left, down, up, behind."""


@dataclass(frozen=True)
class Window:
    """A part of what a camera sees, as one ideal view."""

    view: SplatView
    bounds: tuple[float, float, float, float]
    """Least x and y and largest x and y of the picture on the view's plane, pixels."""
    side: int
    """Row of `SIDES`."""


def is_ideal(cameras: CameraTable, index: int) -> bool:
    """Whether a camera's pixels are those of an ideal lens."""
    return not bool(cameras.fisheye[index]) and not bool(cameras.lens[index, :6].any())


def windows(cameras: CameraTable, index: int) -> list[Window]:
    """The views that show all that a camera sees."""
    turn = cameras.rotations[index].T * torch.tensor([[1.0], [-1.0], [-1.0]], device=cameras.rotations.device)
    focal, position = cameras.focal[index].tolist(), cameras.positions[index]
    if bool(cameras.fisheye[index]):
        sides = torch.tensor(SIDES, dtype=turn.dtype, device=turn.device)
        half = (-focal[0], -focal[1], focal[0], focal[1])
        views = [SplatView(side @ turn, position, tuple(focal), (0.0, 0.0), (1.0, 1.0), NEAR) for side in sides]
        return [Window(view, half, number) for number, view in enumerate(views)]
    width, height = cameras.sizes_on_host[index]
    centre = cameras.centre[index].tolist()
    bounds = (0.0, 0.0, float(width), float(height))
    if not is_ideal(cameras, index):
        ends = [torch.linspace(0, size, BORDER, device=turn.device) for size in (width, height)]
        border = torch.cartesian_prod(*ends)
        which = torch.full((len(border),), index, device=turn.device)
        plane = on_axes(cameras.rays(which, border).directions, turn)
        places = plane[:, :2] / plane[:, 2:] * cameras.focal[index] + cameras.centre[index]
        (left, top), (right, bottom) = (places.amin(0).tolist(), places.amax(0).tolist())
        bounds = (left, top, right, bottom)
    reach = tuple(
        max(abs(bounds[axis] - centre[axis]), abs(bounds[axis + 2] - centre[axis])) / focal[axis] for axis in (0, 1)
    )
    return [Window(SplatView(turn, position, tuple(focal), tuple(centre), reach, NEAR), bounds, 0)]


def on_axes(directions: Float[Tensor, "n 3"], rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "n 3"]:
    """World directions on the axes of a view."""
    return directions @ rotation.T


def rays_through(
    found: list[Window], directions: Float[Tensor, "n 3"]
) -> list[tuple[Window, Int[Tensor, " own"], Float[Tensor, "own 3"]]]:
    """For each window the rays that go through it, by number, and their directions on its axes at depth 1.

    Every ray goes through one: that along whose axis it goes furthest.
    """
    local = [on_axes(directions, window.view.rotation) for window in found]
    ahead = torch.stack([part[:, 2] for part in local]).argmax(0)
    result = []
    for number, (window, part) in enumerate(zip(found, local, strict=True)):
        own = torch.nonzero(ahead == number).flatten()
        if len(own):
            result.append((window, own, part[own] / part[own, 2:].clamp(min=1e-6)))
    return result
