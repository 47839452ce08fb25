"""What people carry or put on besides clothes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.kinds.shapes import squarish
from lerf_scenes.mesh import Mesh, arc, box, cylinder, joined, revolved, sphere, swept


def _handbag(rng: np.random.Generator) -> list[Part]:
    wide, deep, high = rng.uniform(0.85, 1.1), rng.uniform(0.28, 0.42), rng.uniform(1.0, 1.5)
    top_wide, top_deep = rng.uniform(0.68, 0.98), rng.uniform(0.3, 0.6)
    levels = np.linspace(0, 1, 10)
    mesh = revolved([(0, 0), (0.93, 0), *((1.0, float(high * z)) for z in 0.05 + 0.95 * levels), (0.0, high)], 56)
    mesh = squarish(mesh, wide, deep, 4.5)
    share = mesh.vertices[:, 2:] / high
    shape = np.column_stack([1 - (1 - top_wide) * share, 1 - (1 - top_deep) * share**1.5, np.ones_like(share)])
    mesh = replace(mesh, vertices=mesh.vertices * shape)
    span, rise = wide * top_wide * rng.uniform(0.5, 0.68), rng.uniform(0.55, 0.95)
    brown = Look(str(rng.choice(["brown", "black"])), "leather")
    strap: Look | Literal["main", "accent"] = brown if rng.random() < 0.4 else "accent"
    out = deep * top_deep
    angles = np.linspace(0, np.pi, 22)
    handles = []
    for side in (-1, 1):
        path = [
            (span * np.cos(a), side * out * (0.9 - 0.3 * np.sin(a)), high + rise * np.sin(a) ** 0.8) for a in angles
        ]
        ends = [(x, side * out * 1.04, high - 0.25) for x in (span, -span)]
        handles.append(swept([ends[0], *path, ends[1]], 0.06, segments=10))
    flap_high = high * rng.uniform(0.3, 0.55)
    flap = revolved([(0, high - flap_high), (1, high - flap_high), (1, high + 0.03), (0, high + 0.03)], 56)
    flap = squarish(flap, wide * (1 - (1 - top_wide) * 0.75) + 0.03, deep * 1.02, 4.5)
    share = (flap.vertices[:, 2:] / high).clip(0, 1)
    narrow = np.column_stack([np.ones_like(share), 1.06 - (1 - top_deep) * share**1.5, np.ones_like(share)])
    flap = replace(flap, vertices=flap.vertices * narrow)
    gold = Look(str(rng.choice(["gold", "silver"])), "metal")
    front = -deep * (1.08 - (1 - top_deep) * (1 - flap_high / high) ** 1.5)
    clasp = sphere(0.11, 10).scaled(1, 0.6, 1).moved(0, front - 0.01, high - flap_high + 0.08)
    parts = [Part("body", mesh, "main"), *(Part("handle", handle, strap) for handle in handles)]
    if rng.random() < 0.65:
        parts.append(Part("flap", flap, "main" if rng.random() < 0.4 else "accent"))
    return [*parts, Part("clasp", clasp, gold)]


def _umbrella(rng: np.random.Generator) -> list[Part]:
    gores, dome, scallop = int(rng.integers(6, 10)), rng.uniform(0.42, 0.65), rng.uniform(0.06, 0.12)
    turn = np.deg2rad(np.linspace(90, 0, 12))
    outside = [(float(np.cos(t)), float(dome * np.sin(t))) for t in turn]
    mesh = revolved([*((0.985 * r, 0.96 * z - 0.02) for r, z in outside), *outside[::-1]], 8 * gores)
    x, y, z = mesh.vertices.T
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    # Cloth is drawn in and up between the ribs.
    between = np.abs(np.sin(gores * angle / 2)) * radius**2
    factor = 1 - scallop * between
    canopy = replace(mesh, vertices=np.stack([x * factor, y * factor, z + 0.8 * scallop * between**2], -1))
    ribs = []
    for k in range(gores):
        way = 2 * np.pi * k / gores
        path = [(1.012 * r * np.cos(way), 1.012 * r * np.sin(way), 1.012 * z) for r, z in outside[1:]]
        ribs.append(swept(path, 0.014, segments=6))
    long, hook = rng.uniform(0.75, 1.05), rng.uniform(0.13, 0.19)
    grip = rng.uniform(0.2, 0.32)
    bend = arc(hook, 180, 370, 14) + np.array([hook, 0.0, -long - grip])
    handle = swept(np.concatenate([[[0, 0, -long]], bend]), rng.uniform(0.05, 0.065), segments=12)
    metal = Look(str(rng.choice(["silver", "black"])), "metal")
    return [
        Part("body", canopy, "main"),
        Part("rib", joined(*ribs), "accent"),
        Part("shaft", cylinder(0.026, long + dome + 0.02).moved(z=-long), metal),
        Part("tip", cylinder(0.03, 0.17, 0.012).moved(z=dome - 0.01), metal),
        Part("handle", handle, Look(str(rng.choice(["brown", "black"])), "wooden") if rng.random() < 0.5 else "accent"),
    ]


def _watch(rng: np.random.Generator) -> list[Part]:
    face, wide = rng.uniform(0.4, 0.52), rng.uniform(0.24, 0.34)
    loop, squash = rng.uniform(0.62, 0.75), rng.uniform(0.75, 0.95)
    around = np.deg2rad(np.linspace(0, 360, 49)[:-1])
    centre = np.stack([np.zeros(48), loop * np.cos(around), squash * loop * np.sin(around)], -1)
    strap = swept(centre, wide, flatten=1.0, closed=True, segments=16)
    # The section is pressed flat towards the loop.
    near = strap.vertices
    angle = np.arctan2(near[:, 2] / squash, near[:, 1])
    middle = np.stack([np.zeros(len(near)), loop * np.cos(angle), squash * loop * np.sin(angle)], -1)
    away = near - middle
    away[:, 1:] *= 0.12
    across = np.clip(away[:, :1] * 1.25, -wide, wide)
    strap = replace(strap, vertices=middle + np.column_stack([across, away[:, 1:]]))
    power = 2.0 if rng.random() < 0.65 else 5.0
    oval = rng.uniform(0.9, 1.0)

    def disc(radius: float, height: float, bevel: float = 0.03) -> Mesh:
        return squarish(cylinder(1.0, height, bevel=bevel), radius * oval, radius, power)

    top = squash * loop
    dial = Look(str(rng.choice(["white", "black", "blue"], p=[0.6, 0.25, 0.15])), "plastic")
    ink = Look("white" if dial.colour != "white" else "black", "plastic")
    case = Look(str(rng.choice(["gold", "silver", "black"], p=[0.4, 0.45, 0.15])), "metal")
    hands = [
        box(0.05, reach, 0.012).moved(0, 0.45 * reach).turned("z", degrees)
        for reach, degrees in ((0.55 * face, rng.uniform(0, 360)), (0.75 * face, rng.uniform(0, 360)))
    ]
    marks = [box(0.035, 0.1, 0.01).moved(0, 0.72 * face).turned("z", 30 * k) for k in range(0, 12, 3)]
    parts = [
        Part("body", disc(face, 0.16).moved(z=top - 0.04), case),
        Part("body", cylinder(0.06, 0.1).turned("y", 90).moved(face * oval - 0.02, 0, top + 0.04), case),
        Part("face", disc(0.84 * face, 0.02, 0.002).moved(z=top + 0.11), dial),
        Part("hand", joined(*hands, *marks).moved(z=top + 0.128), ink),
        Part("strap", strap, "main"),
        Part("buckle", box(2.3 * wide, 0.22, 0.16).moved(z=-top - 0.08), case),
    ]
    lean = rng.uniform(25, 50)
    return [replace(part, mesh=part.mesh.turned("x", lean)) for part in parts]


def _glasses(rng: np.random.Generator) -> list[Part]:
    half, tall = rng.uniform(0.42, 0.52), rng.uniform(0.34, 0.46)
    power, thick = rng.uniform(2.0, 4.5), rng.uniform(0.06, 0.095)
    gap = rng.uniform(0.1, 0.18)
    middle = half + gap
    angles = np.linspace(0, 2 * np.pi, 41)[:-1]
    reach = (np.abs(np.cos(angles)) ** power + np.abs(np.sin(angles)) ** power) ** (-1 / power)
    ring: Float[np.ndarray, "points 3"] = np.stack(
        [half * reach * np.cos(angles), np.zeros(40), tall * reach * np.sin(angles)], -1
    )
    pane = squarish(revolved([(0, 0), (1, 0), (1, 0.03), (0, 0.03)], 40, smooth=False), half, tall, power)
    pane = pane.turned("x", 90).moved(y=0.015)
    tint = Look(str(rng.choice(["black", "blue", "white", "grey"], p=[0.45, 0.2, 0.15, 0.2])), "glass")
    long, bend = rng.uniform(1.2, 1.5), rng.uniform(0.75, 0.88)
    frame = []
    arms = []
    for side in (-1, 1):
        frame.append(swept(ring + np.array([side * middle, 0, 0]), thick, closed=True, segments=10))
        hinge = (side * (middle + half + 0.02), 0.0, 0.35 * tall)
        x = hinge[0]
        path = [
            hinge,
            (x + side * 0.06, 0.06, hinge[2]),
            (x + side * 0.06, 0.15, hinge[2]),
            (x, (bend - 0.16) * long, hinge[2]),
            (x, bend * long, hinge[2] - 0.08),
            (x - side * 0.03, long, -tall - 0.2 * thick),
        ]
        arms.append(swept(path, 0.8 * thick, segments=10))
    bridge = swept([(-gap - 0.04, 0, 0.1), (0, -0.02, 0.1 + 0.08), (gap + 0.04, 0, 0.1)], thick, segments=10)
    two_tone = rng.random() < 0.25
    return [
        *(Part("body", rim, "main") for rim in frame),
        Part("body", bridge, "main"),
        *(Part("lens", pane.moved(x=side * middle), tint) for side in (-1, 1)),
        *(Part("arm", arm, "accent" if two_tone else "main") for arm in arms),
    ]


KINDS: tuple[Kind, ...] = (
    Kind(
        "handbag",
        _handbag,
        (0.20, 0.28),
        synonyms=("purse", "ladies' bag"),
        hypernyms=("bag", "accessory"),
        uses=("something to carry money and keys in",),
        materials=("fabric", "leather"),
        patterns=True,
        askable_parts=("handle",),
    ),
    Kind(
        "umbrella",
        _umbrella,
        (0.24, 0.30),
        synonyms=("brolly",),
        hypernyms=("accessory",),
        uses=("something to keep off the rain", "something to carry on a rainy day"),
        materials=("fabric",),
        patterns=True,
        askable_parts=("handle",),
    ),
    Kind(
        "watch",
        _watch,
        (0.12, 0.17),
        synonyms=("wristwatch",),
        hypernyms=("accessory", "timepiece"),
        uses=(
            "something to wear",
            "something to wear on the wrist",
            "something that tells the time",
            "something that measures time",
        ),
        materials=("leather", "plastic", "metal"),
        askable_parts=("strap", "face"),
    ),
    Kind(
        "glasses",
        _glasses,
        (0.15, 0.21),
        synonyms=("spectacles", "eyeglasses"),
        hypernyms=("accessory",),
        uses=("something to wear", "something to see better with", "something to wear on the nose"),
        materials=("plastic",),
        askable_parts=("lens",),
    ),
)
