"""Fruit, vegetables, cakes and cheese."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from lerf.generator.kind import Kind, Look, Part
from lerf.generator.mesh import (
    Mesh,
    arc,
    ellipsoid_field,
    extruded,
    from_field,
    joined,
    piece,
    revolved,
    rounded_profile,
    sphere,
    swept,
)

_STEM = Look("brown", "wooden")
_LEAF = Look("green", "natural")


def _swollen(mesh: Mesh, factor: Float[np.ndarray, " vertices"]) -> Mesh:
    """Each vertex's distance from the z axis times its factor."""
    out = mesh.vertices.copy()
    out[:, :2] *= factor[:, None]
    return replace(mesh, vertices=out)


def _azimuth(mesh: Mesh) -> Float[np.ndarray, " vertices"]:
    """Angle of each vertex about the z axis, radians."""
    return np.arctan2(mesh.vertices[:, 1], mesh.vertices[:, 0])


def _blade(
    length: float,
    width: float,
    lean: float,
    droop: float,
    *,
    thickness: float = 0.12,
    count: int = 9,
) -> Mesh:
    """A pointed leaf from the origin: starts `lean` degrees off +z towards +x and bends `droop` degrees further."""
    angles = np.deg2rad(lean + droop * np.linspace(0.0, 1.0, count))
    steps = length / (count - 1) * np.stack([np.sin(angles), np.zeros(count), np.cos(angles)], -1)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps[:-1], 0)])
    t = np.linspace(0.0, 1.0, count)
    half = 0.5 * width * np.maximum(np.sin(np.pi * (0.12 + 0.86 * t) ** 0.8), 0.03)
    return swept(path, (thickness * half).tolist(), flatten=1 / thickness, segments=6)


def _stalk(height: float, radius: float, bend: float, base: float) -> Mesh:
    """A short stem of a fruit, from z = `base` up, leaning by `bend` at its top."""
    t = np.linspace(0.0, 1.0, 8)
    path = np.stack([bend * t**2, np.zeros(8), base + height * t], -1)
    return swept(path, (radius * np.interp(t, [0.0, 0.6, 1.0], [1.0, 0.8, 1.25])).tolist(), segments=8)


def _banana(rng: np.random.Generator) -> list[Part]:
    radius, span = rng.uniform(0.36, 0.62), rng.uniform(0.85, 1.1)
    angle = float(np.rad2deg(span / radius))
    thick = rng.uniform(0.095, 0.135)
    t = np.linspace(0.0, 1.0, 44)
    path = arc(radius, -90 - angle / 2, -90 + angle / 2, 44, plane="xy")
    shape = [0.3, 0.55, 0.85, 1.0, 1.0, 0.85, 0.5, 0.32, 0.3]
    radii = thick * np.interp(t, [0.0, 0.04, 0.15, 0.35, 0.65, 0.82, 0.91, 0.95, 1.0], shape)
    # Five soft edges run along a banana.
    tube = swept(path, radii.tolist(), segments=20)
    x, y, z = tube.vertices.T
    from_axis = np.hypot(x, y)
    around = np.arctan2(z, from_axis - radius)
    ridged = 1 + 0.05 * np.cos(5 * around)
    out = radius + (from_axis - radius) * ridged
    whole = replace(tube, vertices=np.stack([x * out / from_axis, y * out / from_axis, z * ridged], -1))
    middle = whole.vertices[whole.faces].mean(1)
    along = (np.rad2deg(np.arctan2(middle[:, 0], -middle[:, 1])) + angle / 2) / angle
    tip, stem = along < 0.03, along > rng.uniform(0.93, 0.96)
    return [
        Part("body", piece(whole, ~tip & ~stem), "main"),
        Part("tip", piece(whole, tip), Look("black", "natural")),
        Part("stem", piece(whole, stem), Look("brown", "natural")),
    ]


