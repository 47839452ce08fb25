"""`lerf eval` with every protocol: on a scene whose truth is known, on label files, on another method's maps."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from annotated import PHRASES, annotated_copy

import lerf
from lerf.errors import ConfigError, LerfWarning, SceneError
from lerf.evaluation.lpips import Lpips
from lerf.evaluation.map_sources import StoredMaps, map_name
from lerf.evaluation.protocol import Accumulator
from lerf.evaluation.report import evaluate
from lerf.evaluation.truth import MIN_PIXELS, AnnotatedTruth, find_truth, other_categories, photo_of, read_absent
from lerf.model import Model
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene

HELD_OUT = ["images/0000.png", "images/0008.png", "images/0016.png"]


@pytest.fixture(scope="module")
def scene_folder(drawn: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotated_copy(drawn, tmp_path_factory.mktemp("annotated") / "capture")


@pytest.fixture
def model(drawn_run: Path, tiny: None) -> Model:
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture(scope="module")
def full(drawn_run: Path, scene_folder: Path) -> dict[str, Any]:
    """The whole report."""
    model = lerf.load(drawn_run, device="cpu")
    return evaluate(model, capture=load_scene(scene_folder))


def save_map(path: Path, value: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full((72, 96), value))


def true_masks(folder: Path, model: Model) -> dict[tuple[str, str], torch.Tensor]:
    """By photo and phrase, where a held-out view shows what it is true of."""
    truth = find_truth(load_scene(folder), None)
    assert isinstance(truth, AnnotatedTruth)
    views = {photo: truth.view(photo) for photo in model.scene.test}
    return {
        (model.scene.photos[photo].name, truth.questions[number].text): target.mask
        for photo, view in views.items()
        for number, target in view.targets.items()
    }


def write_maps(folder: Path, model: Model, masks: dict[tuple[str, str], torch.Tensor], worth: float = 1.0) -> None:
    """Maps that know the truth: `worth` where the phrase is true, 0.5 elsewhere."""
    for photo in model.scene.test:
        name = model.scene.photos[photo].name
        for phrase in PHRASES:
            mask = masks.get((name, phrase.text), torch.zeros(72, 96, dtype=torch.bool))
            path = folder / Path(name).stem / map_name(phrase.text)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.where(mask.numpy(), worth, 0.5))


def test_a_generated_scene_allows_every_protocol(full: dict[str, Any]) -> None:
    json.dumps(full, allow_nan=False)
    assert full["protocol"] == ["colour", "lerf-localisation", "lerf-ovs", "existence", "3d", "margin-sign"]
    assert 0.5 < full["margin_sign"] <= 1.0
    assert 0.5 < full["teacher_cosine"] <= 1.0
    assert full["split"] == HELD_OUT
    assert [view["photo"] for view in full["views"]] == HELD_OUT
    assert full["encoder"]["name"] == "colour-words"
    assert len(full["checkpoint"]) == 64
    assert full["scale_choice"] == "per scene"
    assert full["settings"]["localisation_rule"] == "mask"
    assert full["settings"]["existence"] == {"present": 2, "absent": 2}
    assert [row["text"] for row in full["phrases"]] == [phrase.text for phrase in PHRASES]


def test_a_trained_scene_is_answered(full: dict[str, Any]) -> None:
    assert full["localisation"] > 0.6
    assert 0 < full["miou"] <= 1
    assert full["average_precision"] == 1.0
    assert full["point_accuracy"] >= 0.75
    assert set(full["localisation_by_type"]) == {"name", "colour", "hypernym", "part"}
    assert set(full["localisation_by_unseen"]) == {"unseen", "seen"}
    baseline = full["baseline_2d"]
    assert baseline["localisation"] > 0.6
    assert baseline["average_precision"] == 1.0
    assert baseline["scale_choice"] == "per view"
    rows = {row["text"]: row for row in full["phrases"]}
    assert rows["red"]["views"] == len(HELD_OUT)
    assert rows["red"]["true_count"] == 1
    assert "point_hit" not in rows["red yellow"]
    assert "localisation" not in rows["purple"]
    assert "part_scale_smaller" not in full


def test_scores_are_means_over_queries(full: dict[str, Any]) -> None:
    rows = [row for row in full["phrases"] if "localisation" in row]
    views = sum(row["views"] for row in rows)
    for key, name in (("localisation", "localisation"), ("iou", "miou"), ("ovs_localisation", "ovs_localisation")):
        assert full[name] == pytest.approx(sum(row[key] * row["views"] for row in rows) / views)
    assert full["localisation_by_unseen"]["unseen"] == next(r["localisation"] for r in rows if r["unseen"])


def test_maps_that_know_the_truth_score_full_marks(model: Model, scene_folder: Path, tmp_path: Path) -> None:
    write_maps(tmp_path, model, true_masks(scene_folder, model))
    report = evaluate(model, capture=load_scene(scene_folder), maps=tmp_path)
    assert report["protocol"] == ["lerf-localisation", "lerf-ovs", "existence"]
    assert report["localisation"] == report["average_precision"] == 1.0
    # A box of 30 pixels is wide in pictures of 96x72: peaks slide off small solids that others hide.
    assert report["ovs_localisation"] > 0.8
    assert report["settings"]["maps"] == str(tmp_path)
    assert len(report["settings"]["maps_sha256"]) == 64
    assert not {"canonical", "temperature", "threshold"} & set(report["settings"])
    assert not {"encoder", "checkpoint"} & set(report)
    assert report["baseline_2d"]["encoder"]["name"] == "colour-words"
    assert report["baseline_2d"]["settings"]["threshold"] == model.defaults.threshold
    assert "scale" not in report["phrases"][0]
    assert report["baseline_2d"]["localisation"] > 0.6


def test_maps_that_are_wrong_score_nothing(model: Model, scene_folder: Path, tmp_path: Path) -> None:
    write_maps(tmp_path, model, true_masks(scene_folder, model), worth=0.0)
    report = evaluate(model, ["lerf-localisation"], capture=load_scene(scene_folder), maps=tmp_path)
    assert report["localisation"] == 0.0
    assert "miou" not in report


def test_a_map_that_is_missing_or_garbled_is_named(model: Model, scene_folder: Path, tmp_path: Path) -> None:
    write_maps(tmp_path, model, true_masks(scene_folder, model))
    capture = load_scene(scene_folder)
    path = tmp_path / "0008" / "a green one.npy"
    good = np.load(path)
    for bad in (good[None], good > 0.5, np.full_like(good, np.nan)):
        np.save(path, bad)
        with pytest.raises(ConfigError, match=r"0008/a green one\.npy holds"):
            evaluate(model, ["lerf-ovs"], capture=capture, maps=tmp_path)
    np.save(path, good.T)
    with pytest.raises(ConfigError, match="have 72x96 pixels and the photo 96x72"):
        evaluate(model, ["lerf-ovs"], capture=capture, maps=tmp_path)
    np.save(path, np.full_like(good, 1e300, dtype=np.float64))
    with pytest.raises(ConfigError, match="beyond single precision"):
        evaluate(model, ["lerf-ovs"], capture=capture, maps=tmp_path)
    path.write_bytes(b"no array")
    with pytest.raises(ConfigError, match="cannot be read"):
        evaluate(model, ["lerf-ovs"], capture=capture, maps=tmp_path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"There is no map .*0008/a green one\.npy"):
        evaluate(model, ["lerf-ovs"], capture=capture, maps=tmp_path)
    with pytest.raises(ConfigError, match="3d cannot be measured: maps of another method"):
        evaluate(model, ["3d"], capture=capture, maps=tmp_path)


def test_names_of_maps_are_escaped() -> None:
    assert map_name("a mug's handle/lid") == "a mug%27s handle%2Flid.npy"
    assert map_name("..") == "...npy"
    assert map_name("Käse") == "K%C3%A4se.npy"


def renamed(scene: Scene, *names: str) -> Scene:
    """The first photos under other names."""
    photos = [replace(photo, name=name) for photo, name in zip(scene.photos, names, strict=False)]
    return replace(scene, photos=(*photos, *scene.photos[len(photos) :]))


def test_maps_of_photos_of_one_stem_lie_under_their_whole_names(drawn: SimpleNamespace, tmp_path: Path) -> None:
    source = StoredMaps(tmp_path, renamed(load_scene(drawn.folder), "left/0.png", "right/0.png"))
    save_map(tmp_path / "0" / "red.npy", 0.1)
    with pytest.raises(ConfigError, match="Several photos are called '0'"):
        source.maps(0, ["red"])
    save_map(tmp_path / "left" / "0.png" / "red.npy", 0.2)
    assert float(source.maps(0, ["red"])[0][0, 0]) == pytest.approx(0.2)
    save_map(tmp_path / "0002" / "red.npy", 0.3)
    assert float(source.maps(2, ["red"])[0][0, 0]) == pytest.approx(0.3)
    digest = source.digest
    again = StoredMaps(tmp_path, source.scene)
    again.maps(2, ["red"]), again.maps(0, ["red"])
    assert again.digest == digest
    save_map(tmp_path / "0002" / "red.npy", 0.4)
    again.maps(2, ["red"])
    assert again.digest != digest


def test_photos_of_labels_are_found_by_the_longest_name_that_tells(drawn: SimpleNamespace) -> None:
    scene = renamed(load_scene(drawn.folder), "left/0.png", "right/0.png", "1.jpg", "1.png")
    assert [photo_of(scene, name, "These") for name in ("right/0.png", "1.png", "b/1.jpg", "0008.JPG")] == [1, 3, 2, 8]
    with pytest.raises(SceneError, match=r"of 0\.png, which may be left/0\.png or right/0\.png"):
        photo_of(scene, "0.png", "These")
    with pytest.raises(SceneError, match=r"of 1\.gif, which may be 1\.jpg or 1\.png"):
        photo_of(scene, "1.gif", "These")


def test_two_label_files_of_one_photo(model: Model, tmp_path: Path) -> None:
    write_labels(tmp_path, "0000.jpg", "red")
    (tmp_path / "b.json").write_text((tmp_path / "0000.json").read_text().replace("0000.jpg", "0000.png"))
    with pytest.raises(SceneError, match=r"of 0000\.jpg and 0000\.png, belong to the photo images/0000\.png; leave"):
        evaluate(model, labels=tmp_path)


def test_annotation_of_another_scene(model: Model, scene_folder: Path, drawn: SimpleNamespace, tmp_path: Path) -> None:
    other = Path(shutil.copytree(scene_folder, tmp_path / "other"))
    document = json.loads((other / "transforms.json").read_text())
    document["frames"][5]["transform_matrix"][0][3] += 0.01
    (other / "transforms.json").write_text(json.dumps(document))
    for options in ({"labels": other}, {"capture": load_scene(other)}):
        with (
            pytest.warns(LerfWarning, match="1 photo has another pose") if "capture" in options else nullcontext(),
            pytest.raises(SceneError, match="is of another scene: the cameras"),
        ):
            evaluate(model, ["lerf-ovs"], **options)


def test_a_capture_is_checked_whatever_is_measured(model: Model, scene_folder: Path) -> None:
    other = renamed(load_scene(scene_folder), "images/other.png")
    with pytest.raises(SceneError, match="are not those of the run"):
        evaluate(model, ["3d"], capture=other)


def test_options_without_effect(model: Model, scene_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"leave --absent out: a generated scene knows its own"):
        evaluate(model, labels=scene_folder, absent=["tiger"])
    with pytest.raises(ConfigError, match=r"leave --absent out: no labels are known"):
        evaluate(model, absent=["tiger"])
    with pytest.raises(ConfigError, match="LPIPS weights have no effect without the protocol colour"):
        evaluate(model, ["3d"], labels=scene_folder, lpips=Lpips.__new__(Lpips))


def test_relevancies_may_be_negative() -> None:
    accumulator = Accumulator()
    for value in (-3.0, -1.0, -2.0):
        accumulator.add_relevancy(0, value)
    assert accumulator.relevancy == {0: -1.0}


def test_existence_is_asked_of_what_the_views_show(
    model: Model, scene_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = AnnotatedTruth.shown
    hidden = {0, 2}
    monkeypatch.setattr(AnnotatedTruth, "shown", lambda self, photo: show(self, photo) - hidden)
    report = evaluate(model, ["existence"], labels=scene_folder)
    asked = [number for number, row in enumerate(report["phrases"]) if "score" in row]
    assert not hidden & set(asked)
    assert len(asked) == 4
    assert asked == [number for number, row in enumerate(report["phrases"]) if "score" in row.get("baseline_2d", {})]
    monkeypatch.setattr(AnnotatedTruth, "shown", lambda *_: set())
    with pytest.raises(ConfigError, match="needs phrases that the views show and absent ones; hold out other photos"):
        evaluate(model, ["existence"], labels=scene_folder)


def test_every_stage_reaches_its_end_and_scales_are_chosen_once(
    model: Model, scene_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: dict[str, list[tuple[int, int]]] = {}
    chosen, choose = [], Model.scales
    monkeypatch.setattr(Model, "scales", lambda self, phrases: chosen.append(0) or choose(self, phrases))
    evaluate(
        model, ["lerf-localisation", "existence", "3d"], labels=scene_folder,
        progress=lambda stage, done, total: stages.setdefault(stage, []).append((done, total)),
    )  # fmt: skip
    assert list(stages) == ["scales of phrases", "phrases in views", "answers", "2D baseline in views"]
    assert all(steps[0][0] == 0 and steps[-1][0] == steps[-1][1] for steps in stages.values())
    assert len(chosen) == 1


def test_a_view_asks_only_for_what_it_shows(scene_folder: Path) -> None:
    scene = load_scene(scene_folder)
    truth = find_truth(scene, None)
    assert isinstance(truth, AnnotatedTruth)
    view = truth.view(0)
    for number, phrase in enumerate(truth.annotation.phrases):
        if number in view.targets:
            target = view.targets[number]
            assert int(target.mask.sum()) >= MIN_PIXELS
            assert len(target.boxes) <= len(phrase.things)
            for x1, y1, x2, y2 in target.boxes:
                assert target.mask[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].any()
    assert not any(truth.questions[number].type == "absent" for number in view.targets)


def write_labels(folder: Path, photo: str, category: str, width: int = 96, height: int = 72) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    square = [[10, 10], [50, 10], [50, 50], [10, 50]]
    item = {"category": category, "segmentation": square, "bbox": [10, 10, 50, 50]}
    content = {"info": {"name": photo, "width": width, "height": height}, "objects": [item]}
    (folder / f"{Path(photo).stem}.json").write_text(json.dumps(content))


def test_label_files(model: Model, tmp_path: Path) -> None:
    for photo in ("0000.jpg", "0003.jpg"):
        write_labels(tmp_path / "label" / "here", photo, "red")
    write_labels(tmp_path / "label" / "there", "x.jpg", "purple")
    write_labels(tmp_path / "label" / "there", "y.jpg", "Red")
    (tmp_path / "label" / "there" / "z.json").write_text("{}")
    folder = tmp_path / "label" / "here"
    assert other_categories(folder) == ["purple", "Red"]
    report = evaluate(model, labels=folder)
    assert report["protocol"] == ["colour", "lerf-localisation", "lerf-ovs", "existence", "margin-sign"]
    assert report["settings"]["localisation_rule"] == "boxes"
    assert report["training_views"] == ["images/0003.png"]
    # LangSplat scores all labelled frames, LERF's localisation only the held-out one.
    assert [row["text"] for row in report["phrases"]] == ["red", "purple"]
    assert report["phrases"][0]["views"] == 2
    assert report["average_precision"] == 1.0
    alone = evaluate(model, ["lerf-ovs"], labels=folder)
    assert alone["localisation"] == alone["ovs_localisation"] == report["ovs_localisation"]
    assert alone["miou"] == report["miou"]


def test_truth_at_another_resolution(model: Model, scene_folder: Path, tmp_path: Path) -> None:
    """Labels twice as large as the photos in use: maps are brought to their size."""
    write_labels(tmp_path, "0000.jpg", "red", 192, 144)
    square = np.zeros((72, 96))
    square[5:25, 5:25] = 1
    (tmp_path / "maps" / "0000").mkdir(parents=True)
    np.save(tmp_path / "maps" / "0000" / "red.npy", square)
    report = evaluate(model, ["lerf-ovs"], labels=tmp_path, maps=tmp_path / "maps")
    # Filters count pixels of the labels: they round the square's corners off, and no more.
    assert 0.8 < report["miou"] < 1
    assert report["ovs_localisation"] == 1
    write_labels(tmp_path, "0000.jpg", "red", 100, 100)
    with pytest.raises(SceneError, match="have 100x100 pixels and the photo 96x72"):
        evaluate(model, ["lerf-ovs"], labels=tmp_path)


def test_box_files(model: Model, tmp_path: Path) -> None:
    boxes = {"name": "0008.png", "width": 96, "height": 72, "boxes": {"red": [[0, 0, 96, 72]], "blue": [[0, 0, 0, 0]]}}
    (tmp_path / "0008.json").write_text(json.dumps(boxes))
    report = evaluate(model, labels=tmp_path, absent=["purple"])
    assert report["protocol"] == ["colour", "lerf-localisation", "existence"]
    assert report["localisation"] == 0.5
    with pytest.raises(ConfigError, match="lerf-ovs cannot be measured: box files have no masks"):
        evaluate(model, ["lerf-ovs"], labels=tmp_path)


def test_what_cannot_be_measured_is_said(model: Model, scene_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no protocol 'lerf'; choose among colour, depth, lerf-localisation"):
        evaluate(model, ["lerf"])
    with pytest.raises(ConfigError, match="3d cannot be measured: no labels are known"):
        evaluate(model, ["3d"])
    write_labels(tmp_path / "a", "0003.jpg", "red")
    with pytest.raises(ConfigError, match="no held-out photo has labels"):
        evaluate(model, ["lerf-localisation"], labels=tmp_path / "a")
    with pytest.raises(ConfigError, match="give --absent FILE"):
        evaluate(model, ["existence"], labels=tmp_path / "a")
    write_labels(tmp_path / "b", "frame_7.jpg", "red")
    with pytest.raises(SceneError, match=r"of the photo frame_7\.jpg, which the scene does not have"):
        evaluate(model, labels=tmp_path / "b")
    with pytest.raises(SceneError, match="holds no label file"):
        evaluate(model, labels=tmp_path)


def test_absent_phrases_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.txt"
    path.write_text("tiger\n\n  a  red car \n")
    assert read_absent(path) == ["tiger", "a red car"]
    path.write_text("\n")
    with pytest.raises(ConfigError, match="holds no phrase"):
        read_absent(path)
    with pytest.raises(ConfigError, match="Cannot read"):
        read_absent(tmp_path / "nowhere")


def test_without_held_out_photos_only_answers_are_measured(model: Model, scene_folder: Path) -> None:
    capture = load_scene(scene_folder)
    model.scene = replace(model.scene, test=())
    report = evaluate(model, capture=capture)
    assert report["protocol"] == ["3d"]
    assert "baseline_2d" not in report
    with pytest.raises(ConfigError, match="lerf-ovs cannot be measured: no held-out photo has labels"):
        evaluate(model, ["lerf-ovs"], capture=capture)
