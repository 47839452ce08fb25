"""What a protocol of evaluation is, and what it is given: the inputs, and one method's maps and answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from lerf.evaluation.lpips import Lpips
from lerf.evaluation.map_sources import FieldMaps, MapSource, at_size
from lerf.evaluation.truth import AnnotatedTruth, Question, SceneTruth, Target, ViewTruth
from lerf.model import Model
from lerf.queries.phrases import Phrases
from lerf.queries.result import Answer
from lerf.scenes.inspection.fit import usable_points
from lerf.scenes.inspection.tracks import Tracks, tracks_of
from lerf.scenes.scene import Scene
from lerf.steps import finish

Progress = Callable[[str, int, int], None]
"""Called with the stage, the units done and their number."""


@dataclass(frozen=True)
class EvalInputs:
    """What there is to measure on."""

    scene: Scene
    """The run's."""
    truth: SceneTruth | None
    other_maps: bool
    """Whether maps of another method are scored instead of the run's."""
    capture: Scene | None = None
    """Where the capture is read, if not where the run found it."""

    @cached_property
    def _points(self) -> tuple[Tracks | None, str | None]:
        points, trouble = usable_points(self.capture or self.scene)
        usable = points is not None and len(points) > 0
        return tracks_of(self.scene, points) if usable and points is not None else None, trouble

    @property
    def tracks(self) -> Tracks | None:
        """The capture's sparse points and who sees them; None where there are none that can be read."""
        return self._points[0]

    @property
    def points_trouble(self) -> str | None:
        """Why the capture's sparse points cannot be read, as the end of a sentence; None where that is not so."""
        trouble = self._points[1]
        return None if trouble is None else f"{trouble[:1].lower()}{trouble[1:].rstrip('.')}"

    @property
    def known(self) -> SceneTruth:
        """The truth, for protocols that nothing keeps from being applied."""
        assert self.truth is not None
        return self.truth

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        return () if self.truth is None else self.truth.questions

    @cached_property
    def novel(self) -> list[int]:
        """Held-out photos whose truth is known."""
        return [] if self.truth is None else [photo for photo in self.scene.test if photo in self.truth.views]

    @cached_property
    def labelled(self) -> list[int]:
        """Photos that LERF-OVS and existence are measured on.

        LangSplat scores every labelled frame, for which another method will have maps; of a generated scene, which
        labels them all, only novel views are scored.
        """
        return list(self.truth.views) if self.truth and not isinstance(self.truth, AnnotatedTruth) else self.novel

    @cached_property
    def shown(self) -> list[int]:
        """Indices of the questions whose truth these photos show."""
        return sorted({number for photo in self.labelled for number in self.known.shown(photo)})


@dataclass
class Accumulator:
    """What one method's maps scored: by question, each score over the views, and the relevancy to the scene."""

    scores: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    relevancy: dict[int, float] = field(default_factory=dict)

    def add(self, question: int, values: Mapping[str, float]) -> None:
        """Enter the scores of one view."""
        for name, value in values.items():
            self.scores.setdefault(question, {}).setdefault(name, []).append(value)

    def add_relevancy(self, question: int, relevancy: float) -> None:
        """Enter the relevancy of one view; the highest counts."""
        self.relevancy[question] = max(relevancy, self.relevancy.get(question, -math.inf))

    def mean(self, name: str, questions: Iterable[int]) -> float | None:
        """Mean of a score over the queries of these questions; None where there is none."""
        values = [value for number in questions for value in self.scores.get(number, {}).get(name, [])]
        return sum(values) / len(values) if values else None


