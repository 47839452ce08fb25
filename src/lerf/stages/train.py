"""Photos in, run folder out: decode, features, radiance, pool, language."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import psutil
import torch

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import ConfigError, RunError, SceneError
from lerf.files import sha256_of, write_json
from lerf.geometry.camera_table import CameraTable
from lerf.language.field import LanguageField
from lerf.pyramids.lookup import PyramidTable, ResidentTable, open_photo_by_photo
from lerf.pyramids.store import PyramidStore, build_pyramids, mode_in_use
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.pose_refinement import PoseRefinement
from lerf.run.folder import RunFolder, Stage, trainer_state
from lerf.run.interrupt import deferred_interrupt
from lerf.run.report import Reporter, Silent
from lerf.run.settings import TrainSettings, check_border
from lerf.scenes.load import load_scene
from lerf.scenes.record import scene_to_plain
from lerf.scenes.scene import Scene
from lerf.training.language import LanguageTrainer
from lerf.training.pixels import PixelPool, open_pixels
from lerf.training.radiance import RadianceTrainer
from lerf.training.ray_pool import RayPool, ResidentRays, draw_pool, open_tables

SAVE_SECONDS = 30.0
"""Time between checkpoints: what a kill can cost."""
REPORT_STEPS = 20
DEVICES = re.compile(r"cpu|mps|cuda(:\d+)?")
STAGES: tuple[Stage, ...] = get_args(Stage)
FINGERPRINTS = ("encoder_fingerprint", "dense_fingerprint")


class Clock:
    """Seconds of each stage, and the peak memory, kept in the run across resumes and, up to its last mark, kills."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.name, self.since = run, "", 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.name, self.since = name, time.perf_counter()
        try:
            yield
        finally:
            self.mark()

    def mark(self) -> None:
        """Write down the time since the last mark, or since the stage began."""
        now = time.perf_counter()
        path = self.run.path / "timings.json"
        timings = self.run.read_json("timings.json") if path.is_file() else {"seconds": {}}
        seconds = timings["seconds"]
        seconds[self.name] = round(seconds.get(self.name, 0.0) + now - self.since, 3)
        timings["peak_memory_bytes"] = max(timings.get("peak_memory_bytes", 0), peak_memory())
        write_json(path, timings)
        self.since = now


PROCESS_STATUS = Path("/proc/self/status")
"""Where Linux says what a process holds and held."""


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    try:
        # What `getrusage` says begins with what the parent had when this process was started from it.
        lines = PROCESS_STATUS.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:
        return psutil.Process().memory_info().rss


def default_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_device(device: str | None) -> str:
    """The device asked for, or the default one.

    Raises:
        ConfigError: when it is not there, or of a kind that nothing here runs on.
    """
    chosen = device or default_device()
    if not DEVICES.fullmatch(chosen) or (chosen == "mps" and not torch.backends.mps.is_available()):
        raise ConfigError(f"Device '{chosen}' is not available here; use --device cpu.")
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(f"Device '{chosen}' is not available here; use --device cpu.") from None
    return chosen


@dataclass(frozen=True)
class _Work:
    """What every stage needs to know."""

    run: RunFolder
    settings: TrainSettings
    reporter: Reporter
    save_seconds: float
    clock: Clock


