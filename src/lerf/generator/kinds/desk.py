"""Things of a desk: what people write, read, cut and count with, and small electronics."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from lerf.generator.kind import Kind, Look, Part
from lerf.generator.mesh import (
    Mesh,
    arc,
    box,
    cleaned,
    cylinder,
    extruded,
    joined,
    revolved,
    rounded_profile,
    sphere,
    swept,
)

STEEL = Look("silver", "metal")
DARK = Look("black", "plastic")


def _plate(x: float, y: float, z: float, corner: float) -> Mesh:
    """A box centred on the z axis, standing on z = 0, whose upright edges are rounded by `corner`."""
    outline = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for angle in np.deg2rad(90 * quarter + np.linspace(0, 90, 5)):
            outline.append((
                sx * (x / 2 - corner) + corner * float(np.cos(angle)),
                sy * (y / 2 - corner) + corner * float(np.sin(angle)),
            ))  # fmt: skip
    return extruded(outline, z)


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


def _laptop(rng: np.random.Generator) -> list[Part]:
    width, depth = 1.4, rng.uniform(0.88, 1.02)
    thick = rng.uniform(0.055, 0.08)
    corner = rng.uniform(0.03, 0.08)
    base = _plate(width, depth, thick, corner)
    columns, rows = 12, 4
    keys_width, keys_depth = width * 0.86, depth * 0.44
    tray = box(keys_width, keys_depth, 0.008)
    key = box(keys_width / columns * 0.72, keys_depth / rows * 0.7, 0.03)
    keys = [
        key.moved(keys_width * ((i + 0.5) / columns - 0.5), keys_depth * ((j + 0.5) / rows - 0.5))
        for i in range(columns)
        for j in range(rows)
    ]
    dark_keys = rng.random() < 0.6
    keyboard = [
        Part("keyboard", tray.moved(y=depth * 0.16, z=thick), Look("grey" if dark_keys else "black", "plastic")),
        Part(
            "keyboard",
            joined(*keys).moved(y=depth * 0.16, z=thick),
            Look("black" if dark_keys else "white", "plastic"),
        ),
    ]
    pad = box(width * rng.uniform(0.24, 0.36), depth * 0.24, 0.01).moved(y=-depth * 0.31, z=thick)
    opening = rng.uniform(95, 122)
    tall = depth * 0.97
    lid = _plate(width, tall, 0.045, corner).moved(y=-tall / 2, z=-0.045)
    margin = rng.uniform(0.05, 0.09)
    screen = box(width - 2 * margin, tall - 2.4 * margin, 0.01).moved(y=-tall / 2)
    windows = [
        box(width * rng.uniform(0.25, 0.4), tall * rng.uniform(0.3, 0.5), 0.008).moved(
            x=side * width * 0.2, y=-tall * rng.uniform(0.45, 0.55), z=0.008
        )
        for side in (-1, 1)
    ]
    raised = [Part("body", lid, "main"), Part("screen", screen, Look(str(rng.choice(["blue", "purple"])), "screen"))]
    raised += [Part("screen", w, Look(c, "screen")) for w, c in zip(windows, ("white", "grey"), strict=True)]
    raised = [  # the lid's inside looks down on the keys when shut; its hinge is the x axis
        Part(p.name, p.mesh.turned("y", 180).turned("x", -opening).moved(y=depth / 2, z=thick + 0.01), p.look)
        for p in raised
    ]
    return [Part("body", base, "main"), *keyboard, Part("touchpad", pad, Look("grey", "plastic")), *raised]


def _camera(rng: np.random.Generator) -> list[Part]:
    width, height, depth = 1.4, rng.uniform(0.8, 0.98), rng.uniform(0.4, 0.52)
    top = height * rng.uniform(0.2, 0.28)
    body = _plate(width, depth, height - top, 0.12)
    plate = _plate(width, depth * 0.98, top, 0.12).moved(z=height - top)
    hump_width = rng.uniform(0.4, 0.55)
    slope = [(-hump_width / 2, 0.0), (hump_width / 2, 0.0), (hump_width * 0.32, 0.2), (-hump_width * 0.32, 0.2)]
    hump = extruded(slope, depth * 0.9).turned("x", 90).moved(y=depth * 0.45, z=height)
    radius, length = height * rng.uniform(0.36, 0.44), rng.uniform(0.3, 0.7)
    across = rng.uniform(-0.12, 0.05)
    barrel = revolved(
        [
            (0.0, 0.0),
            (radius, 0.0),
            (radius, length * 0.3),
            (radius * 0.92, length * 0.34),
            (radius * 0.92, length * 0.7),
            (radius, length * 0.74),
            (radius, length),
            (radius * 0.82, length),
            (radius * 0.74, length * 0.9),
            (0.0, length * 0.9),
        ],
        smooth=False,
    )
    ring = revolved([(radius, 0.0), (radius * 1.05, 0.0), (radius * 1.05, 0.06), (radius, 0.06)], smooth=False)
    dome = revolved(rounded_profile([(radius * 0.74, 0.0), (radius * 0.5, 0.05), (0.0, 0.08)]))
    forward = {"x": across, "y": -depth / 2, "z": height * 0.46}
    lens = [
        Part("lens", barrel.turned("x", 90).moved(**forward), DARK),
        Part("lens", ring.moved(z=length - 0.05).turned("x", 90).moved(**forward), STEEL),
        Part("lens", dome.moved(z=length * 0.9).turned("x", 90).moved(**forward), Look("blue", "glass")),
    ]
    button = cylinder(0.09, 0.08, bevel=0.02).moved(-width * 0.38, -depth * 0.1, height)
    dial = cylinder(0.13, 0.09, bevel=0.02).moved(width * 0.36, 0.0, height)
    flash = box(0.22, 0.03, 0.12).moved(width * 0.36, -depth / 2, height - top * 0.5 - 0.06)
    return [
        Part("body", body, "main"),
        Part("body", joined(plate, hump), STEEL if rng.random() < 0.6 else DARK),
        *lens,
        Part("button", joined(button, dial), STEEL),
        Part("flash", flash, Look("white", "glass")),
    ]


def _pencil(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.08, 0.105)
    point = rng.uniform(0.2, 0.32)
    lead = rng.uniform(0.25, 0.4)
    hexagon = [(radius * float(np.cos(a)), radius * float(np.sin(a))) for a in np.deg2rad(np.arange(30, 390, 60))]
    rubber, ferrule = rng.uniform(0.06, 0.1), rng.uniform(0.08, 0.12)
    shaft = extruded(hexagon, 2.0 - point - rubber - ferrule).moved(z=rubber + ferrule)
    start = 2.0 - point
    wood = revolved([(radius, start), (radius * lead, 2.0 - point * lead)], smooth=False)
    tip = revolved([(radius * lead, 2.0 - point * lead), (0.0, 2.0)], smooth=False)
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


def _phone(rng: np.random.Generator) -> list[Part]:
    width, length = 1.0, rng.uniform(1.8, 2.15)
    thick, corner = rng.uniform(0.16, 0.2), rng.uniform(0.1, 0.2)
    margin = rng.uniform(0.06, 0.1)
    body = _plate(width, length, thick, corner)
    screen = _plate(width - 2 * margin, length - 2 * margin, 0.012, max(corner - margin, 0.03)).moved(z=thick)
    rows = int(rng.integers(4, 7))
    spread = (width - 2 * margin) * 0.86
    colours = ("red", "green", "yellow", "orange", "white", "purple")
    parts = [Part("body", body, "main"), Part("screen", screen, Look(str(rng.choice(["blue", "black"])), "screen"))]
    for i in range(3):
        for j in range(rows):
            icon = _plate(spread / 3 * 0.62, spread / 3 * 0.62, 0.006, 0.03)
            icon = icon.moved(spread * ((i + 0.5) / 3 - 0.5), length * 0.36 - j * spread / 3, thick + 0.012)
            parts.append(Part("screen", icon, Look(colours[int(rng.integers(len(colours)))], "screen")))
    return parts


def _calculator(rng: np.random.Generator) -> list[Part]:
    width, length = 1.0, rng.uniform(1.25, 1.6)
    low, high = rng.uniform(0.12, 0.16), rng.uniform(0.2, 0.34)
    slope = float(np.rad2deg(np.arctan2(high - low, length)))
    side = [(-length / 2, 0.0), (length / 2, 0.0), (length / 2, high), (-length / 2, low)]
    # The wedge is drawn in its side view, (y, z), and then stood up
    body = extruded(side, width).turned("x", 90).turned("z", 90).moved(x=-width / 2)
    shown = length * rng.uniform(0.2, 0.26)
    columns, rows = 4, int(rng.integers(4, 6))
    field = length * 0.9 - shown - 0.06
    button = _plate(0.86 / columns * 0.76, field / rows * 0.72, 0.06, 0.03)
    dark = rng.random() < 0.5

    def on_top(mesh: Mesh) -> Mesh:
        return mesh.turned("x", slope).moved(z=(low + high) / 2)

    bezel = _plate(0.88, shown, 0.02, 0.03).moved(y=length * 0.45 - shown / 2)
    window = box(0.78, shown * 0.7, 0.012).moved(y=length * 0.45 - shown / 2, z=0.02)
    parts = [
        Part("body", body, "main"),
        Part("screen", on_top(bezel), DARK),
        Part("screen", on_top(window), Look("green" if rng.random() < 0.5 else "grey", "screen")),
    ]
    for i in range(columns):
        for j in range(rows):
            x, y = 0.86 * ((i + 0.5) / columns - 0.5), -length * 0.45 + field * (j + 0.5) / rows
            plain = Look("grey" if dark else "white", "plastic")
            parts.append(Part("button", on_top(button.moved(x, y)), "accent" if i == columns - 1 else plain))
    return parts


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


def _headphones(rng: np.random.Generator) -> list[Part]:
    radius, drop = 1.0, rng.uniform(0.15, 0.5)
    left, right = (radius, 0.0, -drop), (-radius, 0.0, -drop)
    path = np.concatenate([np.linspace(left, (radius, 0, 0), 4)[:-1], arc(radius, 0, 180, 32),
                           np.linspace((-radius, 0, 0), right, 4)[1:]])  # fmt: skip
    tall = rng.uniform(0.85, 1.1)
    path = path * [1.0, 1.0, tall]
    band = swept(path, rng.uniform(0.13, 0.2), flatten=0.45, segments=14)
    soft = swept(arc(radius - 0.07, 40, 140, 20) * [1.0, 1.0, tall], 0.15, flatten=0.5, segments=12)
    cup, oval, deep = rng.uniform(0.42, 0.55), rng.uniform(1.0, 1.25), rng.uniform(0.2, 0.3)
    bulge = [(cup, 0.0), (cup * 0.95, deep * 0.55), (cup * 0.6, deep * 0.98), (0.0, deep)]
    shell = revolved([(0.0, 0.0), *rounded_profile(bulge)], 32)
    cushion = [
        (0.0, -0.16),
        (cup * 0.5, -0.16),
        (cup * 0.62, -0.24),
        (cup * 0.9, -0.22),
        (cup, -0.1),
        (cup * 0.95, 0.0),
    ]
    pad = revolved(cushion, 32)
    disc = cylinder(cup * 0.45, 0.03, bevel=0.01).moved(z=deep * 0.97)
    black = Look("black", "leather")
    parts = [Part("headband", band, "main"), Part("headband", soft, black)]
    ears = [Part("ear cup", shell, "main"), Part("ear cup", disc, "accent"), Part("ear pad", pad, black)]
    for side in (1, -1):
        for ear in ears:
            mesh = ear.mesh.scaled(oval, 1.0, 1.0).turned("y", side * 90)
            parts.append(Part(ear.name, mesh.moved(x=side * (radius - 0.02), z=-drop * tall), ear.look))
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
        "laptop",
        _laptop,
        (0.28, 0.32),
        synonyms=("laptop computer", "notebook computer", "portable computer"),
        hypernyms=("electronics", "electronic device", "computer"),
        uses=("something to work on", "something to type on"),
        colours=("grey", "black", "white", "blue", "pink", "red", "green"),
        materials=("metal", "plastic"),
        askable_parts=("screen", "keyboard"),
    ),
    Kind(
        "camera",
        _camera,
        (0.13, 0.16),
        synonyms=("photo camera", "photographic camera"),
        hypernyms=("electronics", "electronic device"),
        uses=("something to take pictures with", "something to photograph with"),
        materials=("plastic", "leather"),
        askable_parts=("lens",),
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
        "phone",
        _phone,
        (0.14, 0.17),
        synonyms=("smartphone", "mobile phone", "cell phone", "telephone"),
        hypernyms=("electronics", "electronic device"),
        uses=("something to make calls with", "something to send messages with", "something to take pictures with"),
        materials=("plastic", "metal"),
        askable_parts=("screen",),
    ),
    Kind(
        "calculator",
        _calculator,
        (0.13, 0.17),
        synonyms=("pocket calculator", "electronic calculator"),
        hypernyms=("electronics", "electronic device", "office supplies"),
        uses=("something to do sums with", "something to calculate with"),
        materials=("plastic",),
        askable_parts=("screen", "button"),
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
    Kind(
        "headphones",
        _headphones,
        (0.19, 0.23),
        synonyms=("pair of headphones", "over-ear headphones"),
        hypernyms=("electronics", "electronic device"),
        uses=("something to listen to music with",),
        materials=("plastic", "metal"),
        askable_parts=("headband", "ear cup"),
    ),
)
