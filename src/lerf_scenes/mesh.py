"""Triangle meshes out of which objects are modelled: revolved profiles, sweeps, extrusions, signed-distance shapes.

Right-handed, +z up, counter-clockwise faces seen from outside, any unit: `kind.normalised` rescales what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from lerf.errors import ConfigError

SignedDistance = Callable[[Float[np.ndarray, "points 3"]], Float[np.ndarray, " points"]]
"""Distance of points to a surface, negative inside; only the sign has to be exact."""


@dataclass(frozen=True)
class Mesh:
    """Triangles. `smooth` asks for normals interpolated over vertices; without it every face is flat."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    smooth: bool = True

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        """By one factor for all axes, or by one for each; factors are positive."""
        return replace(self, vertices=self.vertices * np.array([x, x if y is None else y, x if z is None else z]))

    def turned(self, axis: str, degrees: float) -> Mesh:
        """Rotated about "x", "y" or "z" through the origin, by the right-hand rule."""
        return replace(self, vertices=self.vertices @ rotation(axis, degrees).T)

    @property
    def box(self) -> Float[np.ndarray, "2 3"]:
        """Lower and upper corner."""
        return np.stack([self.vertices.min(0), self.vertices.max(0)])


def rotation(axis: str, degrees: float) -> Float[np.ndarray, "3 3"]:
    """Matrix of a right-handed rotation about a coordinate axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


def joined(*meshes: Mesh) -> Mesh:
    """One mesh of several; smooth where all are."""
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    faces = [m.faces + offset for m, offset in zip(meshes, offsets, strict=False)]
    return Mesh(
        np.concatenate([m.vertices for m in meshes]), np.concatenate(faces), all(mesh.smooth for mesh in meshes)
    )


def piece(mesh: Mesh, chosen: Bool[np.ndarray, " faces"]) -> Mesh:
    """Some faces of a mesh, with only the vertices that they use; open along the cut."""
    used, faces = np.unique(mesh.faces[chosen], return_inverse=True)
    return replace(mesh, vertices=mesh.vertices[used], faces=faces.reshape(-1, 3))


def revolved(profile: Sequence[tuple[float, float]], segments: int = 48, smooth: bool = True) -> Mesh:
    """A profile of (radius, z) turned about the z axis.

    Points run from the bottom centre outwards and up, so that the outside is to their right; points of radius 0 close
    the body.
    """
    points = np.asarray(profile, dtype=float)
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = np.stack(
        [
            points[:, None, 0] * np.cos(angles),
            points[:, None, 0] * np.sin(angles),
            np.broadcast_to(points[:, None, 1], (len(points), segments)),
        ],
        -1,
    )
    return _tube(rings, smooth, closed=False)


def _tube(rings: Float[np.ndarray, "rings segments 3"], smooth: bool, closed: bool) -> Mesh:
    """Quads between neighbouring rings; `closed` joins the last ring to the first."""
    count, segments, _ = rings.shape
    ring, segment = np.meshgrid(np.arange(count if closed else count - 1), np.arange(segments), indexing="ij")
    after, beside = (ring + 1) % count, (segment + 1) % segments
    a, b = ring * segments + segment, ring * segments + beside
    c, d = after * segments + beside, after * segments + segment
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return cleaned(Mesh(rings.reshape(-1, 3), faces, smooth))


def cleaned(mesh: Mesh, tolerance: float = 1e-9) -> Mesh:
    """The mesh with equal vertices merged and faces of no area removed."""
    _, first, inverse = np.unique(
        np.round(mesh.vertices / tolerance).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = inverse.reshape(-1)[mesh.faces]
    a, b, c = faces.T
    return Mesh(mesh.vertices[first], faces[(a != b) & (b != c) & (c != a)], mesh.smooth)


def rounded_profile(points: Sequence[tuple[float, float]], per_span: int = 6) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through profile points: smooth outlines for `revolved`; radii stay at least 0."""
    p = np.asarray(points, dtype=float)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, per_span, endpoint=False)[:, None]
    curve = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        curve.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    smooth = np.concatenate([*curve, p[-1:]])
    smooth[:, 0] = np.maximum(smooth[:, 0], 0.0)
    return [(float(r), float(z)) for r, z in smooth]


