"""Which files are photos, what they are called in the capture, and which camera took them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lerf.errors import ConfigError, RunError, SceneError, StorageError
from lerf.poses.inputs import find_inputs, looked_at
from lerf.poses.settings import PosesSettings
from lerf.poses.workspace import Workspace, content_of, put


def picture(path: Path, size: tuple[int, int] = (40, 30), exif: dict[int, object] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = Image.Exif()
    for tag, value in (exif or {}).items():
        written[tag] = value
    Image.new("RGB", size, "red").save(path, exif=written)
    return path


def test_folders_files_and_subfolders(tmp_path: Path) -> None:
    picture(tmp_path / "room/left/1.jpg")
    picture(tmp_path / "room/right/1.JPG")
    picture(tmp_path / "room/.hidden/2.jpg")
    (tmp_path / "room/film.MP4").write_bytes(b"x")
    (tmp_path / "room/notes.txt").write_text("x")
    single = picture(tmp_path / "elsewhere/0.png")
    found = find_inputs([tmp_path / "room", single])
    assert [name for _, name in found.photos] == ["0.png", "left/1.jpg", "right/1.JPG"]
    assert [path.name for path in found.videos] == ["film.MP4"]
    assert found.unused == ("notes.txt",)


def test_equal_names_are_told_apart_in_any_case(tmp_path: Path) -> None:
    given = [picture(tmp_path / folder / name) for folder, name in (("a", "1.jpg"), ("b", "1.JPG"), ("c", "1.jpg"))]
    names = [name for _, name in find_inputs(given).photos]
    assert len({name.casefold() for name in names}) == 3


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_photos_are_refused(tmp_path: Path, count: int) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(count):
        picture(folder / f"{number}.jpg")
    with pytest.raises(SceneError, match="give two photos or more"):
        find_inputs([folder])
    with pytest.raises(SceneError, match="is no file and no folder"):
        find_inputs([tmp_path / "nowhere"])


def test_a_physical_camera_is_told_by_folder_maker_model_focal_length_and_size(tmp_path: Path) -> None:
    make, model = 0x010F, 0x0110
    one = {make: "Maker", model: "One"}
    paths = [
        picture(tmp_path / "a/1.jpg", exif=one),
        picture(tmp_path / "a/2.jpg", exif=one),
        picture(tmp_path / "a/3.jpg", exif={make: "Maker", model: "Two"}),
        picture(tmp_path / "a/4.jpg", (30, 40), exif=one),
        picture(tmp_path / "b/5.jpg", exif=one),
    ]
    photos = looked_at([(path, path.relative_to(tmp_path).as_posix()) for path in paths])
    cameras = [photo.camera for photo in photos]
    assert cameras[0] == cameras[1]
    assert len(set(cameras)) == 4


def test_formats_that_the_solver_cannot_read_are_converted(tmp_path: Path) -> None:
    pixels = (np.random.default_rng(0).random((20, 30, 3)) * 255).astype(np.uint8)
    path = tmp_path / "1.tiff"
    Image.fromarray(pixels).save(path)
    photos = looked_at([(path, "1.tiff")])
    assert (photos[0].name, photos[0].convert) == ("1.png", True)
    workspace = Workspace(tmp_path / "capture")
    assert workspace.place(photos, False, lambda done: None) == ["000000.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "capture/images/1.png")), pixels)


@pytest.mark.parametrize("copy", [False, True])
def test_photos_are_linked_or_copied(tmp_path: Path, copy: bool) -> None:
    source = picture(tmp_path / "1.jpg")
    put(source, tmp_path / "capture/images/1.jpg", copy)
    assert (tmp_path / "capture/images/1.jpg").samefile(source) != copy
    assert (tmp_path / "capture/images/1.jpg").read_bytes() == source.read_bytes()


def test_a_damaged_workspace_says_what_to_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.start({"photos": "x"})
    (workspace.path / "state.json").write_text("[")
    with pytest.raises(RunError, match=r"delete .*\.poses and start again"):
        workspace.start({"photos": "x"})


def test_places_that_cannot_be_used_are_refused_in_one_sentence(tmp_path: Path) -> None:
    source = picture(tmp_path / "1.jpg")
    with pytest.raises(StorageError, match=r"Cannot (write|copy)"):
        put(source, source / "images/1.jpg", False)
    with pytest.raises(RunError, match=r"is not empty: choose another --output"):
        Workspace(source).start({"photos": "x"})
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SceneError, match=r"loop cannot be read \(.*\): restore it\."):
        content_of([source, tmp_path / "loop"])


@pytest.mark.parametrize(
    "values", [{"frames": 2}, {"features": 100_000}, {"longest_side": 8}, {"seed": -1}, {"scale": math.nan}], ids=str
)
def test_settings_are_checked(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values)).replace("_", ".")):
        PosesSettings(**values)
