"""An index of cells: the occupied surface as sparse cells with compressed embeddings at a few scales.

The cosines of a phrase with all cells at a scale are one matrix product of the cells' codes with the phrase on the same
basis. `lerf bake` makes an index from a trained field, lifting makes one from the photos' pyramids.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from lerf.devices import in_doubles
from lerf.documents import converted
from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import RunError
from lerf.files import is_file
from lerf.geometry.contraction import contract
from lerf.tensor_files import TensorFile, write_tensors

FORMAT = 2
"""Version of the file; 2 may hold dense features. A reader refuses newer ones."""
ENERGY = 0.999
"""Share of the embeddings' energy that the basis keeps, if `MAX_RANK` allows."""
MAX_RANK = 64
CHUNK = 65536
"""Embeddings multiplied at once while the basis is made: bounds the memory."""
FILE = "index.safetensors"
"""Name of the index in a run folder."""
CELLS = ("keys", "positions", "weights", "low", "high")
COMPRESSED = ("basis", "codes", "norms")
"""Names of an index's tensors in files, with `scales`."""
GONE = ("agreement",)
"""Names of tensors that indices of splats had once, and that nothing reads."""
DENSE = ("dense_mean", "dense_basis", "dense_codes")
"""Names of those of its dense features, where it has any."""
DENSE_RANK, DENSE_ENERGY = 32, 0.95
"""Most numbers of a dense feature that are kept, and the share of their variance that is enough."""
SHORTEST = 1e-6
"""Of the norms of codes: nothing is divided by 0."""
KEY_BITS = 20
"""Bits of a cell's number along an axis; the contracted cube is 4 wide, so cells may be as small as 4e-6."""

SMALLEST = 1e-5
"""Of the sizes that a cell may have: keys count no further."""
LARGEST = 4.0
"""The side of the contracted cube."""
AGAIN = "make it again with 'lerf bake'"

Source = Literal["field", "lift", "gaussians"]
CellSize = Annotated[float, msgspec.Meta(ge=SMALLEST, le=LARGEST)]
Cosine = Annotated[float, msgspec.Meta(ge=-1.01, le=1.01)]
"""Rounding takes one of unit vectors a little beyond 1."""


@dataclass(frozen=True)
class Provenance:
    """What an index was made from, and how."""

    source: Source
    """From the trained language field, from the photos' pyramids, or from these onto the Gaussians of a splat."""
    encoder: str
    """Name of the encoder."""
    fingerprint: str
    """Of the encoder."""
    checkpoint: str
    """SHA-256 of the checkpoint that was baked: language of a field, radiance otherwise."""
    cell_size: CellSize
    """Side of a cell in the contracted frame; of Gaussians how far around them they answer."""
    cosine: Cosine | None = None
    """Mean cosine of its embeddings with what the language field renders (`bake.fidelity`); None without a field."""
    lowest_cosine: Cosine | None = None
    """5th percentile of the same."""


@dataclass(frozen=True)
class Compressed:
    """Unit embeddings on one shared orthonormal basis."""

    basis: Float[Tensor, "rank width"]
    codes: Float16[Tensor, "scales cells rank"]
    norms: Float[Tensor, "scales cells"]
    """Lengths of the codes as stored: a code over its norm is a unit vector, whatever was cut off or rounded."""


@dataclass(frozen=True)
class DenseCodes:
    """Dense features of cells on one orthonormal basis about their mean."""

    mean: Float[Tensor, " dense"]
    basis: Float[Tensor, "rank dense"]
    codes: Float16[Tensor, "cells rank"]


@dataclass(frozen=True)
class CellIndex:
    """The occupied surface of a scene. Cells are sorted by key. The Gaussians of a splat are cells too."""

    keys: Int[Tensor, " cells"]
    """`cell_keys` of the cells; of Gaussians their numbers in the splat."""
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
    dense: DenseCodes | None = None
    """None where no dense encoder had a part in the index."""

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
    moments = in_doubles(torch.zeros(rows.shape[1], rows.shape[1], device=rows.device))
    for part in rows.split(CHUNK):
        moments += in_doubles(part.float().T @ part.float())
    values, vectors = torch.linalg.eigh(moments)
    kept = values.flip(0).clamp(min=0.0).cumsum(0)
    rank = min(int((kept < energy * kept[-1]).sum()) + 1, max_rank, rows.shape[1])
    basis = vectors.flip(1)[:, :rank].T.float().contiguous().to(rows.device)
    codes = torch.cat([(part.float() @ basis.T).half() for part in rows.split(CHUNK)])
    norms = torch.linalg.vector_norm(codes.float(), dim=-1).clamp(min=SHORTEST)
    shape = embeddings.shape[:2]
    return Compressed(basis, codes.view(*shape, rank), norms.view(shape))


@torch.no_grad()
def compress_dense(features: Float[Tensor, "cells dense"]) -> DenseCodes:
    """Dense features on the axes of their largest variance: as few as keep `DENSE_ENERGY` of it."""
    mean = features.mean(0)
    centred = features - mean
    values, vectors = torch.linalg.eigh(in_doubles(centred.T @ centred))
    kept = values.flip(0).clamp(min=0.0).cumsum(0)
    rank = min(int((kept < DENSE_ENERGY * kept[-1]).sum()) + 1, DENSE_RANK, features.shape[1])
    basis = vectors.flip(1)[:, :rank].T.float().contiguous().to(features.device)
    return DenseCodes(mean, basis, (centred @ basis.T).half())


