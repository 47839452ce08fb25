"""The baked index as data: compression, keys of cells, the file."""

import json
import math

import pytest
import torch
from colour_words import ColourWords
from safetensors import safe_open
from safetensors.torch import save_file
from sources import CELL, index_of, unit

from lerf.errors import RunError
from lerf.geometry.contraction import contract
from lerf.language.cells import FORMAT, Compressed, cell_keys, compress, load_index, save_index


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
    about = json.loads(header["index"])
    save_file(tensors, path, {**header, "index": json.dumps({**about, "source": "guess"})})
    with pytest.raises(RunError, match="damaged"):
        load_index(path)
    del tensors["low"]
    save_file(tensors, path, header)
    with pytest.raises(RunError, match="damaged"):
        load_index(path)
