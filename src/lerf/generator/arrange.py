"""Compositions: which things stand where, on what furniture, in what light. Everything follows from the seed.

The scene's frame is in metres, +z up; the origin lies in the middle of the table top, desk top or shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from lerf.errors import ConfigError
from lerf.generator import furniture
from lerf.generator.annotation import LabelledPart, Thing
from lerf.generator.furniture import Covered, Texture
from lerf.generator.kind import COLOURS, Kind, Look, normalised
from lerf.generator.kinds import all_kinds
from lerf.generator.mesh import Mesh, rotation
from lerf.generator.pairs import held_out

Setting = Literal["table", "shelf", "desk"]
SETTINGS: tuple[Setting, ...] = ("table", "shelf", "desk")
GAP = 0.015
"""Metres between the footprints of two things."""

_ANGLES = np.deg2rad(np.arange(0, 180, 11.25))
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])


@dataclass(frozen=True)
class Surface:
    """One mesh of the scene with one look and one label."""

    name: str
    """Of the part: "body", "handle"."""
    label: int
    mesh: Mesh
    """In its thing's own frame, in metres; of furniture, in the scene's."""
    look: Look | None = None
    """Resolved; None for furniture, which has a texture."""
    paint: tuple[int, ...] = ()
    """Seed of its colours."""
    texture: Texture | None = None
    tile: float | None = None
    """Metres that the texture covers; None where it covers the mesh once."""
    gloss: bool = False


@dataclass(frozen=True)
class Placed:
    """A thing, and where it stands."""

    identifier: int
    kind: str
    colour: str
    material: str
    pattern: str
    second: str
    furniture: bool
    surfaces: tuple[Surface, ...]
    extent: float
    """Longest side in metres."""
    yaw: float = 0.0
    """Degrees about +z."""
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def in_scene(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Points of the thing's own frame in the scene's."""
        return points @ rotation("z", self.yaw).T + np.array(self.position)

    def described(self) -> Thing:
        """What an annotation says of it."""
        corners: dict[tuple[int, str], list[np.ndarray]] = {}
        for surface in self.surfaces:
            points = self.in_scene(surface.mesh.vertices)
            corners.setdefault((surface.label, surface.name), []).extend([points.min(0), points.max(0)])
        parts = tuple(
            LabelledPart(label, name, _tuple(np.min(boxes, axis=0)), _tuple(np.max(boxes, axis=0)))
            for (label, name), boxes in corners.items()
        )
        low = _tuple(np.min([part.minimum for part in parts], axis=0))
        high = _tuple(np.max([part.maximum for part in parts], axis=0))
        looks = (self.kind, self.colour, self.material, self.pattern, self.second)
        return Thing(self.identifier, *looks, self.furniture, parts, low, high)


@dataclass(frozen=True)
class Light:
    """A rectangle that shines towards a point."""

    centre: tuple[float, float, float]
    target: tuple[float, float, float]
    width: float
    height: float
    radiance: tuple[float, float, float]


@dataclass(frozen=True)
class Composition:
    """A furnished scene."""

    seed: int
    setting: Setting
    things: tuple[Placed, ...]
    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]
    """Radiance from everywhere that nothing blocks."""
    exposure: float
    """Factor from radiance to linear picture values; one for all views."""
    middle: tuple[float, float, float]
    """What cameras look at."""
    half: tuple[float, float, float]
    """Half extents of the space that objects stand in, about `middle`."""

    @property
    def objects(self) -> tuple[Placed, ...]:
        """Things that are no furniture."""
        return tuple(thing for thing in self.things if not thing.furniture)


def drawn_setting(seed: int) -> Setting:
    """The setting of a scene for which none is asked."""
    return SETTINGS[int(np.random.default_rng([seed, 0]).choice(3, p=(0.5, 0.25, 0.25)))]


