"""The same capture trained by `lerf train` and by `ns-train lerf-cpu`, with the same steps, rays and schedules.

    PYTHONPATH=.nerfstudio python benchmarks/nerfstudio_side.py OUT [--capture DIR] [--steps 3000] [--language 1500]
        [--rays 4096] [--seeds 0 1 2] [--cost] [--json]

Both runs are scored by `lerf eval`, the second after `lerf import`; what is there in OUT is kept. `lerf train` trains
the radiance, then language on it; the plug-in trains language in the last steps of the radiance. With `--seeds` both
also train language alone on the radiance of that `lerf train`, once a seed: a seed moves the scores, and colour is no
part of it there. `--cost` adds the
memory and time of a step, in one process, of the plug-in with and without language and of nerfacto (its torch
implementation), with as many rays.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import lerf  # before torch, for OMP_WAIT_POLICY
from lerf.evaluation.report import evaluate
from lerf.files import write_json
from lerf.scenes.demo import demo_capture
from lerf.stages.nerfstudio_import import import_run

SUPPORT = Path(__file__).resolve().parents[1] / "tests" / "support"
WARM, TIMED = 3, 10
"""Steps before those that are timed, and these."""
PROTOCOLS = ("colour", "lerf-localisation", "lerf-ovs")
SCORES = ("psnr", "ssim", "localisation", "ovs_localisation", "miou")


def declare_torchvision() -> None:
    """torchvision may be built for another torch; nerfstudio imports it and needs none of its operators here."""
    sys.path.insert(0, str(SUPPORT))
    from torchvision_operators import declare_when_imported

    declare_when_imported()


def ours(
    capture: Path, out: Path, steps: int, language: int, rays: int, seed: int = 0, radiance: Path | None = None
) -> dict[str, Any]:
    """Scores of `lerf train`; with a run as the radiance of language alone."""
    sizes = {
        "radiance_training.steps": steps, "radiance_training.rays": rays, "language_training.steps": language,
        "language_training.rays": rays, "language_training.decay_steps": language,
    }  # fmt: skip
    if radiance is not None:
        sizes = {name: value for name, value in sizes.items() if not name.startswith("radiance")}
        sizes["radiance_run"] = radiance
    start = time.process_time()
    model = lerf.train(
        capture, out, preset="lerf-cpu", encoder="mini", dense="mini-map", device="cpu", offline=True, seed=seed,
        **sizes,
    )  # fmt: skip
    return {**scores(model), "cpu_seconds": time.process_time() - start}


def plug_in_options(capture: Path, out: Path, steps: int, language: int, rays: int) -> list[str]:
    """Of `ns-train`, with the schedules of `lerf train`."""
    given = {
        "--data": capture, "--output-dir": out, "--experiment-name": "side", "--timestamp": "now",
        "--vis": "tensorboard", "--machine.device-type": "cpu", "--max-num-iterations": steps,
        "--steps-per-eval-batch": steps, "--steps-per-eval-image": steps,
        "--pipeline.datamanager.encoder": "mini", "--pipeline.datamanager.dense": "mini-map",
        "--pipeline.datamanager.train-num-rays-per-batch": rays, "--pipeline.model.language-start": steps - language,
        "--optimizers.radiance.scheduler.max-steps": steps, "--optimizers.gains.scheduler.max-steps": steps,
        "--optimizers.language.scheduler.max-steps": language,
    }  # fmt: skip
    return ["lerf-cpu", *(str(part) for pair in given.items() for part in pair), "nerfstudio-data"]


def plug_in(
    capture: Path, out: Path, steps: int, language: int, rays: int, seed: int = 0, radiance: Path | None = None
) -> dict[str, Any]:
    """Scores of `ns-train lerf-cpu` after `lerf import`; with a run as the radiance of language alone."""
    run = out / "side" / "lerf-cpu" / "now"
    start = os.times()
    if not list(run.glob("nerfstudio_models/*.ckpt")):
        code = "from nerfstudio_side import declare_torchvision; declare_torchvision(); "
        code += "from nerfstudio.scripts.train import entrypoint; entrypoint()"
        folders = [str(Path(__file__).parent), *filter(None, sys.path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_WAIT_POLICY": "PASSIVE"}
        options = plug_in_options(capture, out, steps if radiance is None else language, language, rays)
        options[1:1] = ["--machine.seed", str(seed)]
        options[1:1] = [] if radiance is None else ["--pipeline.model.radiance", str(radiance)]
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, *options], env=environment, check=True)
    spent = os.times()
    seconds = spent.children_user + spent.children_system - start.children_user - start.children_system
    imported = out / "imported"
    if not imported.exists():
        import_run(run, imported, device="cpu")
    return {**scores(lerf.load(imported, device="cpu", offline=True)), "cpu_seconds": seconds}


def scores(model: Any) -> dict[str, Any]:
    """The numbers of `lerf eval` that are compared."""
    report = evaluate(model, PROTOCOLS)
    return {name: report[name] for name in SCORES if name in report}


def cost(capture: Path, out: Path, rays: int) -> dict[str, dict[str, float]]:
    """Megabytes and seconds of a step by method."""
    declare_torchvision()
    import torch
    import torchmetrics.image.lpip as lpip
    from nerfstudio.configs.method_configs import all_methods

    # It would download a network to score pictures with.
    lpip.LearnedPerceptualImagePatchSimilarity = lambda **options: torch.nn.Identity()
    found = {}
    for name, language in (("lerf-cpu", False), ("lerf-cpu", True), ("nerfacto", False)):
        config = deepcopy(all_methods[name])
        config.machine.device_type, config.vis = "cpu", "tensorboard"
        config.output_dir, config.experiment_name, config.timestamp = out, f"cost-{name}-{language}", "now"
        config.mixed_precision = False
        config.pipeline.datamanager.data = capture
        config.pipeline.datamanager.train_num_rays_per_batch = rays
        if name == "nerfacto":
            config.pipeline.model.implementation = "torch"
        else:
            config.pipeline.datamanager.encoder, config.pipeline.datamanager.dense = "mini", "mini-map"
            config.pipeline.model.language_start = 0 if language else 1 << 30
        found[f"{name} with language" if language else name] = measured(config)
    return found


def measured(config: Any) -> dict[str, float]:
    """A training of a few steps."""
    from nerfstudio.engine.callbacks import TrainingCallbackLocation

    with peak_memory() as memory:
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.pipeline.train()
        where = TrainingCallbackLocation
        for step in range(WARM + TIMED):
            if step == WARM:
                wall, processor = time.perf_counter(), time.process_time()
            for callback in trainer.callbacks:
                callback.run_callback_at_location(step, location=where.BEFORE_TRAIN_ITERATION)
            trainer.train_iteration(step)
            for callback in trainer.callbacks:
                callback.run_callback_at_location(step, location=where.AFTER_TRAIN_ITERATION)
        spent = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
    del trainer
    gc.collect()
    return {name: value / TIMED for name, value in spent.items()} | {"megabytes": memory[0]}


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """By how many megabytes this process grew at most."""
    import psutil

    process, ended, found = psutil.Process(), threading.Event(), [0.0]
    before = process.memory_info().rss

    def watch() -> None:
        while not ended.wait(0.02):
            found[0] = max(found[0], (process.memory_info().rss - before) / 1e6)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--capture", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--language", type=int, default=1500)
    parser.add_argument("--rays", type=int, default=4096)
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    capture, sizes = given.capture or demo_capture(), (given.steps, given.language, given.rays)
    found: dict[str, Any] = {}
    rows = [("lerf train", ours, 0, None), ("ns-train lerf-cpu", plug_in, 0, None)]
    lent = given.out / "lerf_train"
    for seed in given.seeds:
        rows.append((f"lerf train, language, seed {seed}", ours, seed, lent))
        rows.append((f"ns-train, language, seed {seed}", plug_in, seed, lent))
    for name, work, seed, radiance in rows:
        folder = given.out / name.replace(",", "").replace(" ", "_")
        path = folder.with_name(folder.name + ".json")
        if not path.is_file():
            write_json(path, work(capture, folder, *sizes, seed, radiance))
        found[name] = json.loads(path.read_text())
    if given.cost:
        found |= cost(capture, given.out, given.rays)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found.items():
        print(f"{name:32}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))


if __name__ == "__main__":
    main()
