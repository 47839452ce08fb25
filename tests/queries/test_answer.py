"""Answers on a surface written by hand: two plates on a table, what they mean at three scales, and who sees them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sources import CELL, index_of

from lerf.errors import RunError
from lerf.geometry.camera import Camera
from lerf.geometry.contraction import contract
from lerf.geometry.similarity import Similarity
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.protocol import LanguageSource, Latent
from lerf.queries.answer import AnswerSettings, answer, answer_steps
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.phrases import Phrases
from lerf.queries.propagation import SurfaceGraph
from lerf.queries.surface import DepthMaps, Surface, surface_of_cells
from lerf.scenes.scene import Photo, Scene

SCALES = torch.tensor([0.05, 0.1, 0.2])
THING, OTHER, CANONICAL, NOTHING = F.normalize(torch.eye(6)[:4], dim=-1)
PHRASES = Phrases(("thing", "nothing"), torch.stack([THING, NOTHING]), CANONICAL[None], 5.0, ("object",))
TURN = Similarity(np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]]), np.array([0.3, -0.5, 0.1]), 0.25)
"""Capture frame to normalised frame."""


class WrittenLanguage:
    """Implements `LanguageSource`: the embeddings of each point are written down, scale by scale."""

    width, dense_width, samples, rays_at_once, kept_code = 6, 0, 1, 1000, 0
    scales = SCALES
    picture_samples = (1, None)

    def __init__(self, written: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> None:
        """`written`: [points, scales, width]; photos supervised scales from `low` to `high`, [points]."""
        self.latent = Latent({"written": written}, low, high)

    def supported(self, rays):
        return self.latent.low, self.latent.high

    def encode(self, rays):
        return self.latent

    def for_many_phrases(self, latent):
        return latent

    scale_latent = for_many_phrases

    def embed(self, latent, scale):
        nearest = (SCALES - latent.nearest_scale(scale)[:, None]).abs().argmin(-1)
        return latent.tensors["written"][torch.arange(len(latent)), nearest]

    codes = embed

    def project(self, texts):
        return texts

    def cosines(self, latent, texts, scale):
        return texts @ self.embed(latent, scale).T

    def dense(self, latent):
        raise NotImplementedError


def plane(rows: int, columns: int, step: float, corner: tuple[float, float, float], upright: bool) -> torch.Tensor:
    """A lattice in the plane of x and y, or upright in that of x and z."""
    first, second = torch.meshgrid(torch.arange(columns) * step, torch.arange(rows) * step, indexing="xy")
    flat = torch.zeros(rows * columns)
    axes = (first.flatten(), flat, second.flatten()) if upright else (first.flatten(), second.flatten(), flat)
    return torch.stack(axes, dim=-1) + torch.tensor(corner)


LEFT, RIGHT = plane(9, 8, 0.02, (-0.3, 0.0, 0.02), True), plane(9, 8, 0.02, (0.16, 0.0, 0.02), True)
TABLE = plane(40, 40, 0.025, (-0.5, -0.5, 0.0), False)
POINTS = torch.cat([LEFT, RIGHT, TABLE])
OWNERS = torch.tensor([0] * len(LEFT) + [1] * len(RIGHT) + [2] * len(TABLE))


def language() -> WrittenLanguage:
    """The plates are things at the middle scale, the left one more so, and less at the largest; nothing else is."""
    written = CANONICAL.repeat(len(POINTS), 3, 1)
    written[OWNERS == 0, 1] = THING
    written[OWNERS == 1, 1] = F.normalize(THING + 0.3 * OTHER, dim=0)
    written[OWNERS < 2, 2] = F.normalize(THING + 0.2 * CANONICAL, dim=0)
    low, high = torch.full((len(POINTS),), 0.05), torch.full((len(POINTS),), 0.2)
    high[OWNERS == 1] = 0.1
    return WrittenLanguage(written, low, high)


def surface_of(source: WrittenLanguage, depth_maps: DepthMaps) -> Surface:
    rays = TracedRays.at_points(POINTS)
    return Surface(rays, source, source.encode(rays), SurfaceGraph.of(contract(POINTS)), depth_maps)


def camera_at(position: tuple[float, float, float]) -> Camera:
    """In the normalised frame, looking at the middle of the table."""
    away = np.array(position) / np.linalg.norm(position)
    right = np.cross([0.0, 0.0, 1.0], away)
    right /= np.linalg.norm(right)
    return Camera(80, 60, 70.0, 70.0, 40.0, 30.0, np.column_stack([right, np.cross(away, right), away, position]))


@pytest.fixture(scope="module")
def cameras() -> PhotoCameras:
    """Five photos, of which the last is held out; files are twice as large as what is in use."""
    places = [(0.0, -1.5, 0.8), (-0.9, -0.9, 0.7), (1.2, -1.2, 0.5), (0.0, 1.4, 0.6), (-0.35, -0.3, 0.3)]
    photos = tuple(
        Photo(f"{number}.png", Path(f"{number}.png"), camera_at(place).moved(TURN.inverse()), (160, 120))
        for number, place in enumerate(places)
    )
    return PhotoCameras.of(Scene(Path(), photos, (0, 1, 2, 3), (4,), TURN), "cpu")


def open_views() -> DepthMaps:
    """Nothing is known of what stands before the points."""
    return {photo: torch.full((6, 8), torch.nan) for photo in range(4)}


@pytest.fixture(scope="module")
def found(cameras):
    source = language()
    return answer(surface_of(source, open_views()), PHRASES, cameras, AnswerSettings(0.8))


def test_the_language_written_by_hand_is_one() -> None:
    assert isinstance(language(), LanguageSource)


def test_a_phrase_is_found_in_its_instances_and_the_best_comes_first(found) -> None:
    thing = found[0]
    assert thing.answer.text == "thing"
    assert thing.answer.present
    assert thing.answer.relevancy == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-5)
    assert thing.scale == pytest.approx(0.1)
    assert len(thing.answer.instances) == len(thing.members) == 2
    for number, members in enumerate(thing.members):
        assert (OWNERS[members] == number).float().mean() > 0.95
        assert len(members) > 0.9 * int((number == OWNERS).sum())
    first, second = (instance.relevancy for instance in thing.answer.instances)
    assert first == pytest.approx(thing.answer.relevancy, abs=1e-5)
    assert first > second > 0.9
    assert thing.answer.geometry == thing.answer.instances[0].geometry


def test_relevancy_is_that_of_every_point(found) -> None:
    raw, refined = found[0].raw, found[0].relevancy
    assert raw.shape == refined.shape == (len(POINTS),)
    torch.testing.assert_close(raw[OWNERS == 0], torch.full((72,), 0.9933), atol=1e-4, rtol=0)
    torch.testing.assert_close(raw[OWNERS == 2], torch.full((1600,), 0.0067), atol=1e-4, rtol=0)
    # It is the same wherever a plate does not meet the table.
    away = (OWNERS < 2) & (POINTS[:, 2] > 0.1)
    assert (refined[away] > 0.7).all()
    assert (refined[OWNERS == 2] < 0.5).float().mean() > 0.97
    surface = surface_of(language(), open_views())
    torch.testing.assert_close(refined, surface.graph.propagate(raw), atol=1e-6, rtol=0)


def test_geometry_is_in_the_capture_frame(found) -> None:
    back = TURN.inverse()
    for instance, plate, members in zip(found[0].answer.instances, (LEFT, RIGHT), found[0].members, strict=True):
        captured = back.apply_points(plate.numpy())
        point = np.array(instance.geometry.point)
        assert np.linalg.norm(captured - point, axis=1).min() < 1e-4
        own = back.apply_points(POINTS[members].numpy())
        low, high = map(np.array, instance.geometry.extent)
        assert (low <= point + 1e-9).all()
        assert (point <= high + 1e-9).all()
        # So few points lose none.
        np.testing.assert_allclose(low, own.min(axis=0), atol=1e-4)
        np.testing.assert_allclose(high, own.max(axis=0), atol=1e-4)
        assert instance.geometry.scale == pytest.approx(0.1 / TURN.scale)


def test_an_absent_phrase_has_a_relevancy_and_nothing_else(found) -> None:
    nothing = found[1]
    assert not nothing.answer.present
    assert nothing.answer.instances == nothing.members == ()
    assert nothing.answer.relevancy == pytest.approx(float(nothing.raw.topk(5).values.mean()))
    assert 0 < nothing.answer.relevancy < 0.8


def test_the_threshold_decides_what_is_present_and_counts(cameras) -> None:
    source = language()
    surface = surface_of(source, open_views())
    second = answer(surface, PHRASES, cameras, AnswerSettings(0.8))[0].answer.instances[1].relevancy
    only = answer(surface, PHRASES, cameras, AnswerSettings(second + 1e-4))[0]
    assert [(OWNERS[members] == 0).float().mean() > 0.95 for members in only.members] == [True]
    assert not answer(surface, PHRASES, cameras, AnswerSettings(0.99999))[0].answer.present
    assert all(one.answer.present for one in answer(surface, PHRASES, cameras, AnswerSettings(0.0)))


def test_a_given_scale_is_asked_and_each_instance_answers_at_the_closest_that_it_knows(cameras) -> None:
    source = language()
    surface = surface_of(source, open_views())
    thing, nothing = answer(surface, PHRASES, cameras, AnswerSettings(0.6, (0.2, None)))
    assert (thing.scale, nothing.scale) == (pytest.approx(0.2), pytest.approx(0.1))
    # The right plate was not seen at the largest scale: it answers at the middle one, and is more of a thing there.
    assert [OWNERS[members].mode().values.item() for members in thing.members] == [1, 0]
    scales = [instance.geometry.scale * TURN.scale for instance in thing.answer.instances]
    assert scales == pytest.approx([0.1, 0.2])
    assert not answer(surface, PHRASES, cameras, AnswerSettings(0.6, (0.05, 0.05)))[1].answer.present


def slow_view(cameras: PhotoCameras, point: np.ndarray, hidden: tuple[int, ...] = ()) -> tuple[str | None, list[float]]:
    """The training photo with the highest score, by the pinhole formula in the capture frame, and the file's pixel."""
    best, name, pixel = 0.0, None, []
    for number in cameras.scene.train:
        camera = cameras.scene.photos[number].camera
        local = camera.camera_to_world[:, :3].T @ (point - camera.camera_to_world[:, 3])
        x, y = 40.0 + 70.0 * local[0] / -local[2], 30.0 - 70.0 * local[1] / -local[2]
        if local[2] < 0 and 0 < x < 80 and 0 < y < 60 and number not in hidden:
            score = 70.0 / -local[2] * (1 - (x / 40 - 1) ** 2) * (1 - (y / 30 - 1) ** 2)
            if score > best:
                best, name, pixel = score, cameras.scene.photos[number].name, [2 * x, 2 * y]
    return name, pixel


