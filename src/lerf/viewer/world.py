"""What all pages look at: a run's fields, its surface as points, and the index that answers phrases."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor

import lerf.model
from lerf.apps.pictures import PcaBasis, apply_pca_basis, fit_pca_basis
from lerf.errors import LerfError, QueryError, SceneError
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.rays import RayBundle
from lerf.language.bake import bake
from lerf.language.cells import Index
from lerf.language.field import LightStops
from lerf.language.lifted import IndexLanguage
from lerf.model import SURFACE_POINTS, Model
from lerf.queries.answer import Answer
from lerf.queries.indexed import IndexUse, answers_from_index
from lerf.queries.phrases import Phrases, smallest_as_good
from lerf.queries.relevancy import relevancy
from lerf.queries.scales import candidate_scales, choose_scales, surface_relevancy
from lerf.queries.surface import Surface, build_surface, trace_surface
from lerf.radiance.hash_grid.field import RadianceField
from lerf.rendering.stops import stops_and_matter
from lerf.run.device import choose_device
from lerf.run.fields import load_radiance
from lerf.run.folder import RunFolder
from lerf.scenes.scene import Scene
from lerf.viewer.frames import Frame, Seen, embed
from lerf.viewer.jobs import Urgency
from lerf.viewer.words import in_words

THUMBNAIL = 96
"""Longest side of a photo's small copy, pixels."""
KEPT_BYTES = 256 << 20
"""Memory for what language needs of pictures already made, over all pages."""
RADIANCE_SAMPLES = 8
"""Of a ray that finds the surface where there is no language to say how many it needs."""


@dataclass(frozen=True)
class Cloud:
    """The surface as points."""

    points: Float32[np.ndarray, "points 3"]
    """Normalised frame."""
    colours: Float32[np.ndarray, "points 3"]
    """0..1."""
    cells: Tensor | None
    """Cell of the index in which each point lies, [points]; -1 where none is. None without an index."""


@dataclass(frozen=True)
class Reply:
    """What is known of one phrase."""

    answer: Answer
    """Capture frame."""
    scale: float
    """At which it was asked, normalised units."""
    automatic: bool
    """Whether the scale was chosen here and not by the page."""
    highest: float
    """Raw relevancy of the most relevant place in the scene."""
    places: Float[Tensor, " places"]
    """Raw relevancy of the index's cells, or without an index of the surface's points."""


