"""Looks: colours of words, finer meshes of the same shape, shading that keeps edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf_scenes.kind import COLOURS, FINISHES, Look
from lerf_scenes.looks import MOST_FACES, linear, painted, shaded, srgb_of, subdivided
from lerf_scenes.mesh import box, cylinder, sphere, torus

SHAPES = {"box": box(0.2, 0.1, 0.3), "ball": sphere(0.1, 12), "ring": torus(0.1, 0.03, 16), "can": cylinder(0.05, 0.2)}


def volume_and_area(mesh):
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6, np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def edges_of(mesh):
    corners = mesh.vertices[mesh.faces]
    return np.linalg.norm(corners - np.roll(corners, -1, 1), axis=-1)


@given(st.sampled_from([*COLOURS, "gold", "silver", "beige", "skin"]), st.integers(0, 1000))
def test_colours_of_words(word, seed):
    colour = srgb_of(word, np.random.default_rng(seed))
    assert ((colour >= 0) & (colour <= 1)).all()
    red, green, blue = colour
    strongest = {"red": red, "green": green, "blue": blue}
    if word in strongest:
        assert strongest[word] == max(colour)
    if word in ("black", "grey", "white", "silver"):
        assert np.ptp(colour) < 0.1
    if word == "yellow":
        assert min(red, green) > blue
    if word == "purple":
        assert min(red, blue) > green


def test_black_grey_and_white_come_in_this_order():
    tones = {w: [srgb_of(w, np.random.default_rng(s)).mean() for s in range(50)] for w in ("black", "grey", "white")}
    assert max(tones["black"]) < min(tones["grey"])
    assert max(tones["grey"]) < min(tones["white"])


def test_linear():
    np.testing.assert_allclose(linear(np.array([0.0, 0.04045, 0.5, 1.0])[:, None].repeat(3, 1))[:, 0],
                               [0, 0.04045 / 12.92, 0.21404, 1], atol=1e-5)  # fmt: skip


@settings(max_examples=30)
@given(st.sampled_from(sorted(SHAPES)), st.floats(0.02, 0.4))
def test_subdividing_keeps_the_shape(name, longest):
    mesh = SHAPES[name]
    fine = subdivided(mesh, longest)
    np.testing.assert_allclose(volume_and_area(fine), volume_and_area(mesh), rtol=1e-9)
    assert edges_of(fine).max() <= longest + 1e-12
    # Shared vertices: in a closed surface every edge is walked once in either direction.
    directed = np.concatenate([fine.faces[:, [0, 1]], fine.faces[:, [1, 2]], fine.faces[:, [2, 0]]])
    assert {tuple(edge) for edge in directed} == {tuple(edge) for edge in directed[:, ::-1]}
    assert fine.smooth == mesh.smooth


def test_subdividing_ends():
    assert len(subdivided(SHAPES["ball"], 1e-6).faces) <= 4 * MOST_FACES
    assert subdivided(SHAPES["box"], 1.0).faces is SHAPES["box"].faces


def test_flat_meshes_have_no_normals_and_smooth_ones_keep_their_creases():
    assert shaded(SHAPES["box"])[2] is None
    ball = SHAPES["ball"]
    vertices, faces, normals = shaded(ball)
    np.testing.assert_array_equal(faces, ball.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert ((vertices * normals).sum(1) > 0.97 * np.linalg.norm(vertices, axis=1)).all()
    can = SHAPES["can"]
    vertices, faces, normals = shaded(type(can)(can.vertices, can.faces, smooth=True))
    np.testing.assert_allclose(vertices[faces], can.vertices[can.faces])
    caps = np.isclose(vertices[faces][..., 2], 0.2).all(1)
    np.testing.assert_allclose(normals[faces[caps]], np.broadcast_to([0, 0, 1.0], (caps.sum(), 3, 3)), atol=0.3)


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("pattern", ["plain", "striped", "dotted"])
def test_painted_meshes(finish, pattern):
    mesh = SHAPES["can"]
    look = Look("red", finish, pattern, "white")
    paint = painted(mesh, look, 0.2, [3, 1])
    assert len(paint.colours) == len(paint.vertices)
    assert paint.faces.max() < len(paint.vertices)
    assert ((paint.colours > 0) & (paint.colours < 1)).all()
    np.testing.assert_allclose([paint.vertices.min(0), paint.vertices.max(0)], mesh.box, atol=1e-12)
    again = painted(mesh, look, 0.2, [3, 1])
    np.testing.assert_array_equal(paint.colours, again.colours)
    if finish != "screen":
        red, green, _ = paint.colours.T
        assert red.mean() > green.mean()


@pytest.mark.parametrize("pattern", ["striped", "dotted"])
def test_patterns_show_both_colours(pattern):
    paint = painted(sphere(0.1), Look("blue", "ceramic", pattern, "yellow"), 0.2, [0])
    red, _, blue = paint.colours.T
    assert 0.05 < (red > blue).mean() < 0.8
