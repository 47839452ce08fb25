"""What all pages look at: a run's radiance and language, its surface as points, and the answers to phrases."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image
from torch import Tensor

from lerf.errors import LerfError, QueryError, SceneError
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.loading import load
from lerf.model import Model
from lerf.queries.phrases import Phrases
from lerf.queries.result import Answer
from lerf.queries.surface import DepthMaps, Surface
from lerf.radiance.protocol import Radiance
from lerf.radiance.surface import TracedSurface, trace_surface
from lerf.rendering.features import feature_bases, surface_features
from lerf.rendering.pca import PcaBasis, apply_pca_basis
from lerf.run.device import choose_device
from lerf.run.folder import RunFolder
from lerf.run.open_run import IndexUse, open_radiance
from lerf.scenes.scene import Scene
from lerf.steps import Steps, finish
from lerf.viewer.frames import MOVING_SAMPLES
from lerf.viewer.jobs import Urgency
from lerf.viewer.words import in_words

T = TypeVar("T")
THUMBNAIL = 96
"""Longest side of a photo's small copy, pixels."""
RADIANCE_SAMPLES = 8
"""Of a ray that finds the surface where there is no language to say how many it needs."""


@dataclass(frozen=True)
class SurfacePoints:
    """The surface as points."""

    points: Float32[np.ndarray, "points 3"]
    """Normalised frame."""
    colours: Float32[np.ndarray, "points 3"]
    """0..1."""
    answering: Int[Tensor, " points"] | None
    """Point of the surface that answers phrases which each point takes its relevancy from, -1 where there is none; None
    where they are the same points."""


@dataclass(frozen=True)
class PhraseState:
    """What is known of one phrase."""

    answer: Answer
    """Capture frame."""
    scale: float
    """At which it was asked, normalised units."""
    automatic: bool
    """Whether the scale was chosen here and not by the page."""
    highest: float
    """Relevancy of the most relevant point of the scene."""
    relevancy: Float[Tensor, " points"]
    """Of the points of the surface that answers, propagated along it."""
    raw: Float[Tensor, " points"]
    """The same before the propagation."""


