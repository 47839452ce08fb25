"""`lerf render --path`: pictures and a video along a camera path."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from rich.console import Console
from torch import Tensor

from lerf.apps import main as cli
from lerf.apps.pictures import (
    PcaBasis,
    accumulation_picture,
    apply_pca_basis,
    centred_picture,
    depth_picture,
    fit_pca_basis,
    normalised_picture,
    raw_picture,
    write_png,
)
from lerf.apps.progress import TerminalReporter
from lerf.errors import ConfigError, QueryError, RunError
from lerf.exports.asked import Asked, ask
from lerf.exports.video import require_video_library, write_video
from lerf.files import sha256_of, write_atomically, write_json
from lerf.geometry.camera import NO_DISTORTION
from lerf.geometry.camera_table import CameraTable
from lerf.model import Model
from lerf.queries.phrases import Phrases
from lerf.rendering.image import render_colour
from lerf.run.folder import RunFolder
from lerf.scenes.camera_path import CameraPath, read_camera_path, read_nerfstudio_transform, write_camera_path
from lerf.scenes.keyframes import through_keyframes
from lerf.scenes.scene import Scene

FORMAT = 1
"""Version of render.json; frames of another one are not continued."""
PHOTOS = "photos"
"""Name that stands for a path through the photos' own cameras."""
KEYFRAMES = 16
"""Most photos that such a path leads through."""
PLAIN_OUTPUTS = ("rgb", "depth", "accumulation", "clip", "dino")
PHRASE_OUTPUTS = ("relevancy", "centred", "composited")
PREVIEWS, PREVIEW_SIDE = 8, 96
"""Frames from which the range of depth is taken for all, and the length of their longer side."""


def render_path(command: cli.Render, model: Model, console: Console) -> dict[str, Any]:
    """Frames that are not there yet, then the video."""
    if command.video is not None:
        require_video_library()
    if command.features or command.views is not None:
        raise ConfigError("--features and --views belong to the photos' cameras; with --path give --outputs clip dino.")
    path = _camera_path(command, model.scene)
    outputs = _outputs(command.outputs, len(command.query))
    folder, temporary = _folder(command)
    fixed, asked = _fixed(command, model, path, folder)
    renderer = _Renderer(model, path, asked, tuple(fixed["depth_range"]), outputs, command.npy)
    write_camera_path(folder / "camera_path.json", path, model.scene)
    reporter = TerminalReporter(console)
    kept = 0
    try:
        reporter.begin("frames", len(path.cameras))
        for number in range(len(path.cameras)):
            files = _files(folder, outputs, number, command.npy)
            if all(file.is_file() for file in files.values()):
                kept += 1
            else:
                renderer.write(number, files)
            reporter.advance(number + 1)
        if command.video is not None:
            reporter.begin("video", len(path.cameras))
            pictures = _joined(folder, outputs, len(path.cameras), reporter)
            write_video(command.video, pictures, path.frames_a_second)
    finally:
        reporter.close()
    if temporary:
        shutil.rmtree(folder)
    place = command.video if temporary else folder
    console.print(f"{len(path.cameras)} frames, {kept} of them there already: {place}", highlight=False, markup=False)
    unit = model.scene.similarity.scale
    return {
        "frames": len(path.cameras),
        "kept": kept,
        "frames_a_second": path.frames_a_second,
        "size": list(path.size),
        "outputs": list(outputs),
        "folder": None if temporary else str(folder),
        "video": None if command.video is None else str(command.video),
        "scales": {} if asked is None else {
            text: scale / unit for text, scale in zip(asked.phrases.texts, asked.scales, strict=True)
        },
    }  # fmt: skip


def _camera_path(command: cli.Render, scene: Scene) -> CameraPath:
    assert command.path is not None
    if not command.downscale > 0:
        raise ConfigError(f"The factor --downscale is {command.downscale}; give a positive number.")
    if str(command.path) == PHOTOS:
        path = photo_path(scene)
    else:
        frame = None if command.transforms is None else read_nerfstudio_transform(command.transforms, scene)
        path = read_camera_path(command.path, scene, frame)
    if command.downscale == 1:
        return path
    width, height = (max(1, round(side / command.downscale)) for side in path.size)
    return path.scaled_to(width, height)


