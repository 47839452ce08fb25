"""lerf render --path: frames, video, what is fixed over them, and going on after an interruption."""

import json
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

import lerf
from lerf.apps import render_path
from lerf.apps.main import main
from lerf.rendering.colour_maps import map_colours, to_bytes
from lerf.scenes.camera_path import CameraPath, nerfstudio_frame, read_camera_path, write_camera_path

FRAMES = 4


@pytest.fixture(autouse=True)
def quick(tiny):
    pass


@pytest.fixture(scope="module")
def model(drawn_run):
    return lerf.load(drawn_run, device="cpu")


@pytest.fixture
def path(model, tmp_path):
    """A path along the first photos, in small pictures."""
    cameras = tuple(photo.camera.scaled_to(48, 36) for photo in model.scene.photos[:FRAMES])
    file = tmp_path / "camera_path.json"
    write_camera_path(file, CameraPath(cameras, 8.0), model.scene)
    return file


def run_json(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 2
    return re.sub(r"\s+", " ", capsys.readouterr().err)


def test_frames_and_video(model, drawn_run, path, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--query", "red", "a blue box", "--npy", "--output", out, "--video", tmp_path / "out.mp4", "--outputs"]
    outputs = [
        "rgb",
        "depth",
        "relevancy_0",
        "relevancy_1",
        "centred_0",
        "composited_0",
        "accumulation",
        "clip",
        "dino",
    ]
    facts = run_json(capsys, "render", drawn_run, "--path", path, *options, *outputs)
    assert (facts["frames"], facts["kept"], facts["size"], facts["outputs"]) == (FRAMES, 0, [48, 36], outputs)
    assert facts["frames_a_second"] == pytest.approx(8.0)
    assert {folder.name for folder in out.iterdir() if folder.is_dir()} == set(outputs)
    for name in outputs:
        suffixes = {".png", ".npy"} if name in ("depth", "relevancy_0", "relevancy_1") else {".png"}
        assert {file.name for file in (out / name).iterdir()} == {
            f"{number:05d}{suffix}" for number in range(FRAMES) for suffix in suffixes
        }
    # A frame is what the photo's own camera sees, and relevancy is read at the scene's scale.
    view = model.render(model.scene.photos[1].camera.scaled_to(48, 36), ["red"])
    raw = np.load(out / "relevancy_0" / "00001.npy")
    np.testing.assert_allclose(raw, view.relevancy["red"].numpy(), atol=1e-3)
    assert facts["scales"]["red"] == pytest.approx(view.scales["red"])
    shown = np.asarray(Image.open(out / "rgb" / "00001.png"), float) / 255
    assert np.abs(shown - view.picture.colour.numpy()).mean() < 0.01
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 8.0
    assert len(frames) == FRAMES
    assert frames[0].shape == (36, 48 * len(outputs), 3)
    assert np.abs(frames[1][:, :48].astype(float) / 255 - shown).mean() < 0.05
    again = read_camera_path(out / "camera_path.json", model.scene)
    np.testing.assert_allclose(
        [camera.camera_to_world for camera in again.cameras],
        [photo.camera.camera_to_world for photo in model.scene.photos[:FRAMES]],
        atol=1e-6,
    )


def test_colours_of_relevancy_and_depth_are_the_same_in_all_frames(drawn_run, path, tmp_path, capsys):
    """Equal values get equal colours, whichever frame they are in."""
    out = tmp_path / "out"
    outputs = ["--outputs", "relevancy_0", "composited_0", "depth", "rgb"]
    run_json(capsys, "render", drawn_run, "--path", path, "--query", "red", "--npy", "--output", out, *outputs)
    fixed = json.loads((out / "render.json").read_text())
    raw = [np.load(out / "relevancy_0" / f"{number:05d}.npy") for number in range(FRAMES)]
    assert fixed["scores"][0] == pytest.approx(max(values.max() for values in raw), abs=0.1)
    low, high = fixed["depth_range"]
    assert 0.5 < low < high < 5
    for number, relevancy in enumerate(raw):
        composited = np.asarray(Image.open(out / "composited_0" / f"{number:05d}.png"))
        top = fixed["scores"][0]
        expected = to_bytes(map_colours(torch.from_numpy(((relevancy - 0.5) / (top - 0.5)).clip(0, 1))))
        relevant = relevancy > 0.5
        np.testing.assert_array_equal(composited[relevant], expected[relevant])
        rgb = np.asarray(Image.open(out / "rgb" / f"{number:05d}.png"))
        np.testing.assert_array_equal(composited[~relevant], rgb[~relevant])


def test_frames_that_exist_are_kept_and_another_rendering_is_refused(drawn_run, path, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["render", drawn_run, "--path", path, "--query", "red", "--output", out]
    run_json(capsys, *command)
    (out / "rgb" / "00002.png").unlink()
    first = out / "rgb" / "00000.png"
    Image.new("RGB", (48, 36)).save(first)
    facts = run_json(capsys, *command)
    assert facts["kept"] == FRAMES - 1
    assert (out / "rgb" / "00002.png").is_file()
    assert not np.asarray(Image.open(first)).any()
    # One output more: only it is drawn, nothing is chosen anew.
    before = (out / "render.json").read_text()
    run_json(capsys, *command, "--outputs", "accumulation")
    assert (out / "render.json").read_text() == before
    assert "another rendering" in refused(capsys, *command, "--scale", "0.3")
    assert "another rendering" in refused(capsys, *command, "--downscale", "2")
    (out / "render.json").write_text("{}")
    assert "not that of a camera path" in refused(capsys, *command)


def test_an_interruption_leaves_what_the_same_command_continues(drawn_run, path, tmp_path, capsys, monkeypatch):
    video = tmp_path / "out.mp4"
    command = ["render", drawn_run, "--path", path, "--video", video]
    write, count = render_path._Renderer.write, 0

    def stopped(self, number, files):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        write(self, number, files)

    monkeypatch.setattr(render_path._Renderer, "write", stopped)
    assert main([*map(str, command)]) == 130
    frames = tmp_path / "out.mp4.frames"
    assert len(list(frames.glob("rgb/*.png"))) == 2
    assert not video.exists()
    facts = run_json(capsys, *command)
    assert (facts["kept"], facts["folder"]) == (2, None)
    assert video.is_file()
    assert not frames.exists()


def test_the_frame_of_a_nerfstudio_run(model, drawn_run, path, tmp_path, capsys):
    """A file without our entry, made in a nerfstudio run whose transform is given."""
    saved = json.loads(path.read_text())
    saved.pop("capture_to_path")
    frame = nerfstudio_frame(model.scene)
    double = np.concatenate([frame.rotation, frame.translation[:, None] / frame.scale], 1)
    for entry in saved["camera_path"]:
        matrix = np.reshape(entry["camera_to_world"], (4, 4))
        matrix[:3, 3] *= 2
        entry["camera_to_world"] = matrix.reshape(-1).tolist()
    path.write_text(json.dumps(saved))
    (tmp_path / "dataparser_transforms.json").write_text(
        json.dumps({"transform": double.tolist(), "scale": 2 * frame.scale})
    )
    options = ["--transforms", tmp_path / "dataparser_transforms.json", "--output", tmp_path / "out"]
    run_json(capsys, "render", drawn_run, "--path", path, *options)
    shown = np.asarray(Image.open(tmp_path / "out" / "rgb" / "00000.png"), float) / 255
    expected = model.render(model.scene.photos[0].camera.scaled_to(48, 36)).picture.colour.numpy()
    assert np.abs(shown - expected).mean() < 0.01
    # What is written beside the frames is in the frame that was given.
    beside = json.loads((tmp_path / "out" / "camera_path.json").read_text())["camera_path"]
    np.testing.assert_allclose(beside[0]["camera_to_world"], saved["camera_path"][0]["camera_to_world"], atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "blender"])
def test_pictures_of_a_path_follow_what_the_capture_says_of_its_frame(model, drawn_run, tmp_path, capsys, kind):
    """From the run's record of the capture to a picture; the poses of the path are made here, without our code."""
    run = tmp_path / "run"
    shutil.copytree(drawn_run, run)
    record = json.loads((run / "scene.json").read_text())
    record["metadata"] = {"format": "blender"} if kind == "blender" else {"orientation_override": "none"}
    (run / "scene.json").write_text(json.dumps(record))
    positions = np.array([photo["camera"]["camera_to_world"] for photo in record["photos"]])[:, :, 3]
    pose = np.vstack([record["photos"][3]["camera"]["camera_to_world"], [0, 0, 0, 1]])
    if kind == "none":
        away = positions - positions.mean(0)
        pose[:3, 3] = away[3] / np.abs(away).max()
    camera = record["photos"][3]["camera"]
    angle = 2 * np.degrees(np.arctan(0.5 * camera["height"] / camera["fy"]))
    entry = {"camera_to_world": pose.reshape(-1).tolist(), "fov": angle}
    content = {"camera_path": [entry], "render_width": 48, "render_height": 36, "fps": 24}
    (tmp_path / "made.json").write_text(json.dumps(content))
    run_json(capsys, "render", run, "--path", tmp_path / "made.json", "--output", tmp_path / "out")
    shown = np.asarray(Image.open(tmp_path / "out" / "rgb" / "00000.png"), float) / 255
    expected = model.render(model.scene.photos[3].camera.scaled_to(48, 36)).picture.colour.numpy()
    assert np.abs(shown - expected).mean() < 0.01


def test_a_path_through_the_photos(model):
    path = render_path.photo_path(model.scene)
    assert path.size == (96, 72)
    assert path.frames_a_second == 24.0
    positions = np.stack([camera.camera_to_world[:, 3] for camera in path.cameras])
    train = [model.scene.photos[index].camera.camera_to_world[:, 3] for index in model.scene.train]
    np.testing.assert_allclose(positions[0], train[0], atol=1e-9)
    np.testing.assert_allclose(positions[-1], train[-1], atol=1e-9)
    assert len(path.keyframes) == min(render_path.KEYFRAMES, len(train))


def test_what_is_refused(drawn_run, path, tmp_path, capsys):
    render = ["render", drawn_run, "--path", path]
    assert "--output" in refused(capsys, *render)
    out = ["--output", tmp_path / "out"]
    assert "known are rgb" in refused(capsys, *render, *out, "--outputs", "relevancy_0")
    assert "known are rgb" in refused(capsys, *render, *out, "--query", "red", "--outputs", "relevancy_1")
    assert "--outputs clip dino" in refused(capsys, *render, *out, "--features")
    assert "--downscale" in refused(capsys, *render, *out, "--downscale", "0")
    assert "cannot be read" in refused(capsys, "render", drawn_run, "--path", tmp_path / "none.json", *out)
    assert "--video is for a camera path" in refused(capsys, "render", drawn_run, *out, "--video", tmp_path / "a.mp4")
    assert "--output" in refused(capsys, "render", drawn_run)
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_needed_beside_its_photos(drawn_run, path, tmp_path, capsys):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    scene = json.loads((run / "scene.json").read_text())
    for photo in scene["photos"]:
        photo["path"] = "/gone/" + photo["name"]
    (run / "scene.json").write_text(json.dumps(scene))
    facts = run_json(capsys, "render", run, "--path", path, "--video", tmp_path / "out.mp4", "--downscale", "2")
    assert facts["size"] == [24, 18]
