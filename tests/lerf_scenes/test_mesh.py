"""Meshes against closed forms: volumes and areas, closed and outward surfaces, motions, rounded outlines."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.errors import ConfigError
from lerf_scenes.mesh import (
    Mesh,
    arc,
    box,
    capsule_field,
    cleaned,
    cylinder,
    difference_field,
    ellipsoid_field,
    extruded,
    from_field,
    joined,
    revolved,
    rotation,
    rounded_box_field,
    rounded_profile,
    sphere,
    swept,
    torus,
    union_field,
)

ELL = [(0.0, 0.0), (3.0, 0.0), (3.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0)]
STAR = [
    (float(r * np.cos(a)), float(r * np.sin(a)))
    for a, r in zip(np.linspace(0, 2 * np.pi, 10, endpoint=False), [2.0, 0.8] * 5, strict=True)
]


def volume(mesh):
    """Signed: positive where faces look outwards."""
    a, b, c = (mesh.vertices - mesh.vertices.mean(0))[mesh.faces].transpose(1, 0, 2)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def area(mesh):
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def round_share(segments):
    """Area of a regular polygon in its circle, over the circle's."""
    return segments / (2 * np.pi) * np.sin(2 * np.pi / segments)


def shoelace(outline):
    x, y = np.transpose(outline)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


