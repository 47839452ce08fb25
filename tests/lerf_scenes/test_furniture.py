"""Furniture: tops and boards where they are said to be, seamless textures, coordinates that cover meshes."""

import numpy as np
import pytest

from lerf_scenes import furniture
from lerf_scenes.mesh import box

TEXTURES = {
    "wood": lambda rng: furniture.wood("brown", rng),
    "check": lambda rng: furniture.check((0.9, 0.9, 0.9), (0.2, 0.3, 0.6), rng),
    "marble": furniture.marble,
    "mottled": lambda rng: furniture.mottled((0.5, 0.5, 0.5), rng),
    "tiles": lambda rng: furniture.tiles((0.8, 0.8, 0.8), (0.3, 0.3, 0.3), rng),
    "bricks": lambda rng: furniture.bricks((0.5, 0.3, 0.2), rng),
    "wallpaper": lambda rng: furniture.wallpaper((0.7, 0.7, 0.6), rng),
    "painting": furniture.painting,
}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", TEXTURES)
def test_textures(name):
    texture = TEXTURES[name](rng())
    assert texture.dtype == np.uint8
    assert texture.ndim == 3
    assert texture.std() > 1, "it is of one colour"
    np.testing.assert_array_equal(texture, TEXTURES[name](rng()))
    assert not np.array_equal(texture, TEXTURES[name](rng(1)))


@pytest.mark.parametrize("name", ["marble", "mottled"])
def test_noise_repeats_without_a_seam(name):
    texture = TEXTURES[name](rng()).astype(float)
    for axis in (0, 1):
        steps = np.abs(np.diff(texture, axis=axis, append=texture.take([0], axis=axis))).mean((1 - axis, 2))
        assert steps[-1] < 1.5 * steps[:-1].max()


def test_box_coordinates():
    mesh = box(0.6, 0.4, 0.2)
    corners, faces, planar = furniture.box_coordinates(mesh, 0.2)
    assert len(corners) == len(planar) == 3 * len(mesh.faces)
    np.testing.assert_array_equal(corners[faces], mesh.vertices[mesh.faces])
    # Distances on a side are distances on the texture, in tiles.
    for a, b in ((0, 1), (1, 2), (2, 0)):
        on_side = np.linalg.norm(corners[faces[:, a]] - corners[faces[:, b]], axis=1)
        np.testing.assert_allclose(np.linalg.norm(planar[faces[:, a]] - planar[faces[:, b]], axis=1), on_side / 0.2)
    _, _, stretched = furniture.box_coordinates(mesh, None)
    np.testing.assert_allclose([stretched.min(0), stretched.max(0)], [[0, 0], [1, 1]], atol=1e-12)


@pytest.mark.parametrize("round_top", [True, False])
def test_a_table_reaches_from_floor_to_zero(round_top):
    top, legs = furniture.table(rng(), round_top, (0.6, 0.5), -0.7)
    np.testing.assert_allclose(top.mesh.box[1, 2], 0, atol=1e-12)
    np.testing.assert_allclose(top.mesh.box[1, :2], [0.6, 0.6 if round_top else 0.5], atol=1e-3)
    np.testing.assert_allclose(legs.mesh.box[0, 2], -0.7)
    assert (legs.mesh.box[1, :2] <= top.mesh.box[1, :2]).all()
    assert {top.kind, legs.kind} == {"table"}
    assert (top.part, legs.part) == ("body", "leg")


def test_a_desk_is_a_table_with_a_poster():
    pieces = furniture.desk(rng(), (0.6, 0.35), -0.7)
    assert {piece.kind for piece in pieces} == {"desk", "picture"}
    poster = next(piece.mesh.box for piece in pieces if piece.kind == "picture")
    assert poster[0, 1] > 0.35
    assert poster[0, 2] > 0


def test_a_shelf_has_boards_at_its_heights():
    heights = (-0.4, 0.0, 0.4)
    body, back = furniture.shelf(rng(), (0.5, 0.16), heights)
    for height in heights:
        assert np.isclose(body.mesh.vertices[:, 2], height).sum() >= 4
    assert (body.part, back.part) == ("body", "back")
    assert back.mesh.box[0, 1] >= 0.16 - 1e-9, "it is open to the front, and the back is behind the boards"


def test_rooms_have_a_floor_and_the_walls_asked_for():
    walls = {"+y": 1.5, "-x": 2.0}
    pieces = furniture.room(rng(), -0.7, walls)
    (floor,) = [piece for piece in pieces if piece.kind == "floor"]
    np.testing.assert_allclose(floor.mesh.box[1, 2], -0.7)
    first, second = (piece.mesh.box for piece in pieces if piece.kind == "wall")
    np.testing.assert_allclose(first[0, 1], 1.5)
    np.testing.assert_allclose(second[1, 0], -2.0)
    pictures = [piece.mesh.box for piece in pieces if piece.kind == "picture"]
    assert pictures
    for picture in pictures:
        on_first = picture[0, 1] < 1.5 < picture[1, 1] + 1e-3
        on_second = picture[0, 0] - 1e-3 < -2.0 < picture[1, 0]
        assert on_first or on_second