class EvaluationProtocol(ABC):
    """A protocol: what keeps it from being applied, what it asks, and what it makes of what a method says."""

    name: ClassVar[str]
    of_answers: ClassVar[bool] = False
    """Whether the run is measured by its answers in 3D, to `asked`, and not by its maps."""
    on_request: ClassVar[bool] = False
    """Whether it is applied only where it is named."""

    @abstractmethod
    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        """Why it cannot be applied; None where it can."""

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        """What its scores depend on, for the report."""
        return {}

    def asked(self, inputs: EvalInputs, view: ViewTruth | None = None) -> Sequence[int]:
        """Indices of the questions that it asks of a view, or of the whole scene."""
        return ()

    @abstractmethod
    def summary(self, measured: Measured) -> dict[str, Any]:
        """Its entries in the report."""

    def rows(self, measured: MeasuredRun) -> dict[int, dict[str, Any]]:
        """What it has to say of single questions of a run, by index."""
        return {}


class MapProtocol(EvaluationProtocol):
    """A protocol that looks at maps, so that another method's and the 2D baseline's can be measured by it as well."""

    @abstractmethod
    def photos(self, inputs: EvalInputs) -> Sequence[int]:
        """Photos whose maps it looks at."""

    @abstractmethod
    def update(
        self, scores: Float[Tensor, "_height _width"], number: int, view: ViewTruth, accumulator: Accumulator
    ) -> None:
        """Enter what a map of a question is worth in a view."""


class ViewProtocol(MapProtocol):
    """A protocol that scores one map at a time where the view shows what the phrase is true of."""

    def asked(self, inputs: EvalInputs, view: ViewTruth | None = None) -> Sequence[int]:
        return () if view is None else sorted(view.targets)

    def update(
        self, scores: Float[Tensor, "_height _width"], number: int, view: ViewTruth, accumulator: Accumulator
    ) -> None:
        accumulator.add(number, self.score(at_size(scores, view.height, view.width), view.targets[number]))

    @abstractmethod
    def score(self, scores: Float[Tensor, "height width"], target: Target) -> dict[str, float]:
        """Named scores of a map at the resolution of the target."""


class Measured(ABC):
    """One method under the chosen protocols: its maps, looked at once when the first of them asks."""

    stage = "phrases in views"

    def __init__(self, inputs: EvalInputs, protocols: Sequence[EvaluationProtocol], progress: Progress) -> None:
        self.inputs, self.protocols, self.progress = inputs, tuple(protocols), progress

    @property
    @abstractmethod
    def source(self) -> MapSource:
        """Where its maps come from."""

    @property
    def map_protocols(self) -> list[MapProtocol]:
        """The protocols that look at this method's maps."""
        return [protocol for protocol in self.protocols if isinstance(protocol, MapProtocol)]

    @property
    def relevancy(self) -> dict[int, float]:
        """How relevant the questions that existence asks are to the scene, by index."""
        return self.accumulator.relevancy

    @cached_property
    def accumulator(self) -> Accumulator:
        """What the maps of all views scored."""
        accumulator, inputs = Accumulator(), self.inputs
        photos = sorted({photo for protocol in self.map_protocols for photo in protocol.photos(inputs)})
        if not photos:
            return accumulator
        # A source may have a stage of its own before the first view.
        source = self.source
        for done, photo in enumerate(photos):
            self.progress(self.stage, done, len(photos))
            view = inputs.known.view(photo)
            wanted = [
                (protocol, number)
                for protocol in self.map_protocols
                if photo in protocol.photos(inputs)
                for number in protocol.asked(inputs, view)
            ]
            texts = list(dict.fromkeys(inputs.questions[number].text for _, number in wanted))
            found = dict(zip(texts, source.maps(photo, texts), strict=True)) if texts else {}
            for protocol, number in wanted:
                protocol.update(found[inputs.questions[number].text], number, view, accumulator)
            self.progress(self.stage, done + 1, len(photos))
        return accumulator

    def means(self, score: str, name: str) -> dict[str, Any]:
        """Means of a score over queries, under `name`: all, by type of phrase, and unseen beside seen ones."""
        questions = self.inputs.questions
        mean = self.accumulator.mean(score, range(len(questions)))
        if mean is None:
            return {}
        types: dict[str, list[int]] = {}
        for number, question in enumerate(questions):
            types.setdefault(question.type, []).append(number)
        by_type = {kind: self.accumulator.mean(score, numbers) for kind, numbers in types.items()}
        report: dict[str, Any] = {name: mean}
        report[f"{name}_by_type"] = {kind: value for kind, value in by_type.items() if value is not None}
        # Phrases whose words were never joined in training, and the others of the same types.
        mixed = {question.type for question in questions if question.unseen}
        alike = [number for kind in types if kind in mixed for number in types[kind]]
        split = {
            word: self.accumulator.mean(score, [number for number in alike if questions[number].unseen == unseen])
            for word, unseen in (("unseen", True), ("seen", False))
        }
        if split["unseen"] is not None:
            report[f"{name}_by_unseen"] = split
        return report


