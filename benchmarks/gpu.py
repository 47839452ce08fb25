"""Everything that is to be known of a GPU, in about ten minutes: whether the kernels are right, how long steps, answers
and pictures take, and what the presets need of its memory.

    python benchmarks/gpu.py [--capture DIR] [--json FILE] [--only SECTION ...]

`--device cpu --tiny` tries every row at sizes at which numbers mean nothing. docs/gpu.md says what the aims are.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import lerf
from gpu_kernels import differences
from lerf import kernels
from lerf.apps.main import main as main_command
from lerf.geometry.rays import RayBundle
from lerf.geometry.traced_rays import TracedRays
from lerf.kernels.types import FlatSplats
from lerf.language.field import LanguageField
from lerf.pyramids.lookup import PyramidTable
from lerf.queries.scales import relevancy_at
from lerf.radiance.hash_grid.field import RadianceField
from lerf.run.settings import PRESETS, Preset
from lerf.training.language import LanguageTrainer
from lerf.training.radiance import RadianceTrainer, RayBatch
from lerf.training.ray_pool import RayPool
from speed.splats import ball, view_of

PHOTOS, WIDTHS = 40, {"lerf-lite": 512, "lerf": 512, "lerf-big": 768}
DENSE_WIDTH = 384
AIMS = {
    "radiance step, plain": 3.0, "language step, plain": 3.0, "radiance step, recorded": 1.6,
    "language step, recorded": 1.6, "features to first answer": 60_000.0, "baked query": 1.0,
    "relevancy picture 960x540": 1000 / 30,
}  # fmt: skip
"""Milliseconds, at 4,096 rays of the preset `lerf`."""
MEMORY_AIMS = {"lerf-lite": 2.0, "lerf": 4.0, "lerf-big": 6.0}
"""Gigabytes."""
WITHIN = {"proposal_edges": 2e-4, "draw_splats": 1e-4}
"""How far a kernel may be off its definition where that is more than 2e-5 of the largest number. Quantiles far away are
half over what is left of a spacing; gradients of Gaussians are sums over a picture."""
Rows = list[dict[str, object]]


class Bench:
    """Where rows are gathered, and on what."""

    def __init__(self, device: str, tiny: bool, capture: Path | None) -> None:
        self.device, self.tiny, self.capture = torch.device(device), tiny, capture
        self.rows: Rows = []

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def row(self, name: str, value: float, unit: str, aim: float | None = None, good: bool | None = None) -> None:
        met = good if aim is None else value <= aim
        self.rows.append({"name": name, "value": value, "unit": unit, "aim": aim, "met": met})
        verdict = "" if met is None else "  met" if met else "  MISSED"
        print(f"  {name:46} {value:12.4g} {unit:8}{'' if aim is None else f' aim {aim:g}'}{verdict}", flush=True)

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def milliseconds(self, work: Callable[[], object], rounds: int, warm: int = 5) -> float:
        """Mean time of a piece of work, of many in a row, as they are done in training."""
        if self.tiny:
            rounds, warm = 2, 1
        for _ in range(warm):
            work()
        self.wait()
        start = time.perf_counter()
        for _ in range(rounds):
            work()
        self.wait()
        return 1000 * (time.perf_counter() - start) / rounds

    def preset(self, name: str) -> Preset:
        """A preset, or one of its kind that is small."""
        preset = PRESETS[name]
        if not self.tiny:
            return preset
        return replace(
            preset,
            radiance=replace(preset.radiance, levels=4, log2_entries=10, finest=64, samples=8, bins=16, grid_side=16),
            radiance_training=replace(preset.radiance_training, steps=3, rays=64, grid_cells=64),
            language=replace(preset.language, grids=((3, 4, 16),), log2_entries=8, hidden=16, samples=4),
            language_training=replace(preset.language_training, steps=3, rays=64, pool_rays=400),
        )


def kernels_right(bench: Bench) -> None:
    """Every kernel of the device against its definition, forward and backward."""
    for name, off in differences(bench.device).items():
        bench.row(f"{name}, off by", off, "", good=off < WITHIN.get(name, 2e-5))


def splats(bench: Bench) -> None:
    """A frame of Gaussians, as `benchmarks/run.py --only splats` draws it on a CPU, and a gradient step."""
    count, (width, height) = (500, (64, 48)) if bench.tiny else (200_000, (640, 480))
    gaussians, view = ball(count, str(bench.device)), view_of(width, height, str(bench.device))
    window = (0.0, 0.0, float(width), float(height))

    def frame() -> None:
        flat, _ = gaussians.flattened(view, window)
        kernels.draw_splats(flat, width, height)

    def step() -> None:
        flat, _ = gaussians.flattened(view, window)
        leaves = FlatSplats(*(each.detach().requires_grad_() for each in flat))
        kernels.draw_splats(leaves, width, height).colour.sum().backward()

    work = f"{count} Gaussians, {width}x{height}"
    bench.row(f"{work}: a frame", bench.milliseconds(frame, 50), "ms")
    bench.row(f"{work}: a frame and its gradients", bench.milliseconds(step, 50), "ms")


def radiance_trainer(bench: Bench, preset: Preset) -> tuple[RadianceTrainer, Callable[[], object]]:
    """A trainer at its start, and a step of it on rays in all directions."""
    torch.manual_seed(0)
    field = RadianceField(preset.radiance, PHOTOS).to(bench.device)
    trainer = RadianceTrainer(field, preset.radiance_training, 0)
    count, device = 1 << 16, bench.device
    directions = torch.nn.functional.normalize(torch.randn(count, 3), dim=-1).to(device)
    colours, photo = torch.rand(count, 3).to(device), (torch.arange(count) % PHOTOS).to(device)
    zeros, ones = torch.zeros(count, 3, device=device), torch.ones(count, 3, device=device)

    def draw(rays: int, generator: torch.Generator) -> RayBatch:
        some = torch.randint(count, (rays,), generator=generator, device=device)
        bundle = RayBundle(zeros[some], directions[some], ones[some, 0], photo[some])
        return RayBatch(bundle, colours[some], ones[some], photo[some])

    return trainer, lambda: trainer.step(draw)


def language_trainer(bench: Bench, preset: Preset, width: int) -> tuple[LanguageTrainer, Callable[[], object]]:
    """A trainer at its start on rays anywhere, with targets of no meaning."""
    torch.manual_seed(0)
    device, rays, samples = bench.device, preset.language_training.pool_rays, preset.language.samples
    field = LanguageField(preset.language, width, DENSE_WIDTH, (0.05, 0.5)).to(device)
    positions, weights = 2 * torch.rand(rays, samples, 3) - 1, torch.softmax(torch.randn(rays, samples), -1)
    hit, depth = torch.ones(rays, dtype=torch.bool), torch.rand(rays)
    parts = (positions, weights, depth[:, None].expand(-1, samples).contiguous(), hit, depth, positions[:, 0])
    traced = TracedRays(*(each.to(device) for each in parts))
    photo = (torch.arange(rays) % PHOTOS).to(device)
    pool = RayPool(traced, photo, (900 * torch.rand(rays, 2)).to(device), torch.ones(rays, device=device))
    side = 4 if bench.tiny else 60
    targets, dense = (_table(bench, *each, side) for each in ((width, 7), (DENSE_WIDTH, 1)))
    trainer = LanguageTrainer(field, preset.language_training, pool, targets, dense, 0)
    return trainer, trainer.step


def _table(bench: Bench, width: int, levels: int, side: int) -> PyramidTable:
    """Maps of `side` cells a side, of photos of 900 pixels."""
    cells = PHOTOS * levels * side * side
    parts = (
        torch.randn(1024, width).half().repeat(-(-cells // 1024), 1)[:cells],
        torch.linspace(0.05, 0.5, levels) if levels > 1 else torch.ones(1),
        torch.arange(PHOTOS * levels).view(PHOTOS, levels) * side * side,
        torch.full((PHOTOS, levels, 2), side),
        torch.zeros(PHOTOS, levels, 2),
        torch.full((PHOTOS, levels, 2), 900.0 / side),
    )
    return PyramidTable(*(each.to(bench.device) for each in parts))


def steps(bench: Bench) -> None:
    """Steps of the preset `lerf`: by the definition, plain, and recorded; the recorded ones must learn the same."""
    preset = bench.preset("lerf")
    for stage in ("radiance", "language"):
        learnt = {}
        for kind in ("definition", "plain", "recorded") if bench.on_gpu else ("definition", "plain"):
            with kernels.use("reference" if kind == "definition" else "auto"):
                made = radiance_trainer(bench, preset) if stage == "radiance" else language_trainer(bench, preset, 512)
                trainer, step = made
                trainer.recorded.recording = kind == "recorded"
                time_of = bench.milliseconds(step, *((20, 2) if kind == "definition" else (200, 10)))
            bench.row(f"{stage} step, {kind}", time_of, "ms", None if bench.tiny else AIMS.get(f"{stage} step, {kind}"))
            learnt[kind] = trainer.field.state_dict()
            del trainer, step, made
        if "recorded" in learnt:
            off = max(
                float((learnt["recorded"][name].float() - each.float()).abs().nan_to_num(0.0, 0.0, 0.0).mean())
                for name, each in learnt["plain"].items()
            )
            bench.row(f"{stage}: recorded steps learn other than plain ones by", off, "", good=off < 1e-2)


def memory(bench: Bench) -> None:
    """What a training with random weights takes of a GPU at most, by preset."""
    if not bench.on_gpu:
        return
    for name, width in WIDTHS.items():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        preset = bench.preset(name)
        made = language_trainer(bench, preset, width)
        for _ in range(5):
            made[1]()
        del made
        made_radiance = radiance_trainer(bench, preset)
        for _ in range(10):
            made_radiance[1]()
        del made_radiance
        bench.row(f"memory of {name}", torch.cuda.max_memory_allocated() / 1e9, "GB", MEMORY_AIMS[name])


def tiles(bench: Bench) -> None:
    """Tiles a second of ViT-B/16 with random weights."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2} if bench.tiny else {}
    network = CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=16, **sizes)).to(bench.device)
    network = network.to(torch.bfloat16).eval()
    batch = torch.rand(4 if bench.tiny else 512, 3, 224, 224, device=bench.device, dtype=torch.bfloat16)
    with torch.inference_mode():
        each = bench.milliseconds(lambda: network(batch), 10, 3)
    bench.row("tiles of ViT-B/16", 1000 * len(batch) / each, "a second")


