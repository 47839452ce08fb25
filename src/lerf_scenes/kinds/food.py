"""Vegetables, cakes and cheese."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf_scenes.kind import PAINTS, Kind, Look, Part
from lerf_scenes.kinds.shapes import azimuths, leaf_blade, swollen
from lerf_scenes.mesh import (
    Mesh,
    ellipsoid_field,
    extruded,
    from_field,
    joined,
    revolved,
    rounded_profile,
    sphere,
    swept,
)

_LEAF = Look("green", "natural")


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
    # The icing's lower edge is wavy.
    azimuth = azimuths(icing)
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
            away = 1.09 * tube
            grain = grain.moved(x=ring + away * np.sin(lean), z=tall * away * np.cos(lean))
            grains[list(grains)[index % len(grains)]].append(grain.turned("z", rng.uniform(0, 360)))
        parts += [Part("sprinkles", joined(*some), Look(colour, "natural")) for colour, some in grains.items()]
    return parts


def _carrot(rng: np.random.Generator) -> list[Part]:
    thick, blunt, bend = rng.uniform(0.1, 0.165), rng.uniform(0.5, 0.95), rng.uniform(-0.08, 0.08)
    t = np.linspace(0.0, 1.0, 60)
    radii = thick * np.interp(t, [0, 0.02, 0.06, 0.12], [0.55, 0.85, 0.97, 1.0]) * np.maximum(1 - t**1.3, 0.02) ** blunt
    radii *= 1 + 0.035 * np.sin(70 * t + rng.uniform(0, 6)) * np.sin(23 * t + rng.uniform(0, 6))
    # The axis sinks as the root thins, so that all of it touches the table.
    path = np.stack([t, bend * np.sin(np.pi * t), radii], -1)
    root = swept(path, radii.tolist(), segments=18)
    leaves = []
    for _ in range(int(rng.integers(9, 13))):
        length = rng.uniform(0.32, 0.58)
        frond = leaf_blade(length, rng.uniform(0.08, 0.14), 0, rng.uniform(-25, 25), thickness=0.35, count=8)
        frond = frond.turned("y", -90 + rng.uniform(-5, 38)).turned("z", rng.uniform(-34, 34))
        leaves.append(frond.moved(x=0.02, z=thick))
    return [Part("body", root, "main"), Part("leaves", joined(*leaves), _LEAF)]


def _cupcake(rng: np.random.Generator) -> list[Part]:
    height, foot = rng.uniform(0.42, 0.62), rng.uniform(0.3, 0.38)
    folds = int(rng.integers(18, 27))
    levels = np.linspace(0.0, 1.0, 6)
    side = [(float(foot + (0.46 - foot) * s), float(height * s)) for s in levels]
    paper = revolved([(0.0, 0.0), *side, (0.43, height), (0.42, 0.9 * height), (0.0, 0.9 * height)], 4 * folds)
    pleats = 1 + 0.03 * np.cos(folds * azimuths(paper))
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
    ridge = np.abs(np.cos(np.pi * (turns * risen - azimuths(swirl) / (2 * np.pi))))
    parts = [
        Part("body", cake, Look("brown", "natural")),
        Part("wrapper", swollen(paper, pleats), Look("white", "paper") if rng.random() < 0.15 else "accent"),
        Part("icing", swollen(swirl, 0.84 + 0.26 * ridge), "main"),
    ]
    if rng.random() < 0.5:
        size = rng.uniform(0.08, 0.12)
        parts.append(Part("cherry", sphere(size, 12).moved(z=base + tall + 0.4 * size), Look("red", "natural")))
    return parts


def _cheese(rng: np.random.Generator) -> list[Part]:
    angle, height = np.deg2rad(rng.uniform(32, 58)), rng.uniform(0.3, 0.52)
    deep, wide = float(np.cos(angle / 2)), float(np.sin(angle / 2))
    holes = []
    for side in (-1, 1):
        for _ in range(int(rng.integers(2, 4))):
            along, size = rng.uniform(0.4, 0.88), rng.uniform(0.05, 0.115)
            centre = (along * deep, side * along * wide, rng.uniform(0.22, 0.8) * height)
            holes.append(ellipsoid_field(centre, (size, size, size)))
    for _ in range(int(rng.integers(3, 6))):
        along, turn, size = rng.uniform(0.4, 0.88), rng.uniform(-0.35, 0.35) * angle, rng.uniform(0.05, 0.115)
        centre = (along * np.cos(turn), along * np.sin(turn), height)
        holes.append(ellipsoid_field(centre, (size, size, 0.8 * size)))

    def wedge(p: np.ndarray) -> np.ndarray:
        sides = deep * np.abs(p[:, 1]) - wide * p[:, 0]
        outside = np.max([sides, np.hypot(p[:, 0], p[:, 1]) - 1, p[:, 2] - height, -p[:, 2]], axis=0)
        return np.max([outside, *[-hole(p) for hole in holes]], axis=0)

    body = from_field(wedge, (-0.03, -wide - 0.03, -0.03), (1.03, wide + 0.03, height + 0.03), 31)
    sweep = np.linspace(-angle / 2, angle / 2, 17)
    outline = [(1.03 * float(np.cos(a)), 1.03 * float(np.sin(a))) for a in sweep]
    outline += [(0.985 * float(np.cos(a)), 0.985 * float(np.sin(a))) for a in sweep[::-1]]
    return [Part("body", body, "main"), Part("rind", extruded(outline, height), "accent")]


KINDS: tuple[Kind, ...] = (
    Kind(
        "mushroom",
        _mushroom,
        (0.075, 0.11),
        synonyms=("fungus",),
        hypernyms=("vegetable", "food"),
        uses=("something to eat",),
        colours=("brown", "white", "red", "orange"),
        materials=("natural",),
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
        materials=("natural",),
        askable_parts=("icing",),
        accents=("pink", "white", "purple", "blue", "green", "yellow", "red"),
    ),
    Kind(
        "carrot",
        _carrot,
        (0.17, 0.24),
        hypernyms=("vegetable", "food"),
        uses=("something to eat",),
        colours=("orange",),
        materials=("natural",),
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
        materials=("natural",),
        askable_parts=("icing", "wrapper"),
        accents=PAINTS,
    ),
    Kind(
        "cheese",
        _cheese,
        (0.11, 0.15),
        synonyms=("piece of cheese", "wedge of cheese"),
        hypernyms=("food",),
        uses=("something to eat",),
        colours=("yellow", "orange"),
        materials=("natural",),
        accents=("orange", "red", "yellow", "brown"),
    ),
)
