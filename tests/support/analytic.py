"""A second radiance, known exactly: spheres above a floor, photographed on a ring, and models that stand on it.

Units and axes of the capture: +z is up, the floor is z = -2, the spheres have radii of 1 to 1.5 and stand around
`MIDDLE`. The normalised frame is turned, moved and about 7 times smaller. Nothing here is trained but language.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from colour_words import ColourMap, ColourWords
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.rays import RayBundle
from lerf.geometry.similarity import Similarity, normalising_similarity
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import CellIndex
from lerf.language.config import Estimator, LanguageConfig
from lerf.language.field import LanguageField
from lerf.language.lift import LiftInputs, lift
from lerf.language.protocol import LanguageSource
from lerf.model import Model, QueryDefaults
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.store import build_pyramids
from lerf.radiance.protocol import ColourPicture
from lerf.radiance.surface import trace_surface
from lerf.run.open_run import source_of
from lerf.scenes.scene import Photo, Scene
from lerf.steps import Steps, finish
from lerf.training.language import LanguageTrainer, LanguageTraining
from lerf.training.ray_pool import draw_pool

FLOOR, SKY = -1, -2
"""Owners of rays that meet no sphere."""
Kind = Literal["deferred", "per-sample", "lift"]
"""How language comes about."""
MIDDLE = np.array([10.0, -5.0, -1.0])
WIDTH, HEIGHT = 48, 36
SAMPLES = 4
"""Of a ray, as language would read them; the radiance has one."""


@dataclass(frozen=True)
class Sphere:
    """A coloured ball."""

    name: str
    """What it is asked for by: a colour word."""
    centre: tuple[float, float, float]
    radius: float
    colour: tuple[float, float, float]

    def moved(self, similarity: Similarity) -> Sphere:
        """The same ball in another frame."""
        x, y, z = similarity.apply_points(np.array([self.centre]))[0].tolist()
        return Sphere(self.name, (x, y, z), self.radius * similarity.scale, self.colour)

    def outside(self, points: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points"]:
        """Distance of points from the surface; negative inside."""
        return np.linalg.norm(np.asarray(points) - self.centre, axis=-1) - self.radius


@dataclass(frozen=True)
class Disc:
    """A round floor."""

    centre: tuple[float, float, float]
    normal: tuple[float, float, float]
    radius: float

    def moved(self, similarity: Similarity) -> Disc:
        """The same floor in another frame."""
        x, y, z = similarity.apply_points(np.array([self.centre]))[0].tolist()
        a, b, c = (similarity.rotation @ np.array(self.normal)).tolist()
        return Disc((x, y, z), (a, b, c), self.radius * similarity.scale)


SPHERES = (
    Sphere("red", (12.2, -5.4, -0.6), 1.4, (0.85, 0.10, 0.08)),
    Sphere("blue", (8.6, -2.9, -1.0), 1.0, (0.10, 0.20, 0.85)),
    Sphere("yellow", (8.9, -7.2, -0.8), 1.2, (0.90, 0.80, 0.10)),
)
GROUND = Disc((10.0, -5.0, -2.0), (0.0, 0.0, 1.0), 7.0)


class AnalyticRadiance:
    """Implements `Radiance`: all light of a ray stops where it first meets a surface, and none where it meets none."""

    def __init__(self, spheres: tuple[Sphere, ...], floor: Disc) -> None:
        """Both in the normalised frame."""
        self.spheres, self.floor = spheres, floor

    def hits(self, rays: RayBundle) -> tuple[Float[Tensor, " rays"], Int[Tensor, " rays"]]:
        """Distance to the first surface, infinite where there is none; and index of its sphere, `FLOOR` or `SKY`."""
        spheres = [_meet_sphere(rays, sphere) for sphere in self.spheres]
        distance, owner = torch.stack([*spheres, _meet_disc(rays, self.floor)]).min(0)
        owner = torch.where(owner == len(self.spheres), FLOOR, owner)
        return distance, torch.where(distance.isfinite(), owner, SKY)

    def trace(
        self,
        cameras: CameraTable,
        index: Int[Tensor, " rays"],
        pixels: Float[Tensor, "rays 2"],
        heaviest: int,
        samples: int | None = None,
    ) -> TracedRays:
        """See `Radiance.trace`: one sample a ray."""
        rays = cameras.rays(index, pixels)
        distance, owner = self.hits(rays)
        distance = torch.where(owner == SKY, 1.0, distance)
        positions = rays.origins + rays.directions * distance[:, None]
        depth = distance * rays.axis_cosine
        weights = torch.ones(len(distance), 1, device=depth.device)
        return TracedRays(positions[:, None], weights, depth[:, None], owner != SKY, depth, positions)

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        """See `Radiance.render`: each surface in its colour, darker where it is turned away from above; white sky."""
        width, height = cameras.sizes[index].tolist()
        pixels = image_pixels(width, height, cameras.positions.device)
        rays = cameras.rays(torch.full((len(pixels),), index, device=pixels.device), pixels)
        distance, owner = self.hits(rays)
        yield
        points = rays.origins + rays.directions * torch.where(owner == SKY, 1.0, distance)[:, None]
        colour = torch.ones_like(points)
        colour[owner == FLOOR] = 0.6
        up = torch.tensor(self.floor.normal, device=points.device)
        for number, sphere in enumerate(self.spheres):
            own = owner == number
            normal = F.normalize(points[own] - torch.tensor(sphere.centre, device=points.device), dim=-1)
            light = 0.7 + 0.3 * (normal @ up)
            colour[own] = light[:, None] * torch.tensor(sphere.colour, device=points.device)
        depth = torch.where(owner == SKY, torch.nan, distance * rays.axis_cosine)
        shape = (height, width)
        return ColourPicture(colour.view(*shape, 3), depth.view(shape), (owner != SKY).float().view(shape))


def _meet_sphere(rays: RayBundle, sphere: Sphere) -> Float[Tensor, " rays"]:
    away = rays.origins.double() - torch.tensor(sphere.centre, dtype=torch.float64, device=rays.origins.device)
    along = (away * rays.directions).sum(-1)
    root = along.square() - away.square().sum(-1) + sphere.radius**2
    distance = -along - root.clamp(min=0).sqrt()
    return torch.where((root > 0) & (distance > 0), distance, torch.inf).float()


def _meet_disc(rays: RayBundle, disc: Disc) -> Float[Tensor, " rays"]:
    centre, normal = (torch.tensor(v, device=rays.origins.device) for v in (disc.centre, disc.normal))
    distance = ((centre - rays.origins) @ normal) / (rays.directions @ normal)
    points = rays.origins + distance[:, None] * rays.directions
    within = (points - centre).norm(dim=-1) <= disc.radius
    return torch.where(within & (distance > 0), distance, torch.inf)


@dataclass(frozen=True)
class AnalyticCapture:
    """The spheres as a capture: its scene, and the radiance in the scene's normalised frame."""

    scene: Scene
    spheres: tuple[Sphere, ...] = SPHERES
    """Capture frame."""
    floor: Disc = GROUND

    @cached_property
    def radiance(self) -> AnalyticRadiance:
        """What the photos were taken of."""
        moved = tuple(sphere.moved(self.scene.similarity) for sphere in self.spheres)
        return AnalyticRadiance(moved, self.floor.moved(self.scene.similarity))

    @cached_property
    def cameras(self) -> CameraTable:
        """Of all photos, normalised frame."""
        return CameraTable.from_cameras([self.scene.normalised_camera(photo) for photo in range(len(self.scene))])

    def sphere(self, name: str) -> Sphere:
        """The one of that name, capture frame."""
        return next(sphere for sphere in self.spheres if sphere.name == name)

    def owners(self, photo: int) -> Int[Tensor, "height width"]:
        """What each pixel of a photo shows: index of a sphere, `FLOOR` or `SKY`."""
        width, height = self.cameras.sizes[photo].tolist()
        pixels = image_pixels(width, height)
        rays = self.cameras.rays(torch.full((len(pixels),), photo), pixels)
        return self.radiance.hits(rays)[1].view(height, width)

    @cached_property
    def pyramids(self) -> tuple[PyramidTable, PyramidTable]:
        """Embeddings and dense features of the training photos; a tile is the colour words of what it shows."""
        photos = [partial(self.scene.pixels, photo) for photo in self.scene.train]
        encoders = (ColourWords(), ColourMap())
        targets, dense = (PyramidTable.from_store(build_pyramids(photos, encoder)) for encoder in encoders)
        return targets, dense


