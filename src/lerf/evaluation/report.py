"""The evaluation of a run: protocols over one truth, beside the 2D baseline, in one report of plain values.

A report always holds:
    protocol          names of the protocols, in the order of `PROTOCOLS`
    settings          everything that the scores depend on, as far as the chosen protocols use it; of another method's
                      maps their folder and `maps_sha256`, over the maps that were read
    encoder, checkpoint   of the run: name and fingerprint; one hash over both checkpoints where its folder is known
    split             names of the held-out photos

And where they apply:
    depth_error_median, depth_error_p90, depth_points, depth_views   of `depth`: relative error over all points, and a
                      row a photo
    psnr, ssim, lpips, views, left_out   of `colour`: means, one row a photo, and photos without a finite PSNR
    localisation      mean over queries, that is pairs of phrase and view; of `lerf-ovs` only where it is asked alone
    localisation_by_type, localisation_by_unseen   the same, split; "seen": phrases of the types that have unseen ones
    ovs_localisation, miou, miou_by_type   of `lerf-ovs`
    average_precision, precision_recall, at_threshold   of `existence`
    answered, point_accuracy, count_accuracy, extent_iou, part_scale_smaller   of `3d`
    lerf_3d_miou, lerf_3d_acc_25, lerf_3d_acc_50   of `lerf-3d`, by preset; in `phrases` lerf_3d_iou
    margin_sign, teacher_cosine   of `margin-sign`
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lerf.errors import ConfigError, RunError, SceneError
from lerf.evaluation.agreement import warn_of_little
from lerf.evaluation.captures import check_cameras, check_photos, warn_of_changes
from lerf.evaluation.colour import Colour
from lerf.evaluation.depth import Depth
from lerf.evaluation.existence import Existence
from lerf.evaluation.localisation import LerfLocalisation
from lerf.evaluation.lpips import Lpips
from lerf.evaluation.map_sources import PyramidMaps, StoredMaps
from lerf.evaluation.margin_sign import MarginSign
from lerf.evaluation.ovs import LerfOvs
from lerf.evaluation.points3d import Points3d
from lerf.evaluation.protocol import (
    EvalInputs,
    EvaluationProtocol,
    MapProtocol,
    Measured,
    MeasuredMaps,
    MeasuredRun,
    Progress,
    ViewProtocol,
    embedded,
)
from lerf.evaluation.selection3d import Selection3d
from lerf.evaluation.truth import MIN_PIXELS, AnnotatedTruth, LabelledTruth, SceneTruth, find_truth
from lerf.files import resolved, sha256_of
from lerf.model import Model
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene

PROTOCOLS: dict[str, EvaluationProtocol] = {
    protocol.name: protocol
    for protocol in (
        Colour(),
        Depth(),
        LerfLocalisation(),
        LerfOvs(),
        Existence(),
        Points3d(),
        Selection3d(),
        MarginSign(),
    )
}
"""All protocols by name, in the order of the report."""
OF_RADIANCE = {"colour", "depth"}
"""Protocols that ask the radiance alone."""
BASELINE_STAGE = "2D baseline in views"


def evaluate(
    model: Model,
    protocols: Sequence[str] | None = None,
    *,
    labels: str | Path | None = None,
    maps: str | Path | None = None,
    absent: Sequence[str] | None = None,
    capture: Scene | None = None,
    lpips: Lpips | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a run, or another method's maps of its held-out views.

    Args:
        model: the run.
        protocols: of `PROTOCOLS`; by default all that the inputs allow, but those on request.
        labels: folder of label files (`labels.py`), of box files (`lerf_boxes.py`), or with an annotation.json; by
            default that of the capture, where it has one.
        maps: folder of another method's maps (`map_sources.py`), scored instead of the run's.
        absent: with label files, phrases that are not in the scene; by default the categories of the folders beside
            theirs.
        capture: where photos and annotation are read, if not where the run found them.
        lpips: adds LPIPS to `colour`.
        progress: called with the stage, the units done and their number.

    Raises:
        ConfigError: an unknown protocol, one that the inputs do not allow, an option without effect, or a missing
            or malformed map.
        SceneError: labels, annotation or photos that cannot be read, or that are of another capture than the run.
    """
    if capture is not None:
        check_photos(capture, model.scene)
    if model.folder is not None:
        warn_of_changes(model.folder, model.scene, capture)
        if maps is None:
            warn_of_little(model.folder)
    inputs = EvalInputs(model.scene, _known_truth(model, capture, labels, absent), maps is not None, capture)
    chosen = _choose(protocols, inputs)
    if lpips is not None and "colour" not in [protocol.name for protocol in chosen]:
        raise ConfigError("LPIPS weights have no effect without the protocol colour; choose it or leave them out.")
    told = progress or (lambda stage, done, total: None)
    if maps is None:
        return _run_report(MeasuredRun(inputs, chosen, told, model, capture, lpips))
    stored = StoredMaps(Path(maps), model.scene)
    return _maps_report(MeasuredMaps(inputs, chosen, told, stored), stored, model, capture)


