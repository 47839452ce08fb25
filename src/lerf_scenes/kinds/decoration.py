"""Lights, plants and vessels that stand about a home."""

from __future__ import annotations

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.mesh import Mesh, arc, cylinder, joined, revolved, rounded_profile, sphere, swept, torus


def _candle(rng: np.random.Generator) -> list[Part]:
    radius, height = 0.3, rng.uniform(0.7, 1.5)
    dip = radius * rng.uniform(0.75, 0.9)
    profile = [(0.0, 0.0), (radius, 0.0), (radius * rng.uniform(0.92, 1.0), height - 0.03), (radius * 0.94, height)]
    wax = revolved([*profile, (dip, height), (dip * 0.6, height - 0.06), (0.0, height - 0.07)], smooth=False)
    drops = []
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(1, 5))):
        x, y = radius * float(np.cos(angle)), radius * float(np.sin(angle))
        fall = height * rng.uniform(0.2, 0.5)
        drops.append(
            swept([(x, y, height - 0.02), (x, y, height - fall * 0.5), (x, y, height - fall)], (0.03, 0.035, 0.05))
        )
    wick = swept(np.linspace([0.0, 0.0, height - 0.08], [0.015, 0.0, height + 0.1], 4), 0.02, segments=8)
    wide, tall = rng.uniform(0.1, 0.14), rng.uniform(0.38, 0.5)
    shape = [(0.0, 0.0), (wide * 0.7, tall * 0.1), (wide, tall * 0.3), (wide * 0.55, tall * 0.65), (0.0, tall)]
    flame = revolved(rounded_profile(shape), 24).moved(z=height + 0.04)
    parts = [
        Part("body", joined(wax, *drops), "main"),
        Part("wick", wick, Look("black", "fabric")),
        Part("flame", flame, Look("orange" if rng.random() < 0.5 else "yellow", "glow")),
    ]
    if rng.random() < 0.4:
        wide = radius * rng.uniform(1.4, 1.9)
        dish = revolved(
            [(0.0, -0.05), (wide * 0.7, -0.05), (wide, 0.06), (wide * 0.95, 0.07), (wide * 0.65, 0.0), (0.0, 0.0)]
        )
        parts.append(Part("dish", dish, "accent"))
    return parts


def _lamp(rng: np.random.Generator) -> list[Part]:
    stem_height = rng.uniform(0.9, 1.25)
    foot, style = rng.uniform(0.3, 0.42), int(rng.integers(3))
    if style == 0:  # a column on a foot
        profile = [
            (0.0, 0.0),
            (foot, 0.0),
            (foot, 0.05),
            (foot * 0.85, 0.08),
            (0.06, 0.11),
            (0.05, stem_height),
            (0.0, stem_height),
        ]
        base = revolved(profile, smooth=False)
    elif style == 1:  # a gourd
        belly = rng.uniform(0.3, 0.4)
        profile = [(belly * 0.6, 0.0), (belly, stem_height * 0.3), (belly * 0.6, stem_height * 0.62),
                   (0.09, stem_height * 0.8), (0.06, stem_height)]  # fmt: skip
        base = revolved([(0.0, 0.0), *rounded_profile(profile), (0.0, stem_height)])
    else:  # stacked balls
        count = int(rng.integers(2, 4))
        ball = stem_height * 0.85 / count / 2
        balls = [sphere(ball, 12).scaled(0.9, 0.9, 1.05).moved(z=0.06 + ball * (2 * i + 1)) for i in range(count)]
        stem = cylinder(0.05, stem_height)
        base = joined(cylinder(foot * 0.85, 0.07, bevel=0.02), *balls, stem)
    wide, tall = rng.uniform(0.46, 0.58), rng.uniform(0.48, 0.66)
    narrow = wide * rng.uniform(0.45, 0.92)
    low = stem_height - 0.06
    wall = 0.02
    shade = revolved(
        [(wide - wall, low), (wide, low), (narrow, low + tall), (narrow - wall, low + tall), (wide - wall, low)],
        smooth=False,
    )
    bulb = sphere(0.13, 12).scaled(1.0, 1.0, 1.3).moved(z=stem_height + 0.16)
    cloth = Look("white" if rng.random() < 0.5 else "beige", "fabric")
    return [Part("base", base, "main"), Part("shade", shade, cloth), Part("bulb", bulb, Look("yellow", "glow"))]


