"""A film as a phone makes it in, answers in the places of the things out: `lerf poses`, `lerf train`, `lerf query`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import run_json
from drawn_scene import CENTRE, DISTANCE, FIELD_OF_VIEW, GeneratedScene
from films import Pose, frames_of, shaken, to_truth, write_film
from jaxtyping import Float

from lerf.apps.main import main
from lerf.scenes.load import read_scene

pytest.importorskip("pycolmap")
pytest.importorskip("av")

FRAMES, WIDTH, HEIGHT = 32, 240, 180


def arc(time: float) -> Pose:
    """Around the drawn things by 80 degrees, up and down once."""
    azimuth, elevation = np.deg2rad(80.0) * (time - 0.5), np.deg2rad(28.0 + 10.0 * np.sin(2 * np.pi * time))
    away = np.array([np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])
    right = np.cross([0.0, 0.0, 1.0], away)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.cross(away, right), away, CENTRE + DISTANCE * away])
    return pose


def seen(scene: GeneratedScene, pose: Pose, number: int) -> np.ndarray:
    """One ray a pixel, elsewhere in it each time, so that the mean over an exposure is smooth."""
    shift = np.modf(number * np.array([0.618034, 0.754878]))[0]
    x, y = np.meshgrid(np.arange(WIDTH) + shift[0], np.arange(HEIGHT) + shift[1])
    focal = 0.5 * WIDTH / np.tan(0.5 * FIELD_OF_VIEW)
    local = np.stack([(x - WIDTH / 2) / focal, (HEIGHT / 2 - y) / focal, -np.ones_like(x)], -1).reshape(-1, 3)
    directions = (local / np.linalg.norm(local, axis=-1, keepdims=True)) @ pose[:3, :3].T
    hits = scene.trace(np.broadcast_to(pose[:3, 3], directions.shape), directions)
    points = pose[:3, 3] + directions * np.minimum(hits.distance, 50.0)[:, None]
    return (hits.colour * speckles(points)[:, None]).reshape(HEIGHT, WIDTH, 3)


def speckles(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, " points"]:
    """Brightness, 0.4 to 1, that jumps from one small cube of space to the next: corners to match, hues stay."""
    total = np.zeros(len(points))
    for cells in (11.0, 23.0, 47.0):
        place = np.floor(points * cells + 0.37).astype(np.int64)
        total += ((place @ np.array([73856093, 19349663, 83492791])) * 2654435761 % 2**32) / 2**32
    return 0.4 + 0.2 * total


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene = GeneratedScene()
    frames = frames_of(lambda pose, number: seen(scene, pose, number), shaken(arc, 0), FRAMES, exposures=3)
    return write_film(tmp_path_factory.mktemp("film") / "a walk.mp4", frames)


def test_what_a_film_shows_is_found_where_it_is(
    film: Path, tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_json(capsys, "poses", film, "--output", tmp_path / "capture", "--frames", "16")
    assert done["placed"] == done["photos"] >= 12
    quick = ["--downscale", "2", "--language", "lift", "--radiance-training.steps", "200"]
    quick += ["--radiance-training.rays", "1024", "--device", "cpu"]
    assert main(["train", str(tmp_path / "capture"), "--output", str(tmp_path / "run"), *quick]) == 0
    move = to_truth(read_scene(tmp_path / "capture"), shaken(arc, 0), FRAMES)
    answers = run_json(capsys, "query", tmp_path / "run", "red", "blue", "purple")["queries"]
    assert [answer["present"] for answer in answers] == [True, True, False]
    for answer, solid in zip(answers[:2], GeneratedScene().solids[:2], strict=True):
        point = move.apply_points(np.array(answer["point"]))
        # On or in the thing, or as far beside it as a third of its size.
        assert (np.abs(point - solid.centre) < 1.3 * np.array(solid.half)).all(), (answer["text"], point)


@pytest.mark.slow
def test_things_of_a_path_traced_film_are_found_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A generated scene filmed with a hand-held camera, with the preset and the encoder that know its things."""
    pytest.importorskip("mitsuba")
    from lerf_scenes.arrange import compose
    from lerf_scenes.path import looking
    from lerf_scenes.render import Photographer

    composition, frames = compose(27, "table"), 60
    photographer = Photographer(composition)

    def path(time: float) -> Pose:
        angle, away = np.deg2rad(200.0 * time), max(composition.half[:2]) + 0.45
        height = 0.45 + 0.15 * np.sin(2 * np.pi * time)
        position = composition.middle + np.array([away * np.cos(angle), away * np.sin(angle), height])
        return looking(position, np.array(composition.middle))

    def picture(pose: Pose, number: int) -> np.ndarray:
        return photographer.picture(pose, 62.0, 288, 216, 4, number).colour / 255.0

    film = write_film(tmp_path / "walk.mp4", frames_of(picture, shaken(path, 0, 0.002), frames, exposures=2))
    done = run_json(capsys, "poses", film, "--output", tmp_path / "capture", "--frames", "40")
    assert done["placed"] >= 0.9 * done["photos"]
    quick = ["--preset", "lerf-demo", "--radiance-training.steps", "600", "--device", "cpu", "--offline"]
    assert main(["train", str(tmp_path / "capture"), "--output", str(tmp_path / "run"), *quick]) == 0
    move = to_truth(read_scene(tmp_path / "capture"), shaken(path, 0, 0.002), frames)
    things = [thing.described() for thing in composition.things if not thing.furniture]
    names = [f"{thing.colour} {thing.kind}" for thing in things]
    answers = run_json(capsys, "query", tmp_path / "run", *names)["queries"]
    found = []
    for answer, thing in zip(answers, things, strict=True):
        if answer["present"]:
            point = move.apply_points(np.array(answer["point"]))
            outside = np.maximum(np.array(thing.minimum) - point, point - np.array(thing.maximum))
            found.append(float(np.linalg.norm(outside.clip(min=0.0))))
    print(names, [answer["relevancy"] for answer in answers], found)
    # Most things are named, and most answers lie on the thing or within two centimetres of it.
    assert len(found) >= 0.6 * len(things)
    assert sum(distance < 0.02 for distance in found) >= 0.6 * len(things)