def _apple(rng: np.random.Generator) -> list[Part]:
    height, dip = rng.uniform(0.8, 1.02), rng.uniform(0.08, 0.15)
    high = rng.uniform(0.52, 0.66) * height
    outline = rounded_profile(
        [
            (0.0, 0.07),
            (0.12, 0.02),
            (0.24, 0.01),
            (0.4, 0.16 * height),
            (0.5, high),
            (0.42, 0.86 * height),
            (0.25, 0.985 * height),
            (0.12, height - 0.35 * dip),
            (0.0, height - dip),
        ],
        5,
    )
    skin = revolved(outline)
    lobes = 1 + rng.uniform(0.01, 0.035) * np.cos(5 * _azimuth(skin)) * (1 - skin.vertices[:, 2] / height)
    stalk = rng.uniform(0.22, 0.36)
    parts = [
        Part("body", _swollen(skin, lobes), "main"),
        Part("stem", _stalk(stalk, 0.028, rng.uniform(0.0, 0.12), height - dip - 0.03), _STEM),
    ]
    if rng.random() < 0.6:
        leaf = _blade(rng.uniform(0.32, 0.5), rng.uniform(0.16, 0.22), 40, 50, count=10)
        leaf = leaf.moved(z=height - dip + 0.45 * stalk).turned("z", rng.uniform(0, 360))
        parts.append(Part("leaf", leaf, _LEAF))
    return parts


def _lemon(rng: np.random.Generator) -> list[Part]:
    half, nub = rng.uniform(0.6, 0.78), rng.uniform(0.09, 0.14)
    outline = rounded_profile(
        [
            (0.0, -half - 0.75 * nub),
            (0.09, -half - 0.5 * nub),
            (0.17, -half + 0.04),
            (0.36, -0.62 * half),
            (0.48, -0.25 * half),
            (0.5, 0.05 * half),
            (0.42, 0.5 * half),
            (0.22, half - 0.06),
            (0.13, half + 0.4 * nub),
            (0.07, half + nub),
            (0.0, half + 1.05 * nub),
        ],
        4,
    )
    peel = revolved(outline, 40).turned("y", 90 + rng.uniform(-8, 8))
    return [Part("body", peel, "main")]


def _pear(rng: np.random.Generator) -> list[Part]:
    height, neck = rng.uniform(1.2, 1.65), rng.uniform(0.17, 0.25)
    wide = rng.uniform(0.26, 0.36) * height
    outline = rounded_profile(
        [
            (0.0, 0.06),
            (0.14, 0.01),
            (0.3, 0.04),
            (0.48, wide * 0.6),
            (0.5, wide),
            (0.41, wide + 0.2 * height),
            (neck + 0.05, 0.74 * height),
            (neck, 0.86 * height),
            (0.75 * neck, 0.965 * height),
            (0.35 * neck, height),
            (0.0, height - 0.03),
        ],
        4,
    )
    skin = revolved(outline)
    lean = rng.uniform(0.0, 0.12)
    vertices = skin.vertices.copy()
    vertices[:, 0] += lean * (vertices[:, 2] / height) ** 2
    stalk = _stalk(rng.uniform(0.2, 0.34), 0.03, rng.uniform(0.02, 0.15), height - 0.06).moved(x=0.94 * lean)
    parts = [Part("body", replace(skin, vertices=vertices), "main"), Part("stem", stalk, _STEM)]
    if rng.random() < 0.4:
        leaf = _blade(rng.uniform(0.35, 0.5), rng.uniform(0.18, 0.24), 45, 45, count=10)
        leaf = leaf.turned("z", rng.uniform(0, 360)).moved(x=lean, z=height + 0.06)
        parts.append(Part("leaf", leaf, _LEAF))
    return parts


def _mushroom(rng: np.random.Generator) -> list[Part]:
    dome, stem = rng.uniform(0.24, 0.48), rng.uniform(0.48, 0.85)
    point = rng.uniform(0.0, 0.1)
    thick, foot = rng.uniform(0.14, 0.22), rng.uniform(1.0, 1.45)
    roof = [
        (0.5 * float(np.cos(a)), stem + dome * float(np.sin(a)) + point * float(np.sin(a)) ** 6)
        for a in np.linspace(0.0, np.pi / 2, 16)[:-1]
    ]
    curl = rng.uniform(0.03, 0.08)
    cap = revolved(
        [
            (0.0, stem + 0.04),
            (0.38, stem + 0.02),
            (0.44, stem - curl),
            (0.48, stem - 0.8 * curl),
            *roof,
            (0.0, stem + dome + point),
        ]
    )
    shaft = rounded_profile(
        [(0.9 * foot * thick, 0.0), (foot * thick, 0.06), (thick, 0.5 * stem), (1.1 * thick, stem + 0.06)], 5
    )
    return [
        Part("cap", cap, "main"),
        Part("stem", revolved([(0.0, 0.0), *shaft, (0.0, stem + 0.06)], 28), Look("beige", "natural")),
    ]


