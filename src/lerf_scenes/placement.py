"""Where things stand: furniture that carries them, and free positions on it.

Footprints are kept apart by their extents in several horizontal directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from lerf_scenes import furniture
from lerf_scenes.composition import PlacedThing, Setting
from lerf_scenes.furniture import FurniturePiece
from lerf_scenes.mesh import rotation

GAP = 0.015
"""Metres between the footprints of two things."""
TRIES = 220
"""Positions drawn for a thing before it is left out."""
ENOUGH = 14
"""Free positions found after which the best of them is taken."""

_ANGLES = np.deg2rad(np.arange(0, 180, 11.25))
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])


@dataclass(frozen=True)
class Support:
    """A level area about the z axis that things stand on: a rectangle, or a disc if `half` has one number."""

    height: float
    half: tuple[float, ...]
    """Half sides along x and y, or the radius, in metres."""
    headroom: float
    """Metres up to the next board."""

    def holds(self, outline: Float[np.ndarray, "points 2"]) -> bool:
        """Whether all points lie on it."""
        if len(self.half) == 1:
            return bool((np.linalg.norm(outline, axis=1) < self.half[0]).all())
        return bool((np.abs(outline) < np.array(self.half)).all())


def furnished(
    setting: Setting, rng: np.random.Generator, floor: float
) -> tuple[list[Support], list[FurniturePiece], tuple[float, float, float]]:
    """Draw the furniture.

    Args:
        setting: what the objects stand on.
        rng: of sizes, colours and textures.
        floor: height of the floor in metres.

    Returns:
        What carries the objects, all furniture with its room, and half extents of the space of the objects in metres.
    """
    if setting == "table":
        is_round = bool(rng.random() < 0.5)
        half = (
            (float(rng.uniform(0.56, 0.64)),)
            if is_round
            else (float(rng.uniform(0.6, 0.68)), float(rng.uniform(0.42, 0.5)))
        )
        pieces = furniture.table(rng, is_round, (half[0], half[-1]), floor)
        walls = {side: float(rng.uniform(1.9, 2.7)) for side in ("+y", "-y", "+x", "-x")}
        inner = tuple(h - 0.03 for h in half)
        supports = [Support(0.0, inner, 1.0)]
        extents = (half[0], half[-1], 0.15)
    elif setting == "desk":
        across, deep = float(rng.uniform(0.62, 0.7)), float(rng.uniform(0.34, 0.4))
        pieces = furniture.desk(rng, (across, deep), floor)
        walls = {"+y": deep + 0.05, "-x": 2.6, "+x": 2.6}
        supports = [Support(0.0, (across - 0.03, deep - 0.03), 1.0)]
        extents = (across, deep, 0.15)
    else:
        across, deep, rise = (
            float(rng.uniform(0.5, 0.58)),
            float(rng.uniform(0.15, 0.18)),
            float(rng.uniform(0.36, 0.42)),
        )
        boards = int(rng.integers(2, 4))
        heights = tuple(rise * (k - boards / 2) for k in range(boards))
        pieces = furniture.shelf(rng, (across, deep), heights)
        walls = {"+y": deep + 0.02, "-x": 2.6, "+x": 2.6}
        rooms = [rise - 0.03] * (boards - 1) + [1.0]
        supports = [Support(z, (across - 0.015, deep - 0.008), room) for z, room in zip(heights, rooms, strict=True)]
        extents = (across, deep, rise * boards / 2)
    return supports, [*pieces, *furniture.room(rng, floor, walls)], extents


def arranged(
    things: list[PlacedThing], supports: list[Support], setting: Setting, rng: np.random.Generator
) -> list[PlacedThing]:
    """The things that find room, largest footprint first, each at the best of some free positions.

    Far from other things is best; on a desk, tall things at the back.
    """
    taken: list[list[np.ndarray]] = [[] for _ in supports]
    placed = []
    footprints = {id(thing): np.concatenate([s.mesh.vertices[:, :2] for s in thing.surfaces]) for thing in things}
    for thing in sorted(things, key=lambda t: -_area(footprints[id(t)])):
        height = max(surface.mesh.box[1, 2] for surface in thing.surfaces)
        outline_at_rest = _hull(footprints[id(thing)])
        best: tuple[float, int, float, np.ndarray, np.ndarray] | None = None
        found = 0
        for _ in range(TRIES):
            k = int(rng.integers(len(supports)))
            support = supports[k]
            if height > support.headroom:
                continue
            # Seen from one side only, things mostly show their fronts.
            yaw = float(rng.uniform(0, 360)) if setting == "table" else float(rng.normal(scale=30))
            turned = outline_at_rest @ rotation("z", yaw)[:2, :2].T
            limits = np.array([support.half[0], support.half[-1]])
            spot = rng.uniform(-limits, limits)
            outline = turned + spot
            if not support.holds(outline):
                continue
            spans = np.stack([(outline @ _DIRECTIONS).min(0), (outline @ _DIRECTIONS).max(0)])
            gap = min((_gap(spans, other) for other in taken[k]), default=0.25)
            if gap < GAP:
                continue
            score = min(gap, 0.12) - 0.012 * len(taken[k])
            if setting == "desk":
                score += 0.25 * height * spot[1] / limits[1]
            if best is None or score > best[0]:
                best = (score, k, yaw, spot, spans)
            found += 1
            if found >= ENOUGH:
                break
        if best is not None:
            _, k, yaw, spot, spans = best
            taken[k].append(spans)
            position = (float(spot[0]), float(spot[1]), supports[k].height)
            placed.append(replace(thing, yaw=yaw, position=position))
    return placed


def _hull(points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "corners 2"]:
    """The points farthest out in 64 directions."""
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return points[np.unique((points @ np.stack([np.cos(angles), np.sin(angles)])).argmax(0))]


def _area(points: Float[np.ndarray, "points 2"]) -> float:
    """Of the rectangle along x and y about the points."""
    return float(np.prod(np.ptp(points, axis=0)))


def _gap(first: Float[np.ndarray, "2 directions"], second: Float[np.ndarray, "2 directions"]) -> float:
    """Least distance between two outlines by their extents in many directions; negative if none separates them."""
    return float(np.maximum(first[0] - second[1], second[0] - first[1]).max())