def photo_path(scene: Scene, frames_a_second: float = 24.0) -> CameraPath:
    """A path through up to `KEYFRAMES` training photos in the order of their names, a second apart.

    Lenses are made ideal, so that what is written can be read by nerfstudio as well.
    """
    order = sorted(scene.train, key=lambda index: scene.photos[index].name)
    chosen = np.linspace(0, len(order) - 1, min(KEYFRAMES, len(order))).round().astype(int)
    first = scene.photos[order[0]].camera
    cameras = []
    for place in chosen.tolist():
        camera = scene.photos[order[place]].camera.scaled_to(first.width, first.height)
        centre = {"cx": 0.5 * camera.width, "cy": 0.5 * camera.height}
        cameras.append(replace(camera, fx=camera.fy, distortion=NO_DISTORTION, fisheye=False, **centre))
    return through_keyframes(cameras, 1.0, frames_a_second)


def _outputs(wanted: Sequence[str], phrases: int) -> tuple[str, ...]:
    """Names of outputs, checked; by default the colour and each phrase's relevancy."""
    known = [*PLAIN_OUTPUTS, *(f"{kind}_{number}" for kind in PHRASE_OUTPUTS for number in range(phrases))]
    chosen = tuple(dict.fromkeys(wanted)) or ("rgb", *(f"relevancy_{number}" for number in range(phrases)))
    for name in chosen:
        if name not in known:
            ask_for = "; relevancy_0 is that of the first phrase of --query" if not phrases else ""
            raise QueryError(f"There is no output {name}; known are {', '.join(known)}{ask_for}.")
    return chosen


def _folder(command: cli.Render) -> tuple[Path, bool]:
    """Where frames lie, and whether only until the video is whole."""
    if command.output is not None:
        return command.output, False
    if command.video is None:
        raise ConfigError("Say where the frames go with --output, or give --video.")
    return command.video.with_name(command.video.name + ".frames"), True


def _fixed(command: cli.Render, model: Model, path: CameraPath, folder: Path) -> tuple[dict[str, Any], Asked | None]:
    """What all frames share. It is kept beside them, so that those of an interrupted rendering fit the new ones.

    Raises:
        ConfigError: when the folder holds frames of another rendering.
    """
    run = RunFolder(command.run)
    phrases = model.phrases(command.query, command.canonical, command.temperature) if command.query else None
    request = {
        "format": FORMAT,
        "checkpoints": {stage: sha256_of(run.path / f"{stage}.safetensors") for stage in ("radiance", "language")},
        "cameras": [
            [*camera.camera_to_world.reshape(-1).tolist(), camera.fx, camera.fy, camera.fisheye]
            for camera in path.cameras
        ],
        "size": list(path.size),
        "phrases": [] if phrases is None else list(phrases.texts),
        "canonical": list(model.canonical if command.canonical is None else command.canonical),
        "temperature": model.temperature if command.temperature is None else command.temperature,
        "scale": command.scale,
    }  # fmt: skip
    place = folder / "render.json"
    if place.is_file():
        fixed = _read_fixed(place)
        if fixed["request"] != request:
            raise ConfigError(f"{folder} holds frames of another rendering; choose another folder, or delete this one.")
        asked = None
        if phrases is not None:
            asked = Asked(phrases, tuple(fixed["scales"]), tuple(fixed["scores"]))
        return fixed, asked
    asked = None
    if command.query:
        asked = ask(
            model, command.query, canonical=command.canonical, temperature=command.temperature, scale=command.scale
        )
    fixed = {
        "request": request,
        "scales": [] if asked is None else list(asked.scales),
        "scores": [] if asked is None else list(asked.scores),
        "depth_range": list(_depth_range(model, path)),
    }
    write_json(place, fixed)
    return fixed, asked


def _read_fixed(place: Path) -> dict[str, Any]:
    try:
        fixed = json.loads(place.read_text())
        if isinstance(fixed, dict) and {"request", "scales", "scores", "depth_range"} <= fixed.keys():
            return fixed
    except (OSError, ValueError):
        pass
    raise RunError(f"{place} is not that of a camera path; choose another folder, or delete this one.")


def _depth_range(model: Model, path: CameraPath) -> tuple[float, float]:
    """1st and 99th percentile of depth, capture units, over small pictures of a few frames spread over the path."""
    places = np.linspace(0, len(path.cameras) - 1, min(PREVIEWS, len(path.cameras))).round().astype(int).tolist()
    shrink = max(1.0, max(path.size) / PREVIEW_SIDE)
    small = path.scaled_to(*(max(1, round(side / shrink)) for side in path.size))
    table = _table(model, replace(small, cameras=tuple(small.cameras[place] for place in places)))
    depths = torch.cat([render_colour(model.radiance, table, row).depth.flatten() for row in range(len(places))])
    depths = depths[depths.isfinite()].cpu() / model.scene.similarity.scale
    if len(depths) == 0:
        return 0.0, 1.0
    low, high = np.percentile(depths.numpy(), [1.0, 99.0]).tolist()
    return low, high