def whole(bench: Bench) -> None:
    """A capture from its features to the first answer with the sizes of `lerf`, and what can be asked of it then."""
    from lerf.scenes.demo import demo_capture

    capture = bench.capture or demo_capture()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        options = {"device": bench.device.type, "preset": "lerf-cpu" if bench.tiny else "lerf", "encoder": "mini"}
        options["dense"] = "mini-map"
        if bench.tiny:
            options |= {
                "radiance_training.steps": 300,
                "language_training.steps": 20,
                "language_training.pool_rays": 4000,
            }
        run = Path(folder, "run")
        start = time.perf_counter()
        lerf.train(capture, run, **options)
        model = lerf.load(run, device=str(bench.device))
        model.query("a mug")
        bench.wait()
        bench.row("capture to first answer", time.perf_counter() - start, "s")
        spent = json.loads((run / "timings.json").read_text())["seconds"]
        for stage, seconds in spent.items():
            bench.row(f"  of these, {stage}", seconds, "s")
        answered = 1000 * (time.perf_counter() - start - spent.get("features", 0.0) - spent.get("decode", 0.0))
        bench.row("features to first answer", answered, "ms", None if bench.tiny else AIMS["features to first answer"])
        names = iter(f"thing number {number}" for number in range(1000))
        bench.row("query of a new phrase", bench.milliseconds(lambda: model.query(next(names)), 20, 3), "ms")
        with contextlib.redirect_stdout(sys.stderr):
            main_command(["bake", str(run), "--device", str(bench.device)])
        baked = lerf.load(run, device=str(bench.device))
        bench.row("query of a new phrase, baked", bench.milliseconds(lambda: baked.query(next(names)), 20, 3), "ms")
        _asked_of_cells(bench, baked)
        _picture(bench, model)


