"""Musical instruments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.kinds.shapes import ellipsoid
from lerf_scenes.mesh import box, cylinder, extruded, joined, revolved, rounded_profile, sphere, swept, torus

_BLACK = Look("black", "plastic")


def _bell(rng: np.random.Generator) -> list[Part]:
    tall, mouth, top = rng.uniform(0.7, 0.95), rng.uniform(0.42, 0.54), rng.uniform(0.2, 0.27)
    shape = [(mouth, 0.0), (mouth * 0.82, tall * 0.18), (top * 1.15, tall * 0.6), (top * 0.9, tall * 0.88), (0.0, tall)]
    outside = rounded_profile(shape, 5)
    inside = [(max(r - 0.04, 0.0), z - 0.03) for r, z in reversed(outside[1:])]
    body = revolved([(mouth - 0.04, 0.0), *outside, *inside, (mouth - 0.04, 0.0)], 40)
    lip = torus(mouth - 0.01, 0.035, 24).moved(z=0.035)
    grip, thick = rng.uniform(0.45, 0.7), rng.uniform(0.1, 0.14)
    outline = [
        (0.06, 0.0),
        (thick * 0.65, grip * 0.12),
        (thick, grip * 0.45),
        (thick * 0.6, grip * 0.75),
        (thick * 0.85, grip * 0.92),
    ]
    handle = revolved([(0.0, 0.0), *rounded_profile([*outline, (0.0, grip)], 4)], 24).moved(z=tall - 0.02)
    clapper = joined(sphere(0.1, 10).moved(z=0.1), cylinder(0.025, tall * 0.8).moved(z=0.1))
    wood = Look("brown", "wooden") if rng.random() < 0.7 else Look("black", "wooden")
    return [
        Part("body", joined(body, lip), "main"),
        Part("handle", handle, wood),
        Part("clapper", clapper, Look("grey", "metal")),
    ]


def _drum(rng: np.random.Generator) -> list[Part]:
    high = rng.uniform(0.75, 1.4)
    rim = rng.uniform(0.1, 0.16)
    cords = int(rng.integers(7, 12))
    zigzag = [
        (1.02 * np.cos(np.pi * k / cords), 1.02 * np.sin(np.pi * k / cords), rim if k % 2 else high - rim)
        for k in range(2 * cords)
    ]
    points = np.concatenate([np.linspace(a, b, 5)[:-1] for a, b in zip(zigzag, [*zigzag[1:], zigzag[0]], strict=True)])
    points[:, :2] *= 1.02 / np.linalg.norm(points[:, :2], axis=1, keepdims=True)
    hoop = [(0.95, 0), (1.06, 0), (1.08, 0.3 * rim), (1.08, 0.7 * rim), (1.06, rim), (0.95, rim), (0.95, 0)]
    ring = revolved(hoop)
    parts = [
        Part("body", revolved([(0, 0), (1, 0), (1, high - 0.08), (0, high - 0.08)], smooth=False), "main"),
        Part("rim", joined(ring, ring.moved(z=high - rim)), "accent"),
        Part("drumhead", cylinder(0.96, 0.05).moved(z=high - 0.06), Look("white", "plastic")),
    ]
    if rng.random() < 0.7:
        parts.append(Part("cord", swept(points, 0.028, closed=True, segments=6), Look("white", "fabric")))
    if rng.random() < 0.75:
        spin, long = rng.uniform(0, 360), rng.uniform(1.5, 1.9)
        for side in (-1, 1):
            rod = swept([(0, -long / 2, 0), (0, long / 2, 0)], [0.06, 0.045], segments=10)
            stick = joined(rod, ellipsoid(0.1, 0.13, 0.1, 8).moved(0, long / 2, 0))
            stick = stick.turned("z", side * 24).moved(side * 0.22, 0, high + 0.1).turned("z", spin)
            parts.append(Part("drumstick", stick, Look("brown", "wooden")))
    return parts


def _guitar(rng: np.random.Generator) -> list[Part]:
    lower, waist, upper = rng.uniform(0.46, 0.56), rng.uniform(0.27, 0.34), rng.uniform(0.34, 0.43)
    tall, thick = rng.uniform(1.05, 1.25), rng.uniform(0.18, 0.28)
    middle = 0.56 * tall
    half = rounded_profile(
        [
            (0.0, 0),
            (0.62 * lower, 0.03 * tall),
            (lower, 0.26 * tall),
            (waist, 0.6 * tall),
            (upper, 0.82 * tall),
            (0.55 * upper, 0.98 * tall),
            (0.0, tall),
        ],
        8,
    )
    outline = np.array(half + [(-r, z) for r, z in half[-2:0:-1]]) - [0.0, middle]
    angle = np.arctan2(outline[:, 1], outline[:, 0])
    order = np.argsort(angle)
    disc = revolved([(0, 0), (0.96, 0), (1, 0.04), (1, thick - 0.04), (0.96, thick), (0, thick)], 72, smooth=False)
    x, y, z = disc.vertices.T
    reach = np.interp(np.arctan2(y, x), angle[order], np.hypot(*outline.T)[order], period=2 * np.pi)
    body = replace(disc, vertices=np.stack([x * reach, y * reach, z], -1))
    long, head = rng.uniform(0.7, 1.0), rng.uniform(0.26, 0.34)
    end = tall - middle
    hole_at = 0.18 * tall
    dark = Look("brown", "wooden")
    neck = box(0.15, long + 0.22, 0.1).moved(0, end + long / 2 - 0.11, thick - 0.02)
    crest = extruded([(-0.09, 0), (0.09, 0), (0.14, 0.1), (0.12, head), (-0.12, head), (-0.14, 0.1)], 0.09)
    crest = crest.moved(0, end + long, thick - 0.03)
    pegs = [
        sphere(0.04, 6).moved(side * 0.17, end + long + head * (0.3 + 0.25 * k), thick)
        for side in (-1, 1)
        for k in range(3)
    ]
    lines = []
    bridge = -0.26 * tall
    for k in range(4):
        span = end + long - bridge
        lines.append(box(0.014, span, 0.012).moved((k - 1.5) * 0.034, bridge + span / 2, thick + 0.085))
    parts = [
        Part("body", body, "main"),
        Part("hole", cylinder(0.17, 0.02).moved(0, hole_at, thick), _BLACK),
        Part("hole", torus(0.185, 0.022, 32).moved(0, hole_at, thick), "accent"),
        Part("bridge", box(0.34, 0.09, 0.08).moved(0, bridge, thick), dark),
        Part("neck", neck, dark),
        Part("headstock", crest, "accent"),
        Part("headstock", joined(*pegs), Look("silver", "metal")),
        Part("string", joined(*lines), Look("silver", "metal")),
    ]
    lean = rng.uniform(68, 80)
    placed = [replace(part, mesh=part.mesh.moved(0, middle, -thick / 2).turned("x", lean)) for part in parts]
    top = np.array([0.0, 0.66 * tall * np.cos(np.deg2rad(lean)), 0.66 * tall * np.sin(np.deg2rad(lean))])
    for side in (-1, 1):
        prop = [(side * 0.3, 0.55, -0.03), (side * 0.12, top[1] + 0.14, top[2])]
        foot = [(side * 0.3, 0.55, -0.03), (side * 0.3, -0.22, -0.03), (side * 0.3, -0.24, 0.08)]
        stand = joined(swept(prop, 0.03, segments=8), swept(foot, 0.03, segments=8))
        placed.append(Part("stand", stand, Look("black", "metal")))
    return placed


KINDS: tuple[Kind, ...] = (
    Kind(
        "bell",
        _bell,
        (0.14, 0.2),
        synonyms=("hand bell", "handbell"),
        hypernyms=("musical instrument",),
        uses=("something to ring", "something to call people with"),
        colours=("yellow", "grey", "brown", "red", "blue", "green", "black"),
        materials=("metal",),
        askable_parts=("handle",),
    ),
    Kind(
        "drum",
        _drum,
        (0.15, 0.22),
        synonyms=("toy drum",),
        hypernyms=("toy", "musical instrument"),
        uses=("something to play with", "something to make music with", "something to beat with sticks"),
        materials=("wooden", "plastic", "metal"),
        patterns=True,
        askable_parts=("drumhead",),
    ),
    Kind(
        "guitar",
        _guitar,
        (0.24, 0.30),
        synonyms=("toy guitar", "acoustic guitar"),
        hypernyms=("toy", "musical instrument"),
        uses=("something to play with", "something to make music with", "something with strings"),
        materials=("wooden", "plastic"),
        askable_parts=("neck",),
    ),
)
