"""One page: its camera, its prompt, and the work that keeps its picture and answers up to date."""

from __future__ import annotations

import math
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from lerf.encoders.published import title_of
from lerf.errors import LerfError, LerfWarning
from lerf.queries.result import QueryDefaults
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.rendering.outputs import Display, names, parse
from lerf.viewer.drawing import AskedPhrases, Drawer, Drawn, Timings, urgencies
from lerf.viewer.errands import Errands
from lerf.viewer.geometry import Pose
from lerf.viewer.jobs import Scheduler, Urgency
from lerf.viewer.navigation import Navigation
from lerf.viewer.panel import START, Panel, PanelStart
from lerf.viewer.prompt import PageQuery, split_phrases
from lerf.viewer.scene_state import SceneState
from lerf.viewer.scene_view import SceneView
from lerf.viewer.splat_nodes import SplatNodes, SplatShow
from lerf.viewer.words import in_words


class Session:
    """Implements the panel's `Actions` for one client of viser's."""

    def __init__(
        self, client: Any, scene: SceneState, scheduler: Scheduler, title: str, limit: int, splats: SplatNodes
    ) -> None:
        self.client, self.scene, self.scheduler = client, scene, scheduler
        self.timings = Timings()
        self.asked: AskedPhrases | None = None
        self._query = PageQuery()
        self._display, self._isolate = START, False
        self._show = "splat" if isinstance(scene.radiance, SplatRadiance) else "picture"
        self.drawer = Drawer(scene, limit)
        self._point_size, self._markers_visible = 0.009, True
        self._pose: Pose | None = None
        self._message = ""
        self._complaint = False
        self._waiting_query = False
        self._errands = Errands(self._fail)
        self.view, self.splat = SceneView(client, scene), SplatShow(client, splats)
        self.navigation = Navigation(client, scene, self.view, self._fail)
        # The page sees its controls when all of them listen, not before: nobody is too quick for them.
        with client.atomic():
            self.panel = Panel(client, self, self.navigation, self._errands, self._start(title))
            self.navigation.panel = self.panel
        self._stop_listening = scene.listen(self._prepared)

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
        self._errands.close()
        self.view.stop_flight()
        self.scheduler.drop(self)

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

    def _start(self, title: str) -> PanelStart:
        model, unit = self.scene.model, self.scene.unit
        scales = model.language.scales if model else (1.0, 1.0)
        defaults = model.defaults if model else QueryDefaults((), 1.0, 0.5)
        return PanelStart(
            title,
            "" if self.scene.model is None else title_of(self.scene.model.encoder.name),
            defaults,
            (float(f"{float(scales[0]) / unit:.3g}"), float(f"{float(scales[-1]) / unit:.3g}")),
            self.drawer.limit,
            math.degrees(self.navigation.opening.angle),
            self._outputs(0), self._show,
        )  # fmt: skip

    def _outputs(self, phrases: int) -> tuple[str, ...]:
        return names(phrases, self.scene.model is not None, self.scene.has_dense)

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

    def set_query(self, canonical: str, temperature: float, threshold: float, exclusive: bool) -> None:
        try:
            negatives = split_phrases(canonical)
        except LerfError as error:
            self._fail(error)
            return
        if not negatives:
            self._complain('There is no canonical phrase to compare with; give one, for example "object".')
            return
        query = replace(self._query, canonical=negatives, temperature=temperature, threshold=threshold)
        self._submit(replace(query, exclusive=exclusive))

    def set_scale(self, row: int, scale: float | None) -> None:
        scales = list(self._query.scales)
        if row < len(scales):
            scales[row] = None if scale is None else scale * self.scene.unit
            self._submit(replace(self._query, scales=tuple(scales)))

    def _submit(self, query: PageQuery) -> None:
        self._query = query
        if not query.texts:
            return
        self.timings = Timings(time.perf_counter(), pictures=self.timings.pictures)
        if self.scene.model is None:
            self._complain(self.scene.lacking)
            return
        if not self.scene.answering:
            self._waiting_query = True
            self._report()
            return
        self._complaint = False
        self._say("Looking…")
        self.scheduler.submit(self, "answer", self._answer(query), Urgency.ANSWER, self._fail)

    def _answer(self, query: PageQuery) -> Iterator[Urgency]:
        model = self.scene.model
        assert model is not None
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", LerfWarning)
            phrases = model.phrases(query.texts, query.canonical, query.temperature, query.exclusive)
        self.panel.warn([str(one.message) for one in said if issubclass(one.category, LerfWarning)])
        yield Urgency.ANSWER
        threshold = model.defaults.threshold if query.threshold is None else query.threshold
        states = yield from self.drawer.at(Urgency.ANSWER, self.scene.ask(phrases, threshold, query.scales))
        new = self.asked is None or self.asked.phrases.texts != phrases.texts
        self.asked = AskedPhrases(phrases, tuple(states))
        self.timings.answer = time.perf_counter() - self.timings.sent
        output = self._display.output
        kind, phrase = parse(output)
        if phrase is None and new:
            output = "composited_0"
        elif phrase is not None and phrase >= len(states):
            output = f"{kind}_0"
        self._display = replace(self._display, output=output)
        self.panel.offer(self._outputs(len(states)), output)
        self.panel.answers.show(states, self.scene.unit)
        self.view.show_markers([state.answer for state in states], self._markers_visible)
        self._say(f"Answered in {1000 * self.timings.answer:.0f} ms.")
        self.redraw(now=True)

    def _clear(self) -> None:
        """No phrases."""
        self.scheduler.cancel(self, "answer")
        self._query, self.asked, self._waiting_query = replace(self._query, texts=(), scales=()), None, False
        if self._display.phrase is not None:
            self._display = replace(self._display, output="rgb")
        self.panel.offer(self._outputs(0), self._display.output)
        self.panel.answers.show([], self.scene.unit)
        self.panel.warn([])
        self.view.show_markers([])
        self.redraw(now=True)

    # What is shown

    def set_display(self, display: Display) -> None:
        self._display = display
        self.redraw()

    def set_show(self, show: str, point_size: float, isolate: bool) -> None:
        self._show, self._point_size, self._isolate = show, point_size, isolate
        self.redraw(now=True)

    def set_limit(self, height: int) -> None:
        self.drawer.limit = height
        self.redraw()

    def set_markers(self, visible: bool) -> None:
        self._markers_visible = visible
        asked = self.asked
        self.view.show_markers([state.answer for state in asked.states] if asked else [], visible)

    def set_photos(self, visible: bool) -> None:
        self.view.hide_frustums()
        if visible:
            fly = self.navigation.fly_to_photo
            missing = self.view.show_frustums(lambda photo: self._errands.run(partial(fly, photo)))
            if missing:
                self._say(f"{missing} photos are not where they were when the run was trained.")

    def moved(self) -> None:
        """The page's camera has moved."""
        pose = Pose.of(self.client.camera)
        before, self._pose = self._pose, pose
        if before is None or (self._show == "picture" and not pose.like(before)):
            self.redraw()

    def redraw(self, now: bool = False) -> None:
        """Show the present camera, prompt and display.

        Args:
            now: give up even the first picture of what was asked for before: a prompt does not wait, but a camera or
                a slider that moves without pause must be shown now and then.
        """
        if self._pose is None:
            return
        steps = self._draw(self._pose) if self._show == "picture" else self._draw_nodes()
        self.scheduler.submit(self, "draw", steps, Urgency.MOVING, self._fail, sheltered=True, now=now)

    def _draw(self, pose: Pose) -> Iterator[Urgency]:
        """Pictures of one camera, each sharper than the one before."""
        self.view.hide_points()
        self.splat.hide()
        height = self.client.camera.image_height
        yield from urgencies(self.drawer.pictures(pose, height, self._display, self.asked), self._show_picture)

    def _show_picture(self, drawn: Drawn) -> None:
        assert drawn.frame is not None
        self.view.show_picture(drawn.pixels, drawn.frame.picture)
        self.panel.show_legend(drawn.legend)
        self._shown("{} x {}".format(*drawn.frame.size), drawn.last)

    def _draw_nodes(self) -> Iterator[Urgency]:
        """What the browser draws by itself, in the colours of the display: the surface as points, or Gaussians."""
        if self._show == "splat":
            legend = yield from self.splat.show(self._display, self.asked, self._isolate, self._say)
            self.view.hide_picture()
            self.view.hide_points()
            self.panel.show_legend(legend)
            return self._shown("Gaussians", True)
        points, drawn = self.scene.points, self.drawer.points(self._display, self.asked)
        if points is None or drawn is None:
            self._report()
            return
        self.splat.hide()
        self.view.hide_picture()
        self.view.show_points(points, drawn.pixels, self._point_size)
        self.panel.show_legend(drawn.legend)
        self._shown("Points", True)
        yield Urgency.REFINING

    def _shown(self, what: str, last: bool) -> None:
        """Note that something to look at went out, and say what."""
        timings = self.timings
        timings.pictures += 1
        now = time.perf_counter() - timings.sent
        if timings.answer is not None:
            timings.first_picture = now if timings.first_picture is None else timings.first_picture
            if last and timings.full_picture is None:
                timings.full_picture = now
        if not self._complaint:
            answered = "" if timings.answer is None else f" Answered in {1000 * timings.answer:.0f} ms."
            self._say(f"{what}{'.' if last else ', refining…'}{answered}")

    def fly_to_instance(self, row: int, instance: int) -> None:
        asked = self.asked
        if asked is None or row >= len(asked.states) or instance >= len(asked.states[row].answer.instances):
            return
        self.navigation.fly_to_place(asked.states[row].answer.instances[instance].geometry)

    def click(self, origin: Any, direction: Any) -> None:
        """The scene was clicked, along a ray of the normalised frame."""
        self.scheduler.submit(self, "click", self._pick(origin, direction), Urgency.ANSWER, self._fail)

    def _pick(self, origin: Any, direction: Any) -> Iterator[Urgency]:
        asked = self.asked
        point, scores = self.scene.pick(origin, direction, asked.states if asked else ())
        texts = asked.phrases.texts if asked else ()
        ranked = sorted(zip(texts, scores, strict=False), key=lambda pair: -pair[1])
        self.view.show_picked(point)
        self.panel.show_picked(None if point is None else self.scene.to_capture(point).tolist(), ranked)
        yield Urgency.ANSWER

    # Words

    def _prepared(self) -> None:
        """The preparation of the scene got on."""
        if self.scene.answering and self._waiting_query:
            self._waiting_query = False
            self._submit(self._query)
        elif self._show == "points" and self.scene.points is not None:
            self.redraw()
        self._report()

    def _report(self) -> None:
        """Say what is being prepared, if somebody waits for it."""
        if self.scene.trouble:
            self._complain(self.scene.trouble)
        elif self._waiting_query or (self._show == "points" and self.scene.points is None):
            self._say(f"Please wait: {self.scene.preparing}…")

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
