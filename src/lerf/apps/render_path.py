"""`lerf render --path`: pictures and a video along a camera path."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from rich.console import Console
from torch import Tensor

from lerf.apps.pictures import write_png
from lerf.apps.progress import TerminalReporter
from lerf.apps.render_options import PHOTOS, Render
from lerf.apps.rendering_file import FORMAT, Fixed, read_fixed, write_fixed
from lerf.errors import QueryError, RunError
from lerf.exports.video import write_video
from lerf.files import is_file, sha256_of, write_atomically
from lerf.geometry.camera import NO_DISTORTION
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.similarity import Similarity, outlying_positions
from lerf.locks import locked_file, locked_folder, remove_unfinished
from lerf.model import Model
from lerf.queries.phrases import Phrases
from lerf.rendering.colour_maps import percentile_limits
from lerf.rendering.features import feature_bases
from lerf.rendering.outputs import ViewMaps, names, paint, parse
from lerf.rendering.pca import PcaBasis, apply_pca_basis
from lerf.run.folder import RunFolder
from lerf.scenes.camera_path import CameraPath, read_camera_path, read_nerfstudio_transform, write_camera_path
from lerf.scenes.keyframes import through_keyframes
from lerf.scenes.scene import Scene
from lerf.steps import finish

OTHERWISE = "choose another --output"
"""What to do where another process writes."""
SUFFIXES_WRITTEN = ("*.png", "*.npy", "*.json")
KEYFRAMES = 16
"""Most photos that such a path leads through."""
RAW = "raw_relevancy"
"""Kind of the outputs whose relevancy is not propagated."""
PREVIEWS, PREVIEW_SIDE = 8, 96
"""Frames from which the range of depth is taken for all, and the length of their longer side."""


@dataclass(frozen=True)
class PathPhrases:
    """Phrases with what stays the same in all frames."""

    phrases: Phrases
    scales: tuple[float, ...]
    """Of each phrase, normalised units."""
    scores: tuple[float, ...]
    """Relevancy of each phrase to the scene's most relevant point: the top of its colours."""


