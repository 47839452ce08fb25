"""COLMAP's camera models: each by its content, compared with COLMAP's own formulas."""

import math

import numpy as np
import pytest
from scene_files import MODEL_NUMBERS, colmap_images, picture, save, write_colmap_binary, write_colmap_text

from lerf.errors import SceneError
from lerf.scenes import load_scene
from lerf.scenes.readers.colmap_models import MODELS

WIDTH, HEIGHT = 12, 8
F, FX, FY, CX, CY = 10.0, 10.0, 11.0, 5.5, 4.5
ONE, TWO = [F, CX, CY], [FX, FY, CX, CY]
WRITERS = [write_colmap_text, write_colmap_binary]


def capture(folder, write, name, values):
    images = colmap_images(4)
    write(folder / "sparse/0", {1: (name, WIDTH, HEIGHT, values)}, images)
    for number, (*_, photo) in enumerate(images):
        save(folder / "images" / photo, picture(WIDTH, HEIGHT, number))
    return folder


def radial(r2, *terms):
    return 1 + sum(term * r2 ** (power + 1) for power, term in enumerate(terms))


def brown(u, v, k1, k2, p1, p2, k3=0.0):
    r2 = u * u + v * v
    scale = radial(r2, k1, k2, k3)
    return (
        u * scale + 2 * p1 * u * v + p2 * (r2 + 2 * u * u),
        v * scale + 2 * p2 * u * v + p1 * (r2 + 2 * v * v),
    )


def fisheye(u, v, *terms):
    r = math.hypot(u, v)
    theta = math.atan(r)
    scale = theta * radial(theta * theta, *terms) / r
    return u * scale, v * scale


SUPPORTED = {
    "SIMPLE_PINHOLE": (ONE, lambda u, v: (u, v)),
    "PINHOLE": (TWO, lambda u, v: (u, v)),
    "SIMPLE_RADIAL": ([*ONE, 0.05], lambda u, v: brown(u, v, 0.05, 0, 0, 0)),
    "RADIAL": ([*ONE, 0.05, -0.02], lambda u, v: brown(u, v, 0.05, -0.02, 0, 0)),
    "OPENCV": ([*TWO, 0.05, -0.02, 0.003, 0.004], lambda u, v: brown(u, v, 0.05, -0.02, 0.003, 0.004)),
    "OPENCV_FISHEYE": ([*TWO, 0.05, -0.02, 0.01, 0.004], lambda u, v: fisheye(u, v, 0.05, -0.02, 0.01, 0.004)),
    "FULL_OPENCV": (
        [*TWO, 0.05, -0.02, 0.003, 0.004, 0.01, 0, 0, 0], lambda u, v: brown(u, v, 0.05, -0.02, 0.003, 0.004, 0.01),
    ),
    "FOV": ([*TWO, 0], lambda u, v: (u, v)),
    "SIMPLE_RADIAL_FISHEYE": ([*ONE, 0.05], lambda u, v: fisheye(u, v, 0.05)),
    "RADIAL_FISHEYE": ([*ONE, 0.05, -0.02], lambda u, v: fisheye(u, v, 0.05, -0.02)),
    "THIN_PRISM_FISHEYE": (
        [*TWO, 0.05, -0.02, 0, 0, 0.01, 0.004, 0, 0], lambda u, v: fisheye(u, v, 0.05, -0.02, 0.01, 0.004),
    ),
    "RAD_TAN_THIN_PRISM_FISHEYE": (
        [*TWO, 0.05, -0.02, 0.01, 0.004, *[0] * 8], lambda u, v: fisheye(u, v, 0.05, -0.02, 0.01, 0.004),
    ),
    "SIMPLE_DIVISION": ([*ONE, 0], lambda u, v: (u, v)),
    "DIVISION": ([*TWO, -0.0], lambda u, v: (u, v)),
    "SIMPLE_FISHEYE": (ONE, fisheye),
    "FISHEYE": (TWO, fisheye),
    "EUCM": ([*TWO, 0, 1.3], lambda u, v: (u, v)),
    "BROWN_CONRADY": (
        [*ONE, 0.05, -0.02, 0.01, 0.003, 0.004], lambda u, v: brown(u, v, 0.05, -0.02, 0.003, 0.004, 0.01),
    ),
}  # fmt: skip
REFUSED = {
    "FULL_OPENCV": [(9, "k4 = 0.5"), (10, "k5 = 0.5"), (11, "k6 = 0.5")],
    "FOV": [(4, "omega = 0.5")],
    "THIN_PRISM_FISHEYE": [(6, "p1 = 0.5"), (7, "p2 = 0.5"), (10, "sx1 = 0.5"), (11, "sy1 = 0.5")],
    "RAD_TAN_THIN_PRISM_FISHEYE": [
        (4 + place, f"{name} = 0.5")
        for place, name in enumerate(("k4", "k5", "p0", "p1", "s0", "s1", "s2", "s3"), start=4)
    ],
    "SIMPLE_DIVISION": [(3, "k = 0.5")],
    "DIVISION": [(4, "k = 0.5")],
    "EUCM": [(4, "alpha = 0.5")],
}


