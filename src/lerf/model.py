"""A trained LERF: query it, render it, read relevancy at points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError, QueryError, RunError
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.contraction import contract
from lerf.geometry.rays import RadianceSource
from lerf.language.cells import Index
from lerf.language.field import LanguageField, LightStops
from lerf.language.folded_head import Asked
from lerf.language.lifted import IndexLanguage, Language
from lerf.queries.answer import Answer, Geometry, Instance, QueryResult, clean_phrases
from lerf.queries.best_view import best_view, unoccluded
from lerf.queries.indexed import IndexUse, answers_from_index, differences, lifted_index, note, open_index
from lerf.queries.instances import JOIN_SHARE, answering_regions, robust_diagonal, robust_extent
from lerf.queries.phrases import Phrases, presence
from lerf.queries.propagation import SurfaceGraph
from lerf.queries.relevancy import relevancy
from lerf.queries.scales import candidate_scales, choose_scales, surface_relevancy
from lerf.queries.surface import SURFACE_POINTS, Surface, build_surface
from lerf.radiance.hash_grid.field import RadianceField
from lerf.rendering.image import ColourPicture, render_colour, view_rays
from lerf.rendering.stops import stops_and_matter
from lerf.rendering.view_cache import ViewMemory
from lerf.run.device import choose_device
from lerf.run.fields import load_radiance
from lerf.run.folder import RunFolder
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene


@dataclass(frozen=True)
class View:
    """A rendered view; relevancy by phrase."""

    picture: ColourPicture
    """Its depth in capture units."""
    relevancy: dict[str, Float[Tensor, "height width"]]
    """Raw relevancy 0..1 at the phrase's scale; 0 where nothing stands."""
    scales: dict[str, float]
    """Capture units."""


