"""The traced surface of a run on disk, with its graph and latents, so that only the first query traces it.

`surface.safetensors`        rays of the photos, as the run's language reads them
`surface_cells.safetensors`  cells of the baked index
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from torch import Tensor

from lerf.documents import converted
from lerf.errors import LerfWarning, RunError, StorageError
from lerf.files import is_file, sha256_of
from lerf.geometry.traced_rays import TracedRays
from lerf.language.protocol import LanguageSource, Latent
from lerf.queries.propagation import SurfaceGraph
from lerf.queries.surface import DepthMaps, Surface
from lerf.run.folder import FORMAT
from lerf.steps import Steps
from lerf.tensor_files import TensorFile, write_tensors

LAYOUT = 4
"""Version of what is in the file, which is a stage's checkpoint for the run; of another version it is made again."""
FILE, CELLS_FILE = "surface.safetensors", "surface_cells.safetensors"


def stored_surface(
    path: Path | None,
    sources: tuple[Path, ...],
    language: LanguageSource,
    device: str,
    make: Callable[[], Steps[Surface]],
    facts: dict[str, Any] | None = None,
) -> Steps[Surface]:
    """The surface in a file, if it was made from the present contents of `sources`; else a new one, which is stored.

    Args:
        path: the file; None stores nothing.
        sources: checkpoints that the surface follows from.
        language: that reads it.
        device: of the tensors.
        make: traces the surface.
        facts: JSON values that go into the header of a new file.

    A file that cannot be read is made again; one that cannot be written is a warning.
    """
    if path is None:
        return (yield from make())
    key = {source.name: sha256_of(source) for source in sources}
    found = _read(path, key, language, device)
    if found is not None:
        return found
    surface = yield from make()
    try:
        _write(path, key, surface, facts or {})
    except StorageError as error:
        warnings.warn(f"The surface is traced again at the next query. {error}", LerfWarning, stacklevel=2)
    return surface


def _write(path: Path, key: dict[str, str], surface: Surface, facts: dict[str, Any]) -> None:
    rays = surface.rays.tensors
    tensors: dict[str, Tensor] = {f"rays.{name}": tensor for name, tensor in rays.items()}
    # A source whose latents are the rays themselves need not write them twice.
    shared = {name: other for name, tensor in surface.latent.tensors.items() for other in rays if tensor is rays[other]}
    own = {name: tensor for name, tensor in surface.latent.tensors.items() if name not in shared}
    tensors |= {f"latent.{name}": tensor for name, tensor in own.items()}
    tensors |= {"low": surface.latent.low, "high": surface.latent.high}
    tensors |= {f"graph.{name}": tensor for name, tensor in surface.graph.tensors.items()}
    tensors |= {f"depth.{photo}": depth for photo, depth in surface.depth_maps.items()}
    about = {"sources": key, "shared": shared, "least_cell": surface.least_cell, "layout": LAYOUT, "finished": True}
    # As a stage's checkpoint (`run/folder.py`).
    write_tensors(path, tensors, {**facts, **about}, FORMAT)


def _read(path: Path, key: dict[str, str], language: LanguageSource, device: str) -> Surface | None:
    """The surface of a file, or None where there is none of these sources."""
    if not is_file(path):
        return None
    try:
        file = TensorFile(path, error=RunError, remedy="it is made again")
        about = converted(file.facts, _About, str(path), error=RunError, remedy="it is made again")
        if about.layout != LAYOUT or not file.has_checksum or about.sources != key:
            return None
        tensors = {name: tensor.to(device) for name, tensor in file.tensors(may_be_nan="depth.").items()}
        return _surface(tensors, about, language)
    except (RunError, LookupError, TypeError, ValueError, RuntimeError):
        # It holds nothing that cannot be computed again.
        return None


class _About(msgspec.Struct):
    sources: dict[str, str]
    shared: dict[str, str]
    least_cell: Annotated[float, msgspec.Meta(ge=0)]
    layout: int = 1


def _surface(tensors: dict[str, Tensor], about: _About, language: LanguageSource) -> Surface:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    rays = TracedRays(**part("rays."))
    latents = part("latent.") | {name: rays.tensors[other] for name, other in about.shared.items()}
    graph = SurfaceGraph.checked(len(rays), {name: tensor.cpu() for name, tensor in part("graph.").items()})
    depth_maps: DepthMaps = {int(photo): depth for photo, depth in part("depth.").items()}
    latent = Latent(latents, tensors["low"], tensors["high"])
    return Surface(rays, language, latent, graph, depth_maps, about.least_cell)