def _run_report(method: MeasuredRun) -> dict[str, Any]:
    """The report of the run itself, beside the 2D baseline."""
    model = method.model
    report = _head(method)
    report["settings"] = _run_settings(model) | report["settings"]
    report |= _provenance(model) | _summaries(method, method.protocols)
    if OF_RADIANCE.issuperset(report["protocol"]):
        return report
    baseline = None
    if flat := _map_protocols(method):
        pyramids = PyramidMaps(model, method.phrases, method.capture)
        baseline = MeasuredMaps(method.inputs, flat, method.progress, pyramids, BASELINE_STAGE)
        report["baseline_2d"] = {"scale_choice": "per view"} | _summaries(baseline, flat)
    return report | _tail(method, baseline) | {"scale_choice": "per scene"}


def _maps_report(method: MeasuredMaps, stored: StoredMaps, model: Model, capture: Scene | None) -> dict[str, Any]:
    """The report of another method's maps, beside the 2D baseline of the run's encoder."""
    report, flat = _head(method), _map_protocols(method)
    report |= _summaries(method, method.protocols)
    pyramids = PyramidMaps(model, embedded(model, method.inputs), capture)
    baseline = MeasuredMaps(method.inputs, flat, method.progress, pyramids, BASELINE_STAGE)
    report["baseline_2d"] = {"scale_choice": "per view"} | _summaries(baseline, flat)
    # Known when all maps have been read.
    report["settings"] |= {"maps": str(stored.folder), "maps_sha256": stored.digest}
    report["baseline_2d"] |= {"settings": _run_settings(model)} | _provenance(model)
    return report | _tail(method, baseline) | {"scale_choice": "of the maps"}


def _head(method: Measured) -> dict[str, Any]:
    """Protocols, their settings, and the split."""
    inputs, settings = method.inputs, dict[str, Any]()
    for protocol in method.protocols:
        settings |= protocol.settings(inputs)
    if _map_protocols(method) and isinstance(inputs.truth, AnnotatedTruth):
        settings["min_pixels"] = MIN_PIXELS
    names = [protocol.name for protocol in method.protocols]
    split = [inputs.scene.photos[photo].name for photo in inputs.scene.test]
    return {"protocol": names, "settings": settings, "split": split}


def _tail(method: Measured, baseline: Measured | None) -> dict[str, Any]:
    """A row a phrase, and the training photos that were scored."""
    scene, flat = method.inputs.scene, _map_protocols(method)
    report: dict[str, Any] = {"phrases": _rows(method, baseline)}
    views = [protocol for protocol in flat if isinstance(protocol, ViewProtocol)]
    photos = {photo for protocol in views for photo in protocol.photos(method.inputs)}
    if training := sorted(photos - set(scene.test)):
        report["training_views"] = [scene.photos[photo].name for photo in training]
    return report