def photograph(folder: Path, views: int = 12) -> AnalyticCapture:
    """Write the photos of a ring of cameras around the spheres; every sixth is held out."""
    cameras = [_camera(number, views) for number in range(views)]
    similarity = normalising_similarity(np.stack([camera.camera_to_world for camera in cameras]))
    # Turned beyond what makes up upright, so that no test can take one frame's axes for the other's.
    turn = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
    similarity = Similarity(turn @ similarity.rotation, turn @ similarity.translation, similarity.scale)
    photos = tuple(
        Photo(f"images/{number:04d}.png", folder / "images" / f"{number:04d}.png", camera, (WIDTH, HEIGHT))
        for number, camera in enumerate(cameras)
    )
    test = tuple(range(0, views, 6))
    train = tuple(number for number in range(views) if number not in test)
    capture = AnalyticCapture(Scene(folder, photos, train, test, similarity))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos):
        colour = finish(capture.radiance.render(capture.cameras, number)).colour
        Image.fromarray((255 * colour).round().byte().numpy()).save(photo.path)
    return capture


def _camera(number: int, views: int) -> Camera:
    """On a ring 7 from the middle, in two rows, looking at the middle."""
    azimuth, elevation = 2 * np.pi * number / views, np.deg2rad((20.0, 40.0)[number % 2])
    level = np.cos(elevation)
    away = np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)])
    right = np.cross([0.0, 0.0, 1.0], away)
    right /= np.linalg.norm(right)
    pose = np.column_stack([right, np.cross(away, right), away, MIDDLE + 7.0 * away])
    return Camera(WIDTH, HEIGHT, 44.0, 44.0, WIDTH / 2, HEIGHT / 2, pose)