def compose(seed: int, setting: Setting, *, training: bool = False, objects: tuple[int, int] = (14, 18)) -> Composition:
    """Draw a scene.

    Args:
        seed: everything follows from it.
        setting: furniture that the objects stand on.
        training: avoid the pairs of kind and colour or finish that are held out (`lerf.generator.pairs`).
        objects: fewest and most objects; fewer where they do not fit.

    Raises:
        ConfigError: for a setting that does not exist or a senseless count.
    """
    if setting not in SETTINGS:
        raise ConfigError(f"There is no setting {setting!r}; choose one of {', '.join(SETTINGS)}.")
    if not 1 <= objects[0] <= objects[1] <= 24:
        raise ConfigError(f"A scene holds 1 to 24 objects, fewest first, not {objects[0]} to {objects[1]}.")
    rng = np.random.default_rng([seed, 1])
    floor = -float(rng.uniform(0.68, 0.78))
    fields, pieces, half = _furnished(setting, rng, floor)
    unplaced = [
        _thing(kind, colour, material, rng, [seed, 2, number])
        for number, (kind, colour, material) in enumerate(
            _drawn(rng, int(rng.integers(objects[0], objects[1] + 1)), training)
        )
    ]
    placed = _spread(unplaced, fields, setting, rng)
    lights, ambient = _lit(setting, rng, half)
    middle = (0.0, 0.0, 0.05 if setting != "shelf" else 0.0)
    exposure = _exposure(setting, lights, ambient) * float(rng.uniform(0.92, 1.05))
    things = _numbered(placed, pieces)
    return Composition(seed, setting, things, lights, ambient, exposure, middle, half)


# --- What stands there -----------------------------------------------------------------------------------------------


def _drawn(rng: np.random.Generator, count: int, training: bool) -> list[tuple[Kind, str, str]]:
    """Kinds with colours and materials; in some scenes one kind comes two or three times, in different colours."""
    kinds = list(all_kinds().values())
    order = [kinds[int(k)] for k in rng.permutation(len(kinds))]
    several = [kind for kind in order if len(kind.colours) > 2]
    if several and rng.random() < 0.4:
        order = [several[0]] * int(rng.integers(1, 3)) + order
    while len(order) < count:
        order += [kinds[int(k)] for k in rng.permutation(len(kinds))]
    drawn: list[tuple[Kind, str, str]] = []
    for kind in order[:count]:
        used = {colour for other, colour, _ in drawn if other.name == kind.name}
        colours = [c for c in kind.colours if c not in used] or list(kind.colours) or ["white"]
        materials = list(kind.materials) or ["natural"]
        if training:
            colours = [c for c in colours if not held_out(kind.name, c)] or [
                c for c in kind.colours if not held_out(kind.name, c)
            ]
            materials = [m for m in materials if not held_out(kind.name, m)]
        colour, material = str(rng.choice(colours)), str(rng.choice(materials))
        if "brown" in colours and material == "wooden" and rng.random() < 0.35:
            colour = "brown"  # Bare wood is more common than painted wood.
        drawn.append((kind, colour, material))
    return drawn


def _thing(kind: Kind, colour: str, material: str, rng: np.random.Generator, seed: list[int]) -> Placed:
    """A specimen at the origin of its own frame, with labels still to be given."""
    pattern, second = "plain", ""
    others = [c for c in COLOURS if c != colour]
    if kind.patterns and rng.random() < 0.4:
        pattern = str(rng.choice(["striped", "dotted"]))
        second = "white" if colour != "white" and rng.random() < 0.5 else str(rng.choice(others))
    accents = [c for c in kind.accents if c != colour] or list(kind.accents) or others
    hard = material not in ("natural", "wax", "glow", "screen", "paper", "glass")
    looks = {
        "main": Look(colour, material, pattern, second or "white"),  # type: ignore[arg-type]
        "accent": Look(str(rng.choice(accents)), material if hard else "plastic"),
    }
    extent = float(rng.uniform(*kind.size))
    surfaces = []
    for part in normalised(kind.model(np.random.default_rng([*seed, 1]))):
        look = looks[part.look] if isinstance(part.look, str) else part.look
        mesh = part.mesh.scaled(extent)
        # Parts that look alike share a base colour: the seed depends on the look alone.
        code = sum(ord(letter) * (k + 1) for k, letter in enumerate(f"{look.colour}{look.finish}{look.second}"))
        surfaces.append(Surface(part.name, 0, mesh, look, (*seed, 3, code)))
    return Placed(0, kind.name, colour, material, pattern, second, False, tuple(surfaces), extent)


