"""TIFF files of more than 8 bits: every layout gives the values that were written, and no number in them is trusted."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.errors import SceneError
from lerf.scenes import tiff
from lerf.scenes.deep import deep_rows, deep_values
from lerf.scenes.photos import read_header, read_mask, read_photo, white_of


def values_of(kind, shape, seed=0):
    random = np.random.default_rng(seed)
    if np.dtype(kind).kind == "f":
        return random.random(shape).astype(kind)
    return random.integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["uint16", "uint32", "float16", "float32", "float64"]),
    size=st.tuples(st.integers(1, 70), st.integers(1, 300)),
    channels=st.sampled_from([1, 3, 4]),
    apart=st.booleans(),
    tiled=st.booleans(),
    packed=st.booleans(),
    order=st.sampled_from("<>"),
    big=st.booleans(),
    rows=st.integers(1, 400),
)
def test_any_layout(tmp_path_factory, kind, size, channels, apart, tiled, packed, order, big, rows):
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    values = values_of(kind, (size[1], size[0], channels))
    written = values[..., 0] if channels == 1 else np.moveaxis(values, 2, 0) if apart else values
    options = {"tile": (16, 32)} if tiled else {"rowsperstrip": rows}
    if channels > 1:
        options |= {"photometric": "rgb", "planarconfig": "separate" if apart else "contig"}
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    if packed:
        options["compression"] = "zlib"
        options["predictor"] = np.dtype(kind).kind != "f"
    tifffile.imwrite(path, written, byteorder=order, bigtiff=big and order == "<", **options)
    np.testing.assert_array_equal(deep_values(path, "Photo"), values)
    header = read_header(path)
    assert (header.size, header.has_alpha, header.deep) == (size, channels == 4, True)


def write_strips(path, values, rows, compression, predictor, order="<", pack=None):
    """A classic TIFF of RGB, differences and packing left to `pack`, which gets [rows, width, 3]."""
    height, width, _ = values.shape
    strips = [pack(values[top : top + rows]) for top in range(0, height, rows)]
    count, kind = len(strips), values.dtype
    fields, extra, at = [], b"", 8 + 2 + 12 * 12 + 4
    for tag, numbers in [
        (256, [width]), (257, [height]), (258, [8 * kind.itemsize] * 3), (259, [compression]), (262, [2]),
        (273, "starts"), (277, [3]), (278, [rows]), (279, [len(strip) for strip in strips]), (284, [1]),
        (317, [predictor]), (339, [3 if kind.kind == "f" else 1] * 3),
    ]:  # fmt: skip
        if numbers == "starts":
            fields.append((tag, count, None))
            continue
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            fields.append((tag, len(numbers), at + len(extra)))
            extra += packed
        else:
            fields.append((tag, 1, numbers[0]))
    table = at + len(extra)
    first = table + 4 * count
    starts = [first + sum(map(len, strips[:number])) for number in range(count)]
    directory = b"".join(
        struct.pack(f"{order}HHII", tag, 4, number, (table if count > 1 else starts[0]) if value is None else value)
        for tag, number, value in fields
    )
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(fields))
    tables = struct.pack(f"{order}{count}I", *starts)
    path.write_bytes(head + directory + bytes(4) + extra + tables + b"".join(strips))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_differences_of_floating_point_numbers(tmp_path, order, kind):
    values = values_of(kind, (20, 11, 3))

    def packed(rows):
        # Technical Note 3: bytes by significance, the first first; then each minus the one of the pixel before.
        data = b""
        for row in rows:
            planes = row.reshape(-1).astype(np.dtype(kind).newbyteorder(">")).view(np.uint8)
            flat = planes.reshape(-1, np.dtype(kind).itemsize).T.reshape(-1).astype(int)
            flat[3:] -= flat[:-3].copy()
            data += (flat % 256).astype(np.uint8).tobytes()
        return zlib.compress(data)

    write_strips(tmp_path / "a.tif", values, 7, 8, 3, order, packed)
    np.testing.assert_array_equal(deep_values(tmp_path / "a.tif", "Photo"), values)


def lzw(data):
    """LZW of TIFF 6.0, section 13, written without ever filling the table."""
    bits, width, codes = [], 9, {bytes([value]): value for value in range(256)}

    def put(code):
        bits.append(format(code, f"0{width}b"))

    put(256)
    prefix, following = b"", 258
    for value in data:
        longer = prefix + bytes([value])
        if longer in codes:
            prefix = longer
            continue
        put(codes[prefix])
        codes[longer], following = following, following + 1
        if following + 1 > 1 << width:
            width += 1
        if following > 4000:
            put(256)
            width, following, codes = 9, 258, {bytes([value]): value for value in range(256)}
        prefix = bytes([value])
    put(codes[prefix])
    following += 1
    if following + 1 > 1 << width:
        width += 1
    put(257)
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rows", [1, 13, 200])
def test_lzw_with_differences(tmp_path, order, rows):
    y, x = np.mgrid[:200, :37]
    values = np.stack([x * 900 + y, y * 300, 65535 - x * y * 8], -1).astype(np.uint16)

    def packed(part):
        less = part.copy()
        less[:, 1:] -= part[:, :-1]
        return lzw(less.astype(f"{order}u2").tobytes())

    write_strips(tmp_path / "a.tif", values, rows, 5, 2, order, packed)
    np.testing.assert_array_equal(deep_values(tmp_path / "a.tif", "Photo"), values)


def test_colours_that_are_multiplied_by_opacity(tmp_path):
    colours, alpha = values_of("uint16", (9, 8, 3)), values_of("uint16", (9, 8, 1), 1) // 2 + 32768
    stored = np.concatenate([np.rint(colours * (alpha / 65535)).astype(np.uint16), alpha], 2)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    found = deep_values(tmp_path / "a.tif", "Photo")
    np.testing.assert_array_equal(found[..., 3:], alpha)
    assert np.abs(found[..., :3].astype(int) - colours).max() <= 2


def test_channels_that_are_neither_colour_nor_opacity_are_left_out(tmp_path):
    values = values_of("uint16", (9, 8, 6))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"] * 3)
    np.testing.assert_array_equal(deep_values(tmp_path / "a.tif", "Photo"), values[..., :3])
    tifffile.imwrite(tmp_path / "a.tif", values[..., :5], photometric="minisblack", planarconfig="contig")
    with pytest.raises(SceneError, match=r"cannot be read|in a way"):
        read_photo(tmp_path / "a.tif")


def test_a_few_rows_are_held_at_a_time(tmp_path):
    values = values_of("uint16", (1000, 40, 3))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", rowsperstrip=1000)
    parts = list(deep_rows(tmp_path / "a.tif", "Photo"))
    assert max(len(part) for part in parts) <= tiff.ROWS_AT_ONCE
    np.testing.assert_array_equal(np.concatenate(parts), values)


def test_one_is_white_in_photos_of_floating_point(tmp_path):
    values = values_of("float32", (30, 20, 3))
    values[0, 0] = [-0.5, 1.5, 1.0]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    assert white_of([tmp_path / "a.tif"]) == 65535
    np.testing.assert_allclose(read_photo(tmp_path / "a.tif"), values.clip(0, 1) * 255, atol=0.501)


@pytest.mark.parametrize("worst", [255.0, np.nan, np.inf])
def test_floating_point_in_another_range_is_refused(tmp_path, worst):
    values = values_of("float32", (30, 20, 3))
    values[:15] = worst
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    for read in (lambda path: white_of([path]), read_photo):
        with pytest.raises(SceneError, match="floating-point pixels above 1, which is white: save it as 16-bit"):
            read(tmp_path / "a.tif")


def test_deep_masks_of_any_layout(tmp_path):
    kept = values_of("uint16", (40, 60)) > 30000
    values = kept.astype(np.uint16) * 4095
    tifffile.imwrite(tmp_path / "m.tif", values, tile=(16, 16), compression="zlib", predictor=True, byteorder=">")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", (60, 40)), kept)
    colours = np.stack([kept, 0 * kept, kept], -1).astype(np.float32)
    tifffile.imwrite(tmp_path / "m.tif", colours, photometric="rgb")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", (60, 40)), kept)
    tifffile.imwrite(tmp_path / "m.tif", 65535 - values, photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", (60, 40)), kept)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("sign", ["version of DNG", "thumbnail of another picture"])
def test_raw_data_of_cameras_is_refused(tmp_path, kind, sign):
    values = values_of(kind, (9, 8, 3))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        if sign == "version of DNG":
            file.write(values, photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
        else:
            file.write(values, photometric="rgb", subifds=1, subfiletype=1)
            file.write(values_of("uint16", (90, 80)), photometric="minisblack")
    with pytest.raises(SceneError, match="holds the raw data of a camera: develop it to JPEG or PNG"):
        read_header(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (256, 2**31), (257, 2**31), (257, 0), (273, 2**32 - 1), (278, 0), (278, 1), (279, 2**32 - 1), (279, 0),
        (277, 2**16), (322, 0), (323, 2**31), (317, 3), (317, 9), (259, 5), (259, 34925), (259, 50000), (259, 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_no_number_is_trusted(tmp_path, tag, value, compression):
    path = tmp_path / "a.tif"
    values = values_of("uint16", (30, 20, 3))
    tifffile.imwrite(path, values, photometric="rgb", compression=compression, rowsperstrip=30)
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for number in range(count):
        place = start + 2 + 12 * number
        if struct.unpack_from("<H", data, place)[0] == (tag if tag not in (322, 323) else 305):
            struct.pack_into("<HHII", data, place, tag, 4, 1, value)
    path.write_bytes(data)
    with contextlib.suppress(SceneError):
        read_header(path)
        assert read_photo(path).shape == (30, 20, 3)


def test_what_is_stated_to_be_huge_takes_no_memory(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values_of("uint16", (30, 20, 3)), photometric="rgb", compression="zlib", rowsperstrip=30)
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    for number in range(struct.unpack_from("<H", data, start)[0]):
        place = start + 2 + 12 * number
        if struct.unpack_from("<H", data, place)[0] in (256, 257):
            struct.pack_into("<HHII", data, place, struct.unpack_from("<H", data, place)[0], 4, 1, 100_000)
    path.write_bytes(data)
    with pytest.raises(SceneError, match="more than 268 million pixels"):
        read_header(path)