def _ribbed(radius: float, height: float, ribs: int, depth: float, neck: float = 0.8) -> Mesh:
    """An upright cactus body, round on top, with ribs of relative `depth`; `neck` is its relative width below."""
    shape = [
        (radius * neck, 0.0),
        (radius, height * 0.35),
        (radius * 0.97, height * 0.7),
        (radius * 0.6, height * 0.95),
    ]
    mesh = revolved([(0.0, 0.0), *rounded_profile([*shape, (0.0, height)], 5)], 4 * ribs)
    x, y, z = mesh.vertices.T
    grow = 1.0 + depth * np.cos(ribs * np.arctan2(y, x))
    return Mesh(np.stack([x * grow, y * grow, z], -1), mesh.faces)


def _cactus(rng: np.random.Generator) -> list[Part]:
    mouth, deep = rng.uniform(0.36, 0.46), rng.uniform(0.42, 0.6)
    foot, rim = mouth * rng.uniform(0.62, 0.8), deep * 0.24
    profile = [(0.0, 0.0), (foot, 0.0), (mouth * 0.95, deep - rim), (mouth * 1.1, deep - rim), (mouth * 1.12, deep)]
    pot = revolved([*profile, (mouth * 0.98, deep), (mouth * 0.95, deep - 0.08)], smooth=False)
    soil = cylinder(mouth * 0.97, 0.02).moved(z=deep - 0.08)
    ribs, low = int(rng.integers(8, 13)), deep - 0.1
    flower = None
    if rng.random() < 0.35:  # a ball
        radius = mouth * rng.uniform(0.85, 1.05)
        tall = radius * rng.uniform(1.5, 2.0)
        plant = _ribbed(radius, tall, ribs, 0.07, 0.6)
        flower = tall
    else:  # a column with arms
        radius, tall = rng.uniform(0.17, 0.24), rng.uniform(0.95, 1.4)
        pieces = [_ribbed(radius, tall, ribs, 0.09)]
        facing = rng.uniform(-40, 40)
        for side in range(int(rng.integers(1, 3))):
            arm, reach, rise = radius * rng.uniform(0.5, 0.62), radius + rng.uniform(0.16, 0.24), rng.uniform(0.3, 0.5)
            bend = arc(0.14, -90, 0, 8) + np.array([reach - 0.14, 0.0, 0.14])
            path = np.concatenate(
                [[[0.0, 0.0, 0.0]], bend, [[reach, 0.0, rise * 0.6], [reach, 0.0, rise * 0.9], [reach, 0.0, rise]]]
            )
            sizes = [arm] * (len(path) - 2) + [arm * 0.8, arm * 0.35]
            limb = swept(path, sizes).turned("z", facing + 180 * side).moved(z=tall * rng.uniform(0.28, 0.48))
            pieces.append(limb)
        plant = joined(*pieces)
        if rng.random() < 0.4:
            flower = tall
    parts = [
        Part("pot", pot, "accent"),
        Part("soil", soil, Look("brown", "natural")),
        Part("body", plant.moved(z=low), "main"),
    ]
    if flower is not None:
        petals = [sphere(0.07, 8).scaled(1.0, 0.6, 0.45).moved(x=0.08).turned("z", a) for a in range(0, 360, 60)]
        parts.append(Part("flower", joined(*petals, sphere(0.06, 8)).moved(z=low + flower), Look("pink", "natural")))
    return parts


def _vase(rng: np.random.Generator) -> list[Part]:
    tall = rng.uniform(1.2, 1.7)
    foot, belly, neck = rng.uniform(0.22, 0.32), rng.uniform(0.36, 0.52), rng.uniform(0.12, 0.2)
    level, mouth = tall * rng.uniform(0.32, 0.55), neck + rng.uniform(0.05, 0.16)
    shape = [(foot, 0.0), (foot * 1.1, 0.06), (belly, level), (neck, tall * rng.uniform(0.8, 0.87)), (mouth, tall)]
    outside = [(max(r, 0.1), z) for r, z in rounded_profile(shape, 10)]
    inside = [(r - 0.03, z) for r, z in reversed(outside) if z > level]
    body = revolved([(0.0, 0.0), *outside, *inside, (0.0, level)])
    return [Part("body", body, "main")]