def _map_protocols(method: Measured) -> list[MapProtocol]:
    return [protocol for protocol in method.protocols if isinstance(protocol, MapProtocol)]


def _summaries(method: Measured, protocols: Sequence[EvaluationProtocol]) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for protocol in protocols:
        report |= protocol.summary(method)
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
    if isinstance(truth, AnnotatedTruth) and resolved(truth.folder) != resolved(model.scene.root):
        same = resolved(truth.folder) == resolved(scene.root)
        # The run may have been trained without photos that are missing here too; the names are compared next.
        source = scene if same else load_scene(truth.folder, missing="skip")
        check_cameras(source, model.scene, truth.folder)
    return truth


def _choose(protocols: Sequence[str] | None, inputs: EvalInputs) -> list[EvaluationProtocol]:
    reasons = {name: protocol.unsupported_reason(inputs) for name, protocol in PROTOCOLS.items()}
    if not protocols:
        allowed = [p for name, p in PROTOCOLS.items() if reasons[name] is None and not p.on_request]
        if not allowed:
            if inputs.truth is None and not inputs.other_maps:
                raise SceneError("The capture has no held-out photos; add some or list them as test_filenames.")
            raise ConfigError(f"Nothing can be measured: {next(reason for reason in reasons.values() if reason)}.")
        return allowed
    for name in protocols:
        if name not in PROTOCOLS:
            raise ConfigError(f"There is no protocol {name!r}; choose among {', '.join(PROTOCOLS)}.")
        # Without photos, colour has an error of its own.
        if reasons[name] is not None and not (name == "colour" and not inputs.other_maps):
            raise ConfigError(f"The protocol {name} cannot be measured: {reasons[name]}.")
    return [protocol for name, protocol in PROTOCOLS.items() if name in protocols]


def _rows(method: Measured, baseline: Measured | None) -> list[dict[str, Any]]:
    """What is said of each phrase."""
    solid: dict[int, dict[str, Any]] = {}
    scales: Mapping[str, float] = {}
    if isinstance(method, MeasuredRun):
        unit = method.inputs.scene.similarity.scale
        scales = {text: scale / unit for text, scale in method.scales.items()}
        for protocol in method.protocols:
            for number, entries in protocol.rows(method).items():
                solid.setdefault(number, {}).update(entries)
    rows = []
    for number, question in enumerate(method.inputs.questions):
        row: dict[str, Any] = {
            "text": question.text,
            "type": question.type,
            "unseen": question.unseen,
            "present": question.present,
        }
        if question.text in scales:
            row["scale"] = scales[question.text]
        row |= _means(number, method) | solid.get(number, {})
        beside = {} if baseline is None else _means(number, baseline)
        if beside:
            row["baseline_2d"] = beside
        rows.append(row)
    return rows


def _means(number: int, measured: Measured) -> dict[str, Any]:
    """A phrase's relevancy, the number of views that it was asked of, and its mean scores over them."""
    row: dict[str, Any] = {}
    if number in measured.relevancy:
        row["score"] = measured.relevancy[number]
    values = measured.accumulator.scores.get(number, {})
    if values:
        row["views"] = max(len(listed) for listed in values.values())
    return row | {name: sum(listed) / len(listed) for name, listed in values.items()}


def _run_settings(model: Model) -> dict[str, Any]:
    return asdict(model.defaults) | {"canonical": list(model.defaults.canonical)}


def _provenance(model: Model) -> dict[str, Any]:
    """The encoder, and one hash over both checkpoints where the model was opened from a run's folder."""
    facts: dict[str, Any] = {"encoder": {"name": model.encoder.name, "fingerprint": model.encoder.fingerprint}}
    if model.folder is not None:
        try:
            digests = [sha256_of(model.folder / f"{stage}.safetensors") for stage in ("radiance", "language")]
        except OSError as error:
            raise RunError(f"The checkpoints of {model.folder} cannot be read ({error}); train it again.") from error
        facts["checkpoint"] = hashlib.sha256("".join(digests).encode()).hexdigest()
    return facts