def test_the_view_is_the_training_photo_that_shows_the_point_best(found, cameras) -> None:
    for instance in found[0].answer.instances:
        name, pixel = slow_view(cameras, np.array(instance.geometry.point))
        assert instance.geometry.view == name is not None
        np.testing.assert_allclose(instance.geometry.pixel, pixel, atol=0.05)


def test_a_photo_with_something_before_the_point_does_not_show_it(found, cameras) -> None:
    source = language()
    point = np.array(found[0].answer.geometry.point)
    best = int(str(found[0].answer.geometry.view)[0])
    maps = open_views()
    maps[best] = torch.full((6, 8), 0.5)
    hidden = answer(surface_of(source, maps), PHRASES, cameras, AnswerSettings(0.8))[0].answer.geometry
    name, pixel = slow_view(cameras, point, (best,))
    assert hidden.view == name != f"{best}.png"
    np.testing.assert_allclose(hidden.pixel, pixel, atol=0.05)
    everywhere = {photo: torch.full((6, 8), 0.1) for photo in range(4)}
    nobody = answer(surface_of(source, everywhere), PHRASES, cameras, AnswerSettings(0.8))[0].answer.geometry
    assert (nobody.view, nobody.pixel) == (None, None)
    assert nobody.point == found[0].answer.geometry.point


