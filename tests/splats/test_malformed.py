"""Damaged and hostile files of splats: one sentence, and no more memory than the file's own size allows."""

import gzip
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from splat_samples import random_splats

from lerf.errors import SplatError
from lerf.splats.files import read_splats, write_splats
from lerf.splats.splats import LARGEST_COUNT


def refused(path: Path, said: str, most: int | None = None) -> None:
    """Reading a file fails with a sentence, and without memory for what it claims: `most` bytes, or what its size
    allows."""
    tracemalloc.start()
    try:
        with pytest.raises(SplatError, match=said) as raised:
            read_splats(path)
        needed = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(raised.value).splitlines()) == 1
    assert needed < (2 * path.stat().st_size + 3_000_000 if most is None else most)


def ply(path: Path, count: int | None = None, form: str = "binary_little_endian", cut: int = 0) -> Path:
    """A PLY file that may state another count than it has, and end early."""
    splats = random_splats(100, 1)
    write_splats(path, splats)
    data = path.read_bytes().replace(b"binary_little_endian", form.encode())
    if count is not None:
        data = data.replace(b"vertex 100\n", f"vertex {count}\n".encode())
    path.write_bytes(data[: len(data) - cut])
    return path


@pytest.mark.parametrize("form", ["binary_little_endian", "binary_big_endian", "ascii"])
@pytest.mark.parametrize("count", [101, 10**12 - 1])
def test_counts_beyond_the_file(tmp_path, form: str, count: int) -> None:
    said = f"states {count} rows of its element vertex and is cut off"
    # Binary numbers read as text are none, which is found first where there could be as many as it states.
    refused(ply(tmp_path / "a.ply", count, form), f"{said}|is not a number")


def test_headers_that_are_none(tmp_path) -> None:
    refused(ply(tmp_path / "a.ply", 10**12), "the line 'element vertex 1000000000000' of its header is not known")
    refused(ply(tmp_path / "b.ply", cut=1), "cut off before their end")
    path = tmp_path / "c.ply"
    for text, said in (
        (b"ply\nformat ascii 1.0\n", "does not begin with the header"),
        (b"ply\nformat ascii 1.0\nelement face 0\nend_header\n", "no element vertex"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n", "no column y"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\nten\n", "is not a number"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list int int x\nend_header\n1\n", "lists stand before"),
        (b"", "begins like no file"),
    ):
        path.write_bytes(text)
        refused(path, said)
    refused(tmp_path, "no regular file")
    with pytest.raises(SplatError, match="is not there"):
        read_splats(tmp_path / "none.ply")


@pytest.mark.parametrize("name", ["a.splat", "a.ply"])
def test_more_gaussians_than_a_scene_has(tmp_path, name: str) -> None:
    """A sparse file as large as its count says is refused by that count, before anything of its rows is made."""
    path, count = tmp_path / name, LARGEST_COUNT + 1
    if name == "a.ply":
        ply(path, count)
    else:
        path.touch()
    os.truncate(path, 32 * count if name == "a.splat" else 1 << 38)
    refused(path, f"has {count} Gaussians, and one file has at most {LARGEST_COUNT}", most=3_000_000)


def test_dot_splat(tmp_path) -> None:
    path = tmp_path / "a.splat"
    write_splats(path, random_splats(40, 0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    refused(path, "no whole number of Gaussians")
    path.write_bytes(whole[:12] + struct.pack("<f", -0.1) + whole[16:])
    refused(path, "1 Gaussians with a negative scale")
    path.write_bytes(whole[:28] + bytes([128] * 4) + whole[32:])
    refused(path, "a rotation that is zero")
    path.write_bytes(struct.pack("<f", float("nan")) + whole[4:])
    refused(path, "a position that is no finite number")


def spz(version: int = 3, count: int = 10, degree: int = 0, fraction: int = 12, body: bytes | None = None) -> bytes:
    payload = bytes(20 * count) if body is None else body
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, fraction, 0, 0) + payload


def test_spz(tmp_path) -> None:
    path = tmp_path / "a.spz"
    for data, said in (
        (gzip.compress(spz(version=9)), "version 9 is not known"),
        (gzip.compress(spz(count=LARGEST_COUNT + 1)), f"one file has at most {LARGEST_COUNT}"),
        (gzip.compress(spz(degree=7)), "degree 7"),
        (gzip.compress(spz(fraction=99)), "99 fractional bits"),
        (gzip.compress(spz(count=11, body=bytes(200))), "as many Gaussians as it states"),
        (gzip.compress(spz(count=9, body=bytes(200))), "as many Gaussians as it states"),
        (gzip.compress(b"NGS"), "cut off"),
        (gzip.compress(spz())[:20], "cut off|as many Gaussians"),
        (b"\x1f\x8b" + bytes(50), "damaged"),
        (gzip.compress(b"ABCD" + spz()[4:]), "no SPZ file"),
        (b"NGSP" + bytes(3), "cut off"),
        (b"NGSP" + struct.pack("<IIBBBBI12x", 4, 100_000_000, 0, 12, 0, 5, 32) + bytes(80), "unpack to"),
    ):
        path.write_bytes(data)
        refused(path, said)


def test_a_gzip_bomb(tmp_path) -> None:
    path = tmp_path / "a.spz"
    # It states what it holds, and that is 40 MB of nothing in 40 kB; or it holds more than it states.
    path.write_bytes(gzip.compress(spz(count=2_000_000)))
    refused(path, "more than splats can")
    path.write_bytes(gzip.compress(spz(count=10, body=bytes(40_000_000))))
    refused(path, "as many Gaussians as it states")


def test_a_zstd_stream_of_another_length(tmp_path) -> None:
    zstandard = pytest.importorskip("zstandard")
    sizes, path = (90, 10, 30, 30, 40), tmp_path / "a.spz"
    for real in (sizes, (90, 10, 30, 30, 40_000_000)):
        packed = [zstandard.compress(bytes(size)) for size in real]
        table = b"".join(struct.pack("<QQ", len(part), size) for part, size in zip(packed, sizes, strict=True))
        head = b"NGSP" + struct.pack("<IIBBBBI12x", 4, 10, 0, 12, 0, 5, 32)
        path.write_bytes(head + table + b"".join(packed))
        if real == sizes:
            assert len(read_splats(path)) == 10
        else:
            refused(path, "as many Gaussians as it states")


def test_sog(tmp_path) -> None:
    path = tmp_path / "a.sog"
    for members, said in (
        ({}, "has no meta.json"),
        ({"meta.json": "{}"}, "another content than it should"),
        ({"meta.json": "[" * 9000}, "not valid JSON|another content"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in members.items():
                archive.writestr(name, text)
            archive.writestr("other", "x")
        refused(path, said)
    path.write_bytes(b"PK\3\4" + bytes(60))
    refused(path, "cannot be read as SOG")


def test_any_file_cut_anywhere(tmp_path) -> None:
    """Every beginning of a valid file is refused or read; none crashes."""
    rng = np.random.default_rng(0)
    for name in ("a.ply", "a.splat", "a.spz"):
        write_splats(tmp_path / name, random_splats(30, 0))
        whole = (tmp_path / name).read_bytes()
        for stop in rng.integers(0, len(whole), 40):
            (tmp_path / name).write_bytes(whole[:stop])
            try:
                read = read_splats(tmp_path / name)
            except SplatError:
                continue
            assert name == "a.splat"
            assert len(read) == stop // 32
