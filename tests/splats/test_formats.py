"""Splats go through files and come back: to the bit in PLY, within the steps of the packed formats elsewhere."""

import struct

import numpy as np
import pytest
from splat_samples import furthest_apart, random_splats, text_rows, write_sog

from lerf.errors import LerfWarning, SplatError
from lerf.splats.files import read_splats, write_splats


def test_a_ply_file_is_written_back_to_the_bit(tmp_path) -> None:
    rng = np.random.default_rng(1)
    splats = random_splats(70_000, 1, normals=True).with_columns(
        {"relevancy_0": rng.random(70_000, np.float32), "instance_0": rng.integers(-1, 9, 70_000, np.int32),
         "time": rng.random(70_000), "flag": rng.integers(0, 255, 70_000, np.uint8)}
    )  # fmt: skip
    # Not a number in a column that is not ours is nobody's business.
    splats.table["relevancy_0"][7] = np.nan
    write_splats(tmp_path / "one.ply", splats)
    read = read_splats(tmp_path / "one.ply")
    assert isinstance(read.table, np.memmap)
    assert read.extra == ("nx", "ny", "nz", "relevancy_0", "instance_0", "time", "flag")
    assert read.table.dtype == splats.table.dtype
    write_splats(tmp_path / "two.ply", read)
    assert (tmp_path / "one.ply").read_bytes() == (tmp_path / "two.ply").read_bytes()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("form", ["ascii", "binary_big_endian", "binary_little_endian"])
def test_ply_in_any_order_and_form(tmp_path, degree: int, form: str) -> None:
    splats = random_splats(50, degree, seed=degree)
    order = np.random.default_rng(3).permutation(splats.names)
    kinds = [(name, ("f8", "double") if name == "y" else ("f4", "float")) for name in order]
    lines = ["ply", f"format {form} 1.0", "comment made by hand", "element camera 1", "property float fov"]
    lines += ["element vertex 50", *(f"property {told} {name}" for name, (_, told) in kinds), "end_header", ""]
    if form == "ascii":
        body = ("60.0\n" + text_rows(splats, order)).encode()
    else:
        sign = ">" if "big" in form else "<"
        table = np.empty(50, [(str(name), sign + kind) for name, (kind, _) in kinds])
        for name in order:
            table[name] = splats.table[name]
        body = struct.pack(sign + "f", 60.0) + table.tobytes()
    (tmp_path / "a.ply").write_bytes("\n".join(lines).encode() + body)
    read = read_splats(tmp_path / "a.ply")
    assert read.names == tuple(order)
    assert read.comments == ("made by hand",)
    assert read.degree == degree
    assert furthest_apart(splats, read) == dict.fromkeys(furthest_apart(splats, read), 0.0)


def test_dot_splat(tmp_path) -> None:
    splats = random_splats(degree=0)
    write_splats(tmp_path / "a.splat", splats)
    assert (tmp_path / "a.splat").stat().st_size == 32 * len(splats)
    apart = furthest_apart(splats, read_splats(tmp_path / "a.splat"))
    # Colours beyond 0..1 are cut off.
    assert apart["means"] == 0
    assert apart["covariances"] < 0.03
    assert apart["opacities"] < 0.003
    assert apart["colours"] < 0.008


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spz(tmp_path, degree: int) -> None:
    splats = random_splats(degree=degree)
    write_splats(tmp_path / "a.spz", splats)
    read = read_splats(tmp_path / "a.spz")
    apart = furthest_apart(splats, read)
    assert read.degree == degree
    assert apart["means"] < 2e-6
    assert apart["covariances"] < 0.08  # steps of scale are a sixteenth of e
    assert apart["opacities"] < 0.003
    assert apart["colours"] < 0.02
    # Coefficients beyond -1..1 are cut off, others are within a step of 1 / 128.
    within = np.abs(splats.harmonics[:, 1:]) < 0.99
    assert (np.abs(read.harmonics[:, 1:] - splats.harmonics[:, 1:])[within] < 0.005).all()


def test_what_a_format_cannot_hold_is_told(tmp_path) -> None:
    splats = random_splats(20, 1).with_columns({"relevancy_0": np.zeros(20, np.float32)})
    with pytest.warns(LerfWarning, match=r"a\.splat cannot hold relevancy_0, harmonics of degree 1; \.ply can"):
        write_splats(tmp_path / "a.splat", splats)
    with pytest.warns(LerfWarning, match=r"a\.spz cannot hold relevancy_0;"):
        write_splats(tmp_path / "a.spz", splats)
    for name in ("a.sog", "a.compressed.ply", "a.txt"):
        with pytest.raises(SplatError, match=r"must end in \.ply, \.splat, \.spz"):
            write_splats(tmp_path / name, splats)
    with pytest.raises(SplatError, match="no positions as large"):
        write_splats(tmp_path / "a.spz", random_splats(9, 0).with_columns({"x": np.full(9, 1e7)}))


def test_sog(tmp_path) -> None:
    """Four Gaussians in pictures of 2 x 3 pixels, worked out by hand."""
    write_sog(tmp_path / "a.sog")
    read = read_splats(tmp_path / "a.sog")
    assert len(read) == 4
    assert np.allclose(read.means[:3, 0], [-np.expm1(1), np.expm1(2 * 128 * 256 / 65535 - 1), np.expm1(1)], atol=1e-6)
    assert np.allclose(read.log_scales, 0.3)
    assert np.allclose(read.harmonics[:, 0], [1.0, 2.0, 3.0])
    assert np.allclose(read.logits, np.log(0.2 / 0.8))
    half = 2**0.5 * (128 / 255 - 0.5)
    assert np.allclose(read.quaternions[0], [half, half, (0.5 - 2 * half**2) ** 0.5, 2**-0.5], atol=1e-6)