def _donut(rng: np.random.Generator) -> list[Part]:
    tube, tall = rng.uniform(0.3, 0.42), rng.uniform(0.8, 1.0)
    ring = 1.0 - tube
    angles = np.linspace(0.0, 2 * np.pi, 25)
    dough = revolved([(float(ring + tube * np.cos(a)), float(tall * tube * np.sin(a))) for a in angles])
    over = np.linspace(np.deg2rad(14), np.deg2rad(166), 16)
    thick = tube * np.concatenate([[0.98], np.full(14, rng.uniform(1.06, 1.1)), [0.98]])
    shell = [(float(ring + s * np.cos(a)), float(tall * s * np.sin(a))) for a, s in zip(over, thick, strict=True)]
    lining = [(float(ring + 0.9 * tube * np.cos(a)), float(tall * 0.9 * tube * np.sin(a))) for a in over[::-3]]
    icing = revolved([*shell, *lining, shell[0]], 60)
    # The icing has run down further at some places than at others.
    azimuth = _azimuth(icing)
    waves, depth = int(rng.integers(5, 9)), rng.uniform(0.08, 0.16)
    from_axis = np.hypot(*icing.vertices[:, :2].T)
    across, up = from_axis - ring, icing.vertices[:, 2] / tall
    size, tilt = np.hypot(across, up), np.arctan2(across, up)
    run = np.cos(waves * azimuth + rng.uniform(0, 6)) + 0.5 * np.cos((waves + 3) * azimuth)
    tilt = tilt * (1 + depth * run)
    out = ring + size * np.sin(tilt)
    flowed = np.stack([out * np.cos(azimuth), out * np.sin(azimuth), tall * size * np.cos(tilt)], -1)
    parts = [Part("body", dough, "main"), Part("icing", replace(icing, vertices=flowed), "accent")]
    if rng.random() < 0.6:
        grains: dict[str, list[Mesh]] = {"white": [], "yellow": [], "blue": [], "red": []}
        for index in range(20):
            lean = np.deg2rad(rng.uniform(-45, 45))
            grain = swept(
                [(-0.06, 0, 0), (-0.03, 0, 0), (0.03, 0, 0), (0.06, 0, 0)], [0.012, 0.022, 0.022, 0.012], segments=6
            )
            grain = grain.turned("z", rng.uniform(0, 180)).turned("y", float(np.rad2deg(lean)))
            place = 1.09 * tube
            grain = grain.moved(x=ring + place * np.sin(lean), z=tall * place * np.cos(lean))
            grains[list(grains)[index % len(grains)]].append(grain.turned("z", rng.uniform(0, 360)))
        parts += [Part("sprinkles", joined(*some), Look(colour, "natural")) for colour, some in grains.items()]
    return parts


def _carrot(rng: np.random.Generator) -> list[Part]:
    thick, blunt, bend = rng.uniform(0.1, 0.165), rng.uniform(0.5, 0.95), rng.uniform(-0.08, 0.08)
    t = np.linspace(0.0, 1.0, 60)
    radii = thick * np.interp(t, [0, 0.02, 0.06, 0.12], [0.55, 0.85, 0.97, 1.0]) * np.maximum(1 - t**1.3, 0.02) ** blunt
    radii *= 1 + 0.035 * np.sin(70 * t + rng.uniform(0, 6)) * np.sin(23 * t + rng.uniform(0, 6))
    # The root lies on the table along its whole length: its axis sinks as it thins.
    path = np.stack([t, bend * np.sin(np.pi * t), radii], -1)
    root = swept(path, radii.tolist(), segments=18)
    leaves = []
    for _ in range(int(rng.integers(9, 13))):
        length = rng.uniform(0.32, 0.58)
        frond = _blade(length, rng.uniform(0.08, 0.14), 0, rng.uniform(-25, 25), thickness=0.35, count=8)
        frond = frond.turned("y", -90 + rng.uniform(-5, 38)).turned("z", rng.uniform(-34, 34))
        leaves.append(frond.moved(x=0.02, z=thick))
    return [Part("body", root, "main"), Part("leaves", joined(*leaves), _LEAF)]


