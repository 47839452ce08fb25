"""A baked index: the occupied surface as sparse cells with compressed embeddings at a few scales.

A phrase against the whole scene is one matrix product of the cells' codes with the phrases on the same basis.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Float16, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import RunError
from lerf.files import write_atomically
from lerf.geometry.contraction import contract
from lerf.queries.instances import JOIN_SHARE, Region, answering_regions, robust_diagonal
from lerf.queries.phrases import Phrases, peak, presence, smallest_as_good

FORMAT = 1
"""Version of the file. A reader refuses newer ones."""
ENERGY = 0.999
"""Share of the embeddings' energy that the basis keeps, if `MAX_RANK` allows."""
MAX_RANK = 64
CHUNK = 65536
"""Embeddings multiplied at once while the basis is made: bounds the memory."""
TOGETHER = 16
"""Phrases multiplied at once by a search: bounds the memory."""
FILE = "index.safetensors"
"""Name of the index in a run folder."""
KEY_BITS = 20
"""Bits of a cell's number along an axis; the contracted cube is 4 wide, so cells may be as small as 4e-6."""

Source = Literal["field", "lift"]


@dataclass(frozen=True)
class Facts:
    """What an index was made from, and how."""

    source: Source
    """From the trained language field, or from the photos' pyramids."""
    encoder: str
    """Name of the encoder."""
    fingerprint: str
    """Of the encoder."""
    checkpoint: str
    """SHA-256 of the checkpoint that was baked: language of a field, radiance of a lift."""
    cell_size: float
    """Side of a cell in the contracted frame."""
    cosine: float | None = None
    """Mean cosine of its embeddings with what the language field renders (`bake.fidelity`); None without a field."""
    lowest_cosine: float | None = None
    """5th percentile of the same."""


@dataclass(frozen=True)
class Compressed:
    """Unit embeddings on one shared orthonormal basis."""

    basis: Float[Tensor, "rank width"]
    codes: Float16[Tensor, "scales cells rank"]
    norms: Float[Tensor, "scales cells"]
    """Lengths of the codes as stored: a code over its norm is a unit vector, whatever was cut off or rounded."""


@dataclass(frozen=True)
class Found:
    """Where one phrase is."""

    text: str
    score: float
    """Relevancy of the phrase to the scene (`search.presence`)."""
    scale: float
    """The index's scale that answers best, normalised units."""
    relevancy: Float[Tensor, " cells"]
    """At that scale, or the closest one supervised at the cell."""
    best: int
    """The most relevant cell."""
    regions: tuple[Region, ...]
    """Of cells, in the contracted frame, the highest peak first; none when the phrase is absent."""