SIZES = LanguageConfig(
    grids=((4, 8, 48),), features=2, log2_entries=13, hidden=32, layers=1, dense_hidden=16, samples=SAMPLES
)
TRAINING = LanguageTraining(
    steps=100, rays=512, rate=3e-2, final_rate=1e-2, decay_steps=100, clip_weight=1.0, dense_weight=0.1
)
"""Few steps, and as large as they may be."""


def language_of(capture: AnalyticCapture, kind: Kind) -> LanguageSource:
    """Language on the radiance: a field trained with an estimator, or the pyramids lifted onto it."""
    if kind == "lift":
        return CellLanguage(lifted(capture), SAMPLES)
    return source_of(trained(capture, kind))


def lifted(capture: AnalyticCapture) -> CellIndex:
    """The index that lifting makes of the photos' pyramids."""
    surface = finish(trace_surface(capture.radiance, capture.cameras, capture.scene.train, SAMPLES, points=12_000))
    inputs = LiftInputs(surface, capture.radiance, capture.cameras, capture.scene.train, SAMPLES, ColourWords())
    return lift(inputs, capture.pyramids[0], "c" * 64)


def trained(capture: AnalyticCapture, estimator: Estimator) -> LanguageField:
    """A field trained on a pool of the radiance's rays, as `lerf train` does it."""
    targets, dense = capture.pyramids
    generator = torch.Generator().manual_seed(0)
    pool = draw_pool(
        capture.radiance, capture.cameras, capture.scene.train, 20_000, SAMPLES, generator, lambda photo: None
    )
    ratios = targets.ratios.tolist()
    torch.manual_seed(1)
    sizes = replace(SIZES, estimator=estimator)
    field = LanguageField(sizes, targets.width, dense.width, pool.scale_range(ratios))
    unit = pool.height_per_depth * pool.rays.median_depth
    field.bounds.note(pool.rays.median_position, unit * ratios[0], unit * ratios[-1])
    field.bounds.widen()
    trainer = LanguageTrainer(field, TRAINING, pool, targets, dense, seed=2)
    for _ in range(TRAINING.steps):
        trainer.step()
    return field.eval()


def model_of(capture: AnalyticCapture, language: LanguageSource, folder: Path | None = None) -> Model:
    """The model of the capture with a language."""
    encoder = ColourWords()
    told = encoder.defaults
    defaults = QueryDefaults(told.canonical, told.temperature, told.threshold)
    return Model(capture.scene, capture.radiance, language, encoder, defaults=defaults, folder=folder)