def _numbered(placed: list[Placed], pieces: list[Covered]) -> tuple[Placed, ...]:
    """Objects and then furniture, with identifiers and labels; parts of one name in one thing share a label."""
    groups: dict[tuple[str, int], list[Covered]] = {}
    for number, piece in enumerate(pieces):
        # Table, shelf or desk are one thing each; every wall and picture is its own.
        alone = number if piece.kind in ("wall", "picture") else 0
        groups.setdefault((piece.kind, alone), []).append(piece)
    unlabelled = list(placed)
    for (kind, _), group in groups.items():
        surfaces = tuple(Surface(p.part, 0, p.mesh, texture=p.texture, tile=p.tile, gloss=p.gloss) for p in group)
        first = group[0]
        unlabelled.append(Placed(0, kind, first.colour, first.material, "plain", "", True, surfaces, 1.0))
    things, label = [], 0
    for identifier, thing in enumerate(unlabelled, 1):
        names = list(dict.fromkeys(surface.name for surface in thing.surfaces))
        numbered = tuple(_with_label(surface, label + 1 + names.index(surface.name)) for surface in thing.surfaces)
        label += len(names)
        things.append(_with(thing, identifier=identifier, surfaces=numbered))
    if label > 255:
        raise AssertionError("labels of a scene must fit a byte")
    return tuple(things)


def _with(thing: Placed, **changes: object) -> Placed:
    return Placed(**{**thing.__dict__, **changes})


def _with_label(surface: Surface, label: int) -> Surface:
    return Surface(**{**surface.__dict__, "label": label})


# --- Where it stands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    """A place to stand on: a rectangle, or a disc if `half` has one number."""

    height: float
    half: tuple[float, ...]
    headroom: float

    def holds(self, outline: Float[np.ndarray, "points 2"]) -> bool:
        if len(self.half) == 1:
            return bool((np.linalg.norm(outline, axis=1) < self.half[0]).all())
        return bool((np.abs(outline) < np.array(self.half)).all())


def _furnished(
    setting: Setting, rng: np.random.Generator, floor: float
) -> tuple[list[_Field], list[Covered], tuple[float, float, float]]:
    """Places to stand on, furniture with its room, and half extents of the space of the objects."""
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
        fields = [_Field(0.0, inner, 1.0)]
        extents = (half[0], half[-1], 0.15)
    elif setting == "desk":
        across, deep = float(rng.uniform(0.62, 0.7)), float(rng.uniform(0.34, 0.4))
        pieces = furniture.desk(rng, (across, deep), floor)
        walls = {"+y": deep + 0.05, "-x": 2.6, "+x": 2.6}
        fields = [_Field(0.0, (across - 0.03, deep - 0.03), 1.0)]
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
        fields = [_Field(z, (across - 0.015, deep - 0.008), room) for z, room in zip(heights, rooms, strict=True)]
        extents = (across, deep, rise * boards / 2)
    return fields, [*pieces, *furniture.room(rng, floor, walls)], extents


def _spread(things: list[Placed], fields: list[_Field], setting: Setting, rng: np.random.Generator) -> list[Placed]:
    """The things that find room, largest first, each at the loosest of some free places."""
    taken: list[list[np.ndarray]] = [[] for _ in fields]
    placed = []
    footprints = {id(thing): np.concatenate([s.mesh.vertices[:, :2] for s in thing.surfaces]) for thing in things}
    for thing in sorted(things, key=lambda t: -_area(footprints[id(t)])):
        height = max(surface.mesh.box[1, 2] for surface in thing.surfaces)
        outline_at_rest = _hull(footprints[id(thing)])
        best: tuple[float, int, float, np.ndarray, np.ndarray] | None = None
        found = 0
        for _ in range(220):
            k = int(rng.integers(len(fields)))
            field = fields[k]
            if height > field.headroom:
                continue
            # Seen from one side only, things mostly show their fronts.
            yaw = float(rng.uniform(0, 360)) if setting == "table" else float(rng.normal(scale=30))
            turned = outline_at_rest @ rotation("z", yaw)[:2, :2].T
            limits = np.array([field.half[0], field.half[-1]])
            spot = rng.uniform(-limits, limits)
            outline = turned + spot
            if not field.holds(outline):
                continue
            spans = np.stack([(outline @ _DIRECTIONS).min(0), (outline @ _DIRECTIONS).max(0)])
            gap = min((_gap(spans, other) for other in taken[k]), default=0.25)
            if gap < GAP:
                continue
            score = min(gap, 0.12) - 0.012 * len(taken[k])
            if setting == "desk":
                score += 0.25 * height * spot[1] / limits[1]  # Tall things stand at the back.
            if best is None or score > best[0]:
                best = (score, k, yaw, spot, spans)
            found += 1
            if found >= 14:
                break
        if best is not None:
            _, k, yaw, spot, spans = best
            taken[k].append(spans)
            placed.append(_with(thing, yaw=yaw, position=(float(spot[0]), float(spot[1]), fields[k].height)))
    return placed


