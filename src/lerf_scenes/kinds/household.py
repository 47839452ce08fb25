"""Timepieces and keys."""

from __future__ import annotations

import numpy as np

from lerf_scenes.kind import Kind, Look, Part
from lerf_scenes.mesh import box, cylinder, joined, revolved, rounded_profile, swept, torus


def _clock(rng: np.random.Generator) -> list[Part]:
    deep, rim = rng.uniform(0.35, 0.55), rng.uniform(0.08, 0.14)
    wall = revolved(
        [(0.0, 0.0), (0.92, 0.0), (1.0, 0.08), (1.0, deep), (1.0 - rim, deep), (1.0 - rim, deep - 0.06)], smooth=False
    )
    face = cylinder(1.0 - rim, 0.02).moved(z=deep - 0.08)
    ticks = []
    for hour in range(12):
        long = 0.16 if hour % 3 == 0 else 0.1
        tick = box(0.06 if hour % 3 == 0 else 0.045, long, 0.02)
        ticks.append(tick.moved(y=0.95 - rim - long / 2 - 0.03, z=deep - 0.065).turned("z", -30.0 * hour))
    time = rng.uniform(0, 12)
    pointers = []
    for wide, long, turns, level in ((0.1, 0.45, time / 12, 0.0), (0.07, 0.68, time % 1, 0.02)):
        pointers.append(
            box(wide, long + 0.1, 0.02).moved(y=long / 2 - 0.05, z=deep - 0.05 + level).turned("z", -360 * turns)
        )
    hands = joined(*pointers, cylinder(0.07, 0.06).moved(z=deep - 0.06))
    facing = [
        Part("body", wall, "main"),
        Part("face", face, Look("white", "paper")),
        Part("hands", hands, Look("black", "metal")),
        Part("face", joined(*ticks), Look("black", "plastic")),
    ]
    # Drawn lying on its back; stood up, its face looks towards -y
    parts = [Part(p.name, p.mesh.turned("x", 90), p.look) for p in facing]
    foot = swept(
        np.linspace([0.0, -deep * 0.5, 0.0], [0.0, -deep * 0.5, -1.18], 4), (0.08, 0.08, 0.09, 0.1), segments=10
    )
    splay = rng.uniform(28, 40)
    parts.append(Part("foot", joined(foot.turned("y", splay), foot.turned("y", -splay)), "main"))
    if rng.random() < 0.6:
        dome = revolved(rounded_profile([(0.3, 0.0), (0.26, 0.14), (0.0, 0.22)])).moved(0.0, -deep * 0.5, 1.06)
        under = cylinder(0.3, 0.01).moved(0.0, -deep * 0.5, 1.06)
        pin = swept(np.linspace([0.0, -deep * 0.5, 0.9], [0.0, -deep * 0.5, 1.08], 4), 0.05, segments=8)
        bells = [joined(dome, under, pin).turned("y", side * rng.uniform(28, 36)) for side in (1, -1)]
        parts.append(Part("bell", joined(*bells), Look("silver" if rng.random() < 0.5 else "gold", "metal")))
    return parts


def _key(rng: np.random.Generator) -> list[Part]:
    bow, tube = rng.uniform(0.26, 0.34), rng.uniform(0.075, 0.095)
    length, shaft = rng.uniform(1.2, 1.5), rng.uniform(0.075, 0.095)
    if rng.random() < 0.5:
        head = torus(bow, tube, 32).scaled(1.0, rng.uniform(0.9, 1.3), 1.0).moved(x=-bow)
    else:  # three small rings, as on old keys
        ring = torus(bow * 0.55, tube * 0.9, 24)
        head = joined(*(ring.moved(x=bow * 0.62).turned("z", a) for a in (90, 180, 270))).moved(x=-bow * 0.35)
    stem = swept(np.linspace([-0.03, 0.0, 0.0], [length, 0.0, 0.0], 5), shaft, segments=14)
    collar = cylinder(shaft * 1.5, 0.09, bevel=0.02).turned("y", 90).moved(x=0.06)
    thick = shaft * 1.5
    teeth, end = [], length - 0.04
    for _ in range(int(rng.integers(2, 4))):
        wide, deep = rng.uniform(0.1, 0.16), rng.uniform(0.26, 0.42)
        teeth.append(box(wide, deep, thick).moved(end - wide / 2, -deep / 2, -thick / 2))
        end -= wide + rng.uniform(0.06, 0.09)
    bridge = box(length - 0.04 - end, 0.16, thick).moved((length - 0.04 + end) / 2, -0.08, -thick / 2)
    return [Part("body", joined(head, stem), "main"), Part("body", joined(collar, bridge, *teeth), "main")]


