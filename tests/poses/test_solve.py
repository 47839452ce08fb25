"""From photos alone to a capture: poses against those the photos were made with, resuming, and what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import refused
from painted_room import FOCAL, write_photos
from PIL import Image

from lerf.apps.main import main
from lerf.errors import LerfWarning
from lerf.poses import mapping
from lerf.poses.mapping import adjust, solve_models
from lerf.poses.settings import PosesSettings
from lerf.poses.workspace import Workspace
from lerf.scenes.load import load_scene, read_scene
from lerf.scenes.scene import Scene

pycolmap = pytest.importorskip("pycolmap")

PHOTOS = 10


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("solved")
    write_photos(folder, PHOTOS)
    Image.new("RGB", (320, 240), "grey").save(folder / "my photos" / "blank.png")
    (folder / "my photos" / "notes.txt").write_text("no photo")
    assert main(["poses", str(folder / "my photos"), "--output", str(folder / "capture")]) == 0
    return folder


def aligned(found: Scene, truth: Path) -> tuple[np.ndarray, np.ndarray]:
    """Degrees between rotations, and distances as shares of the cameras' extent, after the best similarity."""
    poses = json.loads(truth.read_text())
    pairs = [(photo.camera.camera_to_world, np.array(poses[Path(photo.name).name])) for photo in found.photos]
    ours, theirs = (np.stack(side) for side in zip(*pairs, strict=True))
    x, y = ours[:, :, 3], theirs[:, :, 3]
    u, sizes, vt = np.linalg.svd((y - y.mean(0)).T @ (x - x.mean(0)))
    flip = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    rotation = u @ flip @ vt
    scale = (sizes * np.diag(flip)).sum() / np.square(x - x.mean(0)).sum()
    away = np.linalg.norm(scale * (x - x.mean(0)) @ rotation.T - (y - y.mean(0)), axis=1)
    cosine = (np.einsum("ij,njk,nik->n", rotation, ours[:, :, :3], theirs[:, :, :3]) - 1.0) / 2.0
    return np.degrees(np.arccos(cosine.clip(-1, 1))), away / np.linalg.norm(np.ptp(y, axis=0))


def loaded(capture: Path) -> Scene:
    """The photo that could not be placed is in the capture, and said to be left out."""
    with pytest.warns(LerfWarning, match=r"1 of 11 photos have no pose and are not used: images/blank\.png"):
        return load_scene(capture)


def test_poses_are_those_that_the_photos_were_made_with(solved: Path) -> None:
    scene = loaded(solved / "capture")
    assert len(scene.photos) == PHOTOS
    angles, distances = aligned(scene, solved / "truth.json")
    assert angles.max() < 0.5
    assert distances.max() < 0.01
    camera = scene.photos[0].camera
    assert camera.fx == pytest.approx(FOCAL, rel=0.02)
    assert camera.fy == pytest.approx(FOCAL, rel=0.02)


def test_the_capture_stands_upright_on_its_ground(solved: Path) -> None:
    scene = loaded(solved / "capture")
    up = np.stack([photo.camera.camera_to_world[:, 1] for photo in scene.photos]).mean(0)
    np.testing.assert_allclose(up[:2], 0.0, atol=1e-6)
    points = np.stack([point.xyz for point in pycolmap.Reconstruction(solved / "capture/sparse/0").points3D.values()])
    assert np.percentile(points[:, 2], 1.0) == pytest.approx(0.0, abs=1e-3)
    assert all(photo.camera.camera_to_world[2, 3] > 0 for photo in scene.photos)


def test_transforms_sparse_model_and_points_are_in_one_frame(solved: Path) -> None:
    capture = solved / "capture"
    scene, model = loaded(capture / "transforms.json"), pycolmap.Reconstruction(capture / "sparse/0")
    cameras = {photo.name: photo.camera for photo in scene.photos}
    errors = []
    for image in model.images.values():
        camera = cameras[f"images/{image.name}"]
        for seen in image.get_observation_points2D()[:20]:
            xyz = model.points3D[seen.point3D_id].xyz
            pose = camera.camera_to_world
            local = pose[:, :3].T @ (xyz - pose[:, 3])
            assert local[2] < 0
            pixel = image.project_point(xyz)
            errors.append(np.linalg.norm(pixel - seen.xy))
            expected = np.array([camera.fx * local[0], -camera.fy * local[1]]) / -local[2] + [camera.cx, camera.cy]
            # Up to lens distortion, which pycolmap's projection has and this one has not.
            assert np.linalg.norm(expected - pixel) < 12.0
    assert np.median(errors) < 1.0
    with open(capture / "sparse_points.ply", "rb") as file:
        assert f"element vertex {len(model.points3D)}".encode() in file.read(400)


def test_what_was_left_out_is_said_with_a_reason(solved: Path) -> None:
    done = json.loads((solved / "capture/poses.json").read_text())
    assert (done["photos"], done["placed"]) == (PHOTOS + 1, PHOTOS)
    assert done["left_out"] == [{"name": "blank.png", "reason": "blurred"}]
    assert 0.0 < done["mean_reprojection_error"] < 1.0
    assert set(done["seconds"]) == {"photos", "points", "matches", "cameras"}


