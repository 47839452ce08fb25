"""Films as a phone makes them: frames of a camera that moves while the shutter is open, compressed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from lerf.geometry.similarity import Similarity
from lerf.scenes.scene import Scene

Pose = Float[np.ndarray, "4 4"]
"""Camera to world, OpenGL axes."""


def shaken(path: Callable[[float], Pose], seed: int, amount: float = 0.004) -> Callable[[float], Pose]:
    """A path over 0..1 as a hand follows it: `amount` is the size of the shake in radians, several swings a second."""
    generator = np.random.default_rng(seed)
    swings = 2 * np.pi * generator.uniform(8.0, 40.0, (3, 4))
    phases = generator.uniform(0, 2 * np.pi, (3, 4))

    def pose(time: float) -> Pose:
        x, y, z = amount * np.sin(swings * time + phases).mean(1)
        turn = np.array([[1.0, -z, y], [z, 1.0, -x], [-y, x, 1.0]])
        moved = path(time).copy()
        u, _, vt = np.linalg.svd(moved[:3, :3] @ turn)
        moved[:3, :3] = u @ vt
        return moved

    return pose


def frames_of(
    picture: Callable[[Pose, int], Float[np.ndarray, "height width 3"]],
    path: Callable[[float], Pose],
    count: int,
    exposures: int,
    shutter: float = 0.5,
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Frames along a path, each the mean of `exposures` pictures while the shutter is open, a share of a frame's time.

    `picture(pose, number)` gives light in 0..1; pictures are counted through the film.
    """
    for frame in range(count):
        times = [(frame + shutter * part / exposures) / count for part in range(exposures)]
        light = [picture(path(time), frame * exposures + part) for part, time in enumerate(times)]
        yield np.rint(255 * np.mean(light, axis=0)).astype(np.uint8)


def write_film(file: Path, frames: Iterator[UInt8[np.ndarray, "height width 3"]], crf: int = 23) -> Path:
    """H.264 at 30 frames a second; `crf` is x264's scale of quality, on which phones are about 20 to 28."""
    import av

    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": str(crf)})
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            if number == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file


def to_truth(scene: Scene, path: Callable[[float], Pose], count: int, shutter: float = 0.5) -> Similarity:
    """The best similarity from a solved capture of a film to the world of its path, by the cameras' positions.

    Frames are named by their number; each was taken in the middle of its exposure.
    """
    numbers = [int(Path(photo.name).stem.removeprefix("frame_")) for photo in scene.photos]
    true = np.stack([path((number + 0.5 * shutter) / count)[:3, 3] for number in numbers])
    return best_similarity(np.stack([photo.camera.camera_to_world[:, 3] for photo in scene.photos]), true)


def best_similarity(points: Sequence[Sequence[float]] | np.ndarray, onto: np.ndarray) -> Similarity:
    """The similarity that brings points closest to others, in least squares (Umeyama 1991)."""
    x, y = np.asarray(points), np.asarray(onto)
    u, sizes, vt = np.linalg.svd((y - y.mean(0)).T @ (x - x.mean(0)))
    flip = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    rotation = u @ flip @ vt
    scale = float((sizes * np.diag(flip)).sum() / np.square(x - x.mean(0)).sum())
    return Similarity(rotation, y.mean(0) - scale * rotation @ x.mean(0), scale)