@dataclass(frozen=True)
class Index:
    """The occupied surface of a scene. Cells are sorted by key."""

    keys: Int[Tensor, " cells"]
    """`cell_keys` of the cells."""
    positions: Float[Tensor, "cells 3"]
    """Mean of the light that stops in each cell, normalised frame."""
    weights: Float[Tensor, " cells"]
    """How much light that is; one ray of a photo carries one unit."""
    low: Float[Tensor, " cells"]
    """Smallest scale supervised in each cell, normalised units."""
    high: Float[Tensor, " cells"]
    """Largest one."""
    scales: Float[Tensor, " scales"]
    """Increasing, normalised units. Where a scale was not supervised, the code is that of the closest one that was."""
    compressed: Compressed
    facts: Facts

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def unit_codes(self) -> Float[Tensor, "rows rank"]:
        """Codes of all scales and cells in single precision, which is what processors multiply fast."""
        return (self.compressed.codes.float() / self.compressed.norms[..., None]).flatten(0, 1)

    @cached_property
    def _contracted(self) -> Float[Tensor, "cells 3"]:
        return contract(self.positions)

    @cached_property
    def _join_size(self) -> float:
        return max(JOIN_SHARE * robust_diagonal(self._contracted), self.facts.cell_size)

    @torch.no_grad()
    def relevancy(self, phrases: Phrases) -> Float[Tensor, "phrases scales cells"]:
        """Relevancy of every cell at every scale, as `queries/relevancy.py` defines it, from the compressed codes."""
        lead = self._cosines(phrases.queries).sub_(self._rivals(phrases.canonical))
        return lead.mul_(phrases.temperature).sigmoid_().view(-1, len(self.scales), len(self))

    def _cosines(self, texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts rows"]:
        """Cosines of embedded texts with the cells at all scales."""
        basis = self.compressed.basis
        # One row a text: maxima and differences then run along memory.
        return (texts.to(basis) @ basis.T) @ self.unit_codes.T

    def _rivals(self, canonical: Float[Tensor, "canonical width"]) -> Float[Tensor, " rows"]:
        """Highest cosine with a canonical phrase; remembered, for it is most of a query and seldom changes."""
        asked = canonical.cpu().numpy().tobytes()
        if asked not in self._remembered:
            self._remembered.clear()
            self._remembered[asked] = self._cosines(canonical).amax(0)
        return self._remembered[asked]

    @cached_property
    def _remembered(self) -> dict[bytes, Tensor]:
        return {}

    @torch.no_grad()
    def find(self, phrases: Phrases, threshold: float, scales: Sequence[float] | None = None) -> list[Found]:
        """Where phrases are, if they are.

        Args:
            phrases: embedded.
            threshold: relevancy from which a phrase counts as present.
            scales: for each phrase the scale to ask at, normalised units; by default the one at which it answers best,
                chosen as `search.choose_scales` does.
        """
        found: list[Found] = []
        for start in range(0, len(phrases.texts), TOGETHER):
            some = slice(start, start + TOGETHER)
            part = Phrases(phrases.texts[some], phrases.queries[some], phrases.canonical, phrases.temperature)
            for text, own in zip(part.texts, self.relevancy(part), strict=True):
                if scales is None:
                    chosen = choose_scale(own)
                else:
                    wanted = torch.tensor(scales[len(found)], device=self.scales.device)
                    chosen = int((self.scales / wanted).log().abs().argmin())
                # A copy: a view of it would keep the relevancy at all scales in memory.
                found.append(self._found(text, own[chosen].clone(), float(self.scales[chosen]), threshold))
        return found

    def _found(self, text: str, scores: Float[Tensor, " cells"], scale: float, threshold: float) -> Found:
        score = presence(scores)
        regions: list[Region] = []
        if score >= threshold:
            regions = answering_regions(self._contracted, scores, score, threshold, self._join_size)
        best = regions[0].best if regions else int(scores.argmax())
        return Found(text, score, scale, scores, best, tuple(regions))

    def locate(self, positions: Float[Tensor, "points 3"]) -> Int[Tensor, " points"]:
        """Cells that points of the normalised frame lie in; -1 where there is none."""
        wanted = cell_keys(positions, self.facts.cell_size)
        place = torch.searchsorted(self.keys, wanted).clamp(max=len(self) - 1)
        return torch.where(self.keys[place] == wanted, place, -1)


def choose_scale(relevancy: Float[Tensor, "scales cells"]) -> int:
    """The scale that peaks highest, and among those as good the smallest: the rule of `search.choose_scales`."""
    return int(smallest_as_good(peak(relevancy)))


def cell_keys(positions: Float[Tensor, "points 3"], cell_size: float) -> Int[Tensor, " points"]:
    """One number for the cell that each point of the normalised frame lies in; equal exactly for equal cells.

    Cells are cubes of side `cell_size` of the contracted frame, aligned with its origin.
    """
    half = 1 << (KEY_BITS - 1)
    x, y, z = (torch.floor(contract(positions) / cell_size).long() + half).unbind(-1)
    return (x << (2 * KEY_BITS)) + (y << KEY_BITS) + z


@torch.no_grad()
def compress(
    embeddings: Float[Tensor, "scales cells width"] | Float16[Tensor, "scales cells width"],
    max_rank: int = MAX_RANK,
    energy: float = ENERGY,
) -> Compressed:
    """Unit embeddings on the basis that keeps the most of them.

    The basis spans the leading eigenvectors of their second moments about the origin, not about the mean: what must
    survive are dot products. Its rank is the smallest that keeps `energy` of the sum of squares, at most `max_rank`.
    """
    rows = embeddings.flatten(0, 1)
    moments = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
    for part in rows.split(CHUNK):
        moments += (part.float().T @ part.float()).double()
    values, vectors = torch.linalg.eigh(moments)
    kept = values.flip(0).clamp(min=0.0).cumsum(0)
    rank = min(int((kept < energy * kept[-1]).sum()) + 1, max_rank, rows.shape[1])
    basis = vectors.flip(1)[:, :rank].T.float().contiguous()
    codes = torch.cat([(part.float() @ basis.T).half() for part in rows.split(CHUNK)])
    norms = torch.linalg.vector_norm(codes.float(), dim=-1).clamp(min=1e-6)
    shape = embeddings.shape[:2]
    return Compressed(basis, codes.view(*shape, rank), norms.view(shape))


def save_index(index: Index, path: Path) -> None:
    """Write an index in one move.

    Raises:
        StorageError: when the disk is full or the folder cannot be written; the old file is kept.
    """
    tensors, about = index_state(index)
    about |= {"rank": len(index.compressed.basis), "scales": index.scales.tolist()}
    header = {"format": str(FORMAT), "index": json.dumps(about)}
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)
    write_atomically(path, lambda file: file.write(data))