def save_index(index: CellIndex, path: Path) -> None:
    """Write an index in one move.

    Raises:
        StorageError: when the disk is full or the folder cannot be written; the old file is kept.
    """
    tensors, about = index_state(index)
    about |= {"rank": len(index.compressed.basis), "scales": index.scales.tolist()}
    write_tensors(path, tensors, {"index": about}, FORMAT)


def index_state(index: CellIndex) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An index as named tensors and plain JSON values."""
    tensors = {name: getattr(index, name) for name in (*CELLS, "scales")}
    tensors |= {name: getattr(index.compressed, name) for name in COMPRESSED}
    if index.dense is not None:
        tensors |= {name: getattr(index.dense, name.removeprefix("dense_")) for name in DENSE}
    return tensors, asdict(index.provenance)


def index_from_state(tensors: dict[str, Tensor], about: Any, where: str, remedy: str = AGAIN) -> CellIndex:
    """Inverse of `index_state`.

    Args:
        tensors: by name.
        about: plain JSON values.
        where: what holds them, for the message.
        remedy: what to do where they are those of no index, in the imperative and without a full stop.

    Raises:
        RunError: they are not.
    """
    provenance = converted(about, Provenance, where, error=RunError, remedy=remedy)
    problem = _misfit(tensors)
    if problem:
        raise RunError(f"{where} is damaged ({problem}); {remedy}.")
    rest = {name: tensor for name, tensor in tensors.items() if name not in GONE}
    compressed = Compressed(*(rest.pop(name) for name in COMPRESSED))
    dense = DenseCodes(*(rest.pop(name) for name in DENSE)) if DENSE[0] in rest else None
    return CellIndex(**rest, compressed=compressed, provenance=provenance, dense=dense)


def _misfit(tensors: dict[str, Tensor]) -> str:
    """Why tensors are those of no index, in words; empty where they are."""
    needed = {*CELLS, "scales", *COMPRESSED}
    if set(tensors) - set(GONE) not in (needed, {*needed, *DENSE}):
        return "a tensor is missing or one too many"
    if tensors["codes"].ndim != 3 or tensors["basis"].ndim != 2:
        return "its codes or its basis have another shape"
    (scales, count, rank), width = tensors["codes"].shape, tensors["basis"].shape[1]
    shapes = dict.fromkeys((*CELLS, *GONE), (count,)) | {"positions": (count, 3), "scales": (scales,)}
    shapes |= {"basis": (rank, width), "codes": (scales, count, rank), "norms": (scales, count)}
    if DENSE[0] in tensors:
        (own, features), parts = tensors["dense_basis"].shape if tensors["dense_basis"].ndim == 2 else (0, 0), DENSE
        shapes |= dict(zip(parts, ((features,), (own, features), (count, own)), strict=True))
    kinds = {"keys": torch.int64, "codes": torch.float16, "dense_codes": torch.float16}
    for name, tensor in tensors.items():
        kind = kinds.get(name, torch.float32)
        if tensor.shape != shapes[name] or tensor.dtype != kind or 0 in tensor.shape:
            return f"{name} has {tensor.dtype} of shape {list(tensor.shape)}"
        if not bool(tensor.isfinite().all()):
            return f"{name} has numbers that are not finite"
    lengths = torch.linalg.vector_norm(tensors["codes"].float(), dim=-1).clamp(min=SHORTEST)
    unlike = {
        "keys": tensors["keys"].diff() > 0,
        "scales": torch.cat([tensors["scales"][:1], tensors["scales"].diff()]) > 0,
        "weights": tensors["weights"] >= 0,
        "low": (tensors["low"] > 0) & (tensors["low"] <= tensors["high"]),
        "norms": torch.isclose(tensors["norms"], lengths, rtol=1e-3),
        "basis": (tensors["basis"] @ tensors["basis"].T - torch.eye(rank, device=lengths.device)).abs() < 1e-2,
    }
    return next((f"{name} cannot be those of cells" for name, holds in unlike.items() if not bool(holds.all())), "")


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
    if not is_file(path):
        raise RunError(f"There is no index at {path}; {AGAIN}.")
    file = TensorFile(path, error=RunError, remedy=AGAIN)
    version = file.version or ""
    if not version.isdecimal() or int(version[:9]) < 1:
        raise RunError(f"{path} is damaged (it does not say its format); {AGAIN}.")
    if int(version[:9]) > FORMAT:
        raise RunError(f"{path} was written by a newer lerf (format {version}); upgrade lerf.")
    facts = file.facts
    tensors = {name: tensor.to(device) for name, tensor in file.tensors().items()}
    index = index_from_state(tensors, facts.get("index", facts), str(path))
    provenance = index.provenance
    if encoder is not None and (provenance.encoder, provenance.fingerprint) != (encoder.name, encoder.fingerprint):
        raise RunError(f"{path} was made with other weights or another encoder than '{encoder.name}'; {AGAIN}.")
    if encoder is not None and index.compressed.basis.shape[1] != encoder.width:
        raise RunError(f"{path} is damaged (its embeddings are not of the length of '{encoder.name}'); {AGAIN}.")
    if checkpoint is not None and provenance.checkpoint != checkpoint:
        raise RunError(f"{path} was made from another state of the run; {AGAIN}.")
    return index
