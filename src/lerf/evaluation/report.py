"""The evaluation of a run: protocols over one truth, beside the 2D baseline, in one report of plain values.

A report holds, where they apply:
    protocol          names of the protocols, in the order of `PROTOCOLS`
    psnr, ssim, lpips, views, left_out   of `colour`; alone it is the whole report
    settings          everything that the scores depend on
    localisation      mean over queries, that is pairs of phrase and view; of `lerf-ovs` only where it is asked alone
    localisation_by_type, localisation_by_unseen   the same, split; "seen": phrases of the types that have unseen ones
    ovs_localisation, miou, miou_by_type   of `lerf-ovs`
    average_precision, precision_recall, at_threshold   of `existence`
    answered, point_accuracy, count_accuracy, extent_iou, part_scale_smaller   of `3d`
    baseline_2d       the scores of the 2D protocols, of the encoder's pyramid of each photo alone
    phrases           one row a phrase
    encoder, checkpoint, split, training_views, scale_choice   what was measured, and on what
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lerf.errors import ConfigError, RunError, SceneError
from lerf.evaluation import points3d
from lerf.evaluation.colour import evaluate_colour
from lerf.evaluation.existence import balanced, existence
from lerf.evaluation.localisation import LerfLocalisation
from lerf.evaluation.lpips import Lpips
from lerf.evaluation.map_sources import FieldMaps, MapSource, PyramidMaps, StoredMaps, at_size
from lerf.evaluation.ovs import BOX_SIDE, MAJORITY_SIDE, THRESHOLD, LerfOvs
from lerf.evaluation.truth import (
    MIN_PIXELS,
    AnnotatedTruth,
    LabelledTruth,
    Question,
    SceneTruth,
    Target,
    ViewTruth,
    find_truth,
)
from lerf.files import sha256_of
from lerf.model import Model
from lerf.queries.search import presence
from lerf.scenes.scene import Scene

PROTOCOLS = ("colour", "lerf-localisation", "lerf-ovs", "existence", "3d")
OF_MAPS = ("lerf-localisation", "lerf-ovs", "existence")
"""Protocols that maps of another method can be scored under."""


@runtime_checkable
class ViewProtocol(Protocol):
    """A protocol that scores one map at a time."""

    def score(self, scores: Float[Tensor, "height width"], target: Target) -> dict[str, float]:
        """Named scores of a map where the target is known, at the resolution of the target."""
        ...


@dataclass
class Tally:
    """What one method scored: by question, each score's values over the views, and the relevancy to the scene."""

    scores: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    relevancy: dict[int, float] = field(default_factory=dict)

    def add(self, question: int, values: Mapping[str, float]) -> None:
        """Enter the scores of one view."""
        for name, value in values.items():
            self.scores.setdefault(question, {}).setdefault(name, []).append(value)

    def see(self, question: int, relevancy: float) -> None:
        """Enter the relevancy of one view; the highest counts."""
        self.relevancy[question] = max(relevancy, self.relevancy.get(question, 0.0))

    def mean(self, name: str, questions: Iterable[int]) -> float | None:
        """Mean of a score over the queries of these questions; None where there is none."""
        values = [value for number in questions for value in self.scores.get(number, {}).get(name, [])]
        return sum(values) / len(values) if values else None


