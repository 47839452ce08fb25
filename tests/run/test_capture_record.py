"""What a run knows of its capture: any change is seen and named, and nothing is read twice."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lerf.errors import RunError, SceneError
from lerf.run import capture_record
from lerf.run.capture_record import (
    changed_files,
    changes,
    read_capture_record,
    record_capture,
    record_of_scene,
    write_capture_record,
)
from lerf.scenes.load import load_scene


@pytest.fixture
def capture(drawn, tmp_path):
    return Path(shutil.copytree(drawn.folder, tmp_path / "capture"))


@pytest.fixture
def read(monkeypatch):
    """Files that are read to be hashed."""
    files, real = [], capture_record.sha256_of
    monkeypatch.setattr(capture_record, "sha256_of", lambda path: (files.append(path.name), real(path))[1])
    return files


def repaint(photo, value):
    pixels = np.asarray(Image.open(photo)).copy()
    pixels[0, 0] = value
    Image.fromarray(pixels).save(photo)


def first_names(scene, count):
    return [photo.name for photo in scene.photos[:count]]


def test_it_is_read_as_it_was_written(capture, tmp_path):
    record = record_capture(load_scene(capture))
    write_capture_record(tmp_path, record)
    assert read_capture_record(tmp_path) == record
    assert changes(record, record) == []
    assert all(photo.file is not None for photo in record.photos)
    (tmp_path / "capture.json").write_text('{"photos": 3}')
    with pytest.raises(RunError, match=r"capture\.json has another content"):
        read_capture_record(tmp_path)
    assert read_capture_record(tmp_path / "nowhere") is None


def test_files_that_were_not_touched_are_not_read_again(capture, read):
    scene = load_scene(capture)
    record = record_capture(scene)
    assert sorted(read) == sorted(Path(photo.name).name for photo in scene.photos)
    read.clear()
    again = record_capture(scene, before=record)
    assert (again, read) == (record, [])
    assert changed_files(record) == []
    assert read == []
    photo = scene.photos[1]
    os.utime(photo.path)
    touched = record_capture(scene, before=record)
    assert read == [photo.path.name]
    assert changes(record, touched) == [], "touched, and still the same"
    read.clear()
    assert changed_files(record) == []
    assert read == [photo.path.name]


def test_a_change_that_hides_its_time_is_seen(capture):
    scene = load_scene(capture)
    record, path = record_capture(scene), scene.photos[0].path
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changes(record, record_capture(scene, before=record)) == [f"1 photo changed ({scene.photos[0].name})"]


def test_changed_photos_are_named(capture):
    scene = load_scene(capture)
    record = record_capture(scene)
    names = first_names(scene, 5)
    for name in names:
        repaint(capture / name, 77)
    told = f"5 photos changed ({', '.join(names[:3])} and 2 more)"
    assert changes(record, record_capture(scene, before=record)) == [told]
    assert changed_files(record) == names


def test_new_and_gone_photos_are_named(capture):
    scene = load_scene(capture)
    record = record_capture(scene)
    fewer = replace(scene, photos=scene.photos[:-2])
    a, b = (photo.name for photo in scene.photos[-2:])
    assert changes(record, record_capture(fewer)) == [f"2 photos are gone ({a}, {b})"]
    assert changes(record_capture(fewer), record) == [f"2 photos are new ({a}, {b})"]


def moved(scene, index, by=0.0, turn=0.0):
    photo = scene.photos[index]
    pose = photo.camera.camera_to_world.copy()
    c, s = np.cos(turn), np.sin(turn)
    pose[:, :3] = pose[:, :3] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    pose[0, 3] += by
    photos = list(scene.photos)
    photos[index] = replace(photo, camera=replace(photo.camera, camera_to_world=pose))
    return replace(scene, photos=tuple(photos))


@pytest.mark.parametrize("change", [{"by": 1e-3}, {"turn": 1e-3}])
def test_moved_cameras_are_named_and_last_digits_are_not(capture, change):
    scene = load_scene(capture)
    record = record_capture(scene)
    assert changes(record, record_capture(moved(scene, 2, **change))) == [
        f"1 photo has another pose ({scene.photos[2].name})"
    ]
    small = {name: 1e-4 * value for name, value in change.items()}
    assert changes(record, record_capture(moved(scene, 2, **small))) == []
    everything = replace(scene, photos=tuple(
        replace(photo, camera=replace(photo.camera, fx=photo.camera.fx * (1 + 1e-9), camera_to_world=(
            photo.camera.camera_to_world * (1 + 1e-9)
        ))) for photo in scene.photos
    ))  # fmt: skip
    assert changes(record, record_capture(everything)) == []


def test_lenses_masks_split_and_order(capture, tmp_path):
    scene = load_scene(capture)
    record = record_capture(scene)
    name, photos = scene.photos[0].name, list(scene.photos)

    def with_first(**change):
        return replace(scene, photos=(replace(photos[0], **change), *photos[1:]))

    longer = with_first(camera=replace(photos[0].camera, fx=photos[0].camera.fx * 1.01))
    assert changes(record, record_capture(longer)) == [f"1 photo has another lens or size ({name})"]
    Image.fromarray(np.full((72, 96), 255, np.uint8)).save(tmp_path / "mask.png")
    masked = record_capture(with_first(mask_path=tmp_path / "mask.png"))
    assert changes(record, masked) == [f"1 photo has another mask ({name})"]
    assert changes(masked, record) == [f"1 photo has another mask ({name})"]
    Image.fromarray(np.zeros((72, 96), np.uint8)).save(tmp_path / "mask.png")
    assert changes(masked, record_capture(with_first(mask_path=tmp_path / "mask.png"))) == [
        f"1 photo has another mask ({name})"
    ]
    assert changed_files(masked) == [name]
    split = replace(scene, train=scene.train[1:], test=(scene.train[0], *scene.test))
    assert changes(record, record_capture(split)) == ["other photos are held out"]
    turned = replace(scene, photos=tuple(photos[::-1]))
    assert changes(record, record_capture(turned)) == ["the photos are listed in another order"]


def test_the_originals_of_reduced_photos_count(capture):
    sharp, small = load_scene(capture), load_scene(capture, 2)
    reduced = replace(small, photos=tuple(replace(p, path=p.path.with_name(f"r_{p.path.name}")) for p in small.photos))
    for ours, theirs in zip(reduced.photos, sharp.photos, strict=True):
        shutil.copy(theirs.path, ours.path)
    record = record_capture(reduced, sharp)
    repaint(sharp.photos[1].path, 7)
    assert changes(record, record_capture(reduced, sharp, record)) == [f"1 photo changed ({sharp.photos[1].name})"]
    assert changes(record, record_capture(reduced, None, record)) == [], "originals that are not there say nothing"


def test_what_an_older_run_knows(capture):
    scene = load_scene(capture)
    known = record_of_scene(scene, poses=True)
    assert known.files() == []
    repaint(scene.photos[0].path, 9)
    now = record_capture(scene)
    assert changes(known, now) == []
    assert changes(known, record_capture(moved(scene, 2, by=1.0))) != []
    assert changes(record_of_scene(scene, poses=False), record_capture(moved(scene, 2, by=1.0))) == []


def test_some_photos_only(capture, read):
    scene = load_scene(capture)
    some = record_capture(scene, photos=[1, 3])
    assert sorted(read) == sorted(scene.photos[at].path.name for at in (1, 3))
    whole = record_capture(scene)
    assert changes(whole, some) == []
    for at in (0, 1):
        repaint(scene.photos[at].path, 9)
    assert changes(whole, record_capture(scene, photos=[1, 3])) == [f"1 photo changed ({scene.photos[1].name})"]


def test_much_is_announced(capture, monkeypatch):
    monkeypatch.setattr(capture_record, "MANY_BYTES", 1)
    told = []
    record = record_capture(load_scene(capture), announce=told.append)
    record_capture(load_scene(capture), before=record, announce=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"Reading {len(record.photos)} files of the capture, ")


def test_a_file_that_cannot_be_read(capture):
    scene = load_scene(capture)
    scene.photos[0].path.unlink()
    with pytest.raises(SceneError, match=r"0000\.png cannot be read \(no such file\): restore it"):
        record_capture(scene)
    os.mkfifo(scene.photos[0].path)
    with pytest.raises(SceneError, match="cannot be read"):
        record_capture(scene)
