"""A splat that is moved is the same splat: its shapes and colours go along."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from splat_samples import covariances, furthest_apart, random_splats

from lerf.errors import SplatError
from lerf.geometry.harmonics import COUNTS, harmonics, turned_harmonics
from lerf.geometry.quaternions import quaternion_of, turned_quaternions, unit_quaternions
from lerf.geometry.similarity import Similarity
from lerf.splats.splats import check_splats, new_splats

TURN = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()


def values(coefficients: np.ndarray, directions: np.ndarray) -> np.ndarray:
    return np.stack(harmonics(*directions.T)[: len(coefficients)], -1) @ coefficients


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_turned_coefficients_are_the_turned_function(degree: int) -> None:
    rng = np.random.default_rng(degree)
    coefficients = rng.normal(size=COUNTS[degree])
    directions = unit_quaternions(rng.normal(size=(50, 4)))[:, :3]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    turned = turned_harmonics(TURN)[: COUNTS[degree], : COUNTS[degree]] @ coefficients
    assert np.allclose(values(turned, directions @ TURN.T), values(coefficients, directions), atol=1e-12)
    # It is no identity, and a second turn undoes it.
    assert not np.allclose(turned, coefficients, atol=0.01)
    assert np.allclose(turned_harmonics(TURN.T) @ turned_harmonics(TURN), np.eye(16), atol=1e-12)


def test_harmonics_are_orthonormal() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    table = np.stack(harmonics(*directions.T), -1)
    assert np.abs(4 * np.pi * table.T @ table / len(table) - np.eye(16)).max() < 0.03


def test_quaternions_of_rotations() -> None:
    for vector in ([0, 0, 0], [np.pi, 0, 0], [0, np.pi, 0], [0, 0, np.pi], [0.4, -1.1, 0.7], [1e-9, 0, 0]):
        rotation = Rotation.from_rotvec(vector)
        found = quaternion_of(rotation.as_matrix())
        assert np.allclose(Rotation.from_quat(found[[1, 2, 3, 0]]).as_matrix(), rotation.as_matrix(), atol=1e-12)
    turned = turned_quaternions(TURN, np.array([[0.5, 0.5, -0.5, 0.5]]))[0]
    own = Rotation.from_quat([0.5, -0.5, 0.5, 0.5]).as_matrix()
    assert np.allclose(Rotation.from_quat(turned[[1, 2, 3, 0]]).as_matrix(), TURN @ own)


def test_moved_and_back() -> None:
    splats = random_splats(normals=True).with_columns({"label": np.arange(300, dtype=np.int32)})
    similarity = Similarity(TURN, np.array([3.0, -2.0, 0.5]), 2.5)
    moved = splats.moved(similarity)
    assert moved.names == splats.names
    assert np.allclose(moved.means, similarity.apply_points(splats.means), atol=1e-5)
    expected = 2.5**2 * TURN @ covariances(splats) @ TURN.T
    assert np.allclose(covariances(moved), expected, rtol=1e-4, atol=1e-5)
    assert np.allclose(moved.columns(("nx", "ny", "nz")), splats.columns(("nx", "ny", "nz")) @ TURN.T, atol=1e-5)
    assert (moved.table["label"] == splats.table["label"]).all()
    assert max(furthest_apart(splats, moved.moved(similarity.inverse())).values()) < 2e-4


def test_only_shifted_keeps_everything_else_to_the_bit() -> None:
    splats = random_splats()
    moved = splats.moved(Similarity(np.eye(3), np.array([1.0, 0, 0]), 1.0))
    for name in splats.names:
        assert name == "x" or moved.table[name].tobytes() == splats.table[name].tobytes()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("x", np.nan, "a position"),
        ("scale_1", np.nan, "a scale"),
        ("scale_1", np.inf, "a scale"),
        ("rot_0", np.inf, "a rotation that is no"),
        ("opacity", np.nan, "an opacity"),
        ("f_rest_7", np.nan, "a colour"),
    ],
)
def test_numbers_that_are_none(column: str, value: float, said: str) -> None:
    numbers = random_splats().table[column].copy()
    numbers[[5, 9]] = value
    with pytest.raises(SplatError, match=f"2 or more of its Gaussians have {said}"):
        check_splats(random_splats().with_columns({column: numbers}), "It", "give another")


def test_a_rotation_of_zero() -> None:
    zero = {f"rot_{number}": np.zeros(300, np.float32) for number in range(4)}
    with pytest.raises(SplatError, match="a rotation that is zero"):
        check_splats(random_splats().with_columns(zero), "It", "give another")


def test_flat_and_opaque_ones_pass() -> None:
    splats = random_splats()
    flat = splats.with_columns({"scale_0": np.full(300, -np.inf), "opacity": np.full(300, np.inf)})
    assert check_splats(flat, "It", "give another") is flat


def test_columns_that_are_missing_or_others() -> None:
    splats = random_splats(degree=1)
    short = splats.table[[name for name in splats.names if name != "f_rest_8"]]
    with pytest.raises(SplatError, match="8 columns f_rest"):
        check_splats(type(splats)(short), "It", "give another")
    with pytest.raises(SplatError, match="no column rot_3"):
        check_splats(type(splats)(splats.table[[n for n in splats.names if n != "rot_3"]]), "It", "give another")
    with pytest.raises(SplatError, match="no Gaussian"):
        check_splats(splats.chosen(slice(0)), "It", "give another")
    with pytest.raises(SplatError, match="give 1, 4, 9 or 16"):
        new_splats(splats.means, splats.log_scales, splats.quaternions, splats.logits, np.zeros((300, 5, 3)))
