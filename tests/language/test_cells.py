"""The baked index as data: compression, keys of cells, the file."""

import json
import math
from dataclasses import replace

import pytest
import torch
from colour_words import ColourWords
from safetensors import safe_open
from safetensors.torch import save_file
from sources import CELL, index_of, unit

from lerf.errors import RunError
from lerf.geometry.contraction import contract
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import (
    DENSE_RANK,
    FORMAT,
    Compressed,
    cell_keys,
    compress,
    compress_dense,
    load_index,
    save_index,
)


def lattice(side: int = 8) -> torch.Tensor:
    """Middles of cells."""
    steps = (torch.arange(side) + 0.5) * CELL
    return torch.cartesian_prod(steps, steps, steps)


def test_the_rank_is_the_smallest_that_keeps_the_energy() -> None:
    inside = unit(2, 400, 5) @ torch.linalg.qr(torch.randn(32, 5, generator=torch.Generator().manual_seed(3)))[0].T
    packed = compress(inside)
    assert len(packed.basis) == 5
    decoded = (packed.codes.float() / packed.norms[..., None]) @ packed.basis
    torch.testing.assert_close(decoded, inside, atol=2e-3, rtol=0)
    assert len(compress(unit(2, 400, 32), max_rank=7).basis) == 7
    lengths = torch.linalg.vector_norm(packed.codes.float() / packed.norms[..., None], dim=-1)
    torch.testing.assert_close(lengths, torch.ones(2, 400))


def test_half_precision_input_gives_the_same_codes() -> None:
    embeddings = unit(2, 100, 16)
    whole, half = compress(embeddings), compress(embeddings.half())
    torch.testing.assert_close(whole.codes.float() @ whole.basis, half.codes.float() @ half.basis, atol=2e-3, rtol=0)


def test_keys_name_cells_of_the_contracted_frame() -> None:
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * 3
    keys = cell_keys(points, 0.3)
    corners = [tuple(math.floor(v) for v in (row / 0.3).tolist()) for row in contract(points)]
    for i in range(0, 500, 7):
        for j in range(0, 500, 11):
            assert (keys[i] == keys[j]) == (corners[i] == corners[j])


def test_points_are_located_in_their_cells() -> None:
    positions = lattice()[::3]
    index = index_of(positions, unit(1, len(positions), 4))
    found = index.locate(index.positions + 0.4 * CELL * torch.tensor([1.0, -1.0, 1.0]))
    assert found.tolist() == list(range(len(index)))
    assert index.locate(torch.tensor([[0.9, 0.9, 0.9], [-5.0, 0.0, 0.0]])).tolist() == [-1, -1]


def test_the_file_gives_back_the_index(tmp_path) -> None:
    index = index_of(lattice(), unit(2, 512, 6))
    path = tmp_path / "index.safetensors"
    save_index(index, path)
    again = load_index(path, ColourWords(), "c" * 64)
    assert again.provenance == index.provenance
    for name in ("keys", "positions", "weights", "low", "high", "scales"):
        assert torch.equal(getattr(again, name), getattr(index, name))
    for name in Compressed.__dataclass_fields__:
        assert torch.equal(getattr(again.compressed, name), getattr(index.compressed, name))


def test_a_file_that_does_not_fit_is_refused(tmp_path) -> None:
    path = tmp_path / "index.safetensors"
    with pytest.raises(RunError, match="no index"):
        load_index(path)
    save_index(index_of(lattice(), unit(1, 512, 6)), path)
    other = type("Other", (ColourWords,), {"fingerprint": "0" * 64})()
    with pytest.raises(RunError, match="other weights or another encoder"):
        load_index(path, other)
    with pytest.raises(RunError, match="another state"):
        load_index(path, ColourWords(), "d" * 64)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="damaged"):
        load_index(path)
    path.write_bytes(b"")
    with pytest.raises(RunError, match="damaged"):
        load_index(path)


def test_a_file_of_a_newer_lerf_or_of_an_unknown_source_is_refused(tmp_path) -> None:
    path = tmp_path / "index.safetensors"
    save_index(index_of(lattice(), unit(1, 512, 6)), path)
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {**header, "format": str(FORMAT + 1)})
    with pytest.raises(RunError, match=r"newer lerf .* upgrade lerf"):
        load_index(path)
    about = json.loads(header["facts"])["index"]
    save_file(tensors, path, {"format": header["format"], "index": json.dumps({**about, "source": "guess"})})
    with pytest.raises(RunError, match="'guess'"):
        load_index(path)
    del tensors["low"]
    save_file(tensors, path, header)
    with pytest.raises(RunError, match="damaged"):
        load_index(path)


def changed(path, change) -> None:
    """The file as an older lerf wrote it, without a checksum, and changed."""
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = json.loads(header["facts"])["index"]
    change(about, tensors)
    old = {"format": header["format"], "index": json.dumps(about)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, old)


def put(name: str, value: float):
    def change(about, tensors) -> None:
        tensors[name].view(-1)[3] = value

    return change


def entry(name: str, value: object):
    return lambda about, tensors: about.update({name: value})


def tensor(name: str, make):
    return lambda about, tensors: tensors.update({name: make(tensors[name])})