def test_of_scattered_points_the_best_is_the_answer(cameras) -> None:
    written = CANONICAL.repeat(len(POINTS), 3, 1)
    scattered = torch.arange(200, 1600, 230)
    written[scattered] = F.normalize(THING + 0.2 * OTHER, dim=0)
    written[scattered[2]] = THING
    source = WrittenLanguage(written, torch.full((len(POINTS),), 0.05), torch.full((len(POINTS),), 0.2))
    thing = answer(surface_of(source, open_views()), PHRASES, cameras, AnswerSettings(0.8))[0]
    assert [members.tolist() for members in thing.members] == [[int(scattered[2])]]
    assert thing.answer.instances[0].relevancy == pytest.approx(float(thing.raw[scattered[2]]))
    np.testing.assert_allclose(*thing.answer.geometry.extent)


def test_answers_do_not_depend_on_what_else_is_asked(found, cameras) -> None:
    source = language()
    surface = surface_of(source, open_views())
    turned = answer(surface, PHRASES.chosen([1, 0]), cameras, AnswerSettings(0.8))
    assert [one.answer for one in turned] == [one.answer for one in found[::-1]]
    (alone,) = answer(surface, PHRASES.chosen([0]), cameras, AnswerSettings(0.8))
    assert alone.answer == found[0].answer
    steps = answer_steps(surface_of(source, open_views()), PHRASES, cameras, AnswerSettings(0.8))
    # The scales tried, each scale asked at, and each phrase.
    assert sum(1 for _ in steps) == len(SCALES) + len({one.scale for one in found}) + 2
    again = answer_steps(surface, PHRASES, cameras, AnswerSettings(0.8))
    assert sum(1 for _ in again) == len(SCALES) + 2  # what was read before is remembered