def cylinder(radius: float, height: float, top_radius: float | None = None, bevel: float = 0.0) -> Mesh:
    """Standing on z = 0; with another `top_radius` a truncated cone. `bevel` is cut from both rims."""
    top = radius if top_radius is None else top_radius
    profile = [(0.0, 0.0), (max(radius - bevel, 0.0), 0.0), (radius, bevel), (top, height - bevel)]
    return revolved([*profile, (max(top - bevel, 0.0), height), (0.0, height)], smooth=False)


def sphere(radius: float = 1.0, rings: int = 24) -> Mesh:
    """About the origin."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    radii = np.maximum(radius * np.cos(angles), 0.0)
    radii[[0, -1]] = 0.0
    return revolved([(float(r), float(z)) for r, z in zip(radii, radius * np.sin(angles), strict=True)], 2 * rings)


def torus(radius: float, tube: float, segments: int = 48) -> Mesh:
    """About the z axis, its middle circle in z = 0."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=True)
    return revolved([(float(radius + tube * np.cos(a)), float(tube * np.sin(a))) for a in angles], segments)


def box(x: float, y: float, z: float) -> Mesh:
    """Full sides; centred on the z axis, standing on z = 0."""
    return extruded([(-x / 2, -y / 2), (x / 2, -y / 2), (x / 2, y / 2), (-x / 2, y / 2)], z)


def extruded(outline: Sequence[tuple[float, float]], height: float) -> Mesh:
    """A simple polygon in z = 0, listed counter-clockwise, drawn up to `height`; need not be convex."""
    flat = np.asarray(outline, dtype=float)
    count = len(flat)
    low = np.column_stack([flat, np.zeros(count)])
    high = np.column_stack([flat, np.full(count, float(height))])
    i = np.arange(count)
    j = (i + 1) % count
    sides = np.concatenate([np.stack([i, j, j + count], -1), np.stack([i, j + count, i + count], -1)])
    cap = _ears(flat)
    return Mesh(np.concatenate([low, high]), np.concatenate([sides, cap[:, ::-1], cap + count]), smooth=False)


