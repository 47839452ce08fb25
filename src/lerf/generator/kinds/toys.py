"""Toys: what children play with, and the games on a shelf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lerf.generator.kind import Kind, Look, Part
from lerf.generator.mesh import (
    Mesh,
    box,
    capsule_field,
    cleaned,
    cylinder,
    ellipsoid_field,
    extruded,
    from_field,
    joined,
    revolved,
    rounded_profile,
    sphere,
    swept,
    torus,
    union_field,
)

_BLACK = Look("black", "plastic")
_BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "white", "grey")


def _rounded_box(x: float, y: float, z: float, radius: float, steps: int = 3) -> Mesh:
    """Full sides, edges rounded; centred on the z axis, standing on z = 0. A few hundred triangles."""
    half = np.array([x, y, z]) / 2
    inner = half - radius
    bend = np.tan(np.linspace(np.pi / 4, 0, steps + 1))
    faces, vertices, count = [], [], 0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        lines = [np.concatenate([-inner[k] - radius * bend, inner[k] + radius * bend[::-1]]) for k in (u, v)]
        a, b = np.meshgrid(*lines, indexing="ij")
        i, j = np.meshgrid(np.arange(len(lines[0]) - 1), np.arange(len(lines[1]) - 1), indexing="ij")
        corner = (i * len(lines[1]) + j).reshape(-1)
        far = corner + len(lines[1])
        quads = np.concatenate([np.stack([corner, far, far + 1], -1), np.stack([corner, far + 1, corner + 1], -1)])
        for sign in (1, -1):
            points = np.zeros((a.size, 3))
            points[:, axis], points[:, u], points[:, v] = sign * half[axis], a.reshape(-1), b.reshape(-1)
            core = np.clip(points, -inner, inner)
            out = points - core
            vertices.append(core + radius * out / np.linalg.norm(out, axis=1, keepdims=True))
            faces.append((quads if sign > 0 else quads[:, ::-1]) + count)
            count += a.size
    mesh = cleaned(Mesh(np.concatenate(vertices), np.concatenate(faces)), 1e-7)
    return mesh.moved(z=half[2])


def _side(outline: Sequence[tuple[float, float]], width: float) -> Mesh:
    """An outline of (y, z), counter-clockwise seen from +x, as wide as `width` about x = 0."""
    mesh = extruded(outline, width)
    return replace(mesh, vertices=mesh.vertices[:, [2, 0, 1]] - np.array([width / 2, 0, 0]))


def _wheel(radius: float, width: float) -> Mesh:
    """A disc with rounded rims, its axle along x, centred on the origin."""
    return cylinder(radius, width, bevel=0.18 * radius).moved(z=-width / 2).turned("y", 90)


def _ellipsoid(x: float, y: float, z: float, rings: int = 12) -> Mesh:
    """By half axes, about the origin."""
    return sphere(1.0, rings).scaled(x, y, z)


def _zone(radius: float, low: float, high: float) -> Mesh:
    """A thin band over a sphere, between two latitudes in degrees."""
    turn = np.deg2rad(np.linspace(low, high, 9))
    skin = [(float(1.012 * radius * np.cos(t)), float(1.012 * radius * np.sin(t))) for t in turn]
    inner = [(0.97 * r, 0.97 * z) for r, z in skin]
    return revolved([*skin, *inner[::-1], skin[0]])


def _ball(rng: np.random.Generator) -> list[Part]:
    parts = [Part("body", sphere(1.0), "main")]
    style = int(rng.integers(3))
    tilt, spin = rng.uniform(10, 80), rng.uniform(0, 360)
    bands: list[tuple[float, float]] = []
    if style == 1:
        wide = rng.uniform(6, 18)
        bands = [(-wide, wide)]
    elif style == 2:
        wide, at = rng.uniform(5, 11), rng.uniform(25, 42)
        bands = [(at - wide, at + wide), (-at - wide, -at + wide)]
    parts += [Part("stripe", _zone(1.0, *band).turned("x", tilt).turned("z", spin), "accent") for band in bands]
    return parts


_PIPS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 0),),
    2: ((-1, -1), (1, 1)),
    3: ((-1, -1), (0, 0), (1, 1)),
    4: ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    5: ((-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0)),
    6: ((-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1)),
}


def _dice(rng: np.random.Generator) -> list[Part]:
    body = _rounded_box(1, 1, 1, rng.uniform(0.05, 0.22), 5).moved(z=-0.5)
    dot = _ellipsoid(rng.uniform(0.09, 0.125), 1.0, 1.0, 6)
    radius = float(dot.box[1, 0])
    dot = dot.scaled(1.0, radius, 0.03)
    step = rng.uniform(0.22, 0.26)
    turns = {1: ("x", 0), 6: ("x", 180), 2: ("x", 90), 5: ("x", -90), 3: ("y", 90), 4: ("y", -90)}
    pips = [
        dot.moved(step * a, step * b, 0.495).turned(axis, degrees)
        for number, (axis, degrees) in turns.items()
        for a, b in _PIPS[number]
    ]
    up = [("x", 0), ("x", 90), ("x", 180), ("x", 270), ("y", 90), ("y", 270)][rng.integers(6)]
    return [Part("body", body.turned(*up), "main"), Part("dot", joined(*pips).turned(*up), "accent")]


def _chess_piece(rng: np.random.Generator) -> list[Part]:
    foot, waist, tall = rng.uniform(0.3, 0.4), rng.uniform(0.12, 0.18), rng.uniform(0.5, 0.75)
    low = rng.uniform(0.12, 0.2)
    base = revolved(
        [
            (0, 0),
            *rounded_profile([(foot, 0), (foot * 1.05, low * 0.4), (foot * 0.95, low * 0.75)], 4),
            *rounded_profile([(foot * 0.78, low * 0.8), (foot * 0.8, low), (foot * 0.6, low * 1.15)], 4),
            (0, low * 1.15),
        ]
    )
    collar = waist * rng.uniform(1.5, 1.8)
    stem = [(0.0, low), (foot * 0.62, low), (waist * 1.25, low + 0.25 * tall), (waist, low + 0.85 * tall)]
    neck = low + tall
    stem = [stem[0], *rounded_profile(stem[1:], 6), (collar, neck - 0.04), (collar, neck), (0.0, neck + 0.02)]
    pieces = [revolved(stem)]
    shape = rng.integers(3)
    if shape == 0:
        head = rng.uniform(0.2, 0.26)
        pieces.append(sphere(head, 16).moved(z=neck + 0.85 * head))
    elif shape == 1:
        head, height = rng.uniform(0.18, 0.22), rng.uniform(0.4, 0.5)
        drop = rounded_profile(
            [(0.5 * head, 0), (head, 0.3 * height), (0.75 * head, 0.62 * height), (0.2 * head, height)], 6
        )
        pieces += [
            revolved([(0, 0), *drop, (0, height)]).moved(z=neck),
            sphere(0.06, 8).moved(z=neck + height + 0.03),
        ]
    else:
        head, height = rng.uniform(0.25, 0.31), rng.uniform(0.22, 0.3)
        wall = 0.35 * head
        cup = [(0, 0), (head * 0.85, 0), (head, 0.3 * height), (head, height)]
        pieces.append(
            revolved([*cup, (head - wall, height), (head - wall, 0.6 * height), (0, 0.6 * height)], smooth=False)
        )
        pieces[-1] = pieces[-1].moved(z=neck)
        teeth = int(rng.integers(4, 7))
        tooth = box(wall, 2 * np.pi * head / teeth * 0.5, 0.13).moved(head - wall * 0.53, 0, neck + height - 0.01)
        pieces += [tooth.turned("z", 360 * k / teeth) for k in range(teeth)]
    return [Part("base", base, "main"), *(Part("body", piece, "main") for piece in pieces)]


def _rubber_duck(rng: np.random.Generator) -> list[Part]:
    wide, long, high = rng.uniform(0.5, 0.62), rng.uniform(0.66, 0.85), rng.uniform(0.4, 0.5)
    lift = rng.uniform(0.25, 0.5)
    body = from_field(
        union_field(
            ellipsoid_field((0, 0, high), (wide, long, high)),
            capsule_field((0, long * 0.6, high * 1.2), (0, long * 1.05, high * 1.4 + lift), 0.2, 0.05),
            capsule_field((0, -long * 0.35, high), (0, -long * 0.35, high * 1.9), 0.36, 0.28),
            blend=0.25,
        ),
        (-0.8, -1.1, -0.1),
        (0.8, 1.3, 1.7),
        30,
    )
    low = float(body.vertices[:, 2].min())
    flat = body.vertices.copy()
    flat[:, 2] = np.maximum(flat[:, 2], low + 0.12 * high)
    body = replace(body, vertices=flat)
    head = rng.uniform(0.38, 0.48)
    at = np.array([0.0, -long * 0.42, high * 1.85 + 0.65 * head])
    beak = joined(
        _ellipsoid(0.55 * head, 0.55 * head, 0.12 * head).turned("x", -14).moved(z=0.04),
        _ellipsoid(0.45 * head, 0.42 * head, 0.1 * head).turned("x", 12).moved(z=-0.05),
    ).moved(0, at[1] - 1.05 * head, at[2] - 0.12 * head)
    eyes = [
        sphere(0.17 * head, 8).moved(side * 0.48 * head, at[1] - 0.78 * head, at[2] + 0.3 * head) for side in (-1, 1)
    ]
    wings = [
        _ellipsoid(0.12, 0.42 * long, 0.55 * high).turned("x", 20).moved(side * wide * 0.93, 0.12 * long, high * 1.2)
        for side in (-1, 1)
    ]
    return [
        Part("body", body, "main"),
        Part("head", sphere(head, 18).moved(*at), "main"),
        Part("beak", beak, Look("orange" if rng.random() < 0.8 else "red", "plastic")),
        *(Part("eye", eye, _BLACK) for eye in eyes),
        *(Part("wing", wing, "main") for wing in wings),
    ]


def _toy_car(rng: np.random.Generator) -> list[Part]:
    long, wide, high = rng.uniform(1.8, 2.5), rng.uniform(0.85, 1.05), rng.uniform(0.34, 0.5)
    wheel = rng.uniform(0.2, 0.3)
    ground = 0.75 * wheel
    body = _rounded_box(wide, long, high, 0.13).moved(z=ground)
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

    cabin = _side(trapezium(-0.1, 1, 0), 0.84 * wide)
    panes = [_side(trapezium(0.12, 0.84, 0.012), 0.7 * wide)]
    post = (front + slope + back - drop) / 2
    lower, upper = trapezium(0.12, 0.84, -0.1)[:2], trapezium(0.12, 0.84, -0.1)[2:]
    panes.append(_side([lower[0], (post - 0.04, lower[0][1]), (post - 0.04, upper[0][1]), upper[1]], 0.87 * wide))
    panes.append(_side([(post + 0.04, lower[0][1]), lower[1], upper[0], (post + 0.04, upper[0][1])], 0.87 * wide))
    axles = (-long * rng.uniform(0.28, 0.33), long * rng.uniform(0.28, 0.33))
    places = [(side * 0.48 * wide, y, wheel) for side in (-1, 1) for y in axles]
    hub = Look(str(rng.choice(["silver", "white", "yellow"])), "plastic")
    glass = Look(str(rng.choice(["black", "blue", "white"], p=[0.5, 0.35, 0.15])), "glass")
    lamp = sphere(0.09, 8).moved(0, -long / 2 + 0.02, ground + 0.6 * high)
    bumper = _rounded_box(0.95 * wide, 0.14, 0.12, 0.05).moved(z=ground + 0.03)
    return [
        Part("body", body, "main"),
        Part("body", cabin, "main"),
        *(Part("window", pane, glass) for pane in panes),
        *(Part("wheel", _wheel(wheel, 0.22).moved(*place), _BLACK) for place in places),
        *(Part("wheel", _wheel(0.5 * wheel, 0.25).moved(*place), hub) for place in places),
        *(Part("headlight", lamp.moved(side * 0.32 * wide), Look("yellow", "plastic")) for side in (-1, 1)),
        *(Part("bumper", bumper.moved(y=y), Look("grey", "plastic")) for y in (-long / 2, long / 2)),
    ]


def _house(rng: np.random.Generator) -> list[Part]:
    wide, deep, high = rng.uniform(0.9, 1.4), rng.uniform(0.8, 1.1), rng.uniform(0.65, 1.0)
    rise, eaves = rng.uniform(0.4, 0.8), rng.uniform(0.07, 0.16)
    if rng.random() < 0.75:
        gable = _side([(-deep / 2, 0), (deep / 2, 0), (deep / 2, high), (0, high + rise), (-deep / 2, high)], wide)
        fall = rise / (deep / 2)
        y = deep / 2 + eaves
        low, thick = high - fall * eaves, 0.1
        shape = [(-y, low), (0, high + rise), (y, low), (y, low + thick), (0, high + rise + thick), (-y, low + thick)]
        roof = _side(shape, wide + 2 * eaves)
        # Gables to the front as often as eaves.
        if rng.random() < 0.5:
            gable, roof, wide, deep = gable.turned("z", 90), roof.turned("z", 90), deep, wide
    else:
        gable = box(wide, deep, high)
        roof = revolved([(0, 0), (np.sqrt(0.5), 0), (np.sqrt(0.5), 0.06), (0, rise)], 4, smooth=False).turned("z", 45)
        roof = roof.scaled(wide + 2 * eaves, deep + 2 * eaves, 1).moved(z=high - 0.01)
    door_wide, door_high = rng.uniform(0.2, 0.28), high * rng.uniform(0.5, 0.62)
    at = wide * rng.uniform(-0.2, 0.2)
    door = box(door_wide, 0.06, door_high).moved(at, -deep / 2)
    pane = high * rng.uniform(0.25, 0.32)
    level = high * rng.uniform(0.4, 0.52)
    spots = [x for x in (-0.34 * wide, 0.34 * wide) if abs(x - at) > (door_wide + pane) / 2 + 0.02]
    panes = [box(pane, 0.05, pane).moved(x, -deep / 2, level) for x in spots]
    panes += [box(pane, 0.05, pane).moved(x, deep / 2, level) for x in (-0.25 * wide, 0.25 * wide)]
    panes += [box(0.05, pane, pane).moved(side * wide / 2, 0, level) for side in (-1, 1)]
    knob = sphere(0.025, 6).moved(at + 0.33 * door_wide, -deep / 2 - 0.04, door_high * 0.5)
    parts = [
        Part("body", gable, "main"),
        Part("roof", roof, "accent"),
        Part("door", door, Look(str(rng.choice(["brown", "white", "black", "green"])), "wooden")),
        Part("door", knob, Look("gold", "metal")),
        *(Part("window", pane, Look(str(rng.choice(["blue", "black"])), "glass")) for pane in panes),
    ]
    if rng.random() < 0.6:
        side = rng.choice([-1, 1])
        chimney = box(0.16, 0.16, rise * 0.9 + 0.15).moved(side * wide * 0.22, deep * 0.2, high)
        parts.append(Part("chimney", chimney, Look(str(rng.choice(["red", "brown", "grey"])), "ceramic")))
    return parts


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
        Part("window", porthole(_ellipsoid(size, size, 0.06), out - 0.01), Look("blue", "glass")),
    ]


def _robot(rng: np.random.Generator) -> list[Part]:
    wide, deep, high = rng.uniform(0.6, 0.85), rng.uniform(0.4, 0.55), rng.uniform(0.6, 0.85)
    leg, foot = rng.uniform(0.22, 0.4), rng.uniform(0.2, 0.27)
    bend = rng.uniform(0.03, 0.09)
    head_wide, head_high = wide * rng.uniform(0.6, 0.9), rng.uniform(0.36, 0.5)
    top = leg + high
    head_at = top + 0.08
    face = -0.45 * deep
    steel = Look("grey", "metal")
    eye = Look(str(rng.choice(["yellow", "white", "red", "black"])), "plastic")
    size = rng.uniform(0.065, 0.095)
    reach, raise_ = rng.uniform(0.42, 0.6), rng.uniform(-15, 25)
    parts = [
        Part("body", _rounded_box(wide, deep, high, bend).moved(z=leg), "main"),
        Part("body", cylinder(0.12, 0.12).moved(z=top - 0.02), steel),
        Part("head", _rounded_box(head_wide, 0.9 * deep, head_high, bend).moved(z=head_at), "main"),
        Part("head", box(0.5 * head_wide, 0.05, 0.06).moved(0, face, head_at + 0.2 * head_high), _BLACK),
        Part("panel", box(0.6 * wide, 0.06, 0.4 * high).moved(0, -deep / 2, leg + 0.38 * high), "accent"),
        Part("antenna", cylinder(0.025, 0.2).moved(z=head_at + head_high - 0.01), steel),
        Part("antenna", sphere(rng.uniform(0.05, 0.08), 8).moved(z=head_at + head_high + 0.22), "accent"),
    ]
    for k in range(3):
        button = sphere(0.04, 6).moved((k - 1) * 0.17 * wide, -deep / 2 - 0.03, leg + 0.58 * high)
        parts.append(Part("panel", button, Look(("red", "yellow", "white")[k], "plastic")))
    for side in (-1, 1):
        arm = _rounded_box(0.16, 0.2, reach, 0.05).moved(z=-reach + 0.08).turned("x", raise_ * side)
        hand = sphere(0.13, 10).moved(z=-reach + 0.06).turned("x", raise_ * side)
        place = (side * (wide / 2 + 0.1), 0.0, top - 0.18)
        parts += [
            Part("eye", sphere(size, 8).moved(side * 0.24 * head_wide, face, head_at + 0.62 * head_high), eye),
            Part("head", _wheel(0.09, 0.1).moved(side * head_wide / 2, 0, head_at + head_high / 2), "accent"),
            Part("arm", arm.moved(*place), "main"),
            Part("arm", hand.moved(*place), "accent"),
            Part("leg", cylinder(0.1, leg).moved(side * 0.25 * wide, 0, 0.05), steel),
            Part("leg", _rounded_box(foot, 1.1 * deep, 0.16, 0.05).moved(side * 0.25 * wide, -0.06), "accent"),
        ]
    return parts


def _teddy_bear(rng: np.random.Generator) -> list[Part]:
    fat, tall = rng.uniform(0.42, 0.52), rng.uniform(0.48, 0.6)
    head = rng.uniform(0.36, 0.44)
    ear = rng.uniform(0.14, 0.19)
    spread, limb = rng.uniform(18, 35), rng.uniform(0.15, 0.19)
    at = 1.7 * tall + 0.62 * head
    light = Look(str(rng.choice(["beige", "white"])), "fabric")
    muzzle = (0.0, -0.84 * head, at - 0.2 * head)
    nose = _ellipsoid(0.17 * head, 0.12 * head, 0.12 * head, 8)
    parts = [
        Part("body", _ellipsoid(fat, 0.85 * fat, tall, 14).moved(z=0.95 * tall), "main"),
        Part("body", _ellipsoid(0.66 * fat, 0.2 * fat, 0.64 * tall).moved(0, -0.72 * fat, 0.95 * tall), light),
        Part("head", _ellipsoid(1.06 * head, 0.95 * head, 0.97 * head, 14).moved(z=at), "main"),
        Part("head", _ellipsoid(0.46 * head, 0.4 * head, 0.36 * head).moved(*muzzle), light),
        Part("nose", nose.moved(0, muzzle[1] - 0.36 * head, muzzle[2] + 0.12 * head), _BLACK),
    ]
    lift = rng.uniform(-0.1, 0.3)
    paw = _ellipsoid(0.7 * limb, 0.15 * limb, 0.8 * limb, 8)
    for side in (-1, 1):
        ear_at = (side * 0.78 * head, 0.0, at + 0.74 * head)
        hip = np.array([side * 0.6 * fat, -0.25 * fat, limb])
        toe = hip + 0.55 * np.array([side * np.sin(np.deg2rad(spread)), -np.cos(np.deg2rad(spread)), 0.0])
        shoulder = np.array([side * 0.75 * fat, -0.1, 1.45 * tall])
        hand = shoulder + np.array([side * 0.26, -0.22, -0.3 + lift])
        parts += [
            Part("ear", _ellipsoid(ear, 0.5 * ear, ear).moved(*ear_at), "main"),
            Part("ear", _ellipsoid(0.6 * ear, 0.2 * ear, 0.6 * ear, 8).moved(ear_at[0], -0.42 * ear, ear_at[2]), light),
            Part("eye", sphere(0.1 * head, 8).moved(side * 0.4 * head, -0.86 * head, at + 0.17 * head), _BLACK),
            Part("leg", _limb(hip, toe, limb), "main"),
            Part("leg", paw.turned("z", side * spread).moved(*(toe + (toe - hip) * (limb * 1.02 / 0.55))), light),
            Part("arm", _limb(shoulder, hand, 0.8 * limb), "main"),
        ]
    if rng.random() < 0.4:
        bow = [_ellipsoid(0.15, 0.07, 0.1, 8).moved(side * 0.14, -0.78 * fat, 1.62 * tall) for side in (-1, 1)]
        parts.append(Part("bow", joined(*bow, sphere(0.07, 8).moved(0, -0.82 * fat, 1.62 * tall)), "accent"))
    return parts


def _limb(start: np.ndarray, stop: np.ndarray, radius: float) -> Mesh:
    """A rod with round ends."""
    way = (stop - start) / np.linalg.norm(stop - start)
    turn = np.linspace(0, np.pi / 2, 6)[1:]
    before = [start - radius * np.cos(t) * way for t in turn]
    after = [stop + radius * np.sin(t) * way for t in np.linspace(0, np.pi / 2, 6)[:-1]]
    radii = [radius * np.sin(t) for t in turn] + [radius * np.cos(t) for t in np.linspace(0, np.pi / 2, 6)[:-1]]
    return swept(np.array(before + after), radii)


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
        flag = _side([(mast, 0), (mast + 0.3, 0.08), (mast, 0.16)], 0.02).moved(z=0.8 * deep + tall - 0.1)
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
            stick = joined(rod, _ellipsoid(0.1, 0.13, 0.1, 8).moved(0, long / 2, 0))
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
    dome = _ellipsoid(0.17, 0.17, 0.2).moved(0, start + rng.uniform(0.55, 0.7) * long, axis + boiler - 0.02)
    back = start + long + cab_long / 2
    cab = _rounded_box(wide, cab_long, cab_high, 0.04).moved(0, back, floor + 0.1)
    roof = _rounded_box(wide + 0.2, cab_long + 0.24, 0.13, 0.06).moved(0, back, floor + 0.08 + cab_high)
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
        *(Part("wheel", _wheel(r, 0.14).moved(x, y, r), "accent") for x, y, r in rounds),
        *(Part("wheel", _wheel(0.45 * r, 0.18).moved(x, y, r), hub) for x, y, r in rounds),
    ]


def _stacking_rings(rng: np.random.Generator) -> list[Part]:
    count = int(rng.integers(4, 7))
    widest, narrowest, flat = 1.0, rng.uniform(0.45, 0.65), rng.uniform(0.55, 0.85)
    base = rng.uniform(0.12, 0.2)
    parts = [Part("base", cylinder(rng.uniform(0.85, 1.1), base, 0.85, bevel=0.05), "main")]
    height = base
    for k in range(count):
        outer = widest + (narrowest - widest) * k / (count - 1)
        tube = (outer - 0.18) / 2
        around = np.linspace(0, 2 * np.pi, 15)
        section = [(float(outer + tube * (np.cos(a) - 1)), float(flat * tube * np.sin(a))) for a in around]
        ring = revolved(section, 32)
        parts.append(Part("ring", ring.moved(z=height + flat * tube), "accent" if k % 2 else "main"))
        height += 1.93 * flat * tube
    knob = rng.uniform(0.2, 0.28)
    parts += [
        Part("pole", cylinder(0.14, height + 0.05), Look("white", "plastic")),
        Part("knob", sphere(knob, 14).moved(z=height + 0.75 * knob), "main" if count % 2 == 0 else "accent"),
    ]
    return parts


_PLAY = "something to play with"

KINDS: tuple[Kind, ...] = (
    Kind(
        "ball",
        _ball,
        (0.10, 0.15),
        hypernyms=("toy",),
        uses=(_PLAY, "something to throw", "something to kick"),
        materials=("plastic", "leather", "fabric"),
        patterns=True,
    ),
    Kind(
        "dice",
        _dice,
        (0.08, 0.10),
        synonyms=("die",),
        hypernyms=("game", "toy"),
        uses=(_PLAY, "something to roll for a number"),
        colours=_BRIGHT,
        materials=("plastic", "wooden"),
        askable_parts=(),
        accents=("white", "black"),
    ),
    Kind(
        "chess piece",
        _chess_piece,
        (0.12, 0.18),
        synonyms=("chessman", "chess figure"),
        hypernyms=("game",),
        uses=(_PLAY, "something to play chess with"),
        colours=("black", "white", "brown", "red", "grey", "blue", "green"),
        materials=("wooden", "plastic", "glass"),
        askable_parts=("base",),
    ),
    Kind(
        "rubber duck",
        _rubber_duck,
        (0.12, 0.18),
        synonyms=("toy duck", "bath duck"),
        hypernyms=("toy", "toy animal"),
        uses=(_PLAY, "something to play with in the bath"),
        colours=("yellow", "yellow", "yellow", "pink", "blue", "green", "white", "black", "purple"),
        materials=("plastic",),
        askable_parts=("head", "beak"),
    ),
    Kind(
        "toy car",
        _toy_car,
        (0.16, 0.24),
        synonyms=("car", "automobile"),
        hypernyms=("toy", "vehicle"),
        uses=(_PLAY, "something that drives on a road"),
        materials=("plastic", "metal", "wooden"),
        askable_parts=("wheel", "window"),
    ),
    Kind(
        "house",
        _house,
        (0.20, 0.30),
        synonyms=("toy house", "model house"),
        hypernyms=("toy", "building"),
        uses=(_PLAY, "something to live in"),
        materials=("wooden", "plastic"),
        askable_parts=("roof", "door", "window"),
    ),
    Kind(
        "rocket",
        _rocket,
        (0.20, 0.30),
        synonyms=("toy rocket", "spaceship", "space rocket"),
        hypernyms=("toy", "vehicle"),
        uses=(_PLAY, "something to fly to the moon with"),
        colours=_BRIGHT,
        materials=("plastic", "metal", "wooden"),
        askable_parts=("fin", "nose"),
    ),
    Kind(
        "robot",
        _robot,
        (0.18, 0.26),
        synonyms=("toy robot",),
        hypernyms=("toy",),
        uses=(_PLAY,),
        colours=_BRIGHT,
        materials=("plastic", "metal"),
        askable_parts=("head", "arm", "leg"),
    ),
    Kind(
        "teddy bear",
        _teddy_bear,
        (0.20, 0.27),
        synonyms=("stuffed bear", "teddy", "plush bear"),
        hypernyms=("toy", "toy animal", "soft toy"),
        uses=(_PLAY, "something to cuddle"),
        colours=("brown", "brown", "brown", "white", "black", "pink", "grey", "blue"),
        materials=("fabric",),
        askable_parts=("head", "leg", "arm", "ear"),
    ),
    Kind(
        "boat",
        _boat,
        (0.20, 0.30),
        synonyms=("sailing boat", "sailboat", "toy boat"),
        hypernyms=("toy", "vehicle"),
        uses=(_PLAY, "something that sails on water"),
        materials=("wooden", "plastic"),
        askable_parts=("sail",),
    ),
    Kind(
        "drum",
        _drum,
        (0.15, 0.22),
        synonyms=("toy drum",),
        hypernyms=("toy", "musical instrument"),
        uses=(_PLAY, "something to make music with", "something to beat with sticks"),
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
        uses=(_PLAY, "something to make music with", "something with strings"),
        materials=("wooden", "plastic"),
        askable_parts=("neck",),
    ),
    Kind(
        "train",
        _train,
        (0.20, 0.28),
        synonyms=("toy train", "locomotive", "steam engine"),
        hypernyms=("toy", "vehicle"),
        uses=(_PLAY, "something that runs on rails"),
        materials=("wooden", "plastic", "metal"),
        askable_parts=("wheel", "chimney", "cabin"),
    ),
    Kind(
        "stacking rings",
        _stacking_rings,
        (0.15, 0.22),
        synonyms=("ring stacker", "stacking toy", "ring tower"),
        hypernyms=("toy",),
        uses=(_PLAY, "something for a baby to stack"),
        colours=("red", "orange", "yellow", "green", "blue", "purple", "pink"),
        materials=("plastic", "wooden"),
    ),
)
"""Every kind of this family."""