def test_cells_answer_with_the_places_that_were_made_relevant(cameras) -> None:
    """Two round patches on a plane of cells."""
    steps = (torch.arange(-14, 14) + 0.5) * CELL
    positions = torch.cartesian_prod(steps, steps, torch.tensor([0.5 * CELL]))
    embeddings = OTHER.repeat(3, len(positions), 1)
    here, there = ((positions[:, :2] - middle).norm(dim=-1) < 0.22 for middle in (-0.3, 0.3))
    embeddings[1, here] = THING
    embeddings[1, there] = F.normalize(THING + 0.3 * OTHER, dim=0)
    source = CellLanguage(index_of(positions, embeddings), 1)
    surface = surface_of_cells(source, open_views())
    phrases = Phrases(("thing", "nothing"), torch.stack([THING, -OTHER]), CANONICAL[None], 10.0)
    thing, nothing = answer(surface, phrases, cameras, AnswerSettings(0.9))
    assert thing.scale == pytest.approx(float(source.scales[1]))
    for members, middle, patch in zip(thing.members, (-0.3, 0.3), (here, there), strict=True):
        assert len(members) == int(patch.sum())
        assert (source.index.positions[members, :2] - middle).norm(dim=-1).max() < 0.22
    assert not nothing.answer.present
    beyond = answer(surface, phrases, cameras, AnswerSettings(0.9, (1.1, 0.1)))
    assert not beyond[0].answer.present


def spoilt(surface: Surface, **changes: torch.Tensor) -> Surface:
    return replace(surface, rays=replace(surface.rays, **changes))


