"""Gathering the surface's light into cells, and an index of a trained field."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import lerf
from lerf.apps.main import main
from lerf.errors import ConfigError, RunError
from lerf.files import sha256_of
from lerf.geometry.contraction import contract
from lerf.language.bake import agreement, bake, gather_cells
from lerf.language.cells import load_index
from lerf.language.field import LightStops
from lerf.queries.phrases import presence
from lerf.queries.scales import candidate_scales, choose_scales, surface_relevancy

COLOURS = ("red", "blue", "yellow", "green")


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def index(model):
    return bake(model, "c" * 64)


def cell_of(point: torch.Tensor, size: float) -> tuple[int, ...]:
    return tuple(math.floor(v / size) for v in contract(point[None])[0].tolist())


def random_stops(rays: int = 300, samples: int = 5) -> LightStops:
    random = torch.Generator().manual_seed(0)
    middle = torch.randn(rays, 1, 3, generator=random)
    positions = middle + 0.2 * torch.randn(rays, samples, 3, generator=random)
    weights = torch.rand(rays, samples, generator=random)
    depths = torch.ones(rays, samples)
    return LightStops(positions, weights / weights.sum(-1, keepdim=True), depths, depths[:, 0], positions[:, 0].clone())


def test_cells_are_the_weighted_means_of_the_light_in_them() -> None:
    stops, size = random_stops(), 0.4
    cells = gather_cells(stops, size, min_light=0.3)
    light: dict[tuple[int, ...], float] = {}
    sums: dict[tuple[int, ...], torch.Tensor] = {}
    members: dict[tuple[int, ...], list[int]] = {}
    for ray in range(len(stops.weights)):
        key = cell_of(stops.median_position[ray], size)
        members.setdefault(key, []).append(ray)
        for place, weight in zip(stops.positions[ray], stops.weights[ray], strict=True):
            if cell_of(place, size) == key:
                light[key] = light.get(key, 0.0) + float(weight)
                sums[key] = sums.get(key, torch.zeros(3)) + weight * place
    bright = sorted(key for key in light if light[key] >= 0.3)
    assert len(cells) == len(bright) > 50
    for row, key in enumerate(bright):
        assert float(cells.weights[row]) == pytest.approx(light[key], abs=1e-5)
        torch.testing.assert_close(cells.positions[row], sums[key] / light[key], atol=1e-5, rtol=1e-5)
        assert torch.nonzero(cells.cell_of == row).flatten().tolist() == members[key]
    assert int((cells.cell_of < 0).sum()) == sum(len(members[key]) for key in members if key not in bright)


def test_a_surface_too_faint_is_refused() -> None:
    with pytest.raises(RunError, match="bright enough"):
        gather_cells(random_stops(20), 0.4, min_light=1e3)


@pytest.mark.parametrize("size", [0.0, -1.0, 1e-7, math.nan, math.inf])
def test_a_size_that_no_cell_can_have_is_refused(size) -> None:
    with pytest.raises(ConfigError, match="size of cells"):
        gather_cells(random_stops(20), size)


def test_a_cell_holds_the_mean_of_what_is_rendered_at_its_points(model, index) -> None:
    surface, field = model.surface, model.language
    cells = gather_cells(surface.stops, index.facts.cell_size)
    decoded = (index.unit_codes @ index.compressed.basis).view(len(index.scales), len(index), -1)
    for row in range(0, len(index), len(index) // 5):
        members = torch.nonzero(index.locate(surface.positions) == row).flatten()
        for number, scale in enumerate(index.scales):
            mean = torch.zeros(field.width)
            for point in members.tolist():
                at, seen = field.bounds.nearest_supervised(surface.positions[[point]], scale[None])
                assert bool(seen)
                mean += cells.light[point] * surface.embed(field, torch.tensor([point]), at)[0].detach()
            assert float(F.normalize(mean, dim=0) @ decoded[number, row]) > 0.99


def test_the_index_answers_as_the_field_does(model, index) -> None:
    assert len(index) < len(model.surface)
    phrases = model.phrases(COLOURS)
    tried = candidate_scales(model.language.scale_range)
    scales = choose_scales(model.language, model.surface, phrases, tried)[0].tolist()
    step = float(index.scales[1] / index.scales[0])
    everything = torch.arange(len(model.surface))
    for row, (found, scale) in enumerate(zip(index.find(phrases, model.threshold), scales, strict=True)):
        theirs = surface_relevancy(model.language, model.surface, phrases, everything, found.scale)[row]
        assert found.score == pytest.approx(presence(theirs), abs=0.05)
        assert step**-2.01 < found.scale / scale < step**2.01
        answer = model.query(found.text, scale=found.scale / model.scene.similarity.scale).queries[0]
        assert found.regions
        assert answer.present
    for result in agreement(model, index, COLOURS):
        assert result.difference < 0.05
        assert result.distance < 0.3


def test_few_large_cells_say_that_they_are_worse(model, index) -> None:
    coarse = bake(model, "c" * 64, cell_size=8 * index.facts.cell_size, scales=3)
    assert len(coarse) < 0.1 * len(index)
    fine, rough = (sum(r.difference for r in agreement(model, each, COLOURS)) for each in (index, coarse))
    assert rough > fine


@pytest.mark.parametrize("source", ["field", "lift"])
def test_the_command_writes_an_index_into_the_run(model, drawn_run, tmp_path, capsys, source) -> None:
    run = tmp_path / "run"
    shutil.copytree(drawn_run, run)
    assert main(["bake", str(run), "--source", source, "--compare", "red", "blue", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    checkpoint = sha256_of(run / ("language.safetensors" if source == "field" else "radiance.safetensors"))
    index = load_index(Path(result["index"]), model.encoder, checkpoint)
    assert Path(result["index"]) == run / "index.safetensors"
    assert (result["source"], result["cells"]) == (index.facts.source, len(index)) == (source, len(index))
    assert set(result["agreement"]) == {"red", "blue"}
    assert all(each["distance"] < 0.5 for each in result["agreement"].values())