def _asked_of_cells(bench: Bench, model: lerf.Model) -> None:
    """Relevancy of all cells of an index to a phrase whose scale is known: what the device does in a query."""
    surface = model.surface
    phrases, scale = model.phrases("a mug"), [float(surface.language.scales[0])]

    def ask() -> object:
        return relevancy_at(surface.language, surface.latent, phrases, scale[0])

    aim = None if bench.tiny else AIMS["baked query"]
    bench.row("baked query", bench.milliseconds(ask, 100, 5), "ms", aim)


def _picture(bench: Bench, model: lerf.Model) -> None:
    """A relevancy picture of a view that moves, of a phrase that was asked before."""
    width, height = (48, 27) if bench.tiny else (960, 540)
    scene = model.scene
    seen = scene.photos[0].camera
    cameras = [
        replace(
            seen, width=width, height=height, fx=float(width), fy=float(width), cx=width / 2, cy=height / 2,
            camera_to_world=seen.camera_to_world + 1e-3 * number * np.eye(3, 4, 3),
        )
        for number in range(60)
    ]  # fmt: skip
    moving = itertools.cycle(cameras)
    aim = None if bench.tiny else AIMS["relevancy picture 960x540"]
    shown = bench.milliseconds(lambda: model.render(next(moving), "a mug"), 20, 3)
    bench.row("relevancy picture 960x540", shown, "ms", aim)


@contextlib.contextmanager
def _section(name: str) -> Iterator[None]:
    start = time.perf_counter()
    print(f"\n{name}")
    yield
    print(f"  ({time.perf_counter() - start:.0f} s)")


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "kernels": kernels_right, "splats": splats, "steps": steps, "memory": memory, "tiles": tiles, "whole": whole,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the rows")
    parser.add_argument("--tiny", action="store_true", help="sizes at which numbers mean nothing")
    parser.add_argument("--capture", type=Path, help="capture to train on; by default the demo's")
    parser.add_argument("--json", type=Path, help="file to write the rows to as well")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no CUDA here; --device cpu --tiny tries the rows.", file=sys.stderr)
        return 2
    bench = Bench(given.device, given.tiny, given.capture)
    about = torch.cuda.get_device_name() if bench.on_gpu else "a CPU"
    print(f"torch {torch.__version__} on {about}; hash_encode by {kernels.backend_of('hash_encode', _one(bench))}")
    for name in given.only:
        with _section(name):
            SECTIONS[name](bench)
    if given.json:
        given.json.write_text(json.dumps({"device": about, "torch": torch.__version__, "rows": bench.rows}, indent=2))
    return 0 if all(row["met"] is not False for row in bench.rows) else 1


def _one(bench: Bench) -> Tensor:
    return torch.zeros(1, device=bench.device)


if __name__ == "__main__":
    sys.exit(main())