def render_path(command: Render, model: Model, console: Console) -> dict[str, Any]:
    """Frames that are not there yet, then the video."""
    frame = None if command.transforms is None else read_nerfstudio_transform(command.transforms, model.scene)
    path = _camera_path(command, model.scene, frame)
    outputs = _outputs(command.outputs, len(command.query))
    folder, temporary = command.frames, command.output is None
    with _held(command, folder, outputs):
        fixed, asked = _fixed(command, model, path, folder)
        kept = _draw(
            command, _Renderer(model, path, asked, fixed.depth_range, outputs, command.npy), folder, frame, console
        )
        if temporary:
            shutil.rmtree(folder)
    place = command.video if temporary else folder
    console.print(f"{len(path.cameras)} frames, {kept} of them there already: {place}")
    unit = model.photos.unit
    return {
        "encoder": model.encoder.name,
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


@contextmanager
def _held(command: Render, folder: Path, outputs: Sequence[str]) -> Iterator[None]:
    """Hold the folder of the frames, and the video, and clear away what killed renderings left of either."""
    with ExitStack() as stack:
        stack.enter_context(locked_folder(folder, OTHERWISE))
        for each in (folder, *(folder / name for name in outputs)):
            remove_unfinished(each, *SUFFIXES_WRITTEN)
        if command.video is not None:
            stack.enter_context(locked_file(command.video, "choose another --video"))
            remove_unfinished(command.video.parent, command.video.name)
        yield


def _draw(command: Render, renderer: _Renderer, folder: Path, frame: Similarity | None, console: Console) -> int:
    """Write the frames that are not there, and the video of all; how many there were already."""
    path, outputs = renderer.path, renderer.outputs
    write_camera_path(folder / "camera_path.json", path, renderer.model.scene, frame)
    reporter = TerminalReporter(console)
    kept = 0
    try:
        reporter.begin("frames", len(path.cameras))
        for number in range(len(path.cameras)):
            files = _files(folder, outputs, number, command.npy)
            if all(is_file(file) for file in files.values()):
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
    return kept


def _camera_path(command: Render, scene: Scene, frame: Similarity | None) -> CameraPath:
    assert command.path is not None
    path = photo_path(scene) if command.path == PHOTOS else read_camera_path(command.path, scene, frame)
    if command.downscale is None:
        return path
    width, height = (max(1, round(side / command.downscale)) for side in path.size)
    return path.scaled_to(width, height)


def photo_path(scene: Scene, frames_a_second: float = 24.0) -> CameraPath:
    """A path through up to `KEYFRAMES` training photos in the order of their names, a second apart.

    Photos whose position is an outlier are passed by.

    Lenses are made ideal, so that what is written can be read by nerfstudio as well.
    """
    positions = np.stack([scene.photos[index].camera.camera_to_world[:, 3] for index in scene.train])
    far = {scene.train[place] for place in outlying_positions(positions).tolist()}
    order = sorted((index for index in scene.train if index not in far), key=lambda index: scene.photos[index].name)
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
    known = names(phrases)
    chosen = tuple(dict.fromkeys(wanted)) or ("rgb", *(f"relevancy_{number}" for number in range(phrases)))
    for name in chosen:
        if name not in known:
            ask_for = "; relevancy_0 is that of the first phrase of --query" if not phrases else ""
            raise QueryError(f"There is no output {name}; known are {', '.join(known)}{ask_for}.")
    return chosen


def _fixed(command: Render, model: Model, path: CameraPath, folder: Path) -> tuple[Fixed, PathPhrases | None]:
    """What all frames share. It is kept beside them, so that those of an interrupted rendering fit the new ones.

    Raises:
        ConfigError: when the folder holds frames of another rendering.
        RunError: what the folder says of its frames is damaged.
    """
    run = RunFolder(command.run)
    phrases = model.phrases(command.query, *command.compared) if command.query else None
    request = {
        "format": FORMAT,
        "checkpoints": {stage: sha256_of(run.path / f"{stage}.safetensors") for stage in ("radiance", "language")},
        "cameras": [
            [*camera.camera_to_world.reshape(-1).tolist(), camera.fx, camera.fy, camera.fisheye]
            for camera in path.cameras
        ],
        "size": list(path.size),
        "phrases": [] if phrases is None else list(phrases.texts),
        "canonical": list(model.defaults.canonical if command.canonical is None else command.canonical),
        "exclusive": command.exclusive,
        "temperature": model.defaults.temperature if command.temperature is None else command.temperature,
        "scale": command.scale,
    }  # fmt: skip
    place = folder / "render.json"
    if os.path.lexists(place):
        fixed = read_fixed(place, request)
        return fixed, _asked(phrases, fixed.scales, fixed.scores)
    scales, scores = [], []
    if phrases is not None:
        given = None if command.scale is None else [command.scale] * len(phrases)
        answers = finish(model.answer(phrases, scales=given))
        scales, scores = [own.scale for own in answers], [float(own.relevancy.max()) for own in answers]
    fixed = Fixed(request, scales, scores, _depth_range(model, path))
    write_fixed(place, fixed)
    return fixed, _asked(phrases, scales, scores)


def _asked(phrases: Phrases | None, scales: Sequence[float], scores: Sequence[float]) -> PathPhrases | None:
    return None if phrases is None else PathPhrases(phrases, tuple(scales), tuple(scores))


def _depth_range(model: Model, path: CameraPath) -> tuple[float, float]:
    """1st and 99th percentile of depth, capture units, over small pictures of a few frames spread over the path."""
    places = np.linspace(0, len(path.cameras) - 1, min(PREVIEWS, len(path.cameras))).round().astype(int).tolist()
    shrink = max(1.0, max(path.size) / PREVIEW_SIDE)
    small = path.scaled_to(*(max(1, round(side / shrink)) for side in path.size))
    table = _table(model, replace(small, cameras=tuple(small.cameras[place] for place in places)))
    pictures = [finish(model.radiance.render(table, row)) for row in range(len(places))]
    return percentile_limits(torch.cat([picture.depth.flatten() for picture in pictures]) / model.photos.unit)


def _table(model: Model, path: CameraPath) -> CameraTable:
    moved = [camera.moved(model.scene.similarity) for camera in path.cameras]
    return CameraTable.from_cameras(moved, device=model.device, are_photos=False)


def _files(folder: Path, outputs: Sequence[str], number: int, npy: bool) -> dict[str, Path]:
    """Files of one frame; those of maps have the suffix `.npy` in their key too."""
    files = {name: folder / name / f"{number:05d}.png" for name in outputs}
    if npy:
        maps = [name for name in outputs if parse(name)[0] in ("depth", "relevancy", "raw_relevancy")]
        files |= {f"{name}.npy": folder / name / f"{number:05d}.npy" for name in maps}
    return files


class _Renderer:
    """Draws the outputs of one frame after another."""

    def __init__(
        self,
        model: Model,
        path: CameraPath,
        asked: PathPhrases | None,
        depth_range: tuple[float, float],
        outputs: Sequence[str],
        npy: bool,
    ) -> None:
        self.model, self.path, self.asked, self.outputs = model, path, asked, outputs
        self.depth_range = depth_range
        self.cameras = _table(model, path)
        self.phrases = sorted({number for kind, number in map(parse, outputs) if number is not None and kind != RAW})
        self.raw_phrases = sorted(
            {number for kind, number in map(parse, outputs) if number is not None and kind == RAW}
        )
        self.bases: dict[str, PcaBasis] = {}
        if {"clip", "dino"} & set(outputs):
            self.bases = feature_bases(model.language, model.surface.latent)
            if "dino" in outputs and "dino" not in self.bases:
                raise QueryError("The run was trained without dense features, so that there is no output dino.")

    def write(self, number: int, files: dict[str, Path]) -> None:
        """Draw the outputs of a frame and write them."""
        picture = finish(self.model.radiance.render(self.cameras, number))
        depth = picture.depth / self.model.photos.unit
        relevancy = self._relevancy(number, self.phrases, picture.depth)
        raw = self._relevancy(number, self.raw_phrases)
        features = {
            name: apply_pca_basis(basis, self._features(number, name).cpu())
            for name, basis in self.bases.items()
            if name in self.outputs
        }
        highest = {} if self.asked is None else dict(enumerate(self.asked.scores))
        maps = ViewMaps(
            picture.colour, depth, picture.accumulation, relevancy, raw, features, highest, self.depth_range
        )  # fmt: skip
        for name, file in files.items():
            if name.endswith(".npy"):
                kind, phrase = parse(name.removesuffix(".npy"))
                array = (depth if phrase is None else (raw if kind == RAW else relevancy)[phrase]).cpu().numpy()
                write_atomically(file, lambda stream, array=array: np.save(stream, array))  # type: ignore[misc]
            else:
                write_png(file, paint(name, maps)[0])

    def _relevancy(
        self, number: int, shown: list[int], depth: Float[Tensor, "height width"] | None = None
    ) -> dict[int, Float[Tensor, "height width"]]:
        """Relevancy of the phrases that an output shows, by their number; raw where no depth is given."""
        if self.asked is None or not shown:
            return {}
        phrases, rows = self.asked.phrases, shown
        if phrases.exclusive:  # the others lead in places too
            rows = list(range(len(phrases)))
        chosen, scales = phrases.chosen(rows), [self.asked.scales[row] for row in rows]
        maps = self.model.relevancy_maps(self.cameras, number, chosen, scales, depth, raw=depth is None)
        found = dict(zip(rows, maps, strict=True))
        return {row: found[row] for row in shown}

    def _features(self, number: int, name: str) -> Float[Tensor, "height width channels"]:
        return self.model.render_features(self.path.cameras[number], dense=name == "dino")


def _joined(folder: Path, outputs: Sequence[str], frames: int, reporter: TerminalReporter) -> Iterator[np.ndarray]:
    """Pictures of the video: all outputs of a frame side by side.

    Raises:
        RunError: a frame that was there already is damaged.
    """
    for number in range(frames):
        yield np.concatenate([_frame(folder / name / f"{number:05d}.png") for name in outputs], 1)
        reporter.advance(number + 1)


def _frame(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise RunError(f"{file} is damaged; delete it and give the same command again.") from None
