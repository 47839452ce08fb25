"""What a scene is made of: things with labelled meshes, where they stand, and the lights.

The scene's frame is in metres, +z up; the origin lies in the middle of the table top, desk top or shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from lerf.evaluation.annotations import LabelledPart, Thing
from lerf_scenes.furniture import Texture
from lerf_scenes.kind import Look
from lerf_scenes.mesh import Mesh, rotation

Setting = Literal["table", "shelf", "desk"]
SETTINGS: tuple[Setting, ...] = ("table", "shelf", "desk")


@dataclass(frozen=True)
class LabelledSurface:
    """A mesh that belongs to one part and has one look."""

    name: str
    """Of the part: "body", "handle"."""
    label: int
    """Value in label pictures, 1 to 255; 0 before labels are given."""
    mesh: Mesh
    """In its thing's own frame, in metres; of furniture, in the scene's."""
    look: Look | None = None
    """Of objects, which have colours at vertices; None for furniture, which has a texture."""
    paint: tuple[int, ...] = ()
    """Seed of its colours."""
    texture: Texture | None = None
    tile: float | None = None
    """Metres that one repetition of the texture covers; None where it covers the mesh once."""
    gloss: bool = False


@dataclass(frozen=True)
class PlacedThing:
    """An object or a piece of furniture, and where it stands."""

    identifier: int
    """1, 2, ... within the scene; 0 before identifiers are given."""
    kind: str
    colour: str
    material: str
    pattern: str
    second: str
    furniture: bool
    surfaces: tuple[LabelledSurface, ...]
    extent: float
    """Longest side in metres."""
    yaw: float = 0.0
    """Degrees about +z."""
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of its own origin in the scene, in metres."""

    def in_scene(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Points of the thing's own frame in the scene's."""
        return points @ rotation("z", self.yaw).T + np.array(self.position)

    def described(self) -> Thing:
        """Its entry in an annotation."""
        corners: dict[tuple[int, str], list[np.ndarray]] = {}
        for surface in self.surfaces:
            points = self.in_scene(surface.mesh.vertices)
            corners.setdefault((surface.label, surface.name), []).extend([points.min(0), points.max(0)])
        parts = tuple(
            LabelledPart(label, name, triple(np.min(boxes, axis=0)), triple(np.max(boxes, axis=0)))
            for (label, name), boxes in corners.items()
        )
        low = triple(np.min([part.minimum for part in parts], axis=0))
        high = triple(np.max([part.maximum for part in parts], axis=0))
        looks = (self.kind, self.colour, self.material, self.pattern, self.second)
        return Thing(self.identifier, *looks, self.furniture, parts, low, high)


@dataclass(frozen=True)
class Light:
    """A rectangular light that faces a point."""

    centre: tuple[float, float, float]
    target: tuple[float, float, float]
    width: float
    height: float
    radiance: tuple[float, float, float]
    """Linear RGB."""


@dataclass(frozen=True)
class Composition:
    """A scene before it is photographed."""

    seed: int
    setting: Setting
    things: tuple[PlacedThing, ...]
    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]
    """Linear RGB radiance from all directions."""
    exposure: float
    """Factor from radiance to linear picture values; one for all views."""
    middle: tuple[float, float, float]
    """What cameras look at."""
    half: tuple[float, float, float]
    """Half extents of the space that objects stand in, about `middle`."""

    @property
    def objects(self) -> tuple[PlacedThing, ...]:
        """Things that are not furniture."""
        return tuple(thing for thing in self.things if not thing.furniture)


def light_axes(light: Light) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Unit vectors along a light's width and height."""
    facing = np.array(light.target) - np.array(light.centre)
    up = np.array([0.0, 0.0, 1.0]) if np.linalg.norm(facing[:2]) > 1e-3 else np.array([0.0, 1.0, 0.0])
    across = np.cross(facing, up)
    across /= np.linalg.norm(across)
    above = np.cross(across, facing)
    return across, above / np.linalg.norm(above)


def triple(values: Float[np.ndarray, " 3"]) -> tuple[float, float, float]:
    """Three numbers of an array as Python floats."""
    x, y, z = (float(value) for value in values)
    return x, y, z
