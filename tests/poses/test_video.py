"""Frames of a film: sharp ones, one an interval, none twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lerf.errors import SceneError
from lerf.poses.video import choose_frames, write_frames
from lerf.scenes.sharpness import grey_of, sharpness

av = pytest.importorskip("av")

FRAMES, WIDTH, HEIGHT = 60, 160, 120


def texture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 4, 4 * WIDTH // 4, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((4 * WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def frame(number: int) -> np.ndarray:
    """A window that moves over a texture, still for frames 30 to 44; every fifth frame alone is sharp."""
    moved = min(number, 30) + max(0, number - 45)
    window = Image.fromarray(texture()[:, 5 * moved : 5 * moved + WIDTH])
    return np.asarray(window if number % 5 == 2 else window.filter(ImageFilter.GaussianBlur(2.0)))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(number), format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_sharpest_frame_of_each_interval_is_taken(film: Path) -> None:
    chosen = choose_frames(film, 12)
    assert chosen.total == FRAMES
    # Of the three intervals in which the camera stands still one is taken.
    assert chosen.repeated == 2
    assert [number % 5 for number in chosen.numbers] == [2] * 10


def test_an_interval_without_a_sharp_frame_gives_none(film: Path) -> None:
    chosen = choose_frames(film, FRAMES)
    assert {number % 5 for number in chosen.numbers} == {2}
    assert chosen.blurred > 40


def test_frames_are_written_once_and_completed(film: Path, tmp_path: Path) -> None:
    numbers = choose_frames(film, 12).numbers
    files = write_frames(film, numbers, tmp_path)
    times = [file.stat().st_mtime_ns for file in files[1:]]
    files[0].unlink()
    assert write_frames(film, numbers, tmp_path) == files
    assert [file.stat().st_mtime_ns for file in files[1:]] == times
    shown = np.asarray(Image.open(files[0]), np.float64)
    assert np.abs(shown - frame(numbers[0])).mean() < 15.0


def test_what_is_no_video_is_refused(tmp_path: Path, film: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"no film at all" * 100)
    with pytest.raises(SceneError, match="cannot be read as a video"):
        choose_frames(path, 10)
    path.write_bytes(film.read_bytes()[: film.stat().st_size // 3])
    with pytest.raises(SceneError, match=r"film\.mp4"):
        choose_frames(path, 10)


def test_sharpness_falls_with_blur() -> None:
    picture = Image.fromarray(texture())
    values = [
        sharpness(grey_of(np.asarray(picture.filter(ImageFilter.GaussianBlur(radius))))) for radius in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert sharpness(grey_of(np.zeros((1, 1), np.uint8))) == 0.0
