"""An index of cells: the occupied surface as sparse cells with compressed embeddings at a few scales.

The cosines of a phrase with all cells at a scale are one matrix product of the cells' codes with the phrase on the same
basis. `lerf bake` makes an index from a trained field, lifting makes one from the photos' pyramids.
"""

from __future__ import annotations

import json
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

FORMAT = 1
"""Version of the file. A reader refuses newer ones."""
ENERGY = 0.999
"""Share of the embeddings' energy that the basis keeps, if `MAX_RANK` allows."""
MAX_RANK = 64
CHUNK = 65536
"""Embeddings multiplied at once while the basis is made: bounds the memory."""
FILE = "index.safetensors"
"""Name of the index in a run folder."""
KEY_BITS = 20
"""Bits of a cell's number along an axis; the contracted cube is 4 wide, so cells may be as small as 4e-6."""

Source = Literal["field", "lift"]


@dataclass(frozen=True)
class Provenance:
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
class CellIndex:
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
    provenance: Provenance

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def unit_codes(self) -> Float[Tensor, "rows rank"]:
        """Codes of all scales and cells in single precision, which is what processors multiply fast."""
        return (self.compressed.codes.float() / self.compressed.norms[..., None]).flatten(0, 1)

    def locate(self, positions: Float[Tensor, "points 3"]) -> Int[Tensor, " points"]:
        """Cells that points of the normalised frame lie in; -1 where there is none."""
        wanted = cell_keys(positions, self.provenance.cell_size)
        place = torch.searchsorted(self.keys, wanted).clamp(max=len(self) - 1)
        return torch.where(self.keys[place] == wanted, place, -1)


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


def save_index(index: CellIndex, path: Path) -> None:
    """Write an index in one move.

    Raises:
        StorageError: when the disk is full or the folder cannot be written; the old file is kept.
    """
    tensors, about = index_state(index)
    about |= {"rank": len(index.compressed.basis), "scales": index.scales.tolist()}
    header = {"format": str(FORMAT), "index": json.dumps(about)}
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)
    write_atomically(path, lambda file: file.write(data))


def index_state(index: CellIndex) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An index as named tensors and plain JSON values."""
    tensors = {name: getattr(index, name) for name in ("keys", "positions", "weights", "low", "high", "scales")}
    tensors |= {name: getattr(index.compressed, name) for name in ("basis", "codes", "norms")}
    return tensors, asdict(index.provenance)


def index_from_state(tensors: dict[str, Tensor], about: dict[str, Any]) -> CellIndex:
    """Inverse of `index_state`; a KeyError or a TypeError says that they are not those of an index."""
    provenance = Provenance(**{name: about[name] for name in Provenance.__dataclass_fields__ if name in about})
    rest = dict(tensors)
    compressed = Compressed(*(rest.pop(name) for name in ("basis", "codes", "norms")))
    return CellIndex(**rest, compressed=compressed, provenance=provenance)


def load_index(
    path: Path, encoder: ImageTextEncoder | None = None, checkpoint: str | None = None, device: str = "cpu"
) -> CellIndex:
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
        if index.provenance.source not in get_args(Source):
            raise ValueError(f"unknown source {index.provenance.source!r}")
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{path} is damaged ({error}); {again}.") from error
    provenance = index.provenance
    if encoder is not None and (provenance.encoder, provenance.fingerprint) != (encoder.name, encoder.fingerprint):
        raise RunError(f"{path} was made with other weights or another encoder than '{encoder.name}'; {again}.")
    if checkpoint is not None and provenance.checkpoint != checkpoint:
        raise RunError(f"{path} was made from another state of the run; {again}.")
    return index
