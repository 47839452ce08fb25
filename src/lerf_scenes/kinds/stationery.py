"""Things of a desk to read, write, cut and stick with, and a globe."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.mesh import Mesh, arc, box, cleaned, cylinder, extruded, joined, revolved, sphere, swept

STEEL = Look("silver", "metal")


def _clipped(mesh: Mesh, values: Float[np.ndarray, " vertices"]) -> Mesh:
    """The piece of a surface where a value given at its vertices is positive, cut along straight lines in faces."""
    above = (values > 0)[mesh.faces].sum(1)
    corners: list[np.ndarray] = []
    for face in mesh.faces[(above > 0) & (above < 3)]:
        ring = []
        for i, j in zip(face, np.roll(face, -1), strict=True):
            if values[i] > 0:
                ring.append(mesh.vertices[i])
            if (values[i] > 0) != (values[j] > 0):
                t = values[i] / (values[i] - values[j])
                ring.append(mesh.vertices[i] + t * (mesh.vertices[j] - mesh.vertices[i]))
        for second, third in pairwise(ring[1:]):
            corners += [ring[0], second, third]
    whole = mesh.vertices[mesh.faces[above == 3]].reshape(-1, 3)
    soup = np.concatenate([whole, np.array(corners).reshape(-1, 3)])
    return cleaned(Mesh(soup, np.arange(len(soup)).reshape(-1, 3), mesh.smooth))


def _book(rng: np.random.Generator) -> list[Part]:
    width, height = 1.0, rng.uniform(1.2, 1.6)
    thick = rng.uniform(0.16, 0.36)
    board, edge = 0.035, 0.04
    bulge = rng.uniform(0.0, 0.08)
    spine = [
        (-bulge * float(np.sin(np.pi * t)), thick * (1 - t)) for t in np.linspace(0, 1, 7)
    ]  # from the upper to the lower board
    outline = [(width, 0.0), (width, board), (board, board), (board, thick - board), (width, thick - board)]
    cover = extruded([*outline, (width, thick), *spine], height).turned("x", 90).moved(y=height / 2)
    pages = box(width - edge - board, height - 2 * edge, thick - 2 * board).moved(x=(width - edge + board) / 2, z=board)
    title = box(width * rng.uniform(0.4, 0.75), height * rng.uniform(0.15, 0.35), 0.008).moved(
        x=width * 0.52, y=height * rng.uniform(0.05, 0.25), z=thick
    )
    return [
        Part("body", cover, "main"),
        Part("pages", pages, Look("white", "paper")),
        Part("title", title, "accent"),
    ]


def _pencil(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.08, 0.105)
    point = rng.uniform(0.2, 0.32)
    graphite = rng.uniform(0.25, 0.4)
    hexagon = [(radius * float(np.cos(a)), radius * float(np.sin(a))) for a in np.deg2rad(np.arange(30, 390, 60))]
    rubber, ferrule = rng.uniform(0.06, 0.1), rng.uniform(0.08, 0.12)
    shaft = extruded(hexagon, 2.0 - point - rubber - ferrule).moved(z=rubber + ferrule)
    start = 2.0 - point
    wood = revolved([(radius, start), (radius * graphite, 2.0 - point * graphite)], smooth=False)
    tip = revolved([(radius * graphite, 2.0 - point * graphite), (0.0, 2.0)], smooth=False)
    band = revolved([(0.0, rubber), *[(radius * (1.0 + 0.06 * (i % 2)), rubber + ferrule * i / 6) for i in range(7)]])
    eraser = cylinder(radius * 0.98, rubber + 0.01, bevel=0.02)
    pieces = [
        Part("body", shaft, "main"),
        Part("tip", wood, Look("beige", "wooden")),
        Part("tip", tip, Look("black", "plastic")),
        Part("ferrule", band, STEEL),
        Part("eraser", eraser, Look("pink", "plastic")),
    ]
    return [Part(p.name, p.mesh.turned("y", 90), p.look) for p in pieces]


def _scissors(rng: np.random.Generator) -> list[Part]:
    opening = rng.uniform(9, 22)
    length, width = rng.uniform(0.9, 1.2), rng.uniform(0.17, 0.24)
    thick = 0.075
    loop, oval, tube = rng.uniform(0.2, 0.27), rng.uniform(1.15, 1.6), rng.uniform(0.075, 0.095)
    reach = rng.uniform(0.3, 0.45)
    parts = []
    for side in (1, -1):
        edge = [(-0.16, -width * 0.5), (0.1, -width * 0.5), (length, -0.015)]
        blade = [*edge, (length, 0.02), (length * 0.7, width * 0.4), (0.1, width * 0.5), (-0.16, width * 0.5)]
        if side < 0:
            blade = [(x, -y) for x, y in reversed(blade)]
        level = thick if side > 0 else 0.0
        centre = np.array([-reach - loop * oval, -side * loop * 0.55, thick])
        ring = arc(1.0, 0, 360, 25, plane="xy")[:-1] * [loop * oval, loop, 1.0] + centre
        shank = np.linspace([-0.05, 0.0, thick], [-reach - tube, -side * loop * 0.3, thick], 6)
        handle = joined(swept(ring, tube, closed=True, segments=12), swept(shank, tube * 1.15, segments=12))
        parts += [
            Part("blade", extruded(blade, thick).moved(z=level).turned("z", side * opening), STEEL),
            Part("handle", handle.turned("z", side * opening), "main"),
        ]
    screw = cylinder(0.06, 2 * thick + 0.04, bevel=0.015)
    return [*parts, Part("screw", screw, Look("grey", "metal"))]


def _globe(rng: np.random.Generator) -> list[Part]:
    ball = sphere(1.0, 24)
    waves = rng.normal(size=(12, 3))
    waves *= rng.uniform(3.0, 9.0, size=(12, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
    relief = np.cos(ball.vertices @ waves.T + rng.uniform(0, 2 * np.pi, 12)).sum(1)
    land = _clipped(ball, relief - np.quantile(relief, rng.uniform(0.55, 0.68))).scaled(1.012)
    tilt = rng.uniform(15, 26)
    reach = rng.uniform(1.1, 1.18)
    bow = swept(arc(reach, -92 - tilt, 92 - tilt, 36), 0.06, segments=10)
    pins = swept(np.linspace([0.0, 0.0, -reach], [0.0, 0.0, reach], 4), 0.04, segments=8).turned("y", tilt)
    stem, foot = rng.uniform(0.22, 0.5), rng.uniform(0.55, 0.8)
    low = -reach - stem
    stand = revolved(
        [
            (0.0, low),
            (foot, low),
            (foot, low + 0.08),
            (foot * 0.85, low + 0.13),
            (0.14, low + 0.18),
            (0.08, low + stem * 0.8),
            (0.1, -reach + 0.03),
            (0.0, -reach + 0.03),
        ],
        smooth=False,
    )
    look = Look(*[("brown", "wooden"), ("black", "plastic"), ("gold", "metal")][int(rng.integers(3))])
    return [
        Part("body", ball, "main"),
        Part("body", land.turned("y", tilt), "accent"),
        Part("stand", joined(bow, pins), Look("gold", "metal") if look.colour != "black" else STEEL),
        Part("stand", stand, look),
    ]


def _tape(rng: np.random.Generator) -> list[Part]:
    inner, wide = rng.uniform(0.55, 0.68), rng.uniform(0.4, 0.75)
    core = inner + 0.07
    roll = revolved([(core, 0.0), (1.0, 0.0), (1.0, wide), (core, wide)], smooth=False)
    ring = revolved(
        [(inner, 0.0), (core, 0.0), (core, wide), (inner, wide), (inner, 0.0)],
        smooth=False,
    )
    # The loose end leaves the roll along a tangent and droops outwards
    length, thick = rng.uniform(0.3, 0.7), 0.03
    along = np.linspace(0, 1, 9)
    outside = np.column_stack([1.0 + 0.35 * length * along**2, length * along])
    outline = [(float(x), float(y)) for x, y in [*outside, *(outside[::-1] - [thick, 0.0])]]
    end = extruded(outline, wide)
    parts = [Part("body", joined(roll, end), "main"), Part("core", ring, Look("beige", "paper"))]
    if rng.random() < 0.5:
        parts = [Part(p.name, p.mesh.turned("z", 90).turned("x", 90), p.look) for p in parts]
    return parts


KINDS: tuple[Kind, ...] = (
    Kind(
        "book",
        _book,
        (0.2, 0.24),
        synonyms=("closed book", "hardcover book"),
        hypernyms=("reading matter",),
        uses=("something to read",),
        materials=("paper", "leather"),
        patterns=True,
    ),
    Kind(
        "pencil",
        _pencil,
        (0.17, 0.19),
        synonyms=("lead pencil",),
        hypernyms=("stationery", "office supplies", "writing instrument"),
        uses=("something to write with", "something to draw with"),
        materials=("wooden",),
    ),
    Kind(
        "scissors",
        _scissors,
        (0.16, 0.2),
        synonyms=("pair of scissors",),
        hypernyms=("tool", "stationery", "office supplies"),
        uses=("something to cut with", "something to cut paper with"),
        materials=("plastic", "metal"),
        askable_parts=("handle", "blade"),
    ),
    Kind(
        "globe",
        _globe,
        (0.24, 0.3),
        synonyms=("terrestrial globe", "model of the earth", "world globe"),
        hypernyms=("decoration",),
        uses=("something that shows the countries of the world",),
        colours=("blue", "white"),
        accents=("green", "yellow", "brown"),
        materials=("plastic",),
        askable_parts=("stand",),
    ),
    Kind(
        "tape",
        _tape,
        (0.1, 0.13),
        synonyms=("adhesive tape", "sticky tape", "roll of tape"),
        hypernyms=("stationery", "office supplies"),
        uses=("something to stick things together with", "something to seal parcels with"),
        materials=("plastic",),
    ),
)
