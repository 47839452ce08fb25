"""Surfaces on disk: what is read back is what was written, and anything that does not fit is made again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sources import KINDS, source_on, traced

from lerf.errors import LerfWarning
from lerf.language.cell_language import CellLanguage
from lerf.queries.surface import Surface, surface_of_cells, surface_of_rays
from lerf.radiance.surface import TracedSurface
from lerf.run.surface_store import LAYOUT, stored_surface
from lerf.steps import Steps, finish

RAYS = traced(60)
DEPTHS = {0: torch.tensor([[1.0, torch.nan], [2.0, 0.5]]), 12: torch.rand(3, 2)}


def surface_for(kind: str) -> Surface:
    """As language of each kind reads it; `cells` are those of an index, each a ray of one sample."""
    if kind == "index":
        language = source_on(RAYS, "cells")
        assert isinstance(language, CellLanguage)
        return surface_of_cells(language, DEPTHS)
    photo = torch.zeros(len(RAYS), dtype=torch.int64)
    return surface_of_rays(TracedSurface(RAYS, photo, DEPTHS), source_on(RAYS, kind))


class Making:
    """A surface that counts how often it was made."""

    def __init__(self, kind: str = "per-sample") -> None:
        self.surface, self.count = surface_for(kind), 0

    def __call__(self) -> Steps[Surface]:
        self.count += 1
        yield
        return self.surface


def stored(path: Path | None, sources: tuple[Path, ...], making: Making) -> Surface:
    return finish(stored_surface(path, sources, making.surface.language, "cpu", making))


def same(ours: Surface, theirs: Surface) -> bool:
    pairs = [(tensor, theirs.rays.tensors[name]) for name, tensor in ours.rays.tensors.items()]
    pairs += [(tensor, theirs.latent.tensors[name]) for name, tensor in ours.latent.tensors.items()]
    pairs += [(ours.latent.low, theirs.latent.low), (ours.latent.high, theirs.latent.high)]
    pairs += [
        (depth.nan_to_num(-1), theirs.depth_maps[photo].nan_to_num(-1)) for photo, depth in ours.depth_maps.items()
    ]
    graphs = ours.graph.transition, theirs.graph.transition
    return (
        all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) and a.dtype == b.dtype for a, b in pairs)
        and ours.latent.tensors.keys() == theirs.latent.tensors.keys()
        and ours.depth_maps.keys() == theirs.depth_maps.keys()
        and (ours.least_cell, ours.join_size) == (theirs.least_cell, theirs.join_size)
        and all(map(torch.equal, *graphs))
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "surface.safetensors"


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, ...]:
    files = tmp_path / "radiance.safetensors", tmp_path / "language.safetensors"
    for file in files:
        file.write_bytes(file.name.encode())
    return files


@pytest.mark.parametrize("kind", [*KINDS, "index"])
def test_what_is_read_is_what_was_written(path, sources, kind) -> None:
    making = Making(kind)
    assert stored(path, sources, making) is making.surface
    again = stored(path, sources, making)
    assert making.count == 1
    assert same(again, making.surface)
    relevancy = torch.rand(len(again))
    torch.testing.assert_close(again.graph.propagate(relevancy), making.surface.graph.propagate(relevancy))


def test_rays_that_are_their_own_latents_are_written_once(path, sources) -> None:
    stored(path, sources, Making("per-sample"))
    with safe_open(path, framework="pt") as file:
        assert not [name for name in file.keys() if name.startswith("latent.")]  # noqa: SIM118
    again = stored(path, sources, Making("per-sample"))
    assert again.latent.tensors["positions"] is again.rays.positions


@pytest.mark.parametrize("number", [0, 1])
def test_it_is_made_again_when_a_source_changes(path, sources, number) -> None:
    making = Making()
    stored(path, sources, making)
    sources[number].write_bytes(b"another state")
    assert stored(path, sources, making) is making.surface
    stored(path, sources, making)
    assert making.count == 2


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def rewritten(path: Path, change: Callable[[dict, dict], None]) -> None:
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, path, header)


def with_facts(path: Path, change: Callable[[dict], object]) -> None:
    """Rewrite the facts of a file; its checksum is of the tensors."""

    def changed(header: dict, tensors: dict) -> None:
        about = json.loads(header["facts"])
        change(about)
        header["facts"] = json.dumps(about)

    rewritten(path, changed)


def newer(path: Path) -> None:
    with_facts(path, lambda about: about.update(layout=LAYOUT + 1))


def of_before(path: Path) -> None:
    with_facts(path, lambda about: about.pop("layout"))


def without_a_tensor(path: Path) -> None:
    rewritten(path, lambda header, tensors: tensors.pop("rays.hit"))


def without_a_note(path: Path) -> None:
    with_facts(path, lambda about: about.pop("least_cell"))


def without_a_row_of_the_graph(path: Path) -> None:
    rewritten(path, lambda header, tensors: tensors.update({"graph.starts": tensors["graph.starts"][1:]}))


@pytest.mark.parametrize(
    "spoil", [cut_off, emptied, newer, of_before, without_a_tensor, without_a_note, without_a_row_of_the_graph]
)
def test_a_file_that_does_not_fit_is_made_again(path, sources, spoil) -> None:
    making = Making()
    stored(path, sources, making)
    spoil(path)
    assert stored(path, sources, making) is making.surface
    assert same(stored(path, sources, making), making.surface)
    assert making.count == 2


def test_a_file_of_other_sources_is_made_again(path, sources) -> None:
    making = Making()
    stored(path, sources, making)
    stored(path, sources[:1], making)
    assert making.count == 2


def test_what_cannot_be_written_is_a_warning(tmp_path, sources) -> None:
    (tmp_path / "taken").write_bytes(b"no folder")
    making = Making()
    with pytest.warns(LerfWarning, match="traced again at the next query"):
        surface = stored(tmp_path / "taken" / "surface.safetensors", sources, making)
    assert surface is making.surface


def test_without_a_path_nothing_is_stored(tmp_path) -> None:
    making = Making()
    assert stored(None, (), making) is making.surface
    assert list(tmp_path.iterdir()) == []


def without_a_checksum(path: Path) -> None:
    rewritten(path, lambda header, tensors: header.pop("sha256"))


def not_a_number(path: Path) -> None:
    rewritten(path, lambda header, tensors: tensors["rays.weights"].fill_(torch.nan))


def another_turn(path: Path) -> None:
    rewritten(path, lambda header, tensors: tensors["graph.columns"].add_(1000))


def without_a_photo(path: Path) -> None:
    rewritten(path, lambda header, tensors: tensors.pop("depth.12"))


def a_note_of_another_type(path: Path) -> None:
    rewritten(path, lambda header, tensors: header.update(facts="[1]"))


@pytest.mark.parametrize(
    "spoil", [without_a_checksum, not_a_number, another_turn, without_a_photo, a_note_of_another_type]
)
def test_a_file_that_is_not_what_was_written_never_answers(path, sources, spoil) -> None:
    making = Making()
    stored(path, sources, making)
    spoil(path)
    assert stored(path, sources, making) is making.surface
    assert making.count == 2


def test_a_changed_byte_anywhere_is_found(path, sources) -> None:
    making = Making()
    stored(path, sources, making)
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :])
        assert stored(path, sources, making) is making.surface
    assert path.read_bytes() == whole, "equal surfaces are equal files"