def _hourglass(rng: np.random.Generator) -> list[Part]:
    half, wide, waist = rng.uniform(0.62, 0.82), rng.uniform(0.36, 0.46), 0.06
    plate, radius = rng.uniform(0.08, 0.13), rng.uniform(0.54, 0.62)
    shape = [(wide * 0.86, 0.0), (wide, half * 0.35), (wide * 0.62, half * 0.75), (waist, half)]
    lower = [(max(r, waist), z) for r, z in rounded_profile(shape, 8)]
    # Where there is sand there is no glass, so that the sand shows however glass is rendered.
    fill = rng.uniform(0.3, 0.65) * half
    below = [(r, z) for r, z in lower if z <= fill]
    heap = [*below, (0.0, fill + below[-1][0] * rng.uniform(0.05, 0.35))]
    left = (1.0 - fill / half) * 0.75 * half  # of the upper bulb, above its waist
    above = [(r, 2 * half - z) for r, z in reversed(lower)]
    funnel = [(r, z) for r, z in above if z <= half + left]
    rest = [(r, z) for r, z in above if z >= half + left]
    glass = joined(revolved([(r, z) for r, z in lower if z >= fill], 36), revolved(rest, 36))
    sand = joined(revolved([(0.0, 0.0), *heap], 36), revolved([*funnel, (0.0, funnel[-1][1])], 36))
    caps = [cylinder(radius, plate, bevel=0.03).moved(z=-plate), cylinder(radius, plate, bevel=0.03).moved(z=2 * half)]
    count, thick = int(rng.integers(3, 5)), rng.uniform(0.045, 0.065)
    bulge = [thick, thick * 1.5, thick, thick * 1.5, thick]
    heights = np.linspace(-0.01, 2 * half + 0.01, 5)
    pillar = revolved(rounded_profile([(r, float(z)) for r, z in zip(bulge, heights, strict=True)], 4), 12).moved(
        x=radius * 0.84
    )
    pillars = [pillar.turned("z", 360 * (i + 0.5) / count) for i in range(count)]
    grains = Look(str(rng.choice(["beige", "yellow", "orange", "brown"])), "natural")
    return [
        Part("body", joined(*caps), "main"),
        Part("body", joined(*pillars), "main"),
        Part("glass", glass, Look("white", "glass")),
        Part("sand", sand, grains),
    ]


KINDS: tuple[Kind, ...] = (
    Kind(
        "clock",
        _clock,
        (0.16, 0.22),
        synonyms=("table clock", "analogue clock"),
        hypernyms=("timepiece",),
        uses=("something that tells the time", "something that measures time"),
        materials=("plastic", "metal"),
        askable_parts=("face",),
    ),
    Kind(
        "key",
        _key,
        (0.1, 0.12),
        synonyms=("door key",),
        uses=("something to open a lock with", "something to unlock a door with"),
        colours=("grey", "yellow", "brown", "black"),
        materials=("metal",),
    ),
    Kind(
        "hourglass",
        _hourglass,
        (0.18, 0.24),
        synonyms=("sand timer", "sandglass", "sand clock"),
        hypernyms=("timepiece", "timer"),
        uses=("something that measures time", "something with running sand"),
        colours=("brown", "black", "white", "red", "blue", "green", "grey"),
        materials=("wooden", "metal", "plastic"),
        askable_parts=("sand",),
    ),
)