def _table(model: Model, path: CameraPath) -> CameraTable:
    moved = [camera.moved(model.scene.similarity) for camera in path.cameras]
    return CameraTable.from_cameras(moved, device=model.device, are_photos=False)


def _files(folder: Path, outputs: Sequence[str], number: int, npy: bool) -> dict[str, Path]:
    """Files of one frame; those of raw maps have the suffix `.npy` in their key too."""
    files = {name: folder / name / f"{number:05d}.png" for name in outputs}
    if npy:
        raw = [name for name in outputs if name == "depth" or name.startswith("relevancy_")]
        files |= {f"{name}.npy": folder / name / f"{number:05d}.npy" for name in raw}
    return files


class _Renderer:
    """Draws the outputs of one frame after another."""

    def __init__(
        self,
        model: Model,
        path: CameraPath,
        asked: Asked | None,
        depth_range: tuple[float, float],
        outputs: Sequence[str],
        npy: bool,
    ) -> None:
        self.model, self.path, self.asked, self.outputs = model, path, asked, outputs
        self.depth_range = depth_range
        self.cameras = _table(model, path)
        self.phrases = sorted({int(name.rpartition("_")[2]) for name in outputs if re.fullmatch(r"\w+_\d+", name)})
        self.bases: tuple[PcaBasis, PcaBasis | None] | None = None
        if {"clip", "dino"} & set(outputs):
            embeddings, dense = model.surface_features()
            self.bases = fit_pca_basis(embeddings.cpu()), fit_pca_basis(dense.cpu()) if dense is not None else None
            if "dino" in outputs and dense is None:
                raise QueryError("The run was trained without dense features, so that there is no output dino.")

    def write(self, number: int, files: dict[str, Path]) -> None:
        """Draw the outputs of a frame and write them."""
        maps = self._relevancy(number)
        colour = render_colour(self.model.radiance, self.cameras, number)
        depth = colour.depth / self.model.scene.similarity.scale
        features = self._feature_pictures(number)
        for name, file in files.items():
            kind, _, which = name.removesuffix(".npy").rpartition("_")
            raw = maps[int(which)] if kind in PHRASE_OUTPUTS else depth
            if name.endswith(".npy"):
                array = raw.cpu().numpy()
                write_atomically(file, lambda stream, array=array: np.save(stream, array))  # type: ignore[misc]
            elif name == "rgb":
                write_png(file, colour.colour)
            elif name == "depth":
                write_png(file, depth_picture(depth, *self.depth_range))
            elif name == "accumulation":
                write_png(file, accumulation_picture(colour.accumulation))
            elif name in features:
                write_png(file, features[name])
            elif kind == "relevancy":
                write_png(file, raw_picture(raw))
            elif kind == "centred":
                write_png(file, centred_picture(raw))
            else:
                assert self.asked is not None
                write_png(file, normalised_picture(raw, colour.colour, self.asked.scores[int(which)]))

    def _relevancy(self, number: int) -> dict[int, Float[Tensor, "height width"]]:
        """Raw relevancy of the phrases that an output shows, by their number."""
        if self.asked is None or not self.phrases:
            return {}
        rows, every = self.phrases, self.asked.phrases
        texts = tuple(every.texts[row] for row in rows)
        shown = Phrases(texts, every.queries[rows], every.canonical, every.temperature)
        maps = self.model.relevancy_maps(self.cameras, number, shown, [self.asked.scales[row] for row in rows])
        return dict(zip(rows, maps, strict=True))

    def _feature_pictures(self, number: int) -> dict[str, Float[Tensor, "height width 3"]]:
        if self.bases is None:
            return {}
        maps = self.model.render_features(self.path.cameras[number])
        named = zip(("clip", "dino"), self.bases, maps, strict=True)
        return {
            name: apply_pca_basis(basis, features.cpu())
            for name, basis, features in named
            if basis is not None and features is not None
        }


def _joined(folder: Path, outputs: Sequence[str], frames: int, reporter: TerminalReporter) -> Iterator[np.ndarray]:
    """Pictures of the video: all outputs of a frame side by side."""
    for number in range(frames):
        yield np.concatenate([np.asarray(Image.open(folder / name / f"{number:05d}.png")) for name in outputs], 1)
        reporter.advance(number + 1)