DAMAGES = {
    **{
        f"{name} NaN": put(name, math.nan)
        for name in ("positions", "weights", "low", "high", "basis", "codes", "norms")
    },
    "infinite": put("positions", math.inf),
    "negative weight": put("weights", -1.0),
    "norms of other codes": put("norms", 30.0),
    "no basis": put("basis", 5.0),
    "low above high": put("low", 7.0),
    "keys out of order": tensor("keys", lambda keys: keys.flip(0)),
    "a key twice": tensor("keys", lambda keys: keys.index_copy(0, torch.tensor([1]), keys[:1])),
    "scales out of order": tensor("scales", lambda scales: scales.flip(0)),
    "scale 0": tensor("scales", torch.zeros_like),
    "a cell too few": tensor("weights", lambda weights: weights[1:]),
    "positions flat": tensor("positions", lambda positions: positions.reshape(-1)),
    "codes flat": tensor("codes", lambda codes: codes.reshape(-1)),
    "codes of another type": tensor("codes", lambda codes: codes.float()),
    "keys of another type": tensor("keys", lambda keys: keys.int()),
    "another width": tensor("basis", lambda basis: basis[:, :0]),
    "one too many": lambda about, tensors: tensors.update(more=torch.zeros(1)),
    "cell size text": entry("cell_size", "0.05"),
    "cell size huge": entry("cell_size", 1e9),
    "cell size negative": entry("cell_size", -0.05),
    "encoder a number": entry("encoder", 3),
    "checkpoint none": entry("checkpoint", None),
    "cosine a list": entry("cosine", [1.0]),
    "cosine huge": entry("cosine", 1e300),
    "no provenance": lambda about, tensors: about.clear(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_without_a_checksum_is_looked_at(tmp_path, damage) -> None:
    path = tmp_path / "index.safetensors"
    index = index_of(lattice(), unit(2, 512, 6))
    save_index(index, path)
    changed(path, lambda about, tensors: None)
    assert torch.equal(load_index(path).keys, index.keys)
    changed_again = DAMAGES[damage]
    save_index(index, path)
    changed(path, changed_again)
    with pytest.raises(RunError, match=r"index\.safetensors .*lerf bake"):
        load_index(path)


def test_a_flipped_bit_anywhere_is_found(tmp_path) -> None:
    path = tmp_path / "index.safetensors"
    save_index(index_of(lattice(4), unit(2, 64, 6)), path)
    whole = path.read_bytes()
    save_index(index_of(lattice(4), unit(2, 64, 6)), path)
    assert path.read_bytes() == whole, "equal content gives equal bytes"
    for at in range(0, len(whole), 61):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        with pytest.raises(RunError):
            load_index(path)


def test_embeddings_of_another_length_than_the_encoders_are_refused(tmp_path) -> None:
    path = tmp_path / "index.safetensors"
    save_index(index_of(lattice(), unit(1, 512, ColourWords().width + 1)), path)
    with pytest.raises(RunError, match="not of the length"):
        load_index(path, ColourWords())


def test_dense_features_keep_their_largest_differences_and_come_back(tmp_path) -> None:
    generator = torch.Generator().manual_seed(4)
    axes = torch.linalg.qr(torch.randn(20, 3, generator=generator))[0].T
    features = 5.0 + torch.randn(512, 3, generator=generator) @ (torch.tensor([3.0, 2.0, 1.0])[:, None] * axes)
    packed = compress_dense(features)
    assert packed.codes.shape == (512, 3)
    torch.testing.assert_close(packed.codes.float() @ packed.basis + packed.mean, features, atol=2e-2, rtol=0)
    assert len(compress_dense(torch.randn(512, 50, generator=generator)).basis) == DENSE_RANK
    index = replace(index_of(lattice(), unit(2, 512, 6)), dense=packed)
    save_index(index, tmp_path / "index.safetensors")
    again = load_index(tmp_path / "index.safetensors").dense
    assert again is not None
    for name in ("mean", "basis", "codes"):
        assert torch.equal(getattr(again, name), getattr(packed, name))
    spoilt = replace(index, dense=replace(packed, codes=packed.codes[1:]))
    save_index(spoilt, tmp_path / "index.safetensors")
    with pytest.raises(RunError, match="dense_codes has"):
        load_index(tmp_path / "index.safetensors")


def test_dense_features_are_composited_along_rays() -> None:
    positions = lattice()
    features = torch.randn(512, 7, generator=torch.Generator().manual_seed(4))
    language = CellLanguage(replace(index_of(positions, unit(2, 512, 6)), dense=compress_dense(features)), 2)
    kept = language.index.dense
    assert language.dense_width == 7
    decoded = kept.codes.float() @ kept.basis + kept.mean
    pairs = language.index.positions[torch.tensor([[0, 1], [7, 300], [20, 511]])]
    rays = TracedRays(
        pairs, torch.tensor([[0.25, 0.75]]).repeat(3, 1), torch.ones(3, 2), torch.ones(3, dtype=torch.bool),
        torch.ones(3), pairs[:, 1],
    )  # fmt: skip
    found = language.dense(language.encode(rays))
    expected = 0.25 * decoded[[0, 7, 20]] + 0.75 * decoded[[1, 300, 511]]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    away = replace(rays, positions=rays.positions + 50.0, median_position=rays.median_position + 50.0)
    assert not language.dense(language.encode(away)).any()