class MeasuredMaps(Measured):
    """A method that has maps and no more: the 2D baseline, or another method."""

    def __init__(
        self,
        inputs: EvalInputs,
        protocols: Sequence[EvaluationProtocol],
        progress: Progress,
        source: MapSource,
        stage: str = Measured.stage,
    ) -> None:
        super().__init__(inputs, protocols, progress)
        self.stage, self._source = stage, source

    @property
    def source(self) -> MapSource:
        return self._source


class MeasuredRun(Measured):
    """The run under the chosen protocols: also its colours, and its answers where a protocol goes by them."""

    def __init__(
        self,
        inputs: EvalInputs,
        protocols: Sequence[EvaluationProtocol],
        progress: Progress,
        model: Model,
        capture: Scene | None = None,
        lpips: Lpips | None = None,
    ) -> None:
        super().__init__(inputs, protocols, progress)
        self.model, self.capture, self.lpips = model, capture, lpips
        self.kept: dict[str, Any] = {}
        """What protocols keep for their rows, by the protocol's name."""

    @cached_property
    def phrases(self) -> Phrases:
        return embedded(self.model, self.inputs)

    @cached_property
    def scales(self) -> dict[str, float]:
        """By text, normalised units."""
        self.progress("scales of phrases", 0, 1)
        scales = self.model.scales(self.phrases)
        self.progress("scales of phrases", 1, 1)
        return dict(zip(self.phrases.texts, scales, strict=True))

    @cached_property
    def source(self) -> MapSource:
        return FieldMaps(self.model, self.phrases, list(self.scales.values()))

    @property
    def map_protocols(self) -> list[MapProtocol]:
        return [protocol for protocol in super().map_protocols if not protocol.of_answers]

    @property
    def relevancy(self) -> dict[int, float]:
        return {number: answer.relevancy for number, answer in self.answers.items()}

    @cached_property
    def answers(self) -> dict[int, Answer]:
        """Answers to all questions that protocols go by, by index."""
        inputs = self.inputs
        wanted = {n for protocol in self.protocols if protocol.of_answers for n in protocol.asked(inputs)}
        texts = list(dict.fromkeys(inputs.questions[number].text for number in sorted(wanted)))
        if not texts:
            return {}
        scales = [self.scales[text] / self.model.photos.unit for text in texts]
        self.progress("answers", 0, 1)
        some = self.phrases.chosen([self.phrases.texts.index(text) for text in texts])
        listed = finish(self.model.answer(some, scales=scales))
        self.progress("answers", 1, 1)
        found = {text: own.answer for text, own in zip(texts, listed, strict=True)}
        return {number: found[inputs.questions[number].text] for number in sorted(wanted)}


def embedded(model: Model, inputs: EvalInputs) -> Phrases:
    """The questions' texts, each once, under the names that they have there."""
    texts = tuple(dict.fromkeys(question.text for question in inputs.questions))
    return replace(model.phrases(texts), texts=texts)


def without_labels(inputs: EvalInputs) -> str | None:
    """Why nothing but colour can be measured, where it cannot."""
    if inputs.truth is None:
        return "no labels are known; give --labels, or a capture with an annotation.json"
    return None
