"""The baked index as data: compression, scale and place of an answer, the file."""

import math

import pytest
import torch
import torch.nn.functional as F
from colour_words import ColourWords

from lerf.errors import RunError
from lerf.geometry.contraction import contract
from lerf.language.cells import Compressed, Facts, Index, cell_keys, choose_scale, compress, load_index, save_index
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy

FACTS = Facts("field", ColourWords.name, ColourWords.fingerprint, "c" * 64, 0.05)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def made(embeddings: torch.Tensor, positions: torch.Tensor, **options: float) -> Index:
    keys, order = cell_keys(positions, FACTS.cell_size).sort()
    count = len(keys)
    return Index(
        keys,
        positions[order],
        torch.ones(count),
        torch.full((count,), 0.1),
        torch.full((count,), 0.9),
        torch.logspace(-1, 0, len(embeddings)),
        compress(embeddings[:, order], **options),
        FACTS,
    )


def lattice(side: int = 8) -> torch.Tensor:
    """Middles of cells."""
    steps = (torch.arange(side) + 0.5) * FACTS.cell_size
    return torch.cartesian_prod(steps, steps, steps)


def test_full_rank_keeps_every_cosine() -> None:
    embeddings = unit(3, 512, 12)
    queries, canonical = unit(2, 12, seed=1), unit(4, 12, seed=2)
    index = made(embeddings, lattice(), energy=1.0)
    assert index.compressed.basis.shape == (12, 12)
    torch.testing.assert_close(index.compressed.basis @ index.compressed.basis.T, torch.eye(12), atol=1e-5, rtol=0)
    order = cell_keys(lattice(), FACTS.cell_size).argsort()
    expected = relevancy(embeddings[:, order], queries, canonical, 10.0)
    ours = index.relevancy(Phrases(("a", "b"), queries, canonical, 10.0))
    torch.testing.assert_close(ours, expected, atol=2e-3, rtol=0)


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


def test_an_answer_is_the_place_that_was_made_relevant() -> None:
    positions = lattice()
    query, other, canonical = torch.eye(8)[0], torch.eye(8)[1], torch.eye(8)[2:4]
    embeddings = other.repeat(3, len(positions), 1)
    here = (positions - torch.tensor([0.1, 0.1, 0.1])).norm(dim=-1) < 0.08
    there = (positions - torch.tensor([0.33, 0.33, 0.33])).norm(dim=-1) < 0.08
    embeddings[1, here | there] = query
    embeddings[1, there] = F.normalize(query + 0.3 * other, dim=0)
    index = made(embeddings, positions)
    phrases = Phrases(("thing", "nothing"), torch.stack([query, -other]), canonical, 10.0)
    thing, nothing = index.find(phrases, threshold=0.9)
    assert thing.scale == pytest.approx(float(index.scales[1]))
    assert (index.positions[thing.best] - 0.1).norm() < 0.08
    assert [len(region.indices) for region in thing.regions] == [int(here.sum()), int(there.sum())]
    assert nothing.score < 0.9
    assert nothing.regions == ()
    fixed = index.find(phrases, threshold=0.9, scales=[1.1, 0.1])
    assert [found.scale for found in fixed] == pytest.approx([1.0, 0.1])
    assert fixed[0].score < 0.9


def test_of_scales_as_good_the_smallest_is_chosen() -> None:
    scores = torch.full((4, 50), 0.2)
    scores[1, :5], scores[2, :5], scores[3, :5] = 0.93, 0.94, 0.6
    assert choose_scale(scores) == 1
    scores[2, :5] = 0.999
    assert choose_scale(scores) == 2


def test_keys_name_cells_of_the_contracted_frame() -> None:
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * 3
    keys = cell_keys(points, 0.3)
    corners = [tuple(math.floor(v) for v in (row / 0.3).tolist()) for row in contract(points)]
    for i in range(0, 500, 7):
        for j in range(0, 500, 11):
            assert (keys[i] == keys[j]) == (corners[i] == corners[j])


def test_points_are_located_in_their_cells() -> None:
    positions = lattice()[::3]
    index = made(unit(1, len(positions), 4), positions)
    found = index.locate(index.positions + 0.4 * FACTS.cell_size * torch.tensor([1.0, -1.0, 1.0]))
    assert found.tolist() == list(range(len(index)))
    assert index.locate(torch.tensor([[0.9, 0.9, 0.9], [-5.0, 0.0, 0.0]])).tolist() == [-1, -1]


def test_the_file_gives_back_the_index(tmp_path) -> None:
    index = made(unit(2, 512, 6), lattice())
    path = tmp_path / "index.safetensors"
    save_index(index, path)
    again = load_index(path, ColourWords(), "c" * 64)
    assert again.facts == index.facts
    for name in ("keys", "positions", "weights", "low", "high", "scales"):
        assert torch.equal(getattr(again, name), getattr(index, name))
    for name in Compressed.__dataclass_fields__:
        assert torch.equal(getattr(again.compressed, name), getattr(index.compressed, name))


def test_a_file_that_does_not_fit_is_refused(tmp_path) -> None:
    path = tmp_path / "index.safetensors"
    with pytest.raises(RunError, match="no index"):
        load_index(path)
    save_index(made(unit(1, 512, 6), lattice()), path)
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