def _hull(points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "corners 2"]:
    """The points farthest out in 64 directions."""
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return points[np.unique((points @ np.stack([np.cos(angles), np.sin(angles)])).argmax(0))]


def _area(points: Float[np.ndarray, "points 2"]) -> float:
    return float(np.prod(np.ptp(points, axis=0)))


def _gap(first: Float[np.ndarray, "2 directions"], second: Float[np.ndarray, "2 directions"]) -> float:
    """Least distance between two outlines by their extents in many directions; negative if none separates them."""
    return float(np.maximum(first[0] - second[1], second[0] - first[1]).max())


# --- Light -----------------------------------------------------------------------------------------------------------


def _lit(
    setting: Setting, rng: np.random.Generator, half: tuple[float, float, float]
) -> tuple[tuple[Light, ...], tuple[float, float, float]]:
    """A wide lamp above, a window to one side, and a little light from everywhere."""
    warm, cool = rng.uniform(0.0, 1.0, 2)
    lamp = _tuple(np.array([1.0, 0.96 - 0.08 * warm, 0.90 - 0.20 * warm]) * rng.uniform(0.5, 1.0))
    window = _tuple(np.array([0.93 - 0.06 * cool, 0.97, 1.0]) * rng.uniform(1.2, 3.0))
    if setting == "table":
        turn = rng.uniform(0, 2 * np.pi)
        side = (1.85 * np.cos(turn), 1.85 * np.sin(turn), rng.uniform(1.0, 1.5))
        above = (*rng.uniform(-0.5, 0.5, 2), 1.9)
    else:
        side = (rng.choice([-1, 1]) * rng.uniform(1.0, 2.0), -rng.uniform(1.4, 2.0), rng.uniform(0.8, 1.4))
        above = (rng.uniform(-0.6, 0.6), -rng.uniform(0.7, 1.3), 1.8)
    middle = (0.0, 0.0, 0.0)
    lights = (
        Light(_tuple(np.array(above)), middle, 2.2, 1.8, lamp),
        Light(_tuple(np.array(side)), middle, 1.2, 1.0, window),
    )
    return lights, _tuple(np.array([0.92, 0.96, 1.0]) * rng.uniform(0.18, 0.32))


def _exposure(setting: Setting, lights: tuple[Light, ...], ambient: tuple[float, float, float]) -> float:
    """What brings a white thing in the middle, in the open, to linear 0.75."""
    normal = np.array([0.0, 0.0, 1.0]) if setting != "shelf" else np.array([0.0, -0.8, 0.6])
    received = np.pi * float(np.mean(ambient)) * 0.8
    for light in lights:
        centre, target = np.array(light.centre), np.array(light.target)
        across, up = light_axes(light)
        u, v = np.meshgrid(np.linspace(-0.45, 0.45, 8), np.linspace(-0.45, 0.45, 8))
        points = centre + light.width * u[..., None] * across + light.height * v[..., None] * up
        distance = np.linalg.norm(points, axis=-1)
        towards = points / distance[..., None]
        facing = (target - centre) / np.linalg.norm(target - centre)
        cosines = np.maximum(towards @ normal, 0.0) * np.maximum(-(towards @ facing), 0.0)
        received += float(np.mean(light.radiance)) * light.width * light.height * float((cosines / distance**2).mean())
    indirect = 1.2
    return 0.75 / (0.8 * indirect * received / np.pi)


def light_axes(light: Light) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Unit vectors along a light's width and height."""
    facing = np.array(light.target) - np.array(light.centre)
    up = np.array([0.0, 0.0, 1.0]) if np.linalg.norm(facing[:2]) > 1e-3 else np.array([0.0, 1.0, 0.0])
    across = np.cross(facing, up)
    across /= np.linalg.norm(across)
    above = np.cross(across, facing)
    return across, above / np.linalg.norm(above)


def _tuple(values: Float[np.ndarray, " 3"]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