def test_the_same_command_goes_on_and_gives_the_same_poses(solved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With points and matches of the first time; a mapping of its own, so that this is a test of determinism too."""
    before = (solved / "capture/transforms.json").read_bytes()
    database = (solved / "capture/.poses/database.db").stat().st_size
    assert main(["poses", str(solved / "my photos"), "--output", str(solved / "capture")]) == 0
    assert (solved / "capture/.poses/database.db").stat().st_size == database
    assert (solved / "capture/transforms.json").read_bytes() == before
    assert "1 files are neither photos nor videos and not used, notes.txt first." in capsys.readouterr().out


def test_other_photos_or_settings_are_refused_and_named(solved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "poses", solved / "my photos", "--output", solved / "capture", "--seed", "3")
    assert "was begun with other --seed: choose another --output" in said
    assert "is not empty" in refused(capsys, "poses", solved / "my photos", "--output", solved)


def focal_lengths(workspace: Workspace) -> list[float]:
    with pycolmap.Database.open(workspace.database) as database:
        return [camera.mean_focal_length() for camera in database.read_all_cameras()]


def test_photos_are_placed_at_once_where_one_by_one_most_are_left_out(
    solved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Workspace(Path(shutil.copytree(solved / "capture", tmp_path / "capture")))
    focal = focal_lengths(copy)
    whole = solve_models(copy, PosesSettings(), PHOTOS, lambda placed: None)
    assert whole.tried == (("incremental", PHOTOS),)
    assert whole.sentences() == []
    few = mapping._mapped_one_by_one

    def without_most(*given: Any) -> dict[int, Any]:
        models = few(*given)
        for model in models.values():
            for frame in sorted(model.reg_frame_ids())[2:]:
                model.deregister_frame(frame)
        return models

    monkeypatch.setattr(mapping, "_mapped_one_by_one", without_most)
    at_once = solve_models(copy, PosesSettings(), PHOTOS, lambda placed: None)
    assert (at_once.mapper, at_once.tried) == ("global", (("incremental", 2), ("global", PHOTOS)))
    assert adjust(at_once.models[0]) < 1.0
    assert at_once.sentences() == [
        "Placed one after another 2 photos held together, placed all at once 10: the second is used."
    ]
    one_by_one = solve_models(copy, PosesSettings(mapper="incremental"), PHOTOS, lambda placed: None)
    assert one_by_one.tried == (("incremental", 2),)
    # Of as many as matches connect, two may be enough.
    assert solve_models(copy, PosesSettings(), 2, lambda placed: None).mapper == "incremental"
    assert focal_lengths(copy) == focal


def test_photos_that_have_nothing_in_common_end_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(3):
        noise = generator.integers(0, 255, (120, 160, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{number}.png")
    said = refused(capsys, "poses", tmp_path / "in", "--output", tmp_path / "out")
    assert "No two photos could be connected: take them from places a step apart" in said
    assert not (tmp_path / "out/transforms.json").exists()


def test_measured_distances_give_the_unit(solved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two that are true and one that is not: the median is that of the truth, and the third is told."""
    poses = {name: np.array(pose)[:, 3] for name, pose in json.loads((solved / "truth.json").read_text()).items()}
    pairs = [("00.png", "05.png"), ("02.png", "09.png"), ("03.png", "07.png")]
    options = []
    for number, (first, second) in enumerate(pairs):
        length = float(np.linalg.norm(poses[first] - poses[second])) * (1.5 if number == 2 else 1.0)
        options += ["--distance", first, str(solved / "my photos" / second), f"{length:.9f}"]
    command = ["poses", str(solved / "my photos"), "--output", str(solved / "capture")]
    assert main([*command, *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The scale is from the median of 3 measured distances" in said
    assert said.count("The distances disagree") == 1
    assert "03.png and 07.png are 33% shorter apart than" in said
    scene = read_scene(solved / "capture")
    found = {Path(photo.name).name: photo.camera.camera_to_world[:, 3] for photo in scene.photos}
    for first, second in pairs:
        true = np.linalg.norm(poses[first] - poses[second])
        assert np.linalg.norm(found[first] - found[second]) == pytest.approx(true, rel=0.01)
    done = json.loads((solved / "capture/poses.json").read_text())
    assert [one["photos"] for one in done["distances"]] == [list(pair) for pair in pairs]
    # A factor in place of distances, from the same points and matches.
    assert main([*command, "--scale", "2"]) == 0
    twice = read_scene(solved / "capture").photos[0].camera.camera_to_world[:, 3]
    assert main(command) == 0
    once = read_scene(solved / "capture").photos[0].camera.camera_to_world[:, 3]
    np.testing.assert_allclose(twice, 2.0 * once, rtol=1e-9)


def test_a_distance_names_two_photos(solved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["poses", solved / "my photos", "--output", solved / "capture", "--distance"]
    assert "names lost.png, which is none of the 11 photos" in refused(capsys, *command, "lost.png", "01.png", "2")
    assert "from a photo to itself" in refused(capsys, *command, "01.png", "images/01.png", "2")
    assert "leave one out" in refused(capsys, *command, "01.png", "02.png", "2", "--scale", "3")
    assert "--distance must be" in refused(capsys, *command, "01.png", "02.png", "-2")