def test_the_table_is_colmaps():
    assert {model.name: number for number, model in enumerate(MODELS)} == MODEL_NUMBERS
    assert set(SUPPORTED) | {"EQUIRECTANGULAR"} == set(MODEL_NUMBERS)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", SUPPORTED)
def test_a_supported_camera_bends_as_in_colmap(tmp_path, write, name):
    values, formula = SUPPORTED[name]
    camera = load_scene(capture(tmp_path, write, name, values)).photos[0].camera
    one = name.startswith("SIMPLE") or name in ("RADIAL", "RADIAL_FISHEYE", "BROWN_CONRADY")
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (FX, F if one else FY, CX, CY)
    assert camera.fisheye == name.endswith("FISHEYE")
    for u, v in ((0.2, 0.1), (-0.4, 0.3), (0.05, -0.35)):
        np.testing.assert_allclose(camera.distort(np.array([u, v])), formula(u, v), rtol=1e-9)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("name", "place", "said"), [(name, *case) for name in REFUSED for case in REFUSED[name]])
def test_a_term_that_cannot_be_expressed_is_named(tmp_path, write, name, place, said):
    values = list(SUPPORTED[name][0])
    values[place] = 0.5
    with pytest.raises(
        SceneError, match=rf"{name} with .*{said}.*, which is not supported: .*colmap image_undistorter"
    ):
        load_scene(capture(tmp_path, write, name, values))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("values", [[12, 8], [0, 0]])
def test_panoramas(tmp_path, write, values):
    with pytest.raises(SceneError, match=r"EQUIRECTANGULAR, which is not supported: cut perspective photos"):
        load_scene(capture(tmp_path, write, "EQUIRECTANGULAR", values))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("place", range(8))
def test_a_parameter_that_is_not_a_number(tmp_path, write, place):
    values = list(SUPPORTED["OPENCV"][0])
    values[place] = float("nan")
    with pytest.raises(SceneError, match=r"nan.*: (give|estimate)"):
        load_scene(capture(tmp_path, write, "OPENCV", values))


def test_a_model_of_the_future(tmp_path):
    capture(tmp_path, write_colmap_text, "PINHOLE", TWO)
    (tmp_path / "sparse/0/cameras.txt").write_text("1 LIGHT_FIELD 12 8 1 2 3\n")
    with pytest.raises(SceneError, match=r"LIGHT_FIELD, which is not known: .*colmap image_undistorter"):
        load_scene(tmp_path)
    (tmp_path / "sparse/0/cameras.txt").write_text("1 PINHOLE 12 8 1 2 3\n")
    with pytest.raises(SceneError, match=r"needs 4 parameters \(fx, fy, cx, cy\), not 3"):
        load_scene(tmp_path)
