"""What a catalogue keeps of one run so that it answers phrases exactly as the run does, without the run.

The content is that of a file of tensors (`tensor_files.py`): the points of the surface that answers with what language
read there, their graph, the depth maps that say which photo shows a point, the index of cells, and the cameras.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
import torch

from lerf.documents import converted
from lerf.errors import CatalogueError, LerfError
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import index_from_state, index_state
from lerf.language.gaussian_language import GaussianLanguage
from lerf.language.protocol import Latent
from lerf.model import Model
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.propagation import SurfaceGraph
from lerf.queries.result import QueryDefaults
from lerf.queries.surface import Surface
from lerf.run.scene_record import checked_scene
from lerf.scenes.record import scene_to_plain
from lerf.tensor_files import TensorFile, tensor_parts

LAYOUT = 1
"""Version of the content."""
AGAIN = "remove the run with 'lerf catalogue rm' and add it again"


class _About(msgspec.Struct):
    scene: dict
    index: dict
    canonical: list[str]
    temperature: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    samples: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    least_cell: Annotated[float, msgspec.Meta(ge=0, le=4)]
    layout: int


@dataclass(frozen=True)
class AnsweringScene:
    """A scene that answers phrases: all that `queries.answer` needs."""

    surface: Surface
    """Whose language is an index of cells."""
    cameras: PhotoCameras
    defaults: QueryDefaults

    @classmethod
    def of(cls, model: Model) -> AnsweringScene:
        """What answers `lerf query` of a run.

        Raises:
            CatalogueError: its language is a field without a fresh index.
        """
        surface = model.surfaces.open("auto")
        if not isinstance(surface.language, CellLanguage):
            raise CatalogueError(
                f"{model.folder} has no index of this state of the run, which a catalogue is made from; run 'lerf "
                f"bake {model.folder}' first, or train with --language lift."
            )
        return cls(surface, model.photos, model.defaults)

    @cached_property
    def language(self) -> CellLanguage:
        """That the surface was read by."""
        assert isinstance(self.surface.language, CellLanguage)
        return self.surface.language

    @cached_property
    def memory_bytes(self) -> int:
        """Memory held, about."""
        surface, index = self.surface, self.language.index
        parts = [*surface.graph.tensors.values(), *surface.depth_maps.values(), surface.positions]
        # Codes are held a second time, in single precision, once they were asked.
        held = sum(part.numel() * part.element_size() for part in parts)
        return held + surface.latent.bytes + 3 * index.compressed.codes.numel() * 2

    def packed(self) -> bytes:
        """As the content of a file."""
        surface = self.surface
        tensors, provenance = index_state(self.language.index)
        named = {f"index.{name}": tensor for name, tensor in tensors.items()}
        named |= {f"latent.{name}": tensor for name, tensor in surface.latent.tensors.items()}
        named |= {"low": surface.latent.low, "high": surface.latent.high, "positions": surface.positions}
        named |= {f"graph.{name}": tensor for name, tensor in surface.graph.tensors.items()}
        named |= {f"depth.{photo}": depth for photo, depth in surface.depth_maps.items()}
        about = {
            "scene": scene_to_plain(self.cameras.scene), "index": provenance, "samples": self.language.samples,
            "canonical": list(self.defaults.canonical), "temperature": self.defaults.temperature,
            "threshold": self.defaults.threshold, "least_cell": surface.least_cell, "layout": LAYOUT,
        }  # fmt: skip
        return b"".join(tensor_parts(named, about, LAYOUT))

    @classmethod
    def unpacked(cls, content: bytes, name: str, device: str = "cpu") -> AnsweringScene:
        """Inverse of `packed`; `name` is that of the run, for errors.

        Raises:
            CatalogueError: it is damaged, or of another version.
        """
        with opened_content(content, name, LAYOUT) as (file, where):
            scene = _unpacked(file, where, device)
        return scene


@contextlib.contextmanager
def opened_content(content: bytes, name: str, layout: int) -> Iterator[tuple[TensorFile, str]]:
    """What a catalogue holds of a run, and what that is called, to make something of it.

    Raises:
        CatalogueError: it is of another version, or nothing can be made of it.
    """
    where = f"What the catalogue holds of {name}"
    try:
        file = TensorFile(Path(where), error=CatalogueError, remedy=AGAIN, content=content)
        if file.version != str(layout):
            raise CatalogueError(f"{where} is of another version of lerf; {AGAIN}.")
        yield file, where
    except CatalogueError:
        raise
    except (LerfError, LookupError, TypeError, ValueError, RuntimeError) as problem:
        raise CatalogueError(f"{where} is damaged ({problem}); {AGAIN}.") from None


def _unpacked(file: TensorFile, where: str, device: str) -> AnsweringScene:
    about = converted(file.facts, _About, where, error=CatalogueError, remedy=AGAIN)
    tensors = {name: tensor.to(device) for name, tensor in file.tensors(may_be_nan="depth.").items()}

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    index = index_from_state(part("index."), about.index, where, AGAIN)
    kind = GaussianLanguage if index.provenance.source == "gaussians" else CellLanguage
    points, latents = tensors["positions"], part("latent.")
    cells, count = latents["cells"], len(points)
    if any(len(tensor) != count for tensor in (*latents.values(), tensors["low"], tensors["high"])):
        raise ValueError("not as many latents as points")
    if len(cells) and not bool(((cells >= 0) & (cells < len(index))).all()):
        raise ValueError("cells that are not there")
    graph = SurfaceGraph.checked(count, {name: tensor.cpu() for name, tensor in part("graph.").items()})
    depth_maps = {int(photo): depth for photo, depth in part("depth.").items()}
    scene = checked_scene(about.scene, where, error=CatalogueError, remedy=AGAIN)
    surface = Surface(
        TracedRays.at_points(points), kind(index, about.samples), Latent(latents, tensors["low"], tensors["high"]),
        graph, depth_maps, about.least_cell,
    )  # fmt: skip
    defaults = QueryDefaults(tuple(about.canonical), about.temperature, about.threshold)
    return AnsweringScene(surface, PhotoCameras.of(scene, device), defaults)