class World:
    """Fields and what is derived from them. Only the scheduler's thread computes with them."""

    def __init__(self, scene: Scene, radiance: RadianceField, model: Model | None, lacking: str, device: str) -> None:
        """`lacking` says in a sentence why there is no language when `model` is None."""
        self.scene, self.radiance, self.model, self.lacking, self.device = scene, radiance, model, lacking, device
        self.cameras = model.cameras if model else CameraTable.from_cameras(
            [scene.normalised_camera(index) for index in range(len(scene))], device=device
        )  # fmt: skip
        self.index: Index | None = None
        self.surface: Surface | None = None
        self.cloud: Cloud | None = None
        self.answering = False
        """Whether phrases can be answered already."""
        self.stage = "starting"
        """What is being prepared, in words; empty when all is ready."""
        self.trouble = ""
        """What went wrong in the preparation."""
        self._listeners: list[Callable[[], None]] = []
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._thumbnails: dict[int, UInt8[np.ndarray, "h w 3"] | None] = {}
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

    def _tell(self, stage: str) -> None:
        self.stage = stage
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def prepare(self, use: IndexUse = "auto") -> Iterator[Urgency]:
        """Make ready what answers need: the index and the surface. Pages listen to the progress and stay usable.

        A job for the scheduler, because compiled kernels must not run on two threads at once.

        Args:
            use: `auto` takes the index of the run, or bakes one in memory; `ignore` asks the field itself.
        """
        try:
            if self.model is not None and use != "ignore":
                # A lifted run has no field to bake: its index answers while the page is in use.
                lifted = isinstance(self.model.language, IndexLanguage)
                self.index = self.model.index("require" if lifted else use)
                self.answering = self.index is not None
            yield from self._find_surface()
            if self.model is not None:
                if self.index is None and use != "ignore":
                    self._tell("baking an index")
                    yield Urgency.REFINING
                    self.index = bake(self.model, "")
                self.answering = True
            self._tell("colouring the points")
            yield from self._make_cloud()
        except Exception as error:
            if not isinstance(error, LerfError):
                traceback.print_exception(error, file=sys.stderr)
            self.trouble = f"The scene could not be made ready. {in_words(error)}"
        self._tell("")

    def _find_surface(self) -> Iterator[Urgency]:
        """Points where the rays of the training photos stop, photo by photo."""
        photos, parts = self.scene.train, []
        for number, photo in enumerate(photos):
            self._tell(f"finding the surface, photo {number + 1} of {len(photos)}")
            points = SURFACE_POINTS // len(photos)
            if self.model is not None:
                parts.append(build_surface(self.model.source, self.model.language, self.cameras, (photo,), points))
            else:
                parts.append(trace_surface(self.radiance, RADIANCE_SAMPLES, self.cameras, (photo,), points))
            yield Urgency.REFINING
        self.surface = _joined(parts)
        if self.model is not None:
            self.model.surface = self.surface

    def _make_cloud(self) -> Iterator[Urgency]:
        surface, colours = self.surface, []
        assert surface is not None
        for part in torch.arange(len(surface), device=self.device).split(8192):
            positions = surface.positions[part]
            directions = positions - self.cameras.positions[surface.photo[part]]
            _, geometry = self.radiance.density(positions)
            colours.append(self.radiance.colour(geometry, directions / directions.norm(dim=-1, keepdim=True)))
            yield Urgency.REFINING
        self.cloud = Cloud(
            surface.positions.cpu().numpy().astype(np.float32),
            torch.cat(colours).clamp(0, 1).cpu().numpy().astype(np.float32),
            None if self.index is None else self.index.locate(surface.positions),
        )

    def ask(
        self, phrases: Phrases, threshold: float, given: Sequence[float | None]
    ) -> Generator[None, None, list[Reply]]:
        """Where phrases are.

        Args:
            phrases: embedded.
            threshold: relevancy from which a phrase counts as present.
            given: for each phrase its scale in normalised units; None chooses the one that answers best.
        """
        model = self.model
        if model is None:
            raise QueryError(self.lacking)
        automatic = [scale is None for scale in given]
        if self.index is not None:
            chosen: list[float] = [found.scale for found in self.index.find(phrases, 1.0)] if any(automatic) else []
            yield
            scales = [chosen[row] if scale is None else scale for row, scale in enumerate(given)]
            places = [found.relevancy for found in self.index.find(phrases, 1.0, scales)]
            yield
            answers = answers_from_index(model, self.index, phrases, threshold, scales)
        else:
            chosen = (yield from self._field_scales(phrases)) if any(automatic) else []
            scales = [chosen[row] if scale is None else scale for row, scale in enumerate(given)]
            everything = torch.arange(len(model.surface), device=self.device)
            places = []
            for row, scale in enumerate(scales):
                one = Phrases(
                    phrases.texts[row : row + 1], phrases.queries[row : row + 1], phrases.canonical, phrases.temperature
                )
                places.append(surface_relevancy(model.language, model.surface, one, everything, scale)[0])
                yield
            answers = model.answers(phrases, scales, threshold)
        return [
            Reply(answer, scale, own, float(place.max()), place)
            for answer, scale, own, place in zip(answers, scales, automatic, places, strict=True)
        ]

    def _field_scales(self, phrases: Phrases) -> Generator[None, None, list[float]]:
        """`choose_scales` one scale at a time, so that other pages are served in between."""
        assert self.model is not None
        scales, peaks = candidate_scales(self.model.language.scale_range), []
        for scale in scales.split(1):
            peaks.append(choose_scales(self.model.language, self.model.surface, phrases, scale)[1])
            yield
        best: list[float] = scales[smallest_as_good(torch.cat(peaks, dim=-1)).cpu()].tolist()
        return best

    def point_relevancy(self, reply: Reply) -> Float32[np.ndarray, " points"]:
        """Raw relevancy of the cloud's points; 0 where the index has no cell."""
        assert self.cloud is not None
        if self.cloud.cells is None:
            return reply.places.cpu().numpy().astype(np.float32)
        known = self.cloud.cells >= 0
        return torch.where(known, reply.places[self.cloud.cells], 0.0).cpu().numpy().astype(np.float32)

    def point_features(self, dense: bool) -> Float32[np.ndarray, "points 3"]:
        """Colours of the cloud's points by their embeddings, or by their dense features."""
        return self._dense_points if dense else self._embedding_points

    @cached_property
    def _embedding_points(self) -> Float32[np.ndarray, "points 3"]:
        assert self.model is not None
        return self._feature_colours(self.bases[0], self.model.surface_features(len(self.model.surface))[0])

    @cached_property
    def _dense_points(self) -> Float32[np.ndarray, "points 3"]:
        assert self.model is not None
        assert self.bases[1] is not None
        dense = self.model.surface_features(len(self.model.surface))[1]
        assert dense is not None
        return self._feature_colours(self.bases[1], dense)

    @staticmethod
    def _feature_colours(basis: PcaBasis, features: Tensor) -> Float32[np.ndarray, "points 3"]:
        colours: Float32[np.ndarray, "points 3"] = apply_pca_basis(basis, features[None])[0].numpy()
        return colours

    @cached_property
    def bases(self) -> tuple[PcaBasis, PcaBasis | None]:
        """Colours of embeddings and of dense features: one basis for the scene."""
        assert self.model is not None
        embeddings, dense = self.model.surface_features()
        return fit_pca_basis(embeddings.cpu()), None if dense is None else fit_pca_basis(dense.cpu())

    @property
    def has_dense(self) -> bool:
        """Whether there are dense features to show."""
        return self.model is not None and self.model.language.dense_head is not None

    def pick(
        self,
        origin: Float[np.ndarray, " 3"],
        direction: Float[np.ndarray, " 3"],
        phrases: Phrases | None = None,
        scales: Sequence[float] = (),
    ) -> tuple[Float[np.ndarray, " 3"] | None, list[float]]:
        """What a ray of the normalised frame meets, in that frame, and the relevancy of phrases there at their scales;
        None and nothing when it meets nothing."""
        start = torch.tensor(origin, dtype=torch.float32, device=self.device)[None]
        along = torch.tensor(direction, dtype=torch.float32, device=self.device)[None]
        along = along / along.norm()
        ones = torch.ones(1, device=self.device)
        rays = RayBundle(start, along, ones, torch.full((1,), -1, device=self.device))
        language = self.model.language if self.model else None
        stops, matter = stops_and_matter(self.radiance, rays, language.config.samples if language else RADIANCE_SAMPLES)
        if not bool(matter):
            return None, []
        found = []
        if phrases is not None and self.model is not None and language is not None:
            for row, scale in enumerate(scales):
                embedding, known = embed(language, Seen(stops, matter, None), scale)
                one = phrases.queries[row : row + 1]
                score = relevancy(embedding, one, phrases.canonical, phrases.temperature)
                found.append(float(score * known))
        return stops.median_position[0].cpu().double().numpy(), found

    def to_capture(self, point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
        """A point of the normalised frame in the capture's."""
        captured: Float[np.ndarray, " 3"] = self.scene.similarity.inverse().apply_points(point[None])[0]
        return captured

    def to_normalised(self, point: Sequence[float]) -> Float[np.ndarray, " 3"]:
        """A point of the capture's frame in the normalised one."""
        inside: Float[np.ndarray, " 3"] = self.scene.similarity.apply_points(np.array([point], np.float64))[0]
        return inside

    def keep(self, frame: Frame) -> None:
        """Remember that a frame was used; those used longest ago lose what language needs, to bound the memory."""
        self._frames.pop(id(frame), None)
        self._frames[id(frame)] = frame
        while len(self._frames) > 1 and sum(kept.bytes for kept in self._frames.values()) > KEPT_BYTES:
            _, oldest = self._frames.popitem(last=False)
            oldest.seen = None

    def forget(self, frames: Sequence[Frame]) -> None:
        """Let go of frames that are not shown any more."""
        for frame in frames:
            self._frames.pop(id(frame), None)

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


def open_world(run: Path, *, weights: Path | None = None, offline: bool = False, device: str | None = None) -> World:
    """Open a run for looking at; one whose language is not trained yet shows its radiance.

    Raises:
        LerfError: as `lerf.load`, but for a language that is missing or unfinished.
    """
    folder = RunFolder(run)
    settings = folder.read_config()["settings"]
    if folder.has_stage("language") and folder.load_stage("language")[1].get("finished"):
        model = lerf.model.load(run, weights=weights, offline=offline, device=device)
        return World(model.scene, model.radiance, model, "", model.device)
    device, scene = choose_device(device), folder.read_scene()
    radiance = load_radiance(folder, settings, scene, device)
    lacking = "This run has no language yet, so it cannot be asked; finish its training with 'lerf train'."
    return World(scene, radiance, None, lacking, device)


def _joined(parts: Sequence[Surface]) -> Surface:
    """The surface that several photos see."""
    stops = LightStops.joined([part.stops for part in parts])
    features = [part.features for part in parts if part.features is not None]
    depth_maps = {photo: depths for part in parts for photo, depths in part.depth_maps.items()}
    photo = torch.cat([part.photo for part in parts])
    return Surface(stops, torch.cat(features) if features else None, photo, depth_maps)
