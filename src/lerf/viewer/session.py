"""One page: its camera, its prompt, and the work that keeps its picture and answers up to date."""

from __future__ import annotations

import io
import math
import sys
import time
import traceback
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image

from lerf.apps.pictures import apply_pca_basis
from lerf.errors import LerfError, LerfWarning
from lerf.queries.phrases import Phrases
from lerf.viewer import frames
from lerf.viewer.display import (
    Display,
    Legend,
    composite,
    depth_colours,
    outputs,
    relevancy_colours,
    to_bytes,
)
from lerf.viewer.frames import Frame
from lerf.viewer.geometry import Pose, Viewpoint, opening_viewpoint, photo_viewpoint
from lerf.viewer.jobs import Scheduler, Urgency
from lerf.viewer.panel import Facts, Panel
from lerf.viewer.prompt import split_phrases
from lerf.viewer.recording import Recording
from lerf.viewer.stage import Stage
from lerf.viewer.words import in_words
from lerf.viewer.world import Reply, World

LEAST_HEIGHT, LEAST_WIDTH = 60, 80
"""Of a picture while the camera moves."""
MOVING_SECONDS = 0.12
"""What a picture may take while the camera moves, if it need not be smaller than the least for it."""
SCREENSHOT_SECONDS = 20.0
T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """What is asked."""

    texts: tuple[str, ...] = ()
    canonical: tuple[str, ...] | None = None
    """Instead of the run's."""
    temperature: float | None = None
    threshold: float | None = None
    scales: tuple[float | None, ...] = ()
    """For each phrase, normalised units; None chooses."""


@dataclass(frozen=True)
class Asked:
    """A query and what came of it."""

    query: Query
    phrases: Phrases
    replies: list[Reply]

    @property
    def key(self) -> Any:
        """What relevancy depends on besides the phrase and its scale."""
        return self.query.canonical, self.phrases.temperature


@dataclass
class Timings:
    """Seconds since the last prompt was sent; None for what has not happened."""

    sent: float = 0.0
    answer: float | None = None
    first_picture: float | None = None
    full_picture: float | None = None
    pictures: int = 0
    """Pictures shown since the page was opened."""


