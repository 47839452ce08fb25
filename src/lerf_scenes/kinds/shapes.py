"""Shapes that kinds of several modules are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from lerf_scenes.mesh import Mesh, cleaned, cylinder, extruded, revolved, sphere, swept

Outline = list[tuple[float, float]]
"""Points (radius, z) of a profile, from the bottom up."""


def vessel(outer: Outline, wall: float, segments: int = 48) -> Mesh:
    """A hollow vessel open at the top; `outer` is its outside from the edge of the foot up to the rim."""
    p = np.asarray(outer, dtype=float)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    inner = p - wall * np.stack([along[:, 1], -along[:, 0]], -1)
    rim = 0.5 * (p[-1] + inner[-1]) + wall * (0.4 * along[-1])
    floor = float(p[0, 1]) + wall
    inside = [(float(r), float(z)) for r, z in inner[::-1] if r > 0.02 and z > floor]
    bottom = [(0.0, float(p[0, 1])), (float(p[0, 0]) * 0.96, float(p[0, 1]))]
    return revolved([*bottom, *outer, (float(rim[0]), float(rim[1])), *inside, (0.0, floor)], segments)


def radius_at(outline: Outline, z: float) -> float:
    """Radius of an outline at a height; the outline's heights must increase."""
    p = np.asarray(outline)
    return float(np.interp(z, p[:, 1], p[:, 0]))


def sleeve(side: Outline, low: float, high: float) -> Mesh:
    """A label around a vessel between two heights, a little outside the outline of its wall."""
    levels = np.linspace(low, high, 8)
    outside = [(1.01 * radius_at(side, z), float(z)) for z in levels]
    inside = [(0.98 * radius_at(side, z), float(z)) for z in levels[::-1]]
    return revolved([*outside, *inside, outside[0]])


def swollen(mesh: Mesh, factor: Float[np.ndarray, " vertices"]) -> Mesh:
    """The mesh with each vertex's distance from the z axis multiplied by its factor."""
    out = mesh.vertices.copy()
    out[:, :2] *= factor[:, None]
    return replace(mesh, vertices=out)


def azimuths(mesh: Mesh) -> Float[np.ndarray, " vertices"]:
    """Angle of each vertex about the z axis, radians."""
    return np.arctan2(mesh.vertices[:, 1], mesh.vertices[:, 0])


def leaf_blade(
    length: float, width: float, lean: float, droop: float, *, thickness: float = 0.12, count: int = 9
) -> Mesh:
    """A pointed leaf from the origin: starts `lean` degrees off +z towards +x and bends `droop` degrees further."""
    angles = np.deg2rad(lean + droop * np.linspace(0.0, 1.0, count))
    steps = length / (count - 1) * np.stack([np.sin(angles), np.zeros(count), np.cos(angles)], -1)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps[:-1], 0)])
    t = np.linspace(0.0, 1.0, count)
    half = 0.5 * width * np.maximum(np.sin(np.pi * (0.12 + 0.86 * t) ** 0.8), 0.03)
    return swept(path, (thickness * half).tolist(), flatten=1 / thickness, segments=6)


def rounded_box(x: float, y: float, z: float, radius: float, steps: int = 3) -> Mesh:
    """A box of full sides x, y, z with rounded edges; centred on the z axis, standing on z = 0."""
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


def side_view(outline: Sequence[tuple[float, float]], width: float) -> Mesh:
    """An outline of (y, z), counter-clockwise seen from +x, extruded along x to `width`, centred on x = 0."""
    mesh = extruded(outline, width)
    return replace(mesh, vertices=mesh.vertices[:, [2, 0, 1]] - np.array([width / 2, 0, 0]))


def wheel_disc(radius: float, width: float) -> Mesh:
    """A disc with rounded rims, its axle along x, centred on the origin."""
    return cylinder(radius, width, bevel=0.18 * radius).moved(z=-width / 2).turned("y", 90)


def ellipsoid(x: float, y: float, z: float, rings: int = 12) -> Mesh:
    """An ellipsoid about the origin with the given half axes."""
    return sphere(1.0, rings).scaled(x, y, z)


def squarish(mesh: Mesh, x: float, y: float, power: float) -> Mesh:
    """A revolved mesh whose unit circle becomes a superellipse of half axes `x` and `y`; power 2 is an ellipse."""
    horizontal = mesh.vertices[:, :2]
    radius = np.maximum(np.linalg.norm(horizontal, axis=1, keepdims=True), 1e-12)
    unit = horizontal / radius
    reach = np.maximum((np.abs(unit) ** power).sum(1, keepdims=True), 1e-12) ** (-1 / power)
    flat = horizontal * reach * np.array([x, y])
    return replace(mesh, vertices=np.column_stack([flat, mesh.vertices[:, 2]]))
