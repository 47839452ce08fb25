"""Toy animals, a robot and a house."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerf_scenes.kind import PAINTS, Kind, Look, Part
from lerf_scenes.kinds.shapes import ellipsoid, rounded_box, side_view, wheel_disc
from lerf_scenes.mesh import (
    Mesh,
    box,
    capsule_field,
    cylinder,
    ellipsoid_field,
    from_field,
    joined,
    revolved,
    sphere,
    swept,
    union_field,
)

_BLACK = Look("black", "plastic")


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
        ellipsoid(0.55 * head, 0.55 * head, 0.12 * head).turned("x", -14).moved(z=0.04),
        ellipsoid(0.45 * head, 0.42 * head, 0.1 * head).turned("x", 12).moved(z=-0.05),
    ).moved(0, at[1] - 1.05 * head, at[2] - 0.12 * head)
    eyes = [
        sphere(0.17 * head, 8).moved(side * 0.48 * head, at[1] - 0.78 * head, at[2] + 0.3 * head) for side in (-1, 1)
    ]
    wings = [
        ellipsoid(0.12, 0.42 * long, 0.55 * high).turned("x", 20).moved(side * wide * 0.93, 0.12 * long, high * 1.2)
        for side in (-1, 1)
    ]
    return [
        Part("body", body, "main"),
        Part("head", sphere(head, 18).moved(*at), "main"),
        Part("beak", beak, Look("orange" if rng.random() < 0.8 else "red", "plastic")),
        *(Part("eye", eye, _BLACK) for eye in eyes),
        *(Part("wing", wing, "main") for wing in wings),
    ]


def _house(rng: np.random.Generator) -> list[Part]:
    wide, deep, high = rng.uniform(0.9, 1.4), rng.uniform(0.8, 1.1), rng.uniform(0.65, 1.0)
    rise, eaves = rng.uniform(0.4, 0.8), rng.uniform(0.07, 0.16)
    if rng.random() < 0.75:
        gable = side_view([(-deep / 2, 0), (deep / 2, 0), (deep / 2, high), (0, high + rise), (-deep / 2, high)], wide)
        fall = rise / (deep / 2)
        y = deep / 2 + eaves
        low, thick = high - fall * eaves, 0.1
        shape = [(-y, low), (0, high + rise), (y, low), (y, low + thick), (0, high + rise + thick), (-y, low + thick)]
        roof = side_view(shape, wide + 2 * eaves)
        # Either the gable or the eaves face the front.
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
        Part("body", rounded_box(wide, deep, high, bend).moved(z=leg), "main"),
        Part("body", cylinder(0.12, 0.12).moved(z=top - 0.02), steel),
        Part("head", rounded_box(head_wide, 0.9 * deep, head_high, bend).moved(z=head_at), "main"),
        Part("head", box(0.5 * head_wide, 0.05, 0.06).moved(0, face, head_at + 0.2 * head_high), _BLACK),
        Part("panel", box(0.6 * wide, 0.06, 0.4 * high).moved(0, -deep / 2, leg + 0.38 * high), "accent"),
        Part("antenna", cylinder(0.025, 0.2).moved(z=head_at + head_high - 0.01), steel),
        Part("antenna", sphere(rng.uniform(0.05, 0.08), 8).moved(z=head_at + head_high + 0.22), "accent"),
    ]
    for k in range(3):
        button = sphere(0.04, 6).moved((k - 1) * 0.17 * wide, -deep / 2 - 0.03, leg + 0.58 * high)
        parts.append(Part("panel", button, Look(("red", "yellow", "white")[k], "plastic")))
    for side in (-1, 1):
        arm = rounded_box(0.16, 0.2, reach, 0.05).moved(z=-reach + 0.08).turned("x", raise_ * side)
        hand = sphere(0.13, 10).moved(z=-reach + 0.06).turned("x", raise_ * side)
        shoulder = (side * (wide / 2 + 0.1), 0.0, top - 0.18)
        parts += [
            Part("eye", sphere(size, 8).moved(side * 0.24 * head_wide, face, head_at + 0.62 * head_high), eye),
            Part("head", wheel_disc(0.09, 0.1).moved(side * head_wide / 2, 0, head_at + head_high / 2), "accent"),
            Part("arm", arm.moved(*shoulder), "main"),
            Part("arm", hand.moved(*shoulder), "accent"),
            Part("leg", cylinder(0.1, leg).moved(side * 0.25 * wide, 0, 0.05), steel),
            Part("leg", rounded_box(foot, 1.1 * deep, 0.16, 0.05).moved(side * 0.25 * wide, -0.06), "accent"),
        ]
    return parts


def _teddy_bear(rng: np.random.Generator) -> list[Part]:
    fat, tall = rng.uniform(0.42, 0.52), rng.uniform(0.48, 0.6)
    head = rng.uniform(0.36, 0.44)
    ear = rng.uniform(0.14, 0.19)
    splay, limb = rng.uniform(18, 35), rng.uniform(0.15, 0.19)
    at = 1.7 * tall + 0.62 * head
    light = Look(str(rng.choice(["beige", "white"])), "fabric")
    muzzle = (0.0, -0.84 * head, at - 0.2 * head)
    nose = ellipsoid(0.17 * head, 0.12 * head, 0.12 * head, 8)
    parts = [
        Part("body", ellipsoid(fat, 0.85 * fat, tall, 14).moved(z=0.95 * tall), "main"),
        Part("body", ellipsoid(0.66 * fat, 0.2 * fat, 0.64 * tall).moved(0, -0.72 * fat, 0.95 * tall), light),
        Part("head", ellipsoid(1.06 * head, 0.95 * head, 0.97 * head, 14).moved(z=at), "main"),
        Part("head", ellipsoid(0.46 * head, 0.4 * head, 0.36 * head).moved(*muzzle), light),
        Part("nose", nose.moved(0, muzzle[1] - 0.36 * head, muzzle[2] + 0.12 * head), _BLACK),
    ]
    lift = rng.uniform(-0.1, 0.3)
    paw = ellipsoid(0.7 * limb, 0.15 * limb, 0.8 * limb, 8)
    for side in (-1, 1):
        ear_at = (side * 0.78 * head, 0.0, at + 0.74 * head)
        hip = np.array([side * 0.6 * fat, -0.25 * fat, limb])
        toe = hip + 0.55 * np.array([side * np.sin(np.deg2rad(splay)), -np.cos(np.deg2rad(splay)), 0.0])
        shoulder = np.array([side * 0.75 * fat, -0.1, 1.45 * tall])
        hand = shoulder + np.array([side * 0.26, -0.22, -0.3 + lift])
        parts += [
            Part("ear", ellipsoid(ear, 0.5 * ear, ear).moved(*ear_at), "main"),
            Part("ear", ellipsoid(0.6 * ear, 0.2 * ear, 0.6 * ear, 8).moved(ear_at[0], -0.42 * ear, ear_at[2]), light),
            Part("eye", sphere(0.1 * head, 8).moved(side * 0.4 * head, -0.86 * head, at + 0.17 * head), _BLACK),
            Part("leg", _limb(hip, toe, limb), "main"),
            Part("leg", paw.turned("z", side * splay).moved(*(toe + (toe - hip) * (limb * 1.02 / 0.55))), light),
            Part("arm", _limb(shoulder, hand, 0.8 * limb), "main"),
        ]
    if rng.random() < 0.4:
        bow = [ellipsoid(0.15, 0.07, 0.1, 8).moved(side * 0.14, -0.78 * fat, 1.62 * tall) for side in (-1, 1)]
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


KINDS: tuple[Kind, ...] = (
    Kind(
        "rubber duck",
        _rubber_duck,
        (0.12, 0.18),
        synonyms=("toy duck", "bath duck"),
        hypernyms=("toy", "toy animal"),
        uses=("something to play with", "something to play with in the bath"),
        colours=("yellow", "yellow", "yellow", "pink", "blue", "green", "white", "black", "purple"),
        materials=("plastic",),
        askable_parts=("head", "beak"),
    ),
    Kind(
        "house",
        _house,
        (0.20, 0.30),
        synonyms=("toy house", "model house"),
        hypernyms=("toy", "building"),
        uses=("something to play with", "something to live in"),
        materials=("wooden", "plastic"),
        askable_parts=("roof", "door", "window"),
    ),
    Kind(
        "robot",
        _robot,
        (0.18, 0.26),
        synonyms=("toy robot",),
        hypernyms=("toy",),
        uses=("something to play with",),
        colours=PAINTS,
        materials=("plastic", "metal"),
        askable_parts=("head", "arm", "leg"),
    ),
    Kind(
        "teddy bear",
        _teddy_bear,
        (0.20, 0.27),
        synonyms=("stuffed bear", "teddy", "plush bear"),
        hypernyms=("toy", "toy animal", "soft toy"),
        uses=("something to play with", "something to cuddle"),
        colours=("brown", "brown", "brown", "white", "black", "pink", "grey", "blue"),
        materials=("fabric",),
        askable_parts=("head", "leg", "arm", "ear"),
    ),
)
