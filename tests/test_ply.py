"""PLY files as another library reads them."""

import numpy as np
import pytest
import trimesh

from lerf.errors import StorageError
from lerf.ply import coordinate_type, write_ply


@pytest.fixture
def triangles():
    random = np.random.default_rng(0)
    return {
        "positions": random.normal(size=(5, 3)),
        "normals": np.tile([[0.0, 0.0, 1.0]], (5, 1)),
        "colours": random.integers(0, 256, (5, 3), dtype=np.uint8),
        "scalars": {"relevancy_0": random.random(5), "relevancy_1": random.random(5)},
        "faces": np.array([[0, 1, 2], [2, 3, 4]], np.int32),
    }


def test_a_mesh_is_read_back(triangles, tmp_path):
    path = tmp_path / "mesh.ply"
    write_ply(path, **triangles)
    mesh = trimesh.load(path, process=False)
    np.testing.assert_allclose(mesh.vertices, triangles["positions"], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, triangles["faces"])
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], triangles["colours"])
    data = mesh.metadata["_ply_raw"]["vertex"]["data"]
    np.testing.assert_allclose(data["relevancy_1"], triangles["scalars"]["relevancy_1"], atol=1e-6)
    np.testing.assert_allclose(data["nz"], 1.0)


def test_points_are_read_back(triangles, tmp_path):
    path = tmp_path / "cloud.ply"
    write_ply(path, triangles["positions"], colours=triangles["colours"])
    cloud = trimesh.load(path)
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, triangles["positions"], atol=1e-6)
    np.testing.assert_array_equal(cloud.colors[:, :3], triangles["colours"])


def test_the_header_is_ascii_whatever_a_phrase_holds(triangles, tmp_path):
    path = tmp_path / "cloud.ply"
    write_ply(path, triangles["positions"], comments=["relevancy_0 rote Tür 🚪", "two\nlines end_header"])
    header = path.read_bytes().split(b"end_header")[0].decode("ascii").splitlines()
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert header[2] == r"comment relevancy_0 rote T\xfcr \U0001f6aa"
    assert header[3] == "comment two lines end header"
    assert len(trimesh.load(path).vertices) == 5


@pytest.mark.parametrize("text", ["end_header", "a\0b\x1b[2J", "大" * 5000, "x\nelement vertex 9", "\udc80"])
def test_no_comment_breaks_the_header(triangles, tmp_path, text):
    write_ply(tmp_path / "cloud.ply", triangles["positions"], comments=[f"relevancy_0 {text}"])
    header = (tmp_path / "cloud.ply").read_bytes().split(b"end_header")[0].decode("ascii")
    assert all(line.isprintable() and len(line) < 600 for line in header.splitlines())
    assert header.count("\nelement") == 1
    assert len(trimesh.load(tmp_path / "cloud.ply").vertices) == 5


def test_far_from_the_origin_coordinates_are_double(tmp_path):
    near = np.random.default_rng(0).random((100, 3))
    far = near + np.array([4_500_000.0, 0.0, 300.0])
    assert (coordinate_type(near), coordinate_type(far)) == ("<f4", "<f8")
    assert coordinate_type(np.empty((0, 3))) == "<f4"
    assert coordinate_type(np.ones((1, 3))) == "<f4"
    write_ply(tmp_path / "far.ply", far)
    np.testing.assert_allclose(trimesh.load(tmp_path / "far.ply").vertices, far, atol=1e-9)


def test_nothing_is_left_where_nothing_can_be_written(triangles, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_ply(tmp_path / "file" / "cloud.ply", triangles["positions"])
