"""The evaluation of a run: protocols over one truth, beside the 2D baseline, in one report of plain values.

A report always holds:
    protocol          names of the protocols, in the order of `PROTOCOLS`
    settings          everything that the scores depend on, as far as the chosen protocols use it; of another method's
                      maps their folder and `maps_sha256`, over the maps that were read
    encoder, checkpoint   of the run: name and fingerprint; one hash over both checkpoints where its folder is known
    split             names of the held-out photos

And where they apply:
    psnr, ssim, lpips, views, left_out   of `colour`: means, one row a photo, and photos without a finite PSNR
    localisation      mean over queries, that is pairs of phrase and view; of `lerf-ovs` only where it is asked alone
    localisation_by_type, localisation_by_unseen   the same, split; "seen": phrases of the types that have unseen ones
    ovs_localisation, miou, miou_by_type   of `lerf-ovs`
    average_precision, precision_recall, at_threshold   of `existence`
    answered, point_accuracy, count_accuracy, extent_iou, part_scale_smaller   of `3d`
    phrases           one row a phrase: text, type, unseen, present; scale, capture units; score, its relevancy to the
                      scene; views, where it was asked for; its mean of each score over them; the same in baseline_2d
    training_views    photos that were learnt from and yet scored, as LangSplat's protocol does with labelled ones
    scale_choice      "per scene", or "of the maps"
    baseline_2d       the scores of the 2D protocols, of the encoder's pyramid of each photo alone; scale_choice "per
                      view". With another method's maps, what the run contributes lies here and not above: encoder,
                      checkpoint, and in `settings` canonical, temperature, threshold
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lerf.errors import ConfigError, RunError, SceneError
from lerf.evaluation import points3d
from lerf.evaluation.captures import check_cameras, check_photos
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
from lerf.queries.answer import Answer
from lerf.queries.search import presence
from lerf.scenes.load import load_scene
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
        self.relevancy[question] = max(relevancy, self.relevancy.get(question, -math.inf))

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
        ConfigError: an unknown protocol, one that the material does not allow, an option without effect, or a missing
            or malformed map.
        SceneError: labels, annotation or photos that cannot be read, or that are of another capture than the run.
    """
    if capture is not None:
        check_photos(capture, model.scene)
    truth = _known_truth(model, capture, labels, absent)
    chosen = _choose(protocols, truth, model.scene, maps is not None)
    if lpips is not None and "colour" not in chosen:
        raise ConfigError("LPIPS weights have no effect without the protocol colour; choose it or leave them out.")
    facts = _provenance(model, run)
    report: dict[str, Any] = {"protocol": chosen}
    if "colour" in chosen:

        def advance(done: int, total: int) -> None:
            if progress:
                progress("colour of held-out views", done, total)

        report |= evaluate_colour(model, advance, lpips, capture)
    names = [model.scene.photos[photo].name for photo in model.scene.test]
    if chosen == ["colour"]:
        return report | {"settings": _run_settings(model), "split": names} | facts
    assert truth is not None
    report |= _Evaluation(model, truth, chosen, maps, capture, progress).report() | {"split": names}
    if maps is None:
        return report | facts
    report["baseline_2d"] |= facts
    return report


def _known_truth(
    model: Model, capture: Scene | None, labels: str | Path | None, absent: Sequence[str] | None
) -> SceneTruth | None:
    """The truth, when it is of the run's scene and makes use of `absent`."""
    scene = model.scene if capture is None else capture
    truth = find_truth(scene, labels, absent)
    if absent is not None and not isinstance(truth, LabelledTruth):
        raise ConfigError(
            "Absent phrases are only given with label files, by --labels; leave --absent out: "
            + ("no labels are known." if truth is None else "a generated scene knows its own.")
        )
    if isinstance(truth, AnnotatedTruth) and truth.folder.resolve() != model.scene.root.resolve():
        source = scene if truth.folder.resolve() == scene.root.resolve() else load_scene(truth.folder)
        check_cameras(source, model.scene, truth.folder)
    return truth


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
    if not _labelled(truth, scene):
        found |= dict.fromkeys(("lerf-ovs", "existence"), "no held-out photo has labels")
    elif not all(_kinds(truth, scene)):
        advice = "give --absent FILE" if isinstance(truth, LabelledTruth) else "hold out other photos"
        found["existence"] = f"it needs phrases that the views show and absent ones; {advice}"
    if not truth.has_masks:
        found["lerf-ovs"] = "box files have no masks; give label files"
    if isinstance(truth, LabelledTruth):
        found["3d"] = "only generated scenes, with an annotation.json, know it"
    if other_maps:
        found |= dict.fromkeys(("colour", "3d"), "maps of another method do not show it")
    return found


def _labelled(truth: SceneTruth, scene: Scene) -> list[int]:
    """Photos that LERF-OVS and existence are measured on.

    LangSplat scores every labelled frame, for which another method will have maps; of a generated scene, which labels
    them all, only novel views are scored.
    """
    return _novel(truth, scene) if isinstance(truth, AnnotatedTruth) else list(truth.views)