class SceneState:
    """A run and what is derived from it. Only the scheduler's thread computes with it."""

    def __init__(self, scene: Scene, radiance: Radiance, model: Model | None, lacking: str, device: str) -> None:
        """`lacking` says in a sentence why there is no language when `model` is None."""
        self.scene, self.radiance, self.model, self.lacking, self.device = scene, radiance, model, lacking, device
        self.points: SurfacePoints | None = None
        self.answering = False
        """Whether phrases can be answered already."""
        self.preparing = "starting"
        """What is being prepared, in words; empty when all is ready."""
        self.trouble = ""
        """What went wrong in the preparation."""
        self._use: IndexUse = "auto"
        self._listeners: list[Callable[[], None]] = []
        self._thumbnails: dict[int, UInt8[np.ndarray, "_h _w 3"] | None] = {}
        self._lock = threading.Lock()

    @property
    def unit(self) -> float:
        """Normalised units in one capture unit."""
        return self.scene.similarity.scale

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever the preparation gets on; returns what stops it."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def _tell(self, preparing: str) -> None:
        self.preparing = preparing
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def prepare(self, use: IndexUse = "auto") -> Iterator[Urgency]:
        """Make ready what answers need. Pages listen to the progress and stay usable.

        A job for the scheduler, because compiled kernels must not run on two threads at once.

        Args:
            use: whether the run's baked index answers, as in `Model.query`.
        """
        self._use = use
        try:
            self._tell("finding the surface")
            if self.model is None:
                traced = yield from _at(Urgency.REFINING, self._trace())
                positions, depth_maps = traced.rays.median_position, traced.depth_maps
            else:
                yield from _at(Urgency.REFINING, self.model.surfaces.open_steps(use))
                self.answering = True
                surface = yield from _at(Urgency.REFINING, self.model.surfaces.open_steps("ignore"))
                positions, depth_maps = surface.positions, surface.depth_maps
            self._tell("colouring the points")
            colours = yield from _at(Urgency.REFINING, self._colours(depth_maps))
            self.points = SurfacePoints(
                positions.cpu().numpy().astype(np.float32), colours, self._answering_points(positions)
            )
        except Exception as error:
            if not isinstance(error, LerfError):
                traceback.print_exception(error, file=sys.stderr)
            self.trouble = f"The scene could not be made ready. {in_words(error)}"
        self._tell("")

    def _trace(self) -> Steps[TracedSurface]:
        cameras = [self.scene.normalised_camera(index) for index in range(len(self.scene))]
        table = CameraTable.from_cameras(cameras, device=self.device)
        return (yield from trace_surface(self.radiance, table, self.scene.train, RADIANCE_SAMPLES))

    def _colours(self, depth_maps: DepthMaps) -> Steps[Float32[np.ndarray, "points 3"]]:
        """Colours of the surface's points, from pictures as small as the rasters that found them."""
        colours = []
        for photo, depth in depth_maps.items():
            rows, columns = depth.shape
            camera = self.scene.normalised_camera(photo).scaled_to(columns, rows)
            table = CameraTable.from_cameras([camera], device=self.device)
            picture = yield from self.radiance.render(table, 0, MOVING_SAMPLES)
            colours.append(picture.colour[depth.isfinite()])
        return torch.cat(colours).cpu().numpy().astype(np.float32)

    def _answering_points(self, positions: Float[Tensor, "points 3"]) -> Int[Tensor, " points"] | None:
        index = None if self.model is None else self.model.surfaces.index(self._use)
        return None if index is None else index.locate(positions)

    def ask(self, phrases: Phrases, threshold: float, given: Sequence[float | None]) -> Steps[list[PhraseState]]:
        """Where phrases are.

        Args:
            phrases: embedded.
            threshold: relevancy from which a phrase counts as present.
            given: for each phrase its scale in normalised units; None chooses the one that answers best.
        """
        if self.model is None:
            raise QueryError(self.lacking)
        scales = [None if scale is None else scale / self.unit for scale in given]
        found = yield from self.model.answer(phrases, threshold, scales, self._use)
        return [
            PhraseState(own.answer, own.scale, scale is None, float(own.relevancy.max()), own.relevancy, own.raw)
            for own, scale in zip(found, given, strict=True)
        ]

    def surface(self) -> Steps[Surface]:
        """The surface that answers phrases.

        Raises:
            QueryError: the run has no language.
        """
        if self.model is None:
            raise QueryError(self.lacking)
        return (yield from self.model.surfaces.open_steps(self._use))

    def point_relevancy(self, state: PhraseState, raw: bool = False) -> Float32[np.ndarray, " points"]:
        """Relevancy of the points shown, or what it was before the propagation; 0 where nothing answers."""
        assert self.points is not None
        scores = state.raw if raw else state.relevancy
        if self.points.answering is not None:
            scores = torch.where(self.points.answering >= 0, scores[self.points.answering], 0.0)
        return scores.cpu().numpy().astype(np.float32)

    @property
    def has_dense(self) -> bool:
        """Whether there are dense features to show."""
        return self.model is not None and self.model.language.dense_width > 0

    @cached_property
    def bases(self) -> dict[str, PcaBasis]:
        """Colours of features: one basis for the scene."""
        return {} if self.model is None else feature_bases(self.model.language, self.model.surface.latent)

    @cached_property
    def feature_points(self) -> dict[str, Float32[np.ndarray, "points 3"]]:
        """Colours of the points shown by their features."""
        assert self.model is not None
        language, latent = self.model.language, self.model.surface.latent
        return {
            name: apply_pca_basis(basis, surface_features(language, latent, name)[None])[0].numpy()
            for name, basis in self.bases.items()
        }

    def pick(
        self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"], states: Sequence[PhraseState] = ()
    ) -> tuple[Float[np.ndarray, " 3"] | None, list[float]]:
        """What a ray of the normalised frame meets, in that frame, and the relevancy of phrases there; None and nothing
        when it meets nothing."""
        table = CameraTable.from_cameras([_camera_along(origin, direction)], device=self.device, are_photos=False)
        pixel = torch.full((1, 2), 0.5, device=self.device)
        index = torch.zeros(1, dtype=torch.int64, device=self.device)
        language = self.model.language if self.model else None
        rays = self.radiance.trace(table, index, pixel, language.samples if language else RADIANCE_SAMPLES)
        if not bool(rays.hit):
            return None, []
        found = []
        if states:
            near = finish(self.surface()).reader.near(rays.median_position)
            found = near.read(torch.stack([state.relevancy for state in states]))[:, 0].tolist()
        return rays.median_position[0].cpu().double().numpy(), found

    def to_capture(self, point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
        """A point of the normalised frame in the capture's."""
        captured: Float[np.ndarray, " 3"] = self.scene.similarity.inverse().apply_points(point[None])[0]
        return captured

    def to_normalised(self, point: Sequence[float]) -> Float[np.ndarray, " 3"]:
        """A point of the capture's frame in the normalised one."""
        inside: Float[np.ndarray, " 3"] = self.scene.similarity.apply_points(np.array([point], np.float64))[0]
        return inside

    def thumbnail(self, photo: int) -> UInt8[np.ndarray, "height width 3"] | None:
        """A small copy of a photo; None when its file is not there any more."""
        with self._lock:
            if photo not in self._thumbnails:
                try:
                    image = Image.fromarray(self.scene.pixels(photo))
                    image.thumbnail((THUMBNAIL, THUMBNAIL))
                    self._thumbnails[photo] = np.asarray(image)
                except SceneError:
                    self._thumbnails[photo] = None
            return self._thumbnails[photo]


def open_scene_state(
    run: Path, *, weights: Path | None = None, offline: bool = False, device: str | None = None
) -> SceneState:
    """Open a run for looking at; one whose language is not trained yet shows its radiance.

    Raises:
        LerfError: as `lerf.load`, but for a language that is missing or unfinished.
    """
    folder = RunFolder(run)
    settings = folder.read_config()["settings"]
    if folder.has_stage("language") and folder.load_stage("language")[1].get("finished"):
        model = load(run, weights=weights, offline=offline, device=device)
        return SceneState(model.scene, model.radiance, model, "", model.device)
    device, scene = choose_device(device), folder.read_scene()
    radiance = open_radiance(folder, settings, scene, device)
    lacking = "This run has no language yet, so it cannot be asked; finish its training with 'lerf train'."
    return SceneState(scene, radiance, None, lacking, device)


def _camera_along(origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> Camera:
    """A camera of one pixel at `origin`, whose optical axis is `direction`."""
    back = -np.asarray(direction, np.float64) / np.linalg.norm(direction)
    aside = np.eye(3)[int(np.abs(back).argmin())]
    right = np.cross(aside, back)
    right /= np.linalg.norm(right)
    pose = np.stack([right, np.cross(back, right), back, np.asarray(origin, np.float64)], axis=1)
    return Camera(1, 1, 1.0, 1.0, 0.5, 0.5, pose)


def _at(urgency: Urgency, steps: Steps[T]) -> Generator[Urgency, None, T]:
    """Steps as those of a job of one urgency."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        yield urgency
