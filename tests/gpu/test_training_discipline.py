"""Training on the fake GPU: steps wait for nothing, all tensors are of one device, and what is
learnt is what the CPU learns."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from fake_gpu import LEDGER, SUPPORTED, fake_gpu, held
from tiny import tiny_preset

import lerf
from lerf import kernels
from lerf.geometry.rays import RayBundle
from lerf.radiance.hash_grid import field as field_file
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.pose_refinement import PoseRefinement
from lerf.radiance.surface import trace_surface
from lerf.run.settings import PRESETS
from lerf.stages import steps as steps_file
from lerf.stages import surface as surface_stage
from lerf.training.radiance import RadianceTrainer, RayBatch
from lerf.training.recorded import RecordedSteps

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")
STEPS, RAYS = 4, 128
AT_REPORTS = ("training/loop.py", "training/checkpoint.py")


def small_preset():
    """Layers, losses and shading of the preset `lerf`, small."""
    tiny, lerf_preset = tiny_preset(), PRESETS["lerf"]
    return replace(
        tiny,
        radiance=replace(tiny.radiance, shading=lerf_preset.radiance.shading),
        radiance_training=replace(
            tiny.radiance_training, steps=STEPS, rays=RAYS, grid_cells=256, grid_every=1, distortion_ramp=(0, 1)
        ),
        language=replace(tiny.language, layers=lerf_preset.language.layers),
        language_training=replace(tiny.language_training, steps=STEPS, rays=RAYS, pool_rays=2000),
    )


@pytest.fixture
def watched_steps(monkeypatch):
    """By stage: launches of each step, and what the host waited for and uploaded in all of them, reports apart."""
    found = {}
    plain = steps_file.train_steps

    def watched(name, trainer, step, *arguments, **named):
        launches = []

        def counted():
            before = LEDGER.launched
            values = step()
            launches.append(LEDGER.launched - before)
            return values

        LEDGER.clear()
        plain(name, trainer, counted, *arguments, **named)
        waits = [line for line in LEDGER.waits if not line.startswith(AT_REPORTS)]
        found[name] = launches, waits, list(LEDGER.uploads)

    monkeypatch.setattr(steps_file, "train_steps", watched)
    return found


@pytest.mark.parametrize("kind", ["plain", "points, poses and photos that do not fit"])
def test_steps_of_a_run_wait_for_nothing(kind, drawn, tmp_path, monkeypatch, watched_steps):
    preset = small_preset()
    if kind != "plain":
        training = replace(preset.radiance_training, refine_poses=True, level_share=0.5, points="surfaces")
        preset = replace(preset, radiance_training=training)
    monkeypatch.setitem(PRESETS, "lerf-cpu", preset)
    monkeypatch.setattr(surface_stage, "trace_surface", partial(trace_surface, points=300))
    with fake_gpu(free=80 << 30 if kind == "plain" else 1 << 12):
        lerf.train(drawn.folder, tmp_path / "run", device="cuda", preset="lerf-cpu")
    assert set(watched_steps) == {"radiance", "language"}
    for name, (launches, waits, uploads) in watched_steps.items():
        assert waits == [], name
        assert (uploads == []) == (kind == "plain"), name
        assert len(launches) == STEPS


def batch_on(device, count=RAYS):
    generator = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    colours = torch.rand(count, 3, generator=generator)
    zeros, ones, photo = torch.zeros(count, 3), torch.ones(count, 3), torch.arange(count) % 3
    zeros, directions, ones, photo, colours = (each.to(device) for each in (zeros, directions, ones, photo, colours))
    return RayBatch(RayBundle(zeros, directions, ones[:, 0], photo), colours, ones, photo)


def trainer_on(device):
    preset = small_preset()
    torch.manual_seed(0)
    field = RadianceField(preset.radiance, 3).to(device)
    return RadianceTrainer(field, preset.radiance_training, 0)


@pytest.mark.parametrize("precision", ["single", "bfloat16"])
def test_the_gpu_learns_what_the_cpu_learns(precision, monkeypatch):
    monkeypatch.setattr(kernels, "multiplies_bf16", lambda: precision == "bfloat16")
    # Which cells are read anew is drawn in another way on each device.
    monkeypatch.setattr(field_file, "_occupied_cells", lambda flat, count, generator: torch.randint(
        len(flat), (count,), generator=generator, device=flat.device
    ))  # fmt: skip
    with kernels.use("reference"):
        here = trainer_on("cpu")
        batch = batch_on("cpu")
        losses = [here.step(lambda count, generator: batch)["colour_loss"] for _ in range(3)]
    with fake_gpu():
        there = trainer_on("cuda")
        batch = batch_on("cuda")
        theirs = [float(there.step(lambda count, generator: batch)["colour_loss"]) for _ in range(3)]
        learnt = {name: held(each).clone() for name, each in there.field.state_dict().items()}
    if precision == "bfloat16":
        assert theirs == pytest.approx(losses, rel=1e-3)
        assert theirs != losses
        return
    assert theirs == pytest.approx(losses, rel=1e-4)
    for name, each in here.field.state_dict().items():
        # Adam divides small gradients by their own size: single entries may take another direction.
        off = (learnt[name] - each).abs().flatten()
        assert float(off.quantile(0.98) if off.numel() < 1 << 24 else off.mean()) < 2e-4, name


def test_a_step_that_does_not_fit_is_done_in_parts():
    rays = 2048
    with fake_gpu() as ledger:
        trainer = trainer_on("cuda")
        trainer.config = replace(trainer.config, rays=rays)
        # Samples are placed for all rays together.
        trainer.field.config = replace(trainer.field.config, bins=8)
        batch = batch_on("cuda", rays)
        # The table's gradient fits, and half of the rays' hidden layer, but not all of it.
        config = trainer.field.config
        ledger.memory_left = 3 * rays * config.samples * config.hidden
        assert 4 * trainer.field.grid.table.numel() < ledger.memory_left
        values = trainer.step(lambda count, generator: batch)
        assert trainer.parts == 2
        assert trainer.step_count == trainer.table.steps == 1
        ledger.memory_left = float("inf")
        loss = float(values["colour_loss"])
        whole = trainer_on("cuda")
        whole.config, whole.field.config = trainer.config, trainer.field.config
        assert loss == pytest.approx(float(whole.step(lambda count, generator: batch)["colour_loss"]), rel=0.05)


def test_memory_that_never_suffices_is_said(monkeypatch):
    with fake_gpu() as ledger:
        trainer = trainer_on("cuda")
        batch = batch_on("cuda")
        ledger.memory_left = 100
        with pytest.raises(torch.cuda.OutOfMemoryError):
            trainer.step(lambda count, generator: batch)


def test_a_trainer_that_runs_out_of_memory_while_it_resumes_is_not_called_damaged(tmp_path):
    from lerf.errors import RunError
    from lerf.run.folder import RunFolder

    run = RunFolder(tmp_path)
    with pytest.raises(torch.cuda.OutOfMemoryError), run.fitting("radiance"):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(RunError, match="damaged"), run.fitting("radiance"):
        raise RuntimeError("shapes differ")


def test_poses_on_a_gpu_are_those_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    positions, count = torch.rand(5, 3, generator=generator), 40
    vectors = torch.rand(5, 6, generator=generator) * torch.tensor([[1e-9], [1e-4], [1e-2], [0.5], [3.0]])
    found = []
    for device in ("cpu", "cuda"):
        with fake_gpu():
            module = PoseRefinement(positions.clone())
            module.vectors.data.copy_(vectors)
            module = module.to(device)
            LEDGER.clear()
            moved = module(batch_on(device, count).rays, (torch.arange(count) % 5).to(device))
            moved.directions.square().mul(torch.arange(3.0).to(device)).sum().backward()
            assert not any("pose_refinement" in line for line in LEDGER.waits)
            found.append((held(moved.directions), held(module.vectors.grad)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)


def test_steps_of_a_kind_are_recorded_after_a_few(monkeypatch):
    done, recorded = [], []

    class Graph:
        def register_generator_state(self, generator):
            recorded.append(generator)

        def replay(self):
            done.append("replayed")

    class Recording:
        def __init__(self, graph):
            self.graph = graph

        def __enter__(self):
            return self.graph

        def __exit__(self, *error):
            done.pop()  # What is recorded is not done.

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(RecordedSteps, "_apart", lambda self, body: body())
    generator = torch.Generator()
    steps = RecordedSteps(torch.device("cuda"), generator, wanted=True)
    body = lambda: done.append("done") or {"loss": 1.0}  # noqa: E731
    for _ in range(6):
        assert steps.do("one", body) == {"loss": 1.0}
    assert done == ["done"] * 3 + ["replayed"] * 3
    assert recorded == [generator]
    steps.do("other", body)
    assert done[-1] == "done"
    steps.forget()
    steps.do("one", body)
    assert done[-1] == "done"
    plain = RecordedSteps(torch.device("cpu"), generator, wanted=True)
    assert [plain.do("one", body) for _ in range(5)][-1] == {"loss": 1.0}
    assert len(recorded) == 1