def _cupcake(rng: np.random.Generator) -> list[Part]:
    height, foot = rng.uniform(0.42, 0.62), rng.uniform(0.3, 0.38)
    folds = int(rng.integers(18, 27))
    levels = np.linspace(0.0, 1.0, 6)
    side = [(float(foot + (0.46 - foot) * s), float(height * s)) for s in levels]
    paper = revolved([(0.0, 0.0), *side, (0.43, height), (0.42, 0.9 * height), (0.0, 0.9 * height)], 4 * folds)
    pleats = 1 + 0.03 * np.cos(folds * _azimuth(paper))
    cake = revolved(
        [
            (0.0, 0.85 * height),
            (0.42, 0.85 * height),
            (0.47, height + 0.02),
            (0.47, height + 0.06),
            (0.4, height + 0.11),
            (0.0, height + 0.12),
        ],
        36,
    )
    tall, turns, plump = rng.uniform(0.34, 0.65), rng.uniform(2.2, 3.6), rng.uniform(0.55, 0.9)
    steps = np.linspace(0.0, 1.0, 32)
    base = height + 0.07
    swirl = revolved(
        [(0.0, base), *[(float(0.44 * (1 - s**1.15) ** plump), float(base + tall * s)) for s in steps]], 48
    )
    risen = np.clip((swirl.vertices[:, 2] - base) / tall, 0.0, 1.0)
    ridge = np.abs(np.cos(np.pi * (turns * risen - _azimuth(swirl) / (2 * np.pi))))
    parts = [
        Part("body", cake, Look("brown", "natural")),
        Part("wrapper", _swollen(paper, pleats), Look("white", "paper") if rng.random() < 0.15 else "accent"),
        Part("icing", _swollen(swirl, 0.84 + 0.26 * ridge), "main"),
    ]
    if rng.random() < 0.5:
        size = rng.uniform(0.08, 0.12)
        parts.append(Part("cherry", sphere(size, 12).moved(z=base + tall + 0.4 * size), Look("red", "natural")))
    return parts


def _pineapple(rng: np.random.Generator) -> list[Part]:
    height, square = rng.uniform(1.15, 1.65), rng.uniform(2.2, 3.2)
    rings, around = 36, 54
    angles = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    profile = [
        (0.5 * float(max(np.cos(a), 0.0) ** (2 / square)), height * 0.5 * (1 + float(np.sin(a)))) for a in angles
    ]
    profile[0], profile[-1] = (0.0, 0.0), (0.0, height)
    skin = revolved(profile, around)
    rows, columns = int(rng.integers(6, 9)), int(rng.integers(8, 11))
    u, v = columns * _azimuth(skin) / (2 * np.pi), rows * skin.vertices[:, 2] / height
    eyes = np.abs(np.sin(np.pi * (u + v)) * np.sin(np.pi * (u - v)))
    body = _swollen(skin, 0.94 + 0.14 * eyes)
    crown = []
    tuft = rng.uniform(0.6, 1.0)
    for layer, (count, lean) in enumerate([(8, 48), (8, 28), (6, 10)]):
        # Two leaves a layer, alternating: drawing each one anew would take most of the time.
        leaves = [
            _blade(
                tuft * (0.65 + 0.2 * layer) * rng.uniform(0.85, 1.1),
                rng.uniform(0.13, 0.18),
                lean + rng.uniform(-6, 6),
                rng.uniform(10, 40) * (1 - 0.3 * layer),
                thickness=0.2,
                count=7,
            ).moved(x=0.06 - 0.02 * layer, z=height - 0.05)
            for _ in range(2)
        ]
        for k in range(count):
            turn = 360 * (k + 0.5 * layer) / count + rng.uniform(-8, 8)
            crown.append(leaves[k % 2].turned("z", turn))
    return [Part("body", body, "main"), Part("leaves", joined(*crown), _LEAF)]