def train(
    settings: TrainSettings,
    output: str | Path,
    *,
    offline: bool = False,
    reporter: Reporter | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> RunFolder:
    """Train into `output`; an unfinished run with the same settings is continued exactly where it was saved.

    Args:
        settings: from `lerf.run.make_settings`.
        output: run folder.
        offline: forbid downloads.
        reporter: hears about progress; silent by default.
        save_seconds: time between checkpoints.

    Raises:
        LerfError: bad capture, encoder, settings or disk; what was saved stays.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    run = RunFolder(Path(output))
    clock = Clock(run)
    work = _Work(run, settings, reporter or Silent(), save_seconds, clock)
    scene = load_scene(settings.data, settings.downscale)
    encoder = load_encoder(settings.encoder, _weights(settings), offline, settings.device)
    dense = None if settings.dense == "none" else load_dense_encoder(settings.dense, None, offline, settings.device)
    check_border(mode_in_use(encoder, settings.features), settings.border)
    lent = _lent_radiance(settings, scene) if settings.radiance_run and not run.has_stage("radiance") else None
    _prepare(run, settings, scene, encoder, dense)
    if all(run.has_stage(stage) and run.load_stage(stage)[1].get("finished") for stage in STAGES):
        return run
    if lent:
        run.save_stage("radiance", *lent)
    sharp = _sharp_scene(work, scene)
    with clock.stage("decode"), _reported(work, "photos", len(scene.train)) as progress:
        pixels = open_pixels(
            scene, settings.device, progress, budget=settings.memory_bytes, steps=settings.radiance_training.steps,
            seed=settings.seed + 4,
        )  # fmt: skip
    with clock.stage("radiance"):
        field = _radiance(work, scene, pixels)
        scene = _with_refined_poses(run, scene, pixels)
        pixels.release()
    with clock.stage("features"):
        targets, dense_targets, scales = _features(work, encoder, dense, scene, sharp)
    with clock.stage("language"):
        if settings.language_source == "lift":
            _lifted_language(work, field, pixels, encoder, targets, scales)
            return run
        _language(work, field, pixels, targets, dense_targets, scales)
    return run


def _weights(settings: TrainSettings) -> Path | None:
    return Path(settings.weights) if settings.weights else None


def _prepare(
    run: RunFolder, settings: TrainSettings, scene: Scene, encoder: ImageTextEncoder, dense: DenseEncoder | None
) -> None:
    """Start a run, or check that the one in the folder is this one."""
    extra = {
        "encoder_fingerprint": encoder.fingerprint,
        "dense_fingerprint": dense.fingerprint if dense else None,
        "canonical": list(encoder.defaults.canonical),
        "temperature": encoder.defaults.temperature,
        "threshold": encoder.defaults.threshold,
    }
    if run.exists:
        config = run.read_config()
        if config["settings"] != settings or any(config.get(name) != extra[name] for name in FINGERPRINTS):
            raise RunError(f"{run.path} holds a run with other settings; choose another --output or delete it.")
        run.remove_leftovers()
        return
    if run.path.exists() and not run.is_fresh:
        raise RunError(f"{run.path} is not empty and holds no run; choose another --output.")
    write_json(run.path / "scene.json", scene_to_plain(scene))
    run.write_config(settings, extra)


def _radiance(work: _Work, scene: Scene, pixels: PixelPool) -> RadianceField:
    """Train the radiance field, continue it, or take what is finished."""
    run, settings = work.run, work.settings
    torch.manual_seed(settings.seed)
    field = RadianceField(settings.radiance.for_background(scene.background), len(scene.train)).to(settings.device)
    tensors, facts = run.load_stage("radiance") if run.has_stage("radiance") else ({}, {})
    if facts.get("finished"):
        run.restore_field("radiance", field, tensors)
        return field
    poses = _pose_refinement(pixels) if settings.radiance_training.refine_poses else None
    trainer = RadianceTrainer(field, settings.radiance_training, settings.seed, poses)
    if facts:
        run.restore_trainer("radiance", trainer, tensors, facts)

    def step() -> dict[str, float]:
        pixels.go_to(trainer.step_count)
        values = trainer.step(pixels.draw)
        values["psnr"] = -10.0 * math.log10(max(values.pop("colour_loss"), 1e-10))
        return values

    _loop(work, "radiance", trainer, step, settings.radiance_training.steps)
    return field


def _pose_refinement(pixels: PixelPool) -> PoseRefinement:
    return PoseRefinement(pixels.cameras.positions[list(pixels.train)]).to(pixels.device)


def _with_refined_poses(run: RunFolder, scene: Scene, pixels: PixelPool) -> Scene:
    """The scene whose training cameras carry the corrections in the run's checkpoint, if any; also written to the run.

    Starts from the capture's own poses, so that doing it again after an interruption changes nothing.
    """
    tensors, _ = run.load_stage("radiance")
    poses = _pose_refinement(pixels)
    if not run.restore_poses(poses, tensors):
        return scene
    before = torch.stack(
        [torch.from_numpy(scene.normalised_camera(index).camera_to_world).float() for index in scene.train]
    )
    after = poses.corrected(before.to(pixels.device)).cpu().double().numpy()
    captured = scene.similarity.inverse().apply_poses(after)
    photos = list(scene.photos)
    for index, pose in zip(scene.train, captured, strict=True):
        photos[index] = replace(photos[index], camera=replace(photos[index].camera, camera_to_world=pose))
    refined = replace(scene, photos=tuple(photos))
    write_json(run.path / "scene.json", scene_to_plain(refined))
    pixels.cameras = CameraTable.from_cameras(
        [refined.normalised_camera(index) for index in range(len(refined))], device=pixels.device
    )
    return refined


def _lent_radiance(settings: TrainSettings, scene: Scene) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The finished radiance of the run that the settings name, if it fits this capture."""
    source = RunFolder(Path(settings.radiance_run or ""))
    theirs = source.read_config()["settings"]
    if theirs.radiance != settings.radiance:
        raise ConfigError(f"The radiance of {source.path} has other sizes; use --preset {theirs.preset}.")
    lent = source.read_scene()
    if lent.similarity.to_dict() != scene.similarity.to_dict() or lent.train != scene.train:
        raise ConfigError(f"{source.path} was trained on another capture; its radiance does not fit this one.")
    tensors, facts = source.load_stage("radiance")
    if not facts.get("finished"):
        raise RunError(f"The radiance of {source.path} is not finished; run its training to the end first.")
    return tensors, facts


def _sharp_scene(work: _Work, scene: Scene) -> Scene:
    """The capture at the resolution for features, or `scene` where the originals were not shipped."""
    if not work.settings.downscale:
        return scene
    try:
        return load_scene(work.settings.data)
    except SceneError as error:
        work.reporter.note(f"Features come from the reduced photos, as the originals cannot be used. {error}")
        return scene


def _features(
    work: _Work, encoder: ImageTextEncoder, dense: DenseEncoder | None, scene: Scene, sharp: Scene
) -> tuple[PyramidTable, PyramidTable | None, torch.Tensor]:
    """Pyramids of the training photos, from the sharpest photos at hand, whatever resolution the radiance uses."""
    try:
        targets, dense_targets = _pyramids(work, encoder, dense, sharp)
    except SceneError as error:
        if not work.settings.downscale:
            raise
        # The photos that the radiance was trained on have been decoded already.
        work.reporter.note(f"Features come from the reduced photos, as the originals cannot be used. {error}")
        sharp = scene
        targets, dense_targets = _pyramids(work, encoder, dense, sharp)
    # Pixels of the pool are at the radiance's resolution, cells of the pyramid at the features'.
    factors = [
        [sharp.photos[i].camera.width / scene.photos[i].camera.width,
         sharp.photos[i].camera.height / scene.photos[i].camera.height]
        for i in scene.train
    ]  # fmt: skip
    return targets, dense_targets, torch.tensor(factors, device=work.settings.device)


def _pyramids(
    work: _Work, encoder: ImageTextEncoder, dense: DenseEncoder | None, scene: Scene
) -> tuple[PyramidTable, PyramidTable | None]:
    settings, photos = work.settings, _TrainPhotos(scene)
    store = _built(
        work, photos, encoder, mode=settings.features, tile_ratios=settings.tile_ratios, border=settings.border
    )
    stores = [store] if dense is None else [store, _built(work, photos, dense)]
    if settings.language_source == "lift":
        # Lifting goes through the photos one by one, once at every scale.
        tables = [open_photo_by_photo(store, settings.memory_bytes, settings.device)]
    else:
        tables = open_tables(stores, settings.memory_bytes, settings.device)
    return tables[0], None if dense is None else tables[1]


def _built(work: _Work, photos: _TrainPhotos, encoder: ImageTextEncoder | DenseEncoder, **options: Any) -> PyramidStore:
    speeds: dict[str, float] = {}
    with _reported(work, f"features ({encoder.name})", len(photos)):
        return build_pyramids(
            photos, encoder, **options, device=work.settings.device,
            progress=lambda done, _: work.reporter.advance(done, speeds),
            speed=lambda value: speeds.update(tiles_per_second=value),
        )  # fmt: skip


@dataclass(frozen=True)
class _TrainPhotos:
    """The training photos as a source of pixels: test photos never reach the pyramids."""

    scene: Scene

    def __len__(self) -> int:
        return len(self.scene.train)

    def pixels(self, index: int) -> Any:
        return self.scene.pixels(self.scene.train[index])


def _language(
    work: _Work,
    radiance: RadianceField,
    pixels: PixelPool,
    targets: PyramidTable,
    dense: PyramidTable | None,
    pixel_factors: torch.Tensor,
) -> None:
    """Draw the pool from the frozen radiance and train the language field on it."""
    run, settings = work.run, work.settings
    c = settings.language_training
    generator = torch.Generator().manual_seed(settings.seed + 1)
    with _reported(work, "rays", len(pixels.train)) as progress:
        pool = draw_pool(
            radiance, pixels.cameras, pixels.train, c.pool_rays, settings.language.samples, generator, pixels.allowed,
            progress,
        )  # fmt: skip
    ratios = targets.ratios.tolist()
    torch.manual_seed(settings.seed + 2)
    field = LanguageField(settings.language, targets.width, dense.width if dense else 0, pool.scale_range(ratios)).to(
        settings.device
    )
    unit = pool.height_per_depth * pool.stops.median_depth
    field.bounds.note(pool.stops.median_position, unit * ratios[0], unit * ratios[-1])
    field.bounds.widen()
    aligned = RayPool(pool.stops, pool.slots, pool.pixels * pixel_factors[pool.slots], pool.height_per_depth)
    tables = [table for table in (targets, dense) if isinstance(table, ResidentTable)]
    resident = None
    if tables:
        capacity = tables[0].places
        resident = ResidentRays(pool.slots, tables, capacity, c.steps, settings.seed + 5)
    trainer = LanguageTrainer(field, c, aligned, targets, dense, settings.seed + 3, resident)
    if run.has_stage("language"):
        run.restore_trainer("language", trainer, *run.load_stage("language"))
    sizes = {"width": targets.width, "dense_width": dense.width if dense else 0}
    _loop(work, "language", trainer, trainer.step, c.steps, sizes)


def _lifted_language(
    work: _Work,
    radiance: RadianceField,
    pixels: PixelPool,
    encoder: ImageTextEncoder,
    targets: PyramidTable,
    pixel_factors: torch.Tensor,
) -> None:
    """The language as an index straight from the pyramids, saved where a trained field would be; no gradient step."""
    # Where queries stand on training everywhere else, this one stage of training stands on them.
    from lerf.language.cells import index_state
    from lerf.language.lift import Ground, lift
    from lerf.queries.surface import SURFACE_POINTS, trace_surface

    run, samples = work.run, work.settings.language.samples
    surface = trace_surface(radiance, samples, pixels.cameras, pixels.train, SURFACE_POINTS)
    ground = Ground(surface, radiance, pixels.cameras, pixels.train, samples, encoder)
    with _reported(work, "language", len(pixels.train)) as progress:
        checkpoint = sha256_of(run.path / "radiance.safetensors")
        index = lift(ground, targets, checkpoint, pixel_factors=pixel_factors, progress=progress)
    tensors, facts = index_state(index)
    run.save_stage("language", tensors, {"index": facts, "step": 0, "finished": True})


def _loop(work: _Work, stage: Stage, trainer: Any, step: Any, steps: int, facts: dict[str, Any] | None = None) -> None:
    """Steps with progress, metrics, and checkpoints now and then and at an interruption."""
    run, reporter = work.run, work.reporter

    def save(finished: bool) -> None:
        tensors, counters = trainer_state(trainer)
        if finished:
            tensors = {name: value for name, value in tensors.items() if name.startswith(("field.", "poses."))}
        run.save_stage(stage, tensors, {**(facts or {}), **counters, "finished": finished})
        work.clock.mark()

    run.trim_metrics(stage, trainer.step_count)
    reporter.begin(stage, steps)
    start = saved = time.perf_counter()
    first = trainer.step_count
    sums: dict[str, float] = {}
    count = 0
    with deferred_interrupt() as interrupted:
        while trainer.step_count < steps:
            for name, value in step().items():
                sums[name] = sums.get(name, 0.0) + value
            count += 1
            done, now = trainer.step_count, time.perf_counter()
            if done % REPORT_STEPS == 0 or done == steps:
                means = {name: value / count for name, value in sums.items()}
                means["rays_per_second"] = means.pop("rays") * (done - first) / (now - start)
                if not all(math.isfinite(value) for value in means.values()):
                    raise RunError(
                        f"The {stage} training has diverged at step {done}; resume with another --seed in a new folder."
                    )
                run.append_metrics({"stage": stage, "step": done, **{k: round(v, 6) for k, v in means.items()}})
                reporter.advance(done, means)
                sums, count = {}, 0
            if interrupted.is_set():
                save(False)
                raise KeyboardInterrupt
            if now - saved > work.save_seconds:
                save(False)
                saved = time.perf_counter()
    save(True)
    reporter.end(time.perf_counter() - start)


@contextmanager
def _reported(work: _Work, stage: str, total: int) -> Iterator[Any]:
    """A stage whose work calls back with (done, total)."""
    work.reporter.begin(stage, total)
    start = time.perf_counter()
    yield lambda done, total: work.reporter.advance(done)
    work.reporter.end(time.perf_counter() - start)