class Model:
    """Fields, cameras and encoder of one run. Positions, scales and extents are in the capture frame."""

    def __init__(
        self,
        scene: Scene,
        radiance: RadianceField,
        language: Language,
        encoder: ImageTextEncoder,
        *,
        canonical: Sequence[str],
        temperature: float,
        threshold: float,
        device: str = "cpu",
        folder: Path | None = None,
    ) -> None:
        """`folder` is where a baked index is looked for."""
        self.scene, self.radiance, self.language, self.encoder = scene, radiance, language, encoder
        self.canonical, self.temperature, self.threshold = tuple(canonical), temperature, threshold
        self.device, self.folder = device, folder
        self._indices: dict[IndexUse, Index | None] = {}
        self.views = ViewMemory()
        self.cameras = CameraTable.from_cameras(
            [scene.normalised_camera(index) for index in range(len(scene))], device=device
        )

    @property
    def source(self) -> RadianceSource:
        """What says where light stops."""
        return self.radiance

    @cached_property
    def surface(self) -> Surface:
        """Surface points of the training photos, built at the first query."""
        return build_surface(self.source, self.language, self.cameras, self.scene.train, SURFACE_POINTS)

    @cached_property
    def _contracted_surface(self) -> tuple[Float[Tensor, "points 3"], float]:
        """Surface points in the contracted frame, and the side of the cells that join them into instances."""
        positions = contract(self.surface.positions)
        return positions, JOIN_SHARE * robust_diagonal(positions)

    @cached_property
    def _graph(self) -> SurfaceGraph:
        return SurfaceGraph.of(self._contracted_surface[0])

    def phrases(
        self, texts: str | Sequence[str], canonical: Sequence[str] | None = None, temperature: float | None = None
    ) -> Phrases:
        """Embed phrases and the canonical phrases they must beat.

        Raises:
            QueryError: an empty phrase, no canonical phrase, or a temperature that is not positive.
        """
        cleaned = clean_phrases(texts)
        rivals = clean_phrases(list(self.canonical if canonical is None else canonical))
        heat = self.temperature if temperature is None else temperature
        if not (np.isfinite(heat) and heat > 0):
            raise QueryError(f"The temperature must be a positive number, not {heat}.")
        embedded = self.encoder.encode_text([*cleaned, *rivals]).to(self.device)
        return Phrases(tuple(cleaned), embedded[: len(cleaned)], embedded[len(cleaned) :], heat)

    def choose_scales(self, phrases: Phrases) -> list[float]:
        """For each phrase the scale at which it answers best in the whole scene, normalised units."""
        if isinstance(self.language, IndexLanguage):
            return [found.scale for found in self.language.index.find(phrases, threshold=1.0)]
        scales = candidate_scales(self.language.scale_range)
        return choose_scales(self.language, self.surface, phrases, scales)[0].tolist()

    def choose_view_scales(self, cameras: CameraTable, index: int, phrases: Phrases) -> list[float]:
        """For each phrase the scale at which it answers best in one view, as the paper chooses, normalised units."""
        sweep = self.views.sweep(self.source, self.language, cameras, index)
        return sweep.choose(phrases)

    def query(
        self,
        texts: str | Sequence[str],
        *,
        canonical: Sequence[str] | None = None,
        temperature: float | None = None,
        threshold: float | None = None,
        scale: float | None = None,
        index: IndexUse = "auto",
        compare: bool = False,
    ) -> QueryResult:
        """Where in the scene phrases are, if they are.

        Args:
            texts: one phrase or several.
            canonical: phrases to beat, instead of the run's.
            temperature: factor on cosines, instead of the encoder's.
            threshold: relevancy from which a phrase counts as present, instead of the encoder's.
            scale: tile height in capture units for all phrases, instead of the best one.
            index: whether the baked index answers (`lerf bake`): where a fresh one is there, always, or never. It
                knows a few scales only, and answers a given one at the closest.
            compare: with an index, also ask the field how far each answer is from its own.

        Raises:
            QueryError: an empty phrase or a setting out of range.
            RunError: an index is required and there is none, or none of this state of the run.
        """
        phrases = self.phrases(texts, canonical, temperature)
        limit = self.threshold if threshold is None else threshold
        if not 0.0 <= limit <= 1.0:
            raise QueryError(f"The threshold must lie in 0..1, not {limit}.")
        fixed = None if scale is None else [self.normalised_scale(scale)] * len(phrases.texts)
        names = self.canonical if canonical is None else tuple(clean_phrases(list(canonical)))
        baked = self.index(index)
        if baked is not None:
            told = note(baked)
            if compare:
                told = replace(told, differences=differences(self, baked, phrases, fixed))
            answers = answers_from_index(self, baked, phrases, limit, fixed)
            return QueryResult(self.encoder.name, names, phrases.temperature, limit, answers, told)
        if compare:
            raise QueryError("There is no index to compare with the field; make one with 'lerf bake'.")
        answers = self.answers(phrases, fixed or self.choose_scales(phrases), limit)
        return QueryResult(self.encoder.name, names, phrases.temperature, limit, answers)

    def index(self, use: IndexUse = "auto") -> Index | None:
        """The baked index that answers queries, read on first use, or None where the field does; see `open_index`.

        A run whose language was lifted is an index already. Its cells answer alone only where that is required:
        composited along the rays of the surface they answer better, as single cells are noisy.
        """
        if isinstance(self.language, IndexLanguage):
            return self.language.index if use == "require" else None
        if use not in self._indices:
            self._indices[use] = open_index(self.folder, self.encoder, self.device, use)
        return self._indices[use]

    def answers(self, phrases: Phrases, scales: Sequence[float], threshold: float) -> tuple[Answer, ...]:
        """Where embedded phrases are, if they are, each asked at its scale in normalised units."""
        everything = torch.arange(len(self.surface), device=self.device)
        answers: dict[int, Answer] = {}
        for rows, together, chosen in _at_equal_scales(phrases, scales):
            scores = surface_relevancy(self.language, self.surface, together, everything, chosen)
            for row, text, own in zip(rows, together.texts, scores, strict=True):
                answers[row] = self._answer(text, own, chosen, threshold)
        return tuple(answers[row] for row in range(len(answers)))

    def render(
        self,
        camera: Camera | int,
        query: str | Sequence[str] | None = None,
        *,
        canonical: Sequence[str] | None = None,
        temperature: float | None = None,
        scale: float | None = None,
    ) -> View:
        """Colour, depth and the relevancy of phrases seen by a camera.

        Args:
            camera: index of a photo, or a camera in the capture frame.
            query: phrases whose relevancy is wanted.
            canonical: as in `query`.
            temperature: as in `query`.
            scale: as in `query`; by default each phrase's scale is chosen once for the whole scene.
        """
        cameras, index = self._camera(camera)
        unit = self.scene.similarity.scale
        picture = render_colour(self.radiance, cameras, index)
        picture = replace(picture, depth=picture.depth / unit)
        if query is None:
            return View(picture, {}, {})
        phrases = self.phrases(query, canonical, temperature)
        fixed = None if scale is None else self.normalised_scale(scale)
        scales = self.choose_scales(phrases) if fixed is None else [fixed] * len(phrases.texts)
        maps = self.relevancy_maps(cameras, index, phrases, scales)
        return View(
            picture,
            dict(zip(phrases.texts, maps, strict=True)),
            {text: value / unit for text, value in zip(phrases.texts, scales, strict=True)},
        )

    @torch.no_grad()
    def surface_features(
        self, points: int = 5000
    ) -> tuple[Float[Tensor, "points embedding"], Float[Tensor, "points dense"] | None]:
        """Embeddings, at the middle of the scales seen in training, and dense features of about `points` points."""
        chosen = torch.arange(0, len(self.surface), max(1, len(self.surface) // points), device=self.device)
        asked = torch.full((len(chosen),), self.language.middle_scale, device=self.device)
        at, _ = self.language.bounds.nearest_supervised(self.surface.positions[chosen], asked)
        dense = None
        if self.language.dense_head is not None:
            dense = self.language.render_dense(self.surface.stops_of(chosen))
        return self.surface.embed(self.language, chosen, at), dense

    @torch.no_grad()
    def render_features(
        self, camera: Camera | int, scale: float | None = None
    ) -> tuple[Float[Tensor, "height width embedding"], Float[Tensor, "height width dense"] | None]:
        """Rendered unit embeddings, and rendered dense features where the field was trained with a regulariser.

        Args:
            camera: as in `render`.
            scale: tile height in capture units; by default the middle of what training saw.
        """
        cameras, index = self._camera(camera)
        width, height = cameras.sizes[index].tolist()
        wanted = self.language.middle_scale if scale is None else self.normalised_scale(scale)
        embeddings, maps = [], []
        for rays in view_rays(cameras, index):
            stops, _ = stops_and_matter(self.source, rays, self.language.config.samples)
            asked = torch.full((len(rays),), wanted, device=self.device)
            at, _ = self.language.bounds.nearest_supervised(stops.median_position, asked)
            embeddings.append(self.language.render_at_scale(stops, at))
            if self.language.dense_head is not None:
                maps.append(self.language.render_dense(stops))
        shape = (height, width, -1)
        return torch.cat(embeddings).view(shape), torch.cat(maps).view(shape) if maps else None

    def _camera(self, camera: Camera | int) -> tuple[CameraTable, int]:
        """A photo's index, or a camera in the capture frame, as a place in a table of normalised cameras."""
        if isinstance(camera, Camera):
            moved = camera.moved(self.scene.similarity)
            return CameraTable.from_cameras([moved], device=self.device, are_photos=False), 0
        if not 0 <= int(camera) < len(self.scene):
            raise QueryError(f"The run has photos 0 to {len(self.scene) - 1}, not {camera}.")
        return self.cameras, int(camera)

    @torch.no_grad()
    def relevancy_maps(
        self, cameras: CameraTable, index: int, phrases: Phrases, scales: Sequence[float]
    ) -> Float[Tensor, "phrases height width"]:
        """Raw relevancy of phrases at their scales (normalised units) over a picture."""
        width, height = cameras.sizes[index].tolist()
        parts = []
        ready = [
            (rows, Asked(self.language, together), scale) for rows, together, scale in _at_equal_scales(phrases, scales)
        ]
        for part in self.views.parts(self.source, self.language, cameras, index):
            scores = torch.empty(len(scales), len(part.matter), device=self.device)
            for rows, asked, scale in ready:
                wanted = torch.full((len(part.matter),), scale, device=self.device)
                at, seen = self.language.bounds.nearest_supervised(part.positions, wanted)
                scores[rows] = asked.relevancy(part.features, part.stops, at) * (seen & part.matter)
            parts.append(scores)
        return torch.cat(parts, dim=1).view(len(scales), height, width)

    @torch.no_grad()
    def relevancy_at(
        self, points: Float[np.ndarray, "points 3"] | Float[Tensor, "points 3"], query: str, scale: float
    ) -> Float[Tensor, " points"]:
        """Relevancy of a phrase at points of the capture frame and a scale in capture units, 0..1.

        Each point answers at the closest scale that photos supervised there, and with 0 where there was none; it need
        not lie on a surface.
        """
        phrases = self.phrases(query)
        array = np.asarray(points.cpu() if isinstance(points, Tensor) else points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
            raise QueryError(f"Points must be finite numbers of shape [points, 3], not of shape {list(array.shape)}.")
        inside = self.scene.similarity.apply_points(array)
        positions = torch.from_numpy(inside.astype(np.float32)).to(self.device)
        asked = torch.full((len(positions),), self.normalised_scale(scale), device=self.device)
        scales, seen = self.language.bounds.nearest_supervised(positions, asked)
        # A point is a ray all of whose light stops there.
        ones = torch.ones(len(positions), 1, device=self.device)
        stops = LightStops(positions[:, None], ones, ones, ones[:, 0], positions)
        embedding = self.language.render_at_scale(stops, scales)
        scores = relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature)[0]
        return scores * seen

    def normalised_scale(self, scale: float) -> float:
        """A scale in capture units as one in normalised units.

        Raises:
            QueryError: when it is not a positive length.
        """
        if not (np.isfinite(scale) and scale > 0):
            raise QueryError(f"The scale must be a positive length in capture units, not {scale}.")
        return scale * self.scene.similarity.scale

    def _answer(self, text: str, scores: Float[Tensor, " points"], scale: float, threshold: float) -> Answer:
        score = presence(scores)
        if score < threshold:
            return Answer(text, score)
        positions, cell_size = self._contracted_surface
        regions = answering_regions(positions, scores, score, threshold, cell_size, self._graph)
        # Where only scattered points pass, the best of them is the answer.
        found = [(r.best, r.indices) for r in regions] or [(int(scores.argmax()), scores.argmax()[None])]
        instances = tuple(
            Instance(float(scores[best]), self._surface_geometry(best, members, scale)) for best, members in found
        )
        return Answer(text, score, instances[0].geometry, instances)

    def _surface_geometry(self, index: int, members: Int[Tensor, " members"], scale: float) -> Geometry:
        position = self.surface.positions[index]
        used, _ = self.language.bounds.nearest_supervised(position[None], torch.full_like(position[:1], scale))
        return self.geometry(position, self.surface.positions[members], float(used), self._raster_depths)

    def geometry(
        self,
        position: Float[Tensor, " 3"],
        members: Float[Tensor, "members 3"],
        scale: float,
        surface_depths: Callable[[Tensor], Tensor],
    ) -> Geometry:
        """A region of the normalised frame in the capture frame, with the photo that shows its best point best.

        Args:
            position: the best point.
            members: all points.
            scale: at which it answers, normalised units.
            surface_depths: depth of the surface that each training photo shows at its pixel, from pixels [photos, 2].
        """
        similarity = self.scene.similarity.inverse()
        # The frames differ by a rotation: an extent along the capture's axes needs the points, not a box around them.
        captured = torch.from_numpy(similarity.apply_points(members.cpu().numpy()))
        point = similarity.apply_points(position.cpu().numpy()[None])[0]
        low, high = robust_extent(captured, torch.from_numpy(point))
        view, pixel = self._best_view(position, surface_depths)
        extent = (_vector(low.numpy()), _vector(high.numpy()))
        return Geometry(_vector(point), scale / self.scene.similarity.scale, extent, view, pixel)

    def _best_view(
        self, position: Float[Tensor, " 3"], surface_depths: Callable[[Tensor], Tensor]
    ) -> tuple[str | None, tuple[float, float] | None]:
        photos = list(self.scene.train)
        projected = [self.cameras.project(photo, position[None]) for photo in photos]
        pixels = torch.cat([pixel for pixel, _ in projected])
        depth = torch.cat([depth for _, depth in projected])
        found = best_view(
            pixels,
            depth,
            unoccluded(depth, surface_depths(pixels)),
            self.cameras.sizes[photos].float(),
            self.cameras.focal[photos, 1],
        )
        if found is None:
            return None, None
        photo = photos[found.photo]
        x, y = self.scene.to_original_pixel(photo, *found.pixel)
        return self.scene.photos[photo].name, (float(x), float(y))

    def _raster_depths(self, pixels: Float[Tensor, "photos 2"]) -> Float[Tensor, " photos"]:
        return torch.stack(
            [self._raster_depth(photo, pixel) for photo, pixel in zip(self.scene.train, pixels, strict=True)]
        )

    def _raster_depth(self, photo: int, pixel: Float[Tensor, " 2"]) -> Tensor:
        depth_map = self.surface.depth_maps[photo]
        rows, columns = depth_map.shape
        width, height = self.cameras.sizes[photo].tolist()
        x, y = pixel.tolist()
        if not (0 <= x < width and 0 <= y < height):
            return torch.tensor(torch.nan, device=depth_map.device)
        return depth_map[int(y * rows / height), int(x * columns / width)]


def _at_equal_scales(phrases: Phrases, scales: Sequence[float]) -> Iterator[tuple[list[int], Phrases, float]]:
    """Phrases that are asked at one scale together: their rows, themselves and the scale. Embedding is what costs."""
    for scale in dict.fromkeys(scales):
        rows = [row for row, own in enumerate(scales) if own == scale]
        texts = tuple(phrases.texts[row] for row in rows)
        yield rows, Phrases(texts, phrases.queries[rows], phrases.canonical, phrases.temperature), scale


def _vector(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def load(
    run: str | Path, *, weights: str | Path | None = None, offline: bool = False, device: str | None = None
) -> Model:
    """Open a trained run.

    Args:
        run: folder that `lerf train` wrote.
        weights: encoder weights, where they are not at their usual place.
        offline: forbid downloads.
        device: by default `cuda` where there is one.

    Raises:
        RunError: not a run, unfinished, damaged, or of a newer version.
        ConfigError: the device is not available.
        EncoderError: the encoder's weights are missing or not those that the run was trained with.
    """
    folder, device = RunFolder(Path(run)), choose_device(device)
    config = folder.read_config()
    settings: TrainSettings = config["settings"]
    scene = folder.read_scene()
    radiance = load_radiance(folder, settings, scene, device)
    tensors, facts = folder.load_stage("language")
    if not facts.get("finished"):
        raise RunError(f"The language training of {folder.path} is not finished; run the same 'lerf train' again.")
    language: Language
    if "index" in facts:
        language = IndexLanguage(lifted_index(folder, tensors, facts, device), settings.language)
    else:
        field = LanguageField(settings.language, facts.get("width", 1), facts.get("dense_width", 0), (1.0, 2.0))
        folder.restore_field("language", field, tensors)
        language = field.to(device).eval()
    given = weights or settings.weights
    encoder = load_encoder(settings.encoder, Path(given) if given else None, offline, device)
    if encoder.fingerprint != config["encoder_fingerprint"]:
        raise EncoderError(
            f"{folder.path} was trained with other weights of '{settings.encoder}'; give the same ones with --weights."
        )
    return Model(
        scene,
        radiance,
        language,
        encoder,
        canonical=config["canonical"],
        temperature=config["temperature"],
        threshold=config["threshold"],
        device=device,
        folder=folder.path,
    )