def evaluate(
    model: Model,
    protocols: Sequence[str] | None = None,
    *,
    labels: str | Path | None = None,
    maps: str | Path | None = None,
    absent: Sequence[str] | None = None,
    capture: Scene | None = None,
    run: str | Path | None = None,
    lpips: Lpips | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure a run, or another method's maps of its held-out views.

    Args:
        model: the run.
        protocols: of `PROTOCOLS`; by default all that the material allows.
        labels: folder of label files (`labels.py`), of box files (`lerf_boxes.py`), or with an annotation.json; by
            default that of the capture, where it has one.
        maps: folder of another method's maps (`map_sources.py`), scored instead of the run's.
        absent: with label files, phrases that are not in the scene; by default the categories of the folders beside
            theirs.
        capture: where photos and annotation are read, if not where the run found them.
        run: the run's folder, to record its checkpoint.
        lpips: adds LPIPS to `colour`.
        progress: called with the stage, the units done and their number.

    Raises:
        ConfigError: an unknown protocol, one that the material does not allow, or a missing or malformed map.
        SceneError: labels, annotation or photos that cannot be read.
    """
    scene = model.scene if capture is None else capture
    truth = find_truth(scene, labels, absent)
    chosen = _choose(protocols, truth, model.scene, maps is not None)
    report: dict[str, Any] = {"protocol": chosen}
    if "colour" in chosen:

        def advance(done: int, total: int) -> None:
            if progress:
                progress("colour of held-out views", done, total)

        colour = evaluate_colour(model, advance, lpips, capture)
        if chosen == ["colour"]:
            return colour
        report |= colour
    assert truth is not None
    return report | _Evaluation(model, truth, chosen, maps, capture, progress).report() | _provenance(model, run)


def obstacles(truth: SceneTruth | None, scene: Scene, other_maps: bool) -> dict[str, str]:
    """By protocol that cannot be measured, the reason."""
    found: dict[str, str] = {}
    if not scene.test:
        found["colour"] = "the capture has no held-out photos"
    if truth is None:
        known = "no labels are known; give --labels, or a capture with an annotation.json"
        return found | dict.fromkeys(PROTOCOLS[1:], known)
    if not set(truth.views) & set(scene.test):
        found["lerf-localisation"] = "no held-out photo has labels"
        if isinstance(truth, AnnotatedTruth):
            found["lerf-ovs"] = found["lerf-localisation"]
            if other_maps:
                found["existence"] = found["lerf-localisation"]
    if not truth.has_masks:
        found["lerf-ovs"] = "box files have no masks; give label files"
    kinds = {question.present for question in truth.questions}
    if kinds != {True, False}:
        found["existence"] = "it needs phrases in the scene and absent ones; give --absent FILE"
    if isinstance(truth, LabelledTruth):
        found["3d"] = "only generated scenes, with an annotation.json, know it"
    if other_maps:
        found |= dict.fromkeys(("colour", "3d"), "maps of another method do not show it")
    return found


def _choose(protocols: Sequence[str] | None, truth: SceneTruth | None, scene: Scene, other_maps: bool) -> list[str]:
    reasons = obstacles(truth, scene, other_maps)
    if protocols is None or not protocols:
        allowed = [name for name in PROTOCOLS if name not in reasons]
        if not allowed:
            if truth is None and not other_maps:
                raise SceneError("The capture has no held-out photos; add some or list them as test_filenames.")
            raise ConfigError(f"Nothing can be measured: {next(iter(reasons.values()))}.")
        return allowed
    for name in protocols:
        if name not in PROTOCOLS:
            raise ConfigError(f"There is no protocol {name!r}; choose among {', '.join(PROTOCOLS)}.")
        # Without photos, colour has an error of its own.
        if name in reasons and not (name == "colour" and not other_maps):
            raise ConfigError(f"The protocol {name} cannot be measured: {reasons[name]}.")
    return [name for name in PROTOCOLS if name in protocols]


class _Evaluation:
    """One pass over the views for all protocols but colour."""

    def __init__(
        self,
        model: Model,
        truth: SceneTruth,
        chosen: Sequence[str],
        maps: str | Path | None,
        capture: Scene | None,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        self.model, self.truth, self.chosen, self.maps = model, truth, list(chosen), maps
        self.questions: tuple[Question, ...] = truth.questions
        self.progress = progress or (lambda stage, done, total: None)
        texts = list(dict.fromkeys(question.text for question in self.questions))
        self.phrases = replace(model.phrases(texts), texts=tuple(texts))
        self.baseline: MapSource = PyramidMaps(model, self.phrases, capture)
        numbers = range(len(self.questions))
        self.existing, self.missing = balanced(
            [n for n in numbers if self.questions[n].present], [n for n in numbers if not self.questions[n].present]
        )
        if "existence" not in chosen:
            self.existing, self.missing = [], []
        self.protocols: dict[str, ViewProtocol] = {
            "lerf-localisation": LerfLocalisation(truth.rule),
            "lerf-ovs": LerfOvs(),
        }
        self._novel = [photo for photo in model.scene.test if photo in truth.views]
        self.views: dict[str, list[int]] = {}
        if "lerf-localisation" in chosen:
            self.views["lerf-localisation"] = self._novel
        if "lerf-ovs" in chosen:
            # LangSplat scores every labelled frame; of a generated scene, which labels them all, only novel views are.
            self.views["lerf-ovs"] = self._novel if isinstance(truth, AnnotatedTruth) else list(truth.views)

    def report(self) -> dict[str, Any]:
        """Everything but colour and provenance."""
        model = self.model
        scales: list[float] = []
        if self.maps is None:
            scales = model.choose_scales(self.phrases)
            method: MapSource = FieldMaps(model, self.phrases, scales)
        else:
            method = StoredMaps(Path(self.maps), model.scene)
        by_text = dict(zip(self.phrases.texts, scales, strict=False))
        ours, baseline, solid = Tally(), Tally(), {}
        summary_3d: dict[str, Any] = {}
        if self.maps is None and {"existence", "3d"} & set(self.chosen):
            answers = self._answers()
            for number, answer in answers.items():
                ours.relevancy[number] = answer.relevancy
            if "3d" in self.chosen and isinstance(self.truth, AnnotatedTruth):
                annotation = self.truth.annotation
                solid = points3d.score_answers(annotation, answers)
                chosen_scales = {number: by_text[q.text] for number, q in enumerate(self.questions)}
                summary_3d = points3d.summary(annotation, solid, chosen_scales)
        flat = bool(set(self.chosen) & set(OF_MAPS))
        if flat:
            self._look(method, ours, baseline)
        report: dict[str, Any] = {"settings": self._settings()}
        report |= self._summary(ours, model.threshold if self.maps is None else None) | summary_3d
        if flat:
            report["baseline_2d"] = {**self._summary(baseline, None), "scale_choice": "per view"}
        unit = model.scene.similarity.scale
        report["phrases"] = [
            self._row(number, ours, baseline, solid.get(number, {}), {t: s / unit for t, s in by_text.items()})
            for number in range(len(self.questions))
        ]
        held_out = set(model.scene.test)
        training = sorted({photo for photos in self.views.values() for photo in photos} - held_out)
        report["split"] = [model.scene.photos[photo].name for photo in model.scene.test]
        if training:
            report["training_views"] = [model.scene.photos[photo].name for photo in training]
        report["scale_choice"] = "per scene" if self.maps is None else "of the maps"
        return report

    def _answers(self) -> dict[int, Any]:
        """The run's answers to all questions that 3D and existence need, by question."""
        wanted = {*self.existing, *self.missing}
        if "3d" in self.chosen and isinstance(self.truth, AnnotatedTruth):
            wanted |= set(points3d.asked(self.truth.annotation))
        texts = list(dict.fromkeys(self.questions[number].text for number in sorted(wanted)))
        if not texts:
            return {}
        self.progress("answers", 0, 1)
        found = dict(zip(texts, self.model.query(texts).queries, strict=True))
        return {number: found[self.questions[number].text] for number in sorted(wanted)}

    def _look(self, method: MapSource, ours: Tally, baseline: Tally) -> None:
        """Score the maps of all views."""
        asked = [*self.existing, *self.missing]
        # Of label files the labelled photos, for which another method will have maps.
        exist_in = set(self._novel if isinstance(self.truth, AnnotatedTruth) else self.truth.views) if asked else set()
        photos = sorted({photo for listed in self.views.values() for photo in listed} | exist_in)
        for done, photo in enumerate(photos):
            view = self.truth.view(photo) if photo in self.truth.views else None
            protocols = [self.protocols[name] for name, listed in self.views.items() if photo in listed]
            shown = sorted(view.targets) if view and protocols else []
            here = asked if photo in exist_in else []
            # The run says by its answers what exists.
            self._score(method, photo, view, shown, here if self.maps is not None else [], protocols, ours)
            self._score(self.baseline, photo, view, shown, here, protocols, baseline)
            self.progress("phrases in views", done + 1, len(photos))

    def _score(
        self,
        source: MapSource,
        photo: int,
        view: ViewTruth | None,
        shown: Sequence[int],
        asked: Sequence[int],
        protocols: Sequence[ViewProtocol],
        tally: Tally,
    ) -> None:
        """Score the maps of one method in one view."""
        texts = list(dict.fromkeys(self.questions[number].text for number in [*shown, *asked]))
        if not texts:
            return
        found = dict(zip(texts, source.maps(photo, texts), strict=True))
        for number in asked:
            tally.see(number, presence(found[self.questions[number].text].flatten()))
        if view is None:
            return
        for number in shown:
            scores = at_size(found[self.questions[number].text], view.height, view.width)
            for protocol in protocols:
                tally.add(number, protocol.score(scores, view.targets[number]))

    def _summary(self, tally: Tally, threshold: float | None) -> dict[str, Any]:
        """Means over queries, and average precision."""
        everything = range(len(self.questions))
        types = list(dict.fromkeys(question.type for question in self.questions))
        report: dict[str, Any] = {}
        for score, name in (
            ("localisation", "localisation"),
            ("ovs_localisation", "ovs_localisation"),
            ("iou", "miou"),
        ):
            mean = tally.mean(score, everything)
            if mean is None:
                continue
            report[name] = mean
            by_type = {kind: tally.mean(score, self._of_type(kind)) for kind in types}
            report[f"{name}_by_type"] = {kind: value for kind, value in by_type.items() if value is not None}
            split = {word: tally.mean(score, numbers) for word, numbers in self._by_unseen().items()}
            if split["unseen"] is not None:
                report[f"{name}_by_unseen"] = split
        if "ovs_localisation" in report and "lerf-localisation" not in self.chosen:
            for suffix in ("", "_by_type", "_by_unseen"):
                if f"ovs_localisation{suffix}" in report:
                    report[f"localisation{suffix}"] = report[f"ovs_localisation{suffix}"]
        if self.existing and all(number in tally.relevancy for number in (*self.existing, *self.missing)):
            present, absent = ([tally.relevancy[n] for n in each] for each in (self.existing, self.missing))
            report |= existence(present, absent, threshold)
        return report

    def _of_type(self, kind: str) -> list[int]:
        return [number for number, question in enumerate(self.questions) if question.type == kind]

    def _by_unseen(self) -> dict[str, list[int]]:
        """Phrases whose words were never joined in training, and the others of the same types."""
        types = {question.type for question in self.questions if question.unseen}
        alike = [number for number, question in enumerate(self.questions) if question.type in types]
        return {
            "unseen": [number for number in alike if self.questions[number].unseen],
            "seen": [number for number in alike if not self.questions[number].unseen],
        }

    def _row(
        self, number: int, ours: Tally, baseline: Tally, solid: Mapping[str, Any], scales: Mapping[str, float]
    ) -> dict[str, Any]:
        question = self.questions[number]
        row: dict[str, Any] = {
            "text": question.text,
            "type": question.type,
            "unseen": question.unseen,
            "present": question.present,
        }
        if question.text in scales:
            row["scale"] = scales[question.text]
        row |= self._means(number, ours) | dict(solid)
        beside = self._means(number, baseline)
        if beside:
            row["baseline_2d"] = beside
        return row

    @staticmethod
    def _means(number: int, tally: Tally) -> dict[str, Any]:
        """A phrase's relevancy, the number of views that it was asked of, and its mean scores over them."""
        row: dict[str, Any] = {}
        if number in tally.relevancy:
            row["score"] = tally.relevancy[number]
        values = tally.scores.get(number, {})
        if values:
            row["views"] = max(len(listed) for listed in values.values())
        return row | {name: sum(listed) / len(listed) for name, listed in values.items()}

    def _settings(self) -> dict[str, Any]:
        model = self.model
        settings: dict[str, Any] = {
            "canonical": list(model.canonical),
            "temperature": model.temperature,
            "threshold": model.threshold,
        }
        if self.maps is not None:
            settings["maps"] = str(self.maps)
        if set(self.views) and isinstance(self.truth, AnnotatedTruth):
            settings["min_pixels"] = MIN_PIXELS
        if "lerf-localisation" in self.chosen:
            settings["localisation_rule"] = self.truth.rule
        if "lerf-ovs" in self.chosen:
            settings["ovs"] = {"box_side": BOX_SIDE, "majority_side": MAJORITY_SIDE, "threshold": THRESHOLD}
        if "existence" in self.chosen:
            settings["existence"] = {"present": len(self.existing), "absent": len(self.missing)}
        if "3d" in self.chosen:
            settings["3d"] = {
                "tolerance": points3d.TOLERANCE,
                "relative_tolerance": points3d.RELATIVE_TOLERANCE,
                "max_count": points3d.MAX_COUNT,
            }
        return settings


def _provenance(model: Model, run: str | Path | None) -> dict[str, Any]:
    """The encoder, and one hash over both checkpoints where the run's folder is known."""
    facts: dict[str, Any] = {"encoder": {"name": model.encoder.name, "fingerprint": model.encoder.fingerprint}}
    if run is not None:
        try:
            digests = [sha256_of(Path(run) / f"{stage}.safetensors") for stage in ("radiance", "language")]
        except OSError as error:
            raise RunError(f"The checkpoints of {run} cannot be read ({error}); train it again.") from error
        facts["checkpoint"] = hashlib.sha256("".join(digests).encode()).hexdigest()
    return facts