def _novel(truth: SceneTruth, scene: Scene) -> list[int]:
    """Held-out photos whose truth is known."""
    return [photo for photo in scene.test if photo in truth.views]


def _kinds(truth: SceneTruth, scene: Scene) -> tuple[list[int], list[int]]:
    """Questions that the views of `_labelled` show, and questions whose answer is nothing."""
    shown = {number for photo in _labelled(truth, scene) for number in truth.shown(photo)}
    return sorted(shown), [number for number, question in enumerate(truth.questions) if not question.present]


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
        self.existing: list[int] = []
        self.missing: list[int] = []
        if "existence" in chosen:
            self.existing, self.missing = balanced(*_kinds(truth, model.scene))
        self.protocols: dict[str, ViewProtocol] = {
            "lerf-localisation": LerfLocalisation(truth.rule),
            "lerf-ovs": LerfOvs(),
        }
        self.labelled = _labelled(truth, model.scene)
        self.views: dict[str, list[int]] = {}
        if "lerf-localisation" in chosen:
            self.views["lerf-localisation"] = _novel(truth, model.scene)
        if "lerf-ovs" in chosen:
            self.views["lerf-ovs"] = self.labelled

    def report(self) -> dict[str, Any]:
        """Everything but colour, split and provenance."""
        model = self.model
        by_text: dict[str, float] = {}
        if self.maps is None:
            self.progress("scales of phrases", 0, 1)
            by_text = dict(zip(self.phrases.texts, model.choose_scales(self.phrases), strict=True))
            self.progress("scales of phrases", 1, 1)
            method: MapSource = FieldMaps(model, self.phrases, list(by_text.values()))
        else:
            method = StoredMaps(Path(self.maps), model.scene)
        ours, baseline, solid = Tally(), Tally(), {}
        summary_3d: dict[str, Any] = {}
        if self.maps is None and {"existence", "3d"} & set(self.chosen):
            answers = self._answers(by_text)
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
        if isinstance(method, StoredMaps):
            report["settings"] |= {"maps": str(self.maps), "maps_sha256": method.digest}
            report["baseline_2d"]["settings"] = _run_settings(model)
        else:
            report["settings"] = _run_settings(model) | report["settings"]
        unit = model.scene.similarity.scale
        report["phrases"] = [
            self._row(number, ours, baseline, solid.get(number, {}), {t: s / unit for t, s in by_text.items()})
            for number in range(len(self.questions))
        ]
        held_out = set(model.scene.test)
        training = sorted({photo for photos in self.views.values() for photo in photos} - held_out)
        if training:
            report["training_views"] = [model.scene.photos[photo].name for photo in training]
        report["scale_choice"] = "per scene" if self.maps is None else "of the maps"
        return report

    def _answers(self, scales: Mapping[str, float]) -> dict[int, Answer]:
        """The run's answers to all questions that 3D and existence need, by question; scales by text, normalised."""
        wanted = {*self.existing, *self.missing}
        if "3d" in self.chosen and isinstance(self.truth, AnnotatedTruth):
            wanted |= set(points3d.asked(self.truth.annotation))
        texts = list(dict.fromkeys(self.questions[number].text for number in sorted(wanted)))
        if not texts:
            return {}
        self.progress("answers", 0, 1)
        rows = [self.phrases.texts.index(text) for text in texts]
        some = replace(self.phrases, texts=tuple(texts), queries=self.phrases.queries[rows])
        answers = self.model.answers(some, [scales[text] for text in texts], self.model.threshold)
        self.progress("answers", 1, 1)
        found = dict(zip(texts, answers, strict=True))
        return {number: found[self.questions[number].text] for number in sorted(wanted)}

    def _look(self, method: MapSource, ours: Tally, baseline: Tally) -> None:
        """Score the maps of all views."""
        asked = [*self.existing, *self.missing]
        exist_in = set(self.labelled) if asked else set()
        photos = sorted({photo for listed in self.views.values() for photo in listed} | exist_in)
        self.progress("phrases in views", 0, len(photos))
        for done, photo in enumerate(photos):
            view = self.truth.view(photo)
            protocols = [self.protocols[name] for name, listed in self.views.items() if photo in listed]
            shown = sorted(view.targets) if protocols else []
            here = asked if photo in exist_in else []
            # The run says by its answers what exists.
            self._score(method, photo, view, shown, here if self.maps is not None else [], protocols, ours)
            self._score(self.baseline, photo, view, shown, here, protocols, baseline)
            self.progress("phrases in views", done + 1, len(photos))

    def _score(
        self,
        source: MapSource,
        photo: int,
        view: ViewTruth,
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
        """What the chosen protocols depend on, whatever is measured."""
        settings: dict[str, Any] = {}
        if (self.views or self.existing) and isinstance(self.truth, AnnotatedTruth):
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


def _run_settings(model: Model) -> dict[str, Any]:
    return {"canonical": list(model.canonical), "temperature": model.temperature, "threshold": model.threshold}


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