class Session:
    """Implements the panel's `Actions` for one client of viser's."""

    def __init__(self, client: Any, world: World, scheduler: Scheduler, title: str, limit: int) -> None:
        self.client, self.world, self.scheduler = client, world, scheduler
        self.timings = Timings()
        self.asked: Asked | None = None
        self._query = Query()
        self._display, self._show, self._limit = Display(), "picture", limit
        self._point_size, self._markers_visible = 0.009, True
        self._pose: Pose | None = None
        self._frames: dict[int, Frame] = {}
        self._frames_of: Pose | None = None
        self._rates: dict[str, float] = {}
        self._spent = 0.0
        self._message = ""
        self._complaint = False
        self._waiting_query = False
        self._opening = opening_viewpoint(world.scene)
        self.stage = Stage(client, world)
        self.recording = Recording(world.scene)
        # The page sees its controls when all of them listen, not before: nobody is too quick for them.
        with client.atomic():
            self.panel = Panel(client, self, self._facts(title))
        self._stop_listening = world.listen(self._prepared)

        @client.camera.on_update
        async def _(_: Any) -> None:
            self.moved()

        @client.scene.on_click()
        async def _(event: Any) -> None:
            self.click(np.array(event.ray_origin, np.float64), np.array(event.ray_direction, np.float64))

        self._report()
        self.moved()

    def close(self) -> None:
        """The page has gone."""
        self._stop_listening()
        self.scheduler.drop(self)
        # After the step in hand, which may still be making a frame.
        self.scheduler.submit(None, f"forget {id(self)}", self._forget(), Urgency.ANSWER, self._fail)

    def _forget(self) -> Iterator[Urgency]:
        self.world.forget(list(self._frames.values()))
        self._frames.clear()
        yield Urgency.ANSWER

    @property
    def pose(self) -> Pose | None:
        """Where the page's camera stands."""
        return self._pose

    @property
    def display(self) -> Display:
        """How things are shown."""
        return self._display

    @property
    def message(self) -> str:
        """What the page was told last."""
        return self._message

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do for this page."""
        return self.timings.pictures > 0 and not self.scheduler.busy(self)

    def _facts(self, title: str) -> Facts:
        model, unit = self.world.model, self.world.unit
        low, high = model.language.scale_range if model else (1.0, 1.0)
        return Facts(
            title,
            model.canonical if model else (),
            model.temperature if model else 1.0,
            model.threshold if model else 0.5,
            (float(f"{low / unit:.3g}"), float(f"{high / unit:.3g}")),
            self._limit,
            math.degrees(self._opening.angle),
            self._outputs(0),
        )

    def _outputs(self, phrases: int) -> tuple[str, ...]:
        return outputs(phrases, self.world.model is not None, self.world.has_dense)

    # Prompts

    def ask(self, text: str) -> None:
        try:
            texts = split_phrases(text)
        except LerfError as error:
            self._fail(error)
            return
        if not texts:
            self._clear()
            self._complain('There is no phrase to look for; type one, for example "mug", and press Enter.')
            return
        scales: tuple[float | None, ...] = (None,) * len(texts)
        if texts == self._query.texts:
            scales = self._query.scales
        self._submit(replace(self._query, texts=texts, scales=scales))

    def set_query(self, canonical: str, temperature: float, threshold: float) -> None:
        try:
            rivals = split_phrases(canonical)
        except LerfError as error:
            self._fail(error)
            return
        if not rivals:
            self._complain('There is no canonical phrase to compare with; give one, for example "object".')
            return
        self._submit(replace(self._query, canonical=rivals, temperature=temperature, threshold=threshold))

    def set_scale(self, row: int, scale: float | None) -> None:
        scales = list(self._query.scales)
        if row < len(scales):
            scales[row] = None if scale is None else scale * self.world.unit
            self._submit(replace(self._query, scales=tuple(scales)))

    def _submit(self, query: Query) -> None:
        self._query = query
        if not query.texts:
            return
        self.timings = Timings(time.perf_counter(), pictures=self.timings.pictures)
        if self.world.model is None:
            self._complain(self.world.lacking)
            return
        if not self.world.answering:
            self._waiting_query = True
            self._report()
            return
        self._complaint = False
        self._say("Looking…")
        self.scheduler.submit(self, "answer", self._answer(query), Urgency.ANSWER, self._fail)

    def _answer(self, query: Query) -> Iterator[Urgency]:
        model = self.world.model
        assert model is not None
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", LerfWarning)
            phrases = model.phrases(query.texts, query.canonical, query.temperature)
        self.panel.warn([str(one.message) for one in said if issubclass(one.category, LerfWarning)])
        yield Urgency.ANSWER
        threshold = model.threshold if query.threshold is None else query.threshold
        replies = yield from self._at(Urgency.ANSWER, self.world.ask(phrases, threshold, query.scales))
        new = self.asked is None or self.asked.query.texts != query.texts
        self.asked = Asked(query, phrases, replies)
        self.timings.answer = time.perf_counter() - self.timings.sent
        chosen = self._display.output
        if self._display.phrase is None and new:
            chosen = "composited_0"
        elif self._display.phrase is not None and self._display.phrase >= len(replies):
            chosen = f"{chosen.split('_')[0]}_0"
        self._display = replace(self._display, output=chosen)
        self.panel.offer(self._outputs(len(replies)), chosen)
        self.panel.show_answers(replies, self.world.unit)
        self.stage.show_markers([reply.answer for reply in replies], self._markers_visible)
        self._say(f"Answered in {1000 * self.timings.answer:.0f} ms.")
        self.redraw(now=True)

    def _clear(self) -> None:
        """No phrases."""
        self.scheduler.cancel(self, "answer")
        self._query, self.asked, self._waiting_query = replace(self._query, texts=(), scales=()), None, False
        if self._display.phrase is not None:
            self._display = replace(self._display, output="rgb")
        self.panel.offer(self._outputs(0), self._display.output)
        self.panel.show_answers([], self.world.unit)
        self.panel.warn([])
        self.stage.show_markers([])
        self.redraw(now=True)

    # What is shown

    def set_display(self, display: Display) -> None:
        self._display = display
        self.redraw()

    def set_show(self, show: str, point_size: float) -> None:
        self._show, self._point_size = show, point_size
        self.redraw(now=True)

    def set_limit(self, height: int) -> None:
        self._limit = height
        self.redraw()

    def set_markers(self, visible: bool) -> None:
        self._markers_visible = visible
        asked = self.asked
        self.stage.show_markers([reply.answer for reply in asked.replies] if asked else [], visible)

    def set_photos(self, visible: bool) -> None:
        self.stage.hide_frustums()
        if visible:
            missing = self.stage.show_frustums(self._fly_to_photo)
            if missing:
                self._say(f"{missing} photos are not where they were when the run was trained.")

    def moved(self) -> None:
        """The page's camera has moved."""
        pose = Pose.of(self.client.camera)
        if self._pose is not None and _same(pose, self._pose):
            return
        self._pose = pose
        if self._show == "picture":
            self.redraw()

    def redraw(self, now: bool = False) -> None:
        """Show the present camera, prompt and display.

        Args:
            now: give up even the first picture of what was asked for before: a prompt does not wait, but a camera or
                a slider that moves without pause must be shown now and then.
        """
        if self._pose is None:
            return
        steps = self._draw_points() if self._show == "points" else self._draw(self._pose)
        self.scheduler.submit(self, "draw", steps, Urgency.MOVING, self._fail, sheltered=True, now=now)

    def _draw(self, pose: Pose) -> Iterator[Urgency]:
        """Pictures of one camera, each sharper than the one before."""
        self.stage.hide_points()
        if self._frames_of is not pose:
            self.world.forget(list(self._frames.values()))
            self._frames, self._frames_of = {}, pose
        heights = self._heights(pose)
        for level, height in enumerate(heights):
            last = level == len(heights) - 1
            if not last and self._painted(heights[level + 1]):
                continue
            urgency = Urgency.REFINING if level else Urgency.MOVING
            self._spent = 0.0
            frame = self._frames.get(height)
            if frame is None:
                samples = self.world.radiance.config.render_samples if level else frames.MOVING_SAMPLES
                frame = yield from self._at(
                    urgency, frames.render_frame(self.world.radiance, pose.camera(height), self.world.device, samples)
                )
                self._frames[height] = frame
                fresh = True
            else:
                fresh = False
            picture, legend = yield from self._at(urgency, self._paint(frame))
            if fresh and not level:
                self._note_rate(frame)
            self.stage.show_picture(picture, frame.picture)
            self.panel.show_legend(legend)
            self._shown(frame.size, last)
            yield Urgency.REFINING

    def _heights(self, pose: Pose) -> list[int]:
        """Rows of the pictures to make, the first as sharp as the processor allows while the camera moves."""
        limit = max(LEAST_HEIGHT, min(self._limit, 4 * self.client.camera.image_height))
        least = min(limit, max(LEAST_HEIGHT, math.ceil(LEAST_WIDTH / pose.aspect)))
        existing = sorted(self._frames) if self._frames_of is pose else []
        affordable = math.sqrt(self._rates.get(self._work, 0.0) * MOVING_SECONDS / pose.aspect)
        heights = [existing[0] if existing else int(min(max(affordable, least), limit))]
        while 2 * heights[-1] < limit:
            heights.append(2 * heights[-1])
        return heights if heights[-1] >= limit else [*heights, limit]

    @property
    def _work(self) -> str:
        """What a picture needs, for its cost."""
        return "language" if self._display.phrase is not None or self._display.output in ("clip", "dino") else "colour"

    def _note_rate(self, frame: Frame) -> None:
        width, height = frame.size
        rate, before = width * height / max(self._spent, 1e-6), self._rates.get(self._work)
        self._rates[self._work] = rate if before is None else 0.7 * before + 0.3 * rate

    def _painted(self, height: int) -> bool:
        """Whether a picture has all that the display needs, so that a coarser one need not come first."""
        frame = self._frames.get(height)
        if frame is None:
            return False
        asked, phrase = self.asked, self._display.phrase
        if phrase is not None and asked is not None and phrase < len(asked.replies):
            reply = asked.replies[phrase]
            return (asked.key, reply.answer.text, reply.scale) in frame.scored
        return self._display.output not in ("clip", "dino") or self._display.output in frame.features

    def _paint(self, frame: Frame) -> Generator[None, None, tuple[Any, Legend | None]]:
        """The picture that the display asks for, 8-bit RGB, and its legend."""
        display, asked, world = self._display, self.asked, self.world
        colour = frame.picture.colour.cpu().numpy()
        if display.output == "depth":
            shown, legend = depth_colours(frame.picture.depth.cpu().numpy() / world.unit, display.colormap)
            return to_bytes(shown), legend
        if display.output == "accumulation":
            grey = frame.picture.accumulation.cpu().numpy()[..., None].repeat(3, -1)
            return to_bytes(grey), Legend("accumulation", 0.0, 1.0, "gray")
        if display.output in ("clip", "dino") and world.model is not None:
            return to_bytes((yield from self._feature_picture(frame, display.output))), None
        phrase = display.phrase
        if phrase is None or asked is None or phrase >= len(asked.replies) or world.model is None:
            return to_bytes(colour), None
        reply = asked.replies[phrase]
        seen = yield from frames.see(world.radiance, world.model.language, frame, world.device)
        world.keep(frame)
        scales = [other.scale for other in asked.replies]
        yield from frames.score(world.model.language, frame, seen, asked.phrases, scales, asked.key)
        raw = frame.scored[asked.key, reply.answer.text, reply.scale].cpu().numpy()
        shown, legend = relevancy_colours(raw, display, reply.highest)
        return to_bytes(composite(colour, shown, raw, display) if display.composited else shown), legend

    def _feature_picture(self, frame: Frame, output: str) -> Generator[None, None, Float32[np.ndarray, "h w 3"]]:
        world, dense = self.world, output == "dino"
        assert world.model is not None
        if world.cloud is None:
            self._say("The colours of features are ready when the surface is found.")
            plain: Float32[np.ndarray, "h w 3"] = frame.picture.colour.cpu().numpy()
            return plain
        if output not in frame.features:
            language = world.model.language
            seen = yield from frames.see(world.radiance, language, frame, world.device)
            world.keep(frame)
            maps = yield from frames.feature_maps(language, seen, frame, language.middle_scale, dense)
            basis = world.bases[1] if dense else world.bases[0]
            assert basis is not None
            frame.features[output] = apply_pca_basis(basis, maps)
        picture: Float32[np.ndarray, "h w 3"] = frame.features[output].numpy()
        return picture

    def _draw_points(self) -> Iterator[Urgency]:
        """The surface as points in the colours of the display."""
        world, display, asked = self.world, self._display, self.asked
        cloud = world.cloud
        if cloud is None:
            self._report()
            return
        colours, legend = cloud.colours, None
        phrase = display.phrase
        if phrase is not None and asked is not None and phrase < len(asked.replies):
            raw = world.point_relevancy(asked.replies[phrase])
            shown, legend = relevancy_colours(raw, display, asked.replies[phrase].highest)
            colours = composite(colours, shown, raw, display) if display.composited else shown
        elif display.output in ("clip", "dino") and world.model is not None:
            colours = world.point_features(display.output == "dino")
        self.stage.hide_picture()
        self.stage.show_points(cloud, to_bytes(colours), self._point_size)
        self.panel.show_legend(legend)
        self._shown(None, True)
        yield Urgency.REFINING

    def _shown(self, size: tuple[int, int] | None, last: bool) -> None:
        """Note that a picture went out."""
        timings = self.timings
        timings.pictures += 1
        now = time.perf_counter() - timings.sent
        if timings.answer is not None:
            timings.first_picture = now if timings.first_picture is None else timings.first_picture
            if last and timings.full_picture is None:
                timings.full_picture = now
        if size is not None and not self._complaint:
            answered = "" if timings.answer is None else f" Answered in {1000 * timings.answer:.0f} ms."
            self._say(f"{size[0]} x {size[1]}{'.' if last else ', refining…'}{answered}")

    def _at(self, urgency: Urgency, steps: Generator[None, None, T]) -> Generator[Urgency, None, T]:
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

    # The camera

    def _fly_to_photo(self, photo: int) -> None:
        self.fly(photo_viewpoint(self.world.scene, photo), photo)

    def fly(self, to: Viewpoint, photo: int) -> None:
        """Move the page's camera to where a photo was taken."""
        self.stage.enter_frustum(photo)
        self.stage.fly(to)
        self.panel.angle.value = round(min(max(math.degrees(to.angle), 10.0), 120.0))

    def fly_to_instance(self, row: int, instance: int) -> None:
        asked, scene = self.asked, self.world.scene
        if asked is None or row >= len(asked.replies) or instance >= len(asked.replies[row].answer.instances):
            return
        geometry = asked.replies[row].answer.instances[instance].geometry
        names = [photo.name for photo in scene.photos]
        if geometry.view not in names:
            self._complain("No photo shows this place; look for it by hand at its coordinates.")
            return
        photo = names.index(geometry.view)
        self.fly(photo_viewpoint(scene, photo, self.world.to_normalised(geometry.point)), photo)

    def reset_view(self) -> None:
        self.panel.up.value = "cameras"
        self.stage.fly(self._opening, np.array([0.0, 0.0, 1.0]), seconds=0.0)
        self.panel.angle.value = round(min(max(math.degrees(self._opening.angle), 10.0), 120.0))

    def set_up(self, choice: str) -> None:
        if choice == "cameras":
            up = np.array([0.0, 0.0, 1.0])
        elif choice == "this view":
            up = Pose.of(self.client.camera).rotation[:, 1]
        else:
            axis = np.eye(3)["xyz".index(choice[-1])] * (-1.0 if choice[-2] == "-" else 1.0)
            up = self.world.scene.similarity.rotation @ axis
        self.client.camera.up_direction = tuple(up.tolist())

    def set_angle(self, degrees: float) -> None:
        self.client.camera.fov = math.radians(degrees)

    def click(self, origin: Any, direction: Any) -> None:
        """The scene was clicked, along a ray of the normalised frame."""
        self.scheduler.submit(self, "click", self._pick(origin, direction), Urgency.ANSWER, self._fail)

    def _pick(self, origin: Any, direction: Any) -> Iterator[Urgency]:
        asked = self.asked
        scales = [reply.scale for reply in asked.replies] if asked else []
        point, scores = self.world.pick(origin, direction, asked.phrases if asked else None, scales)
        texts = asked.phrases.texts if asked else ()
        ranked = sorted(zip(texts, scores, strict=False), key=lambda pair: -pair[1])
        self.stage.show_picked(point)
        self.panel.show_picked(None if point is None else self.world.to_capture(point).tolist(), ranked)
        yield Urgency.ANSWER

    def save_screenshot(self) -> None:
        camera = self.client.camera
        try:
            image = self.client.get_render(
                camera.image_height, camera.image_width, transport_format="png", timeout=SCREENSHOT_SECONDS
            )
        except (RuntimeError, TimeoutError) as error:
            self._complain(f"The browser gave no screenshot ({error}); try again with the page in front.")
            return
        data = io.BytesIO()
        Image.fromarray(image[..., :3]).save(data, format="PNG")
        self.client.send_file_download("lerf.png", data.getvalue(), save_immediately=True)

    # The path

    def add_keyframe(self) -> None:
        self.recording.add(Pose.of(self.client.camera))
        self._path_changed()

    def remove_keyframe(self, everything: bool) -> None:
        self.recording.remove(everything)
        self._path_changed()

    def _path_changed(self) -> None:
        self.panel.show_path(len(self.recording))
        self.stage.show_keyframes(self.recording.frustums())

    def play_path(self, seconds: float, loop: bool) -> None:
        try:
            self.stage.play(self.recording.viewpoints(seconds, loop))
        except LerfError as error:
            self._fail(error)

    def save_path(self, seconds: float, rate: float, loop: bool, height: int) -> None:
        try:
            data = self.recording.file(seconds, rate, loop, height)
        except LerfError as error:
            self._fail(error)
            return
        self.client.send_file_download("camera_path.json", data, save_immediately=True)

    # Words

    def _prepared(self) -> None:
        """The preparation of the scene got on."""
        if self.world.answering and self._waiting_query:
            self._waiting_query = False
            self._submit(self._query)
        elif self._show == "points" and self.world.cloud is not None:
            self.redraw()
        self._report()

    def _report(self) -> None:
        """Say what is being prepared, if somebody waits for it."""
        if self.world.trouble:
            self._complain(self.world.trouble)
        elif self._waiting_query or (self._show == "points" and self.world.cloud is None):
            self._say(f"Please wait: {self.world.stage}…")

    def _say(self, text: str) -> None:
        if text != self._message or self._complaint:
            self._message = text
            self.panel.say(text)

    def _complain(self, text: str) -> None:
        self._complaint, self._message = True, text
        self.panel.complain(text)

    def _fail(self, error: Exception) -> None:
        """Tell the page what went wrong; what nobody foresaw also goes to the terminal."""
        if not isinstance(error, LerfError):
            traceback.print_exception(error, file=sys.stderr)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        self._complain(in_words(error))


def _same(one: Pose, other: Pose) -> bool:
    return (
        np.allclose(one.matrix, other.matrix, atol=1e-6)
        and abs(one.angle - other.angle) < 1e-6
        and abs(one.aspect - other.aspect) < 1e-6
    )
