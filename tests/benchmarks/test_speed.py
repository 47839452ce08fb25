"""Every row of the benchmark at sizes at which its numbers mean nothing, and the arithmetic behind the numbers."""

import importlib
import json
import math
import time

import pytest
import torch

from lerf import kernels
from lerf.kernels import reference
from lerf.kernels.layout import GridLayout
from speed import floors, language_step, machine, memory, radiance_step, scenery
from speed.measure import Row, compare, exponent, row
from speed.plain import hash_encode, plainly, torch_only
from speed.sizes import FULL, TINY

RATES = machine.Rates(flops=1e9, bytes=1e9, reads=1e8)
SECTIONS = {
    "first_use": {"first use"},
    "dense_layers": {"dense layers"},
    "encode": {"encode", "floor"},
    "compositing": {"composite", "floor"},
    "optimiser": {"optimiser", "floor"},
    "radiance_step": {"radiance step", "floor"},
    "language_step": {"language step", "floor"},
    "view_query": {"query", "floor"},
    "baked_query": {"query", "floor"},
    "pyramid": {"pyramid"},
    "growth": {"growth"},
    "splats": {"splats", "floor"},
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_gives_its_rows(name) -> None:
    rows = list(importlib.import_module(f"speed.{name}").rows(TINY, RATES))
    assert {row.section for row in rows} == SECTIONS[name]
    assert len({(row.section, row.name) for row in rows}) == len(rows)
    for each in rows:
        assert math.isfinite(each.value)
        assert each.smallest <= each.value <= each.largest
        assert each.unit == "exponent" or each.value > 0


def test_sections_are_all_run() -> None:
    run = importlib.import_module("run")
    assert set(run.SECTIONS) == {*SECTIONS, "memory"}
    result = json.loads(json.dumps(run.report(TINY, ("compositing",))))
    assert "weights and composite" in run.shown(result)
    assert "| weights and composite | 64 rays" in run.markdown(result)
    assert result["machine"]["flops"] > 0


@pytest.mark.parametrize("stage", memory.STAGES)
def test_a_stage_of_memory_runs(stage) -> None:
    assert memory.measure(stage, TINY) >= 0


LAYOUTS = (GridLayout((2, 5), 2, 12), GridLayout((64, 301), 4, 9), GridLayout.geometric(6, 4, 200, 2, 10))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_opponent_computes_the_same_encoding(layout) -> None:
    points = torch.rand(300, 3) * 1.2 - 0.1
    points[:4] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 1, 0], [2, -1, 0.3]])
    table = torch.rand(layout.entries, layout.features, requires_grad=True)
    gradient = torch.rand(300, layout.width)
    results = []
    for encode in (hash_encode, reference.hash_encode):
        out = encode(points, table, layout)
        results.append((out.detach(), torch.autograd.grad(out, table, gradient)[0]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_opponents_step_is_the_same_training() -> None:
    """Up to the optimiser: the loss of the first step, on the same rays, is the same."""
    losses = {}
    for plain in (False, True):
        trainer = language_step.trainer_of(scenery.language_field(TINY, "per-sample"), TINY, plain=plain)
        losses[plain] = (plainly(trainer.step) if plain else trainer.step)()["clip_loss"]
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)
    field = scenery.radiance_field(TINY)
    before = field.grid.table.detach().clone()
    plainly(radiance_step.step_of(field, TINY, plain=True))()
    assert not torch.equal(before, field.grid.table)


def test_the_opponent_uses_no_kernel_of_ours() -> None:
    defined = reference.hash_encode
    with torch_only():
        assert reference.hash_encode is hash_encode
        assert kernels.backend_of("hash_encode", torch.zeros(1)) == "reference"
        assert kernels.implementation("hash_encode", "reference") is hash_encode
    assert reference.hash_encode is defined
    assert kernels.backend_of("hash_encode", torch.zeros(1)) == "cpu"
    assert kernels.implementation("hash_encode", "reference") is defined


def test_a_ratio_is_of_units_a_second() -> None:
    slow, fast = (lambda: time.sleep(0.02)), (lambda: time.sleep(0.005))
    (found,) = compare("section", "work", {"name": fast}, slow, 3, shares=(4.0, 2.0), targets={"name": 4.0})
    assert 3.0 < found.value < 8.5
    assert found.smallest <= found.value <= found.largest
    assert found.reached == (found.value >= 4.0)
    assert Row("s", "n", "w", 40.0, "ms", 40.0, 40.0, 1, target=50.0).reached
    assert row("s", "n", "w", [1.0], "x").reached is None


def test_exponents_and_floors() -> None:
    assert exponent([1, 2, 4], [3, 6, 12]) == pytest.approx(1.0)
    assert exponent([1, 2, 4], [5, 5, 5]) == pytest.approx(0.0)
    # 10 rows through 3 -> 4 -> 2: 10 * (12 + 8) products, inputs, outputs and weights once.
    count = floors.dense(10, (3, 4, 2))
    assert (count.flops, count.bytes) == (400, 4 * (30 + 20 + 20))
    assert floors.dense(10, (3, 4, 2), backward=True).flops == 1200
    assert count.floor(machine.Rates(flops=100.0, bytes=1e6, reads=1.0)) == pytest.approx(4.0)
    assert count.limit(machine.Rates(flops=1e9, bytes=1.0, reads=1.0)) == "bytes"
    large, small = GridLayout((512,), 2, 19), GridLayout((4,), 2, 19)
    assert floors.encode(large, 100).reads == 800
    assert floors.encode(small, 100).reads == 0


def test_the_sizes_are_the_papers() -> None:
    assert (FULL.points, FULL.encode.levels, FULL.encode.features, FULL.encode.log2_entries) == (131_072, 16, 2, 19)
    assert (FULL.rays, FULL.language.samples, FULL.language.layers, FULL.language.hidden) == (4096, 12, 4, 256)
    assert (FULL.view, FULL.cells) == ((320, 240), 100_000)