def _cheese(rng: np.random.Generator) -> list[Part]:
    angle, height = np.deg2rad(rng.uniform(32, 58)), rng.uniform(0.3, 0.52)
    deep, wide = float(np.cos(angle / 2)), float(np.sin(angle / 2))
    holes = []
    for side in (-1, 1):
        for _ in range(int(rng.integers(2, 4))):
            along, size = rng.uniform(0.4, 0.88), rng.uniform(0.05, 0.115)
            place = (along * deep, side * along * wide, rng.uniform(0.22, 0.8) * height)
            holes.append(ellipsoid_field(place, (size, size, size)))
    for _ in range(int(rng.integers(3, 6))):
        along, turn, size = rng.uniform(0.4, 0.88), rng.uniform(-0.35, 0.35) * angle, rng.uniform(0.05, 0.115)
        place = (along * np.cos(turn), along * np.sin(turn), height)
        holes.append(ellipsoid_field(place, (size, size, 0.8 * size)))

    def wedge(p: np.ndarray) -> np.ndarray:
        sides = deep * np.abs(p[:, 1]) - wide * p[:, 0]
        outside = np.max([sides, np.hypot(p[:, 0], p[:, 1]) - 1, p[:, 2] - height, -p[:, 2]], axis=0)
        return np.max([outside, *[-hole(p) for hole in holes]], axis=0)

    body = from_field(wedge, (-0.03, -wide - 0.03, -0.03), (1.03, wide + 0.03, height + 0.03), 31)
    sweep = np.linspace(-angle / 2, angle / 2, 17)
    outline = [(1.03 * float(np.cos(a)), 1.03 * float(np.sin(a))) for a in sweep]
    outline += [(0.985 * float(np.cos(a)), 0.985 * float(np.sin(a))) for a in sweep[::-1]]
    return [Part("body", body, "main"), Part("rind", extruded(outline, height), "accent")]


_EAT = ("something to eat",)
_NATURAL = ("natural",)

KINDS: tuple[Kind, ...] = (
    Kind(
        "banana",
        _banana,
        (0.16, 0.20),
        hypernyms=("fruit", "food"),
        uses=("something to eat", "something to peel and eat"),
        colours=("yellow", "green"),
        materials=_NATURAL,
    ),
    Kind(
        "apple",
        _apple,
        (0.085, 0.11),
        hypernyms=("fruit", "food"),
        uses=_EAT,
        colours=("red", "green", "yellow"),
        materials=_NATURAL,
    ),
    Kind(
        "lemon",
        _lemon,
        (0.085, 0.11),
        hypernyms=("citrus fruit", "fruit", "food"),
        uses=("something to eat", "something to squeeze for juice"),
        colours=("yellow",),
        materials=_NATURAL,
    ),
    Kind(
        "pear",
        _pear,
        (0.11, 0.14),
        hypernyms=("fruit", "food"),
        uses=_EAT,
        colours=("green", "yellow", "brown"),
        materials=_NATURAL,
    ),
    Kind(
        "mushroom",
        _mushroom,
        (0.075, 0.11),
        synonyms=("fungus",),
        hypernyms=("vegetable", "food"),
        uses=_EAT,
        colours=("brown", "white", "red", "orange"),
        materials=_NATURAL,
        askable_parts=("cap", "stem"),
    ),
    Kind(
        "donut",
        _donut,
        (0.09, 0.12),
        synonyms=("doughnut",),
        hypernyms=("dessert", "food"),
        uses=("something to eat", "something sweet to eat"),
        colours=("brown",),
        materials=_NATURAL,
        askable_parts=("icing",),
        accents=("pink", "white", "purple", "blue", "green", "yellow", "red"),
    ),
    Kind(
        "carrot",
        _carrot,
        (0.17, 0.24),
        hypernyms=("vegetable", "food"),
        uses=_EAT,
        colours=("orange",),
        materials=_NATURAL,
        askable_parts=("leaves",),
    ),
    Kind(
        "cupcake",
        _cupcake,
        (0.085, 0.11),
        synonyms=("fairy cake",),
        hypernyms=("dessert", "food"),
        uses=("something to eat", "something sweet to eat"),
        colours=("pink", "white", "yellow", "blue", "green", "purple", "red"),
        materials=_NATURAL,
        askable_parts=("icing", "wrapper"),
        accents=("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "white", "grey"),
    ),
    Kind(
        "pineapple",
        _pineapple,
        (0.22, 0.29),
        synonyms=("ananas",),
        hypernyms=("fruit", "food"),
        uses=_EAT,
        colours=("yellow", "orange", "brown"),
        materials=_NATURAL,
        askable_parts=("leaves",),
    ),
    Kind(
        "cheese",
        _cheese,
        (0.11, 0.15),
        synonyms=("piece of cheese", "wedge of cheese"),
        hypernyms=("food",),
        uses=_EAT,
        colours=("yellow", "orange"),
        materials=_NATURAL,
        accents=("orange", "red", "yellow", "brown"),
    ),
)
