"""PLY files as other programs write them: both byte orders, any order of properties, nothing trusted before checked."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerf.errors import SceneError
from lerf.ply_reading import read_ply

POINTS = np.array([[0.5, -1.25, 2.0], [1e-3, 3.5, -7.75], [4.0, 5.0, 6.0]])
COLOURS = np.array([[1, 2, 3], [250, 128, 0], [9, 8, 7]], np.uint8)
COLUMNS = {
    **dict(zip("xyz", POINTS.T, strict=True)),
    **dict(zip(("red", "green", "blue"), COLOURS.T, strict=True)),
    "nx": np.zeros(3),
}
TYPES = {"float": "f4", "double": "f8", "uchar": "u1", "uint8": "u1", "float32": "f4"}


def header(form, properties, count=3, before=""):
    lines = ["ply", f"format {form} 1.0", "comment made by hand", *before.splitlines(), f"element vertex {count}"]
    lines += [f"property {kind} {name}" for kind, name in properties]
    lines += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode()


def written(form, properties, before=("", b"")):
    data = header(form, properties, before=before[0])
    if form == "ascii":
        rows = [" ".join(f"{COLUMNS[name][row]:g}" for _, name in properties) for row in range(3)]
        return data + before[1] + "\n".join(rows).encode() + b"\n3 0 1 2\n"
    order = "<" if "little" in form else ">"
    table = np.empty(3, [(name, order + TYPES[kind]) for kind, name in properties])
    for _, name in properties:
        table[name] = COLUMNS[name]
    return data + before[1] + table.tobytes() + b"\x03" + np.arange(3, dtype=f"{order}i4").tobytes()


def read(path):
    return read_ply(path, error=SceneError, remedy="export it again")


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_properties_in_every_form(tmp_path, form, seed):
    properties = [("float", "x"), ("double", "y"), ("float32", "z"), ("float", "nx")]
    properties += [("uchar", "red"), ("uint8", "green"), ("uchar", "blue")]
    np.random.default_rng(seed).shuffle(properties)
    (tmp_path / "a.ply").write_bytes(written(form, [tuple(map(str, one)) for one in properties]))
    cloud = read(tmp_path / "a.ply")
    np.testing.assert_allclose(cloud.positions, POINTS, rtol=1e-6)
    np.testing.assert_array_equal(cloud.colours, COLOURS)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_elements_before_the_vertices_are_passed(tmp_path, form):
    order = "<" if "little" in form else ">"
    body = b"7 8\n" if form == "ascii" else np.array([7, 8], f"{order}i2").tobytes()
    before = ("element camera 1\nproperty short a\nproperty short b", body)
    (tmp_path / "a.ply").write_bytes(written(form, [("float", axis) for axis in "xyz"], before))
    cloud = read(tmp_path / "a.ply")
    np.testing.assert_allclose(cloud.positions, POINTS, rtol=1e-6)
    assert cloud.colours is None


def test_what_nerfstudio_writes_with_windows_line_ends(tmp_path):
    lines = ["ply", "format ascii 1.0", "element vertex 2"]
    lines += [f"property float {axis}" for axis in "xyz"] + [f"property uint8 {c}" for c in ("red", "green", "blue")]
    lines += ["end_header", "1.000000 2.500000 -3.000000 12 13 14", "0.000000 0.000000 1.000000 255 0 300", ""]
    (tmp_path / "a.ply").write_bytes("\r\n".join(lines).encode())
    cloud = read(tmp_path / "a.ply")
    np.testing.assert_array_equal(cloud.positions, [[1, 2.5, -3], [0, 0, 1]])
    np.testing.assert_array_equal(cloud.colours, [[12, 13, 14], [255, 0, 255]])


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [("ushort", "<u2", [65535, 257, 0]), ("float", "<f4", [1.0, 1 / 255, 0.0]), ("uchar", "u1", [255, 1, 0]),
     ("int", "<i4", [255, 1, 0]), ("float", "<f4", [255.0, 1.0, 0.0])],
)  # fmt: skip
def test_colours_of_other_types(tmp_path, kind, dtype, values):
    properties = [("float", axis) for axis in "xyz"] + [(kind, name) for name in ("red", "green", "blue")]
    table = np.zeros(1, [(name, dtype if place > 2 else "<f4") for place, (_, name) in enumerate(properties)])
    for name, value in zip(("red", "green", "blue"), values, strict=True):
        table[name] = value
    (tmp_path / "a.ply").write_bytes(header("binary_little_endian", properties, 1) + table.tobytes())
    np.testing.assert_array_equal(read(tmp_path / "a.ply").colours, [[255, 1, 0]])


XYZ = [("float", axis) for axis in "xyz"]
BROKEN = {
    "no header": (b"solid cube", "does not begin with the header"),
    "no end": (header("ascii", XYZ)[:60], "does not begin with the header"),
    "another format": (header("binary_middle_endian", XYZ), "'format binary_middle_endian 1.0' of its header"),
    "another type": (header("ascii", [("quad", "x")]), "'property quad x' of its header"),
    "a negative count": (header("ascii", XYZ, -3), "'element vertex -3' of its header"),
    "no vertices": (b"ply\nformat ascii 1.0\nelement face 0\nend_header\n", "has no vertices"),
    "more than there is": (header("binary_little_endian", XYZ, 10**12 - 1) + bytes(36), "cut off before their end"),
    "more than there is in text": (header("ascii", XYZ, 4) + b"1 2 3\n" * 3, "cut off before their end"),
    "far more in text": (header("ascii", XYZ, 10**11) + b"1 2 3\n", "cut off before their end"),
    "words": (header("ascii", XYZ, 2) + b"1 2 3\n4 five 6\n", "not a number"),
    "two of one name": (header("ascii", [*XYZ, ("float", "x")]), "no names of their own"),
    "without z": (header("ascii", XYZ[:2], 1) + b"1 2\n", "without x, y and z"),
    "no format": (b"ply\nelement vertex 0\nproperty float x\nend_header\n", "states no format"),
    "lists among vertices": (
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int a\nend_header\n1 2\n", "lists stand before",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_cloud_is_refused(tmp_path, case):
    data, said = BROKEN[case]
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(SceneError, match=said):
        read(tmp_path / "a.ply")


def test_a_missing_and_a_huge_file(tmp_path):
    with pytest.raises(SceneError, match="cannot be read"):
        read(tmp_path / "a.ply")
    (tmp_path / "a.ply").write_bytes(written("ascii", XYZ))
    with pytest.raises(SceneError, match="the most that can be"):
        read_ply(tmp_path / "a.ply", error=SceneError, remedy="export it again", largest=10)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_damaged_bytes_are_refused_or_read(tmp_path, data):
    form = data.draw(st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]))
    content = bytearray(written(form, [("float", "x"), ("uchar", "red"), ("float", "z"), ("double", "y")]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.ply").write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        cloud = read(tmp_path / "a.ply")
    except SceneError:
        return
    assert cloud.positions.shape[1] == 3