SOLIDS = {
    "sphere": sphere(1.5),
    "torus": torus(1.0, 0.3),
    "cylinder": cylinder(0.5, 2.0),
    "cone": cylinder(0.5, 2.0, top_radius=0.2, bevel=0.05),
    "box": box(1.0, 2.0, 3.0),
    "convex": extruded([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], 0.5),
    "ell": extruded(ELL, 0.5),
    "star": extruded(STAR, 0.5),
    "rod": swept([(0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 3.0)], 0.2),
    "bent rod": swept(arc(1.0, 0.0, 200.0), [0.1] * 10 + [0.05] * 10, flatten=0.5),
    "ring": swept(arc(1.0, 0.0, 354.0, 60), 0.2, closed=True),
    "marched": from_field(ellipsoid_field((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), (-1.2,) * 3, (1.2,) * 3, 16),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_and_face_outwards(name):
    mesh = cleaned(SOLIDS[name], 1e-7)
    directed = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    codes = directed[:, 0] * len(mesh.vertices) + directed[:, 1]
    reverse = directed[:, 1] * len(mesh.vertices) + directed[:, 0]
    assert len(np.unique(codes)) == len(codes)
    assert set(codes) == set(reverse), "each edge is walked once in either direction"
    assert volume(mesh) > 0


@pytest.mark.parametrize("segments", [3, 8, 48])
def test_a_revolved_profile_is_a_stack_of_frustums(segments):
    profile = [(0.0, -1.0), (1.0, -1.0), (0.7, 0.5), (1.2, 1.0), (0.0, 1.5)]
    spans = pairwise(profile)
    exact = sum(np.pi * (b[1] - a[1]) / 3 * (a[0] ** 2 + a[0] * b[0] + b[0] ** 2) for a, b in spans)
    np.testing.assert_allclose(volume(revolved(profile, segments)), exact * round_share(segments), rtol=1e-9)


def test_the_closed_forms():
    np.testing.assert_allclose(volume(sphere(2.0, 48)), 4 / 3 * np.pi * 8, rtol=5e-3)
    np.testing.assert_allclose(area(sphere(2.0, 48)), 4 * np.pi * 4, rtol=5e-3)
    np.testing.assert_allclose(volume(torus(1.0, 0.25, 96)), 2 * np.pi**2 * 0.25**2, rtol=2e-2)
    np.testing.assert_allclose(area(torus(1.0, 0.25, 96)), 4 * np.pi**2 * 0.25, rtol=1e-2)
    np.testing.assert_allclose(volume(box(1.0, 2.0, 3.0)), 6)
    np.testing.assert_allclose(area(box(1.0, 2.0, 3.0)), 22)
    np.testing.assert_allclose(box(1.0, 2.0, 3.0).box, [[-0.5, -1, 0], [0.5, 1, 3]])
    np.testing.assert_allclose(volume(cylinder(0.5, 2.0)), np.pi / 2 * round_share(48))
    cone = np.pi * 2 / 3 * (0.25 + 0.1 + 0.04) * round_share(48)
    np.testing.assert_allclose(volume(cylinder(0.5, 2.0, top_radius=0.2)), cone)
    assert volume(cylinder(0.5, 2.0, bevel=0.1)) < volume(cylinder(0.5, 2.0))


@pytest.mark.parametrize("outline", [ELL, STAR, [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]], ids=["ell", "star", "triangle"])
def test_extrusions_fill_their_outline_once(outline):
    mesh = extruded(outline, 0.5)
    assert not mesh.smooth
    np.testing.assert_allclose(volume(mesh), 0.5 * shoelace(outline))
    rim = np.linalg.norm(np.subtract(outline, np.roll(outline, -1, 0)), axis=1).sum()
    np.testing.assert_allclose(area(mesh), 2 * shoelace(outline) + 0.5 * rim)


@given(st.lists(st.floats(0.3, 1.0), min_size=3, max_size=14), st.floats(0.1, 2.0))
def test_any_outline_about_its_middle_can_be_extruded(radii, height):
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    outline = [(float(r * np.cos(a)), float(r * np.sin(a))) for r, a in zip(radii, angles, strict=True)]
    mesh = extruded(outline, height)
    np.testing.assert_allclose(volume(mesh), height * shoelace(outline))
    upper = mesh.faces[(mesh.vertices[mesh.faces, 2] == height).all(1)]
    np.testing.assert_allclose(area(Mesh(mesh.vertices, upper)), shoelace(outline))


@pytest.mark.parametrize("flatten", [1.0, 0.4])
def test_sweeps(flatten):
    rod = swept([(0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (3.0, 1.0, 0.0)], 0.2, flatten=flatten, segments=12)
    section = np.pi * 0.04 * flatten * round_share(12)
    np.testing.assert_allclose(volume(rod), 3 * section)
    ring = swept(arc(1.0, 0.0, 357.0, 120), 0.2, flatten=flatten, closed=True, segments=12)
    np.testing.assert_allclose(volume(ring), 2 * np.pi * section, rtol=1e-2)
    spindle = swept([(0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 2.0)], [0.2, 0.4, 0.2], flatten=flatten, segments=12)
    # Two frustums: 2 (0.04 + 0.08 + 0.16) / 3 in place of 3 * 0.04.
    np.testing.assert_allclose(volume(spindle), section * 2 * 0.28 / 3 / 0.04)


def test_arcs():
    points = arc(2.0, 0.0, 90.0, 3, plane="yz")
    np.testing.assert_allclose(points, [[0, 2, 0], [0, 2**0.5, 2**0.5], [0, 0, 2]], atol=1e-12)


SHAPES = {
    "sphere": (ellipsoid_field((0.0, 0.0, 0.0), (0.9, 0.9, 0.9)), 4 / 3 * np.pi * 0.9**3),
    "ellipsoid": (ellipsoid_field((0.1, 0.0, 0.0), (0.8, 0.5, 0.3)), 4 / 3 * np.pi * 0.8 * 0.5 * 0.3),
    "capsule": (capsule_field((-0.5, 0.0, 0.0), (0.5, 0.0, 0.0), 0.3), np.pi * 0.09 + 4 / 3 * np.pi * 0.027),
    "box": (rounded_box_field((0.0, 0.0, 0.0), (0.8, 0.6, 0.4), 1e-6), 8 * 0.8 * 0.6 * 0.4),
    "two": (
        union_field(ellipsoid_field((-0.5, 0.0, 0.0), (0.4,) * 3), ellipsoid_field((0.5, 0.0, 0.0), (0.3,) * 3)),
        4 / 3 * np.pi * (0.064 + 0.027),
    ),
    "hollow": (
        difference_field(ellipsoid_field((0.0, 0.0, 0.0), (0.9,) * 3), ellipsoid_field((0.0, 0.0, 0.0), (0.5,) * 3)),
        4 / 3 * np.pi * (0.729 - 0.125),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_signed_distance_shapes(name):
    field, exact = SHAPES[name]
    mesh = from_field(field, (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), 48)
    np.testing.assert_allclose(volume(mesh), exact, rtol=0.03)
    # Vertices lie on the surface, in the frame of the field.
    assert np.abs(field(mesh.vertices)).max() < 0.05


def test_a_missing_scikit_image_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(ConfigError, match=r"lerf\[scenes\]"):
        from_field(ellipsoid_field((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), (-1.2,) * 3, (1.2,) * 3, 16)


def test_the_sphere_of_marching_cubes():
    mesh = from_field(ellipsoid_field((2.0, 3.0, 4.0), (0.5, 0.5, 0.5)), (1.4, 2.4, 3.4), (2.6, 3.6, 4.6), 32)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - [2, 3, 4], axis=1), 0.5, atol=5e-3)
    np.testing.assert_allclose(area(mesh), np.pi, rtol=0.02)
    assert volume(mesh) > 0


def test_blending_only_adds():
    parts = ellipsoid_field((-0.3, 0.0, 0.0), (0.5,) * 3), ellipsoid_field((0.3, 0.0, 0.0), (0.5,) * 3)
    plain, blended = union_field(*parts), union_field(*parts, blend=0.2)
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    assert (blended(points) <= plain(points) + 1e-12).all()
    np.testing.assert_allclose(plain(points), np.minimum(parts[0](points), parts[1](points)))


numbers = st.floats(-5, 5, allow_nan=False).map(lambda x: round(x, 6))
factors = st.floats(0.1, 5)
solids = st.sampled_from(sorted(SOLIDS)).map(SOLIDS.get)


@given(solids, st.sampled_from("xyz"), st.floats(-720, 720))
def test_turning_keeps_everything_but_the_direction(mesh, axis, degrees):
    turned = mesh.turned(axis, degrees)
    np.testing.assert_allclose(volume(turned), volume(mesh), rtol=1e-9)
    np.testing.assert_allclose(area(turned), area(mesh), rtol=1e-9)
    k = "xyz".index(axis)
    np.testing.assert_allclose(turned.vertices[:, k], mesh.vertices[:, k], atol=1e-12)
    np.testing.assert_allclose(turned.turned(axis, -degrees).vertices, mesh.vertices, atol=1e-9)
    assert turned.smooth == mesh.smooth


def test_turning_follows_the_right_hand():
    for first, axis, second in ("xzy", "yxz", "zyx"):
        unit = np.eye(3)["xyz".index(first)]
        np.testing.assert_allclose(rotation(axis, 90.0) @ unit, np.eye(3)["xyz".index(second)], atol=1e-12)


@given(solids, factors, factors, factors)
def test_scaling(mesh, x, y, z):
    scaled = mesh.scaled(x, y, z)
    np.testing.assert_allclose(volume(scaled), volume(mesh) * x * y * z, rtol=1e-9)
    np.testing.assert_allclose(scaled.box, mesh.box * [x, y, z])
    np.testing.assert_array_equal(mesh.scaled(x).vertices, mesh.scaled(x, x, x).vertices)


@given(solids, numbers, numbers, numbers)
def test_moving(mesh, x, y, z):
    moved = mesh.moved(x, y, z)
    np.testing.assert_allclose(moved.box, np.add(mesh.box, [x, y, z]), atol=1e-12)
    np.testing.assert_allclose(volume(moved), volume(mesh), rtol=1e-9)
    assert moved.faces is mesh.faces


def test_joining():
    first, second = box(1.0, 1.0, 1.0), sphere(0.5).moved(x=3.0)
    both = joined(first, second)
    np.testing.assert_allclose(volume(both), volume(first) + volume(second))
    np.testing.assert_allclose(area(both), area(first) + area(second))
    assert not both.smooth
    assert joined(second, second.moved(x=2.0)).smooth


def test_cleaning():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1e-12], [5, 5, 5]])
    mesh = cleaned(Mesh(corners, np.array([[0, 1, 2], [3, 2, 1], [0, 3, 1]])))
    assert len(np.unique(mesh.faces)) == 3
    assert len(mesh.faces) == 2


profiles = st.lists(st.tuples(st.floats(0, 3), st.floats(-3, 3)), min_size=2, max_size=8)


@given(profiles, st.integers(1, 9))
def test_rounded_profiles_pass_through_their_points(points, per_span):
    curve = np.array(rounded_profile(points, per_span))
    assert len(curve) == (len(points) - 1) * per_span + 1
    np.testing.assert_allclose(curve[::per_span], points, atol=1e-9)
    assert (curve[:, 0] >= 0).all()


@given(st.floats(0.1, 3), st.floats(0.1, 3), st.integers(3, 7))
def test_rounded_profiles_of_a_line_are_the_line(start, step, count):
    points = [(start + step * k, 2.0 * k) for k in range(count)]
    curve = np.array(rounded_profile(points, 4))
    np.testing.assert_allclose(curve[:, 0], start + step * curve[:, 1] / 2, atol=1e-9)
    assert (np.diff(curve[:, 1]) > 0).all()