def _basket(rng: np.random.Generator) -> list[Part]:
    tall, foot = rng.uniform(0.5, 0.8), rng.uniform(0.5, 0.65)
    belly, mouth = foot * rng.uniform(1.12, 1.3), foot * rng.uniform(1.1, 1.4)
    rows, strands, wall = int(rng.integers(6, 9)), 18, 0.05
    levels = np.linspace(0.0, tall, 2 * rows + 1)
    share = levels / tall
    radii = (1 - share) ** 2 * foot + 2 * share * (1 - share) * belly * 1.05 + share**2 * mouth
    side = [(float(r), float(z)) for r, z in zip(radii, levels, strict=True)]
    inner = [(r - wall, z) for r, z in reversed(side[2:])]
    plain = revolved([(0.0, 0.0), *side, *inner[::2], (0.0, wall)], 4 * strands)
    # Weave: from row to row, strands bulge alternately outwards and inwards.
    x, y, z = plain.vertices.T
    grow = 1.0 + 0.04 * np.cos(strands * np.arctan2(y, x)) * np.cos(np.pi * z / tall * rows)
    woven = Mesh(np.stack([x * grow, y * grow, z], -1), plain.faces, smooth=False)
    rim = torus(mouth - wall / 2, 0.06, 40).moved(z=tall)
    oval = rng.uniform(1.0, 1.35)
    if rng.random() < 0.6:
        rise = rng.uniform(0.9, 1.3)
        whole = arc(mouth - wall / 2, 0, 180, 28, plane="yz") * [1.0, 1.0, rise]
        handle = swept(whole, 0.06, segments=10).moved(z=tall)
    else:
        loop = swept(arc(0.22, 0, 180, 16, plane="yz"), 0.055, segments=10).moved(x=(mouth - wall / 2) * oval, z=tall)
        handle = joined(loop, loop.turned("z", 180))
    return [Part("body", joined(woven, rim).scaled(oval, 1.0, 1.0), "main"), Part("handle", handle, "main")]


KINDS: tuple[Kind, ...] = (
    Kind(
        "candle",
        _candle,
        (0.16, 0.22),
        synonyms=("wax candle", "burning candle", "lit candle"),
        hypernyms=("light source", "decoration"),
        uses=("something that gives light", "something with a flame"),
        colours=("white", "yellow", "orange", "pink", "red", "purple", "green", "blue"),
        materials=("wax",),
        askable_parts=("flame",),
    ),
    Kind(
        "lamp",
        _lamp,
        (0.28, 0.32),
        synonyms=("table lamp", "bedside lamp"),
        hypernyms=("light source",),
        uses=("something that gives light", "something to read by"),
        materials=("metal", "wooden", "ceramic"),
        askable_parts=("shade", "base"),
    ),
    Kind(
        "cactus",
        _cactus,
        (0.18, 0.26),
        synonyms=("potted cactus", "cactus plant"),
        hypernyms=("plant", "houseplant", "potted plant"),
        uses=("something that grows", "something that needs little water"),
        colours=("green",),
        materials=("natural",),
        askable_parts=("pot",),
        accents=("red", "orange", "yellow", "blue", "purple", "pink", "brown", "black", "white", "grey"),
    ),
    Kind(
        "vase",
        _vase,
        (0.22, 0.3),
        synonyms=("flower vase",),
        hypernyms=("container", "decoration"),
        uses=("something to put flowers in",),
        materials=("ceramic", "glass", "metal"),
        patterns=True,
    ),
    Kind(
        "basket",
        _basket,
        (0.24, 0.3),
        synonyms=("wicker basket", "woven basket"),
        hypernyms=("container",),
        uses=("something to carry shopping in", "something to gather fruit in"),
        colours=("brown", "white", "yellow", "orange", "red", "green", "blue", "black", "grey"),
        materials=("natural",),
        askable_parts=("handle",),
    ),
)
