"""MP4 files, decoded again."""

import sys

import av
import numpy as np
import pytest

from lerf.errors import ConfigError, StorageError
from lerf.exports.video import write_video


def pictures(count, height=36, width=64):
    """A white bar that moves over a coloured ground."""
    for number in range(count):
        picture = np.full((height, width, 3), (200, 40, 40), np.uint8)
        picture[:, 4 * number : 4 * number + 8] = 255
        yield picture


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], stream.average_rate


def test_frames_colours_and_speed(tmp_path):
    path = tmp_path / "new" / "out.mp4"
    assert write_video(path, pictures(10), 12.5) == 10
    frames, rate = decoded(path)
    assert len(frames) == 10
    assert float(rate) == 12.5
    for found, expected in zip(frames, pictures(10), strict=True):
        assert np.abs(found.astype(int) - expected).mean() < 8
    # A player that streams finds the index before the data.
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_odd_sides_are_made_even(tmp_path):
    write_video(tmp_path / "out.mp4", pictures(2, 35, 63), 24.0)
    frames, _ = decoded(tmp_path / "out.mp4")
    assert frames[0].shape == (36, 64, 3)


def test_frames_of_two_sizes_and_no_frames(tmp_path):
    with pytest.raises(ConfigError, match="differ in size"):
        write_video(tmp_path / "out.mp4", [*pictures(1), *pictures(1, 20, 20)], 24.0)
    with pytest.raises(ConfigError, match="one frame or more"):
        write_video(tmp_path / "out.mp4", [], 24.0)
    assert not list(tmp_path.iterdir())


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"lerf\[video\]"):
        write_video(tmp_path / "out.mp4", pictures(1), 24.0)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_video(tmp_path / "file" / "out.mp4", pictures(1), 24.0)


def test_the_same_pictures_are_the_same_bytes(tmp_path):
    """Several threads of the encoder, or divisions that depend on the processor, would write others in one case of ten."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (24, 64, 3), dtype=np.uint8) for _ in range(12)]
    written = set()
    for _ in range(40):
        write_video(tmp_path / "video.mp4", iter(pictures), 12.0)
        written.add((tmp_path / "video.mp4").read_bytes())
    assert len(written) == 1