NAN = float("nan")


def test_points_at_no_place_never_answer(cameras) -> None:
    surface = surface_of(language(), open_views())
    good = answer(surface, PHRASES, cameras, AnswerSettings(0.6))[0]
    best = int(good.relevancy.argmax())
    positions = surface.positions.clone()
    positions[best] = NAN
    found = answer(spoilt(surface, median_position=positions), PHRASES, cameras, AnswerSettings(0.6))[0]
    assert found.answer.present
    assert float(found.relevancy[best]) == 0.0
    assert np.isfinite(found.answer.geometry.point).all()


def no_points(surface: Surface) -> Surface:
    nothing = torch.zeros(0, dtype=torch.int64)
    return replace(surface, rays=surface.rays[nothing], latent=surface.latent[nothing])


def nowhere(surface: Surface) -> Surface:
    return spoilt(surface, median_position=torch.full_like(surface.positions, NAN))


def never_supervised(surface: Surface) -> Surface:
    return replace(surface, latent=replace(surface.latent, low=torch.full_like(surface.latent.low, torch.inf)))


def meaning_nothing(surface: Surface) -> Surface:
    written = torch.full_like(surface.latent.tensors["written"], NAN)
    return replace(surface, latent=replace(surface.latent, tensors={"written": written}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(no_points, "no surface"), (nowhere, "no surface"), (never_supervised, "supervised"),
     (meaning_nothing, "not finite")],
)  # fmt: skip
def test_what_cannot_answer_says_why(cameras, spoil, message) -> None:
    with pytest.raises(RunError, match=message):
        answer(spoil(surface_of(language(), open_views())), PHRASES, cameras, AnswerSettings(0.6))


def test_a_surface_of_one_point_answers(cameras) -> None:
    surface = surface_of(language(), open_views())
    one = torch.tensor([0])
    single = replace(surface, rays=surface.rays[one], latent=surface.latent[one], graph=SurfaceGraph.of(POINTS[one]))
    found = answer(single, PHRASES, cameras, AnswerSettings(0.6))[0].answer
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_an_answer_says_whether_its_phrase_is_known(cameras) -> None:
    phrases = replace(PHRASES, known=(0.5, None))
    answers = answer(surface_of(language(), open_views()), phrases, cameras, AnswerSettings(0.6))
    assert [own.answer.to_dict()["known"] for own in answers] == [0.5, None]


def test_exclusive_phrases_share_no_place(cameras):
    """Both phrases pass the canonical one on both plates; each plate is the one's that is better there."""
    near = F.normalize(THING + 0.6 * OTHER, dim=-1)
    together = Phrases(("thing", "near", "thing"), torch.stack([THING, near, THING]), CANONICAL[None], 5.0, ("object",))
    surface, settings = surface_of(language(), open_views()), AnswerSettings(0.8)
    free = answer(surface, together, cameras, settings)
    assert [len(one.answer.instances) for one in free] == [2, 2, 2]
    apart = answer(surface, replace(together, exclusive=True), cameras, settings)
    for one, plate in zip(apart, (0, 1, 0), strict=True):  # what is asked twice leads with itself
        assert len(one.answer.instances) == 1
        assert set(OWNERS[one.raw > 0.5].tolist()) == {plate}
        assert set(OWNERS[(one.relevancy > 0.5) & (POINTS[:, 2] > 0.1)].tolist()) == {plate}
    for one, before in zip(apart, free, strict=True):
        leads = one.relevancy > 0
        torch.testing.assert_close(one.relevancy[leads], before.relevancy[leads])
        torch.testing.assert_close(one.raw[leads], before.raw[leads])
        assert not one.raw[~leads].any()
    alone = answer(surface, replace(together.chosen([0]), exclusive=True), cameras, settings)
    torch.testing.assert_close(alone[0].relevancy, free[0].relevancy)