def index_state(index: Index) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An index as named tensors and plain JSON values."""
    tensors = {name: getattr(index, name) for name in ("keys", "positions", "weights", "low", "high", "scales")}
    tensors |= {name: getattr(index.compressed, name) for name in ("basis", "codes", "norms")}
    return tensors, asdict(index.facts)


def index_from_state(tensors: dict[str, Tensor], about: dict[str, Any]) -> Index:
    """Inverse of `index_state`; a KeyError or a TypeError says that they are not those of an index."""
    facts = Facts(**{name: about[name] for name in Facts.__dataclass_fields__ if name in about})
    rest = dict(tensors)
    compressed = Compressed(*(rest.pop(name) for name in ("basis", "codes", "norms")))
    return Index(**rest, compressed=compressed, facts=facts)


def load_index(
    path: Path, encoder: ImageTextEncoder | None = None, checkpoint: str | None = None, device: str = "cpu"
) -> Index:
    """Read an index.

    Args:
        path: file that `save_index` wrote.
        encoder: that will embed the phrases; it must be the one that the index was made with.
        checkpoint: SHA-256 of the checkpoint that the index must have been made from.
        device: for its tensors.

    Raises:
        RunError: missing, damaged, of a newer version, or made with another encoder or from another checkpoint.
    """
    again = "make it again with 'lerf bake'"
    if not path.is_file():
        raise RunError(f"There is no index at {path}; {again}.")
    try:
        with safe_open(path, framework="pt", device=device) as file:
            header = file.metadata() or {}
            if int(header["format"]) > FORMAT:
                raise RunError(f"{path} was written by a newer lerf (format {header['format']}); upgrade lerf.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        index = index_from_state(tensors, json.loads(header["index"]))
        if index.facts.source not in get_args(Source):
            raise ValueError(f"unknown source {index.facts.source!r}")
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{path} is damaged ({error}); {again}.") from error
    facts = index.facts
    if encoder is not None and (facts.encoder, facts.fingerprint) != (encoder.name, encoder.fingerprint):
        raise RunError(f"{path} was made with other weights or another encoder than '{encoder.name}'; {again}.")
    if checkpoint is not None and facts.checkpoint != checkpoint:
        raise RunError(f"{path} was made from another state of the run; {again}.")
    return index
