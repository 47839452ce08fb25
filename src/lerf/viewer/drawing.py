"""Pictures and points of one page, each sharper than the one before, in steps that can be given up."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from jaxtyping import UInt8
from numpy import ndarray

from lerf.language.protocol import middle_scale
from lerf.queries.maps import feature_map
from lerf.queries.phrases import Phrases
from lerf.rendering.colour_maps import Legend, to_bytes
from lerf.rendering.outputs import Display, ViewMaps, composite, paint, parse, relevancy_colours
from lerf.rendering.pca import apply_pca_basis
from lerf.steps import Steps
from lerf.viewer import frames
from lerf.viewer.frames import Frame
from lerf.viewer.geometry import SMALLEST_SIDE, Pose
from lerf.viewer.jobs import Urgency
from lerf.viewer.scene_state import PhraseState, SceneState

LEAST_HEIGHT, LEAST_WIDTH = 60, 80
"""Of a picture while the camera moves."""
MOST_PIXELS = 4_000_000
"""Of a picture, whatever the shape of the window."""
MOVING_SECONDS = 0.12
"""What a picture may take while the camera moves, if it need not be smaller than the least for it."""
T = TypeVar("T")


@dataclass(frozen=True)
class AskedPhrases:
    """Phrases that a page asked for, and their answers."""

    phrases: Phrases
    states: tuple[PhraseState, ...]

    @property
    def key(self) -> Any:
        """What relevancy depends on besides the phrase and its scale."""
        return self.phrases.canonical_texts, self.phrases.temperature, self.phrases.exclusive and self.phrases.texts

    @property
    def scales(self) -> list[float]:
        """Of the phrases, normalised units."""
        return [state.scale for state in self.states]


@dataclass(frozen=True)
class Drawn:
    """One picture, or the colours of the points."""

    pixels: UInt8[ndarray, "*shape 3"]
    legend: Legend | None
    frame: Frame | None
    """What the picture was made of; None for points."""
    last: bool
    """Whether no sharper one will follow."""


@dataclass
class Timings:
    """Seconds since the last prompt was sent; None for what has not happened."""

    sent: float = 0.0
    answer: float | None = None
    first_picture: float | None = None
    full_picture: float | None = None
    pictures: int = 0
    """Pictures shown since the page was opened."""


@dataclass
class Drawer:
    """Makes what a page shows, and remembers what it made for the present camera."""

    scene: SceneState
    limit: int
    """Rows of the sharpest picture."""
    frames: dict[int, Frame] = field(default_factory=dict)
    """Pictures of the present camera by height."""
    _frames_of: Pose | None = None
    _rates: dict[str, float] = field(default_factory=dict)
    _spent: float = 0.0

    def pictures(
        self, pose: Pose, page_height: int, display: Display, asked: AskedPhrases | None
    ) -> Generator[Urgency | Drawn, None, None]:
        """Pictures of one camera, the first as sharp as the processor allows while the camera moves."""
        if self._frames_of is not pose:
            self.frames, self._frames_of = {}, pose
        heights = self._heights(pose, page_height, display)
        for level, height in enumerate(heights):
            last = level == len(heights) - 1
            if not last and self._painted(heights[level + 1], display, asked):
                continue
            urgency = Urgency.REFINING if level else Urgency.MOVING
            self._spent = 0.0
            frame = self.frames.get(height)
            fresh = frame is None
            if frame is None:
                scene, samples = self.scene, None if level else frames.MOVING_SAMPLES
                steps = frames.render_frame(scene.radiance, pose.camera(height), scene.device, samples)
                frame = yield from self.at(urgency, steps)
                self.frames[height] = frame
            picture, legend = yield from self.at(urgency, self._paint(frame, display, asked))
            if fresh and not level:
                self._note_rate(frame, display)
            yield Drawn(picture, legend, frame, last)

    def points(self, display: Display, asked: AskedPhrases | None) -> Drawn | None:
        """Colours of the surface's points; None while it is not known."""
        points = self.scene.points
        if points is None:
            return None
        kind, phrase = parse(display.output)
        colours, legend = torch.from_numpy(points.colours), None
        if phrase is not None and asked is not None and phrase < len(asked.states):
            state = asked.states[phrase]
            values = torch.from_numpy(self.scene.point_relevancy(state, raw=kind == "raw_relevancy"))
            shown, legend = relevancy_colours(values, display, state.highest)
            colours = composite(colours, shown, values, display) if kind == "composited" else shown
        elif kind in ("clip", "dino") and self.scene.model is not None:
            colours = torch.from_numpy(self.scene.feature_points[kind])
        return Drawn(to_bytes(colours), legend, None, True)

    def at(self, urgency: Urgency, steps: Steps[T]) -> Generator[Urgency, None, T]:
        """Steps of one urgency; what they compute is timed, what others compute in between is not."""
        while True:
            start = time.perf_counter()
            try:
                next(steps)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                self._spent += time.perf_counter() - start
            yield urgency

    def _heights(self, pose: Pose, page_height: int, display: Display) -> list[int]:
        """Rows of the pictures to make."""
        limit = max(LEAST_HEIGHT, min(self.limit, 4 * page_height))
        limit = min(limit, max(SMALLEST_SIDE, math.isqrt(int(MOST_PIXELS / pose.aspect))))
        least = min(limit, max(LEAST_HEIGHT, math.ceil(LEAST_WIDTH / pose.aspect)))
        existing = sorted(self.frames) if self._frames_of is pose else []
        affordable = math.sqrt(self._rates.get(_work(display), 0.0) * MOVING_SECONDS / pose.aspect)
        heights = [existing[0] if existing else int(min(max(affordable, least), limit))]
        while 2 * heights[-1] < limit:
            heights.append(2 * heights[-1])
        return heights if heights[-1] >= limit else [*heights, limit]

    def _note_rate(self, frame: Frame, display: Display) -> None:
        width, height = frame.size
        rate, before = width * height / max(self._spent, 1e-6), self._rates.get(_work(display))
        self._rates[_work(display)] = rate if before is None else 0.7 * before + 0.3 * rate

    def _painted(self, height: int, display: Display, asked: AskedPhrases | None) -> bool:
        """Whether a picture has all that the display needs, so that a coarser one need not come first."""
        frame = self.frames.get(height)
        if frame is None:
            return False
        kind, phrase = parse(display.output)
        if phrase is not None and asked is not None and phrase < len(asked.states):
            state = asked.states[phrase]
            name = asked.key, state.answer.text, state.scale
            return ("raw", *name) in frame.raw if kind == "raw_relevancy" else name in frame.scored
        return kind not in ("clip", "dino") or kind in frame.features

    def _paint(
        self, frame: Frame, display: Display, asked: AskedPhrases | None
    ) -> Steps[tuple[UInt8[ndarray, "height width 3"], Legend | None]]:
        """The picture that the display asks for, and its legend; colours where there is nothing to show of a phrase."""
        output, model = display.output, self.scene.model
        kind, phrase = parse(output)
        relevancy, raw, highest = {}, {}, {}
        if phrase is not None:
            if asked is None or phrase >= len(asked.states) or model is None:
                output = "rgb"
            else:
                state = asked.states[phrase]
                highest[phrase] = state.highest
                if kind == "raw_relevancy":
                    yield from frames.score_raw(model.views, frame, asked.phrases, phrase, state.scale, asked.key)
                    raw[phrase] = next(iter(frame.raw.values()))
                else:
                    surface = yield from self.scene.surface()
                    yield from frames.score(surface, frame, asked.phrases, asked.scales, asked.key)
                    relevancy[phrase] = frame.scored[asked.key, state.answer.text, state.scale]
        elif kind in ("clip", "dino") and not (yield from self._add_features(frame, kind)):
            output = "rgb"
        picture = frame.picture
        depth = picture.depth / self.scene.unit
        maps = ViewMaps(picture.colour, depth, picture.accumulation, relevancy, raw, frame.features, highest)
        painted, legend = paint(output, maps, display)
        return to_bytes(painted), legend

    def _add_features(self, frame: Frame, kind: str) -> Steps[bool]:
        """Draw features into the frame; False where there are none, or their colours are not known yet."""
        model = self.scene.model
        if model is None or self.scene.points is None or kind not in self.scene.bases:
            return False
        if kind not in frame.features:
            scale = middle_scale(model.language) if kind == "clip" else None
            maps = yield from feature_map(model.views, frame.cameras, 0, scale)
            frame.features[kind] = apply_pca_basis(self.scene.bases[kind], maps)
        return True


def _work(display: Display) -> str:
    """What a picture needs, for its cost."""
    kind, phrase = parse(display.output)
    return "language" if phrase is not None or kind in ("clip", "dino") else "colour"


def urgencies(steps: Iterator[Urgency | Drawn], show: Any) -> Iterator[Urgency]:
    """Run a page's pictures as a job, handing each to `show`."""
    for step in steps:
        if isinstance(step, Drawn):
            show(step)
            yield Urgency.REFINING
        else:
            yield step