def _ears(outline: Float[np.ndarray, "corners 2"]) -> Int[np.ndarray, "faces 3"]:
    """Triangulation of a simple counter-clockwise polygon by cutting ears."""
    left = list(range(len(outline)))
    faces = []
    while len(left) > 3:
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            others = [i for i in left if i not in (a, b, c)]
            if _cross(outline[a], outline[b], outline[c]) > 0 and not any(
                _within(outline[i], outline[a], outline[b], outline[c]) for i in others
            ):
                break
        faces.append((left[k - 1], left[k], left[(k + 1) % len(left)]))
        left.pop(k)
    return np.array([*faces, tuple(left)])


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _within(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    return _cross(a, b, p) >= 0 and _cross(b, c, p) >= 0 and _cross(c, a, p) >= 0


def swept(
    path: Float[np.ndarray, "points 3"] | Sequence[tuple[float, float, float]],
    radius: float | Sequence[float],
    *,
    flatten: float = 1.0,
    closed: bool = False,
    segments: int = 16,
) -> Mesh:
    """A round (or, with `flatten` under 1, oval) section drawn along a path; ends are closed by points.

    The frame is carried along without twist (parallel transport). `radius` may change along the path.
    """
    points = np.asarray(path, dtype=float)
    radii = np.broadcast_to(np.asarray(radius, dtype=float), (len(points),))
    around = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    tangents = around if closed else np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    start = np.eye(3)[np.abs(tangents[0]).argmin()]
    normal = np.cross(tangents[0], start)
    normal /= np.linalg.norm(normal)
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = []
    for point, tangent, size in zip(points, tangents, radii, strict=True):
        normal = normal - tangent * (normal @ tangent)
        normal /= np.linalg.norm(normal)
        across = np.cross(tangent, normal)
        rings.append(point + size * (np.cos(angles)[:, None] * normal + flatten * np.sin(angles)[:, None] * across))
    if not closed:
        rings = [np.repeat(points[:1], segments, 0), *rings, np.repeat(points[-1:], segments, 0)]
    return _tube(np.stack(rings), True, closed)


def arc(
    radius: float, start: float, stop: float, count: int = 20, *, plane: str = "xz"
) -> Float[np.ndarray, "count 3"]:
    """Points on a circle about the origin in a coordinate plane, from one angle in degrees to another."""
    angles = np.deg2rad(np.linspace(start, stop, count))
    points = np.zeros((count, 3))
    points[:, "xyz".index(plane[0])] = radius * np.cos(angles)
    points[:, "xyz".index(plane[1])] = radius * np.sin(angles)
    return points


def from_field(field: SignedDistance, corner: Sequence[float], opposite: Sequence[float], cells: int = 40) -> Mesh:
    """Surface of a signed-distance shape, by marching cubes with about `cells` cells along the longest side.

    The shape must lie inside the box of the two corners; normals point away from its inside.

    Raises:
        ConfigError: when scikit-image is not installed.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise ConfigError("Objects are modelled with scikit-image: pip install 'lerf[scenes]'.") from error

    low, high = np.asarray(corner, dtype=float), np.asarray(opposite, dtype=float)
    step = (high - low).max() / cells
    axes = [np.arange(a, b + step, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    values = field(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(step, step, step), gradient_direction="descent")
    return Mesh(vertices.astype(float) + low, faces.astype(np.int64))


def ellipsoid_field(centre: Sequence[float], half: Sequence[float]) -> SignedDistance:
    """Approximate distance to an ellipsoid along the axes."""
    c, h = np.asarray(centre, dtype=float), np.asarray(half, dtype=float)
    return lambda p: (np.linalg.norm((p - c) / h, axis=-1) - 1.0) * h.min()


def capsule_field(
    start: Sequence[float], stop: Sequence[float], radius: float, end: float | None = None
) -> SignedDistance:
    """Distance to a rod with round ends, from one radius to another."""
    a, b = np.asarray(start, dtype=float), np.asarray(stop, dtype=float)
    last = radius if end is None else end

    def distance(p: np.ndarray) -> np.ndarray:
        t = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
        return np.linalg.norm(p - a - t[:, None] * (b - a), axis=-1) - (radius + t * (last - radius))

    return distance


def rounded_box_field(centre: Sequence[float], half: Sequence[float], radius: float) -> SignedDistance:
    """Distance to a box along the axes whose edges are rounded; `half` includes the rounding."""
    c, h = np.asarray(centre, dtype=float), np.asarray(half, dtype=float) - radius

    def distance(p: np.ndarray) -> np.ndarray:
        q = np.abs(p - c) - h
        return np.linalg.norm(np.maximum(q, 0.0), axis=-1) + np.minimum(q.max(-1), 0.0) - radius

    return distance


def union_field(*fields: SignedDistance, blend: float = 0.0) -> SignedDistance:
    """Union of shapes; with `blend`, joined smoothly over that length (polynomial smooth minimum)."""

    def distance(p: np.ndarray) -> np.ndarray:
        value = fields[0](p)
        for field in fields[1:]:
            other = field(p)
            if blend > 0:
                h = np.clip(0.5 + 0.5 * (other - value) / blend, 0.0, 1.0)
                value = other + (value - other) * h - blend * h * (1.0 - h)
            else:
                value = np.minimum(value, other)
        return value

    return distance


def difference_field(body: SignedDistance, hole: SignedDistance) -> SignedDistance:
    """The body without the hole."""
    return lambda p: np.maximum(body(p), -hole(p))
