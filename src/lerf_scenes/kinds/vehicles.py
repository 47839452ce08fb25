"""Toy vehicles on wheels, on water and in the air."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf_scenes.kind import PAINTS, Kind, Look, Part
from lerf_scenes.kinds.shapes import ellipsoid, rounded_box, side_view, wheel_disc
from lerf_scenes.mesh import (
    Mesh,
    box,
    cleaned,
    cylinder,
    extruded,
    joined,
    revolved,
    rounded_profile,
    sphere,
    swept,
    torus,
)

_BLACK = Look("black", "plastic")


def _toy_car(rng: np.random.Generator) -> list[Part]:
    long, wide, high = rng.uniform(1.8, 2.5), rng.uniform(0.85, 1.05), rng.uniform(0.34, 0.5)
    wheel = rng.uniform(0.2, 0.3)
    ground = 0.75 * wheel
    body = rounded_box(wide, long, high, 0.13).moved(z=ground)
    top = ground + high
    front = -long * rng.uniform(0.15, 0.3)
    back = long * rng.choice([rng.uniform(0.2, 0.32), rng.uniform(0.4, 0.47)])
    slope, drop, tall = rng.uniform(0.15, 0.4), rng.uniform(0.04, 0.25), rng.uniform(0.36, 0.52)

    def trapezium(low: float, high: float, grow: float) -> list[tuple[float, float]]:
        """Cabin between two fractions of its height, longer by `grow` at either end."""
        return [
            (front + slope * low - grow, top + tall * low),
            (back - drop * low + grow, top + tall * low),
            (back - drop * high + grow, top + tall * high),
            (front + slope * high - grow, top + tall * high),
        ]

    cabin = side_view(trapezium(-0.1, 1, 0), 0.84 * wide)
    panes = [side_view(trapezium(0.12, 0.84, 0.012), 0.7 * wide)]
    post = (front + slope + back - drop) / 2
    lower, upper = trapezium(0.12, 0.84, -0.1)[:2], trapezium(0.12, 0.84, -0.1)[2:]
    panes.append(side_view([lower[0], (post - 0.04, lower[0][1]), (post - 0.04, upper[0][1]), upper[1]], 0.87 * wide))
    panes.append(side_view([(post + 0.04, lower[0][1]), lower[1], upper[0], (post + 0.04, upper[0][1])], 0.87 * wide))
    axles = (-long * rng.uniform(0.28, 0.33), long * rng.uniform(0.28, 0.33))
    hub_centres = [(side * 0.48 * wide, y, wheel) for side in (-1, 1) for y in axles]
    hub = Look(str(rng.choice(["silver", "white", "yellow"])), "plastic")
    glass = Look(str(rng.choice(["black", "blue", "white"], p=[0.5, 0.35, 0.15])), "glass")
    lamp = sphere(0.09, 8).moved(0, -long / 2 + 0.02, ground + 0.6 * high)
    bumper = rounded_box(0.95 * wide, 0.14, 0.12, 0.05).moved(z=ground + 0.03)
    return [
        Part("body", body, "main"),
        Part("body", cabin, "main"),
        *(Part("window", pane, glass) for pane in panes),
        *(Part("wheel", wheel_disc(wheel, 0.22).moved(*hub_centre), _BLACK) for hub_centre in hub_centres),
        *(Part("wheel", wheel_disc(0.5 * wheel, 0.25).moved(*hub_centre), hub) for hub_centre in hub_centres),
        *(Part("headlight", lamp.moved(side * 0.32 * wide), Look("yellow", "plastic")) for side in (-1, 1)),
        *(Part("bumper", bumper.moved(y=y), Look("grey", "plastic")) for y in (-long / 2, long / 2)),
    ]


def _rocket(rng: np.random.Generator) -> list[Part]:
    fat, tall, tip = rng.uniform(0.28, 0.42), rng.uniform(1.1, 1.5), rng.uniform(0.4, 0.65)
    tail = rng.uniform(0.6, 0.8)
    lift = 0.25
    wall = rounded_profile(
        [(tail * fat, 0), (fat, 0.35 * tall), (0.98 * fat, 0.65 * tall), (rng.uniform(0.72, 0.82) * fat, tall)], 8
    )
    rim = wall[-1][0]
    nose = rounded_profile([(rim * 1.04, 0), (rim * 0.7, 0.5 * tip), (0.03, tip)], 8)
    count = int(rng.integers(3, 5))
    reach, root, thick = rng.uniform(0.28, 0.45), rng.uniform(0.45, 0.65), 0.07
    shape = [(0.0, 0.06), (reach, -lift), (reach, -lift + 0.22), (fat * 0.3, root), (-0.15, root), (-0.15, 0.06)]
    fin = extruded(shape, thick).moved(z=-thick / 2).turned("x", 90).moved(x=fat * 0.88)
    fins = [fin.turned("z", 360 * (k + 0.5) / count - 90) for k in range(count)]
    height, size = 0.68 * tall, rng.uniform(0.3, 0.42) * fat
    out = float(np.interp(height, [z for _, z in wall], [r for r, _ in wall]))

    def porthole(mesh: Mesh, away: float) -> Mesh:
        return mesh.turned("x", 90).moved(0, -away, height)

    return [
        Part("body", revolved([(0, 0), *wall, (0, tall)]), "main"),
        Part("nose", revolved([(0, 0), *nose, (0, tip)]).moved(z=tall - 0.005), "accent"),
        *(Part("fin", piece, "accent") for piece in fins),
        Part("nozzle", cylinder(0.62 * tail * fat, 0.16, 0.4 * tail * fat).moved(z=-0.14), Look("grey", "metal")),
        Part("window", porthole(torus(size, 0.055, 32), out), Look("silver", "metal")),
        Part("window", porthole(ellipsoid(size, size, 0.06), out - 0.01), Look("blue", "glass")),
    ]


def _boat(rng: np.random.Generator) -> list[Part]:
    long, wide, deep = rng.uniform(0.9, 1.1), rng.uniform(0.32, 0.44), rng.uniform(0.3, 0.42)
    blunt, rake = rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.25)

    def hull(profile: list[tuple[float, float]]) -> Mesh:
        """A round body made pointed at the bow (-y), blunt at the stern, with a rising bow."""
        mesh = revolved(profile, 56)
        x, y, z = mesh.vertices.T
        bow = np.clip(-y, 0, 1)
        narrow = np.where(y < 0, 1 - 0.55 * bow**2, 1.0)
        rise = np.clip(z / deep, 0, 1)
        along = np.where(y < 0, long * y * (1 + rake * rise), long * blunt * y)
        return replace(mesh, vertices=np.stack([wide * x * narrow, along, z + 0.3 * deep * bow**2 * rise], -1))

    side = [(0, 0), (0.5, 0), (0.75, 0.25 * deep), (0.95, 0.7 * deep), (1, deep)]
    body = hull([*side, (0.88, deep), (0.86, 0.8 * deep), (0, 0.8 * deep)])
    deck = hull([(0, 0.78 * deep), (0.88, 0.78 * deep), (0.88, 0.82 * deep), (0, 0.82 * deep)])
    tall, mast = rng.uniform(1.2, 1.7), -long * rng.uniform(0.02, 0.15)
    foot, boom = deep + rng.uniform(0.12, 0.25), long * rng.uniform(0.7, 0.95)
    # The sail is let out to one side, so that it shows from ahead and astern too.
    swing = rng.uniform(18, 40)
    bulge = rng.uniform(0.06, 0.16)
    main = _sail([(0.05, foot), (boom, foot), (0.05, deep + 0.95 * tall)], bulge).turned("z", -swing).moved(y=mast)
    sails = [Part("sail", main, "accent")]
    if rng.random() < 0.7:
        jib = _sail([(-long * 1.05, deep * 1.35), (mast - 0.08, foot), (mast - 0.06, deep + 0.8 * tall)], bulge)
        sails.append(Part("sail", jib, "accent"))
    wood = Look("brown", "wooden")
    spar = swept([(0, 0, foot - 0.03), (0, boom, foot - 0.03)], 0.022, segments=8).turned("z", -swing).moved(y=mast)
    if rng.random() < 0.5:
        flag = side_view([(mast, 0), (mast + 0.3, 0.08), (mast, 0.16)], 0.02).moved(z=0.8 * deep + tall - 0.1)
        sails.append(Part("flag", flag, "main"))
    return [
        Part("body", body, "main"),
        Part("deck", deck, wood),
        Part("mast", cylinder(0.035, tall + 0.05, 0.025).moved(0, mast, 0.8 * deep), wood),
        Part("mast", spar, wood),
        *sails,
    ]


def _sail(corners: list[tuple[float, float]], bulge: float) -> Mesh:
    """A triangle of (y, z) corners, counter-clockwise seen from +x, with a belly towards +x."""
    tack, clew, head = (np.array([0.0, *corner]) for corner in corners)
    count = 8
    rows = np.linspace(0, 1, count)
    front, back, thick = [], [], 0.02
    for u in rows:
        for v in rows:
            point = (1 - u) * (tack + v * (clew - tack)) + u * head
            belly = bulge * 4 * v * (1 - v) * (1 - u) * min(1.0, 4 * u + 0.3)
            front.append(point + np.array([belly + thick / 2, 0, 0]))
            back.append(point + np.array([belly - thick / 2, 0, 0]))
    i, j = (a.reshape(-1) for a in np.meshgrid(np.arange(count - 1), np.arange(count - 1), indexing="ij"))
    a = i * count + j
    quads = np.concatenate([np.stack([a, a + 1, a + count + 1], -1), np.stack([a, a + count + 1, a + count], -1)])
    edge = [
        *range(count),
        *(k * count + count - 1 for k in range(1, count)),
        *(k * count for k in range(count - 1, 0, -1)),
    ]
    loop = np.array(edge)
    ahead = np.roll(loop, -1)
    size = count * count
    rim = np.concatenate([np.stack([loop + size, ahead + size, ahead], -1), np.stack([loop + size, ahead, loop], -1)])
    return cleaned(
        Mesh(np.array(front + back), np.concatenate([quads, quads[:, ::-1] + size, rim]), smooth=False), 1e-7
    )


def _train(rng: np.random.Generator) -> list[Part]:
    boiler, long = rng.uniform(0.32, 0.42), rng.uniform(1.0, 1.4)
    cab_long, cab_high = rng.uniform(0.5, 0.7), rng.uniform(0.85, 1.05)
    wheel = rng.uniform(0.22, 0.3)
    floor = 1.15 * wheel
    wide = 2 * boiler + 0.12
    total = long + cab_long
    start = -total / 2
    axis = floor + 0.12 + boiler
    barrel = cylinder(boiler, long, bevel=0.05).turned("x", 90).moved(0, start + long, axis)
    door = cylinder(0.8 * boiler, 0.06, 0.7 * boiler).turned("x", 90).moved(0, start + 0.01, axis)
    stack_low, stack_top = rng.uniform(0.1, 0.14), rng.uniform(0.13, 0.26)
    stack_high = rng.uniform(0.4, 0.6)
    stack = joined(
        cylinder(stack_low, stack_high + 0.1, stack_top), cylinder(stack_top + 0.04, 0.09).moved(z=stack_high + 0.06)
    ).moved(0, start + 0.25, axis + boiler - 0.12)
    dome = ellipsoid(0.17, 0.17, 0.2).moved(0, start + rng.uniform(0.55, 0.7) * long, axis + boiler - 0.02)
    back = start + long + cab_long / 2
    cab = rounded_box(wide, cab_long, cab_high, 0.04).moved(0, back, floor + 0.1)
    roof = rounded_box(wide + 0.2, cab_long + 0.24, 0.13, 0.06).moved(0, back, floor + 0.08 + cab_high)
    pane_low = floor + 0.1 + 0.55 * cab_high
    panes = [
        box(wide + 0.03, 0.55 * cab_long, 0.3 * cab_high).moved(0, back, pane_low),
        box(0.6 * wide, cab_long + 0.03, 0.3 * cab_high).moved(0, back, pane_low),
    ]
    big = wheel * rng.uniform(1.15, 1.45)
    wheels = [(start + 0.3, wheel), (start + 0.3 + 2.3 * wheel, wheel), (back - 0.1, big)]
    hub = Look(str(rng.choice(["yellow", "silver", "white"])), "plastic")
    rounds = [(side * (wide / 2 + 0.03), y, r) for side in (-1, 1) for y, r in wheels]
    catcher = extruded([(-wide / 2, 0), (0, -0.28), (wide / 2, 0)], floor * 0.7).moved(0, start - 0.02, 0.06)
    return [
        Part("body", barrel, "main"),
        Part("body", door, _BLACK),
        Part("body", box(wide, total + 0.08, 0.2).moved(z=floor - 0.06), Look("black", "metal")),
        Part("bumper", catcher, "accent"),
        Part("chimney", stack, Look("black", "metal")),
        Part("dome", dome, Look("gold", "metal")),
        Part("cabin", cab, "main"),
        Part("roof", roof, "accent"),
        *(Part("window", pane, Look("white", "glass")) for pane in panes),
        *(Part("wheel", wheel_disc(r, 0.14).moved(x, y, r), "accent") for x, y, r in rounds),
        *(Part("wheel", wheel_disc(0.45 * r, 0.18).moved(x, y, r), hub) for x, y, r in rounds),
    ]


KINDS: tuple[Kind, ...] = (
    Kind(
        "toy car",
        _toy_car,
        (0.16, 0.24),
        synonyms=("car", "automobile"),
        hypernyms=("toy", "vehicle"),
        uses=("something to play with", "something that drives on a road"),
        materials=("plastic", "metal", "wooden"),
        askable_parts=("wheel", "window"),
    ),
    Kind(
        "rocket",
        _rocket,
        (0.20, 0.30),
        synonyms=("toy rocket", "spaceship", "space rocket"),
        hypernyms=("toy", "vehicle"),
        uses=("something to play with", "something to fly to the moon with"),
        colours=PAINTS,
        materials=("plastic", "metal", "wooden"),
        askable_parts=("fin", "nose"),
    ),
    Kind(
        "boat",
        _boat,
        (0.20, 0.30),
        synonyms=("sailing boat", "sailboat", "toy boat"),
        hypernyms=("toy", "vehicle"),
        uses=("something to play with", "something that sails on water"),
        materials=("wooden", "plastic"),
        askable_parts=("sail",),
    ),
    Kind(
        "train",
        _train,
        (0.20, 0.28),
        synonyms=("toy train", "locomotive", "steam engine"),
        hypernyms=("toy", "vehicle"),
        uses=("something to play with", "something that runs on rails"),
        materials=("wooden", "plastic", "metal"),
        askable_parts=("wheel", "chimney", "cabin"),
    ),
)
