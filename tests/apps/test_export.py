"""lerf export: files that other programs read, in the capture's own coordinates."""

import json
import re

import numpy as np
import pytest
import trimesh

from lerf.apps.main import main


@pytest.fixture(autouse=True)
def quick(tiny):
    pass


def run_json(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 2
    return re.sub(r"\s+", " ", capsys.readouterr().err)


def properties(path):
    """The vertices of a PLY file with all their properties, and the object that trimesh makes of it."""
    loaded = trimesh.load(path, process=False)
    return loaded.metadata["_ply_raw"]["vertex"]["data"], loaded


def solid(drawn, name):
    return next(solid for solid in drawn.scene.solids if solid.name == name)


def test_a_cloud_with_phrases(drawn, drawn_run, tmp_path, capsys):
    out = tmp_path / "new" / "cloud.ply"
    options = ["--what", "cloud", "--points", "8000", "--query", "red", "purple", "--embeddings"]
    facts = run_json(capsys, "export", drawn_run, out, *options)
    data, cloud = properties(out)
    assert isinstance(cloud, trimesh.PointCloud)
    assert len(data) == facts["vertices"] > 1000
    assert data.dtype.names == (
        "x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "relevancy_0", "relevancy_1"
    )  # fmt: skip
    assert 0 <= data["relevancy_0"].min() <= data["relevancy_0"].max() <= 1
    # In capture coordinates: the best point is on the ball, and its colour is the ball's.
    ball = solid(drawn, "red sphere")
    best = np.argsort(data["relevancy_0"])[-20:]
    distance = np.linalg.norm(cloud.vertices[best] - ball.centre, axis=1)
    assert np.abs(np.median(distance) - ball.half[0]) < 0.08
    assert (data["red"][best].astype(int) > data["blue"][best].astype(int) + 20).mean() > 0.8
    assert [phrase["text"] for phrase in facts["phrases"]] == ["red", "purple"]
    assert [phrase["present"] for phrase in facts["phrases"]] == [True, False]
    assert json.loads(out.with_suffix(".json").read_text()) == {k: v for k, v in facts.items() if k != "file"}
    embeddings = np.load(out.with_name(facts["embeddings"]["file"]))
    assert list(embeddings.shape) == facts["embeddings"]["shape"]
    assert len(embeddings) == len(data)
    header = out.read_bytes().split(b"end_header")[0].decode()
    assert "comment relevancy_0 red\n" in header
    assert {file.name for file in out.parent.iterdir()} == {"cloud.ply", "cloud.json", "cloud_embeddings.npy"}


def test_the_saved_transforms_are_those_of_the_run(drawn_run, tmp_path, capsys):
    facts = run_json(capsys, "export", drawn_run, tmp_path / "cloud.ply", "--points", "500")
    assert (facts["frame"], facts["crop"]) == ("capture", False)
    assert "phrases" not in facts
    there, back = facts["capture_to_normalised"], facts["normalised_to_capture"]
    np.testing.assert_allclose(np.array(there["matrix"]) @ back["matrix"], np.eye(4), atol=1e-9)
    saved = json.loads((drawn_run / "scene.json").read_text())["similarity"]
    assert {name: there[name] for name in saved} == saved
    point = np.array([0.3, -0.2, 0.5])
    moved = there["scale"] * np.array(there["rotation"]) @ point + there["translation"]
    np.testing.assert_allclose((np.array(there["matrix"]) @ [*point, 1.0])[:3], moved, atol=1e-12)


def test_a_crop_keeps_what_the_phrases_name(drawn, drawn_run, tmp_path, capsys):
    out = tmp_path / "crop.ply"
    capsys.readouterr()
    arguments = ["export", drawn_run, "--points", "20000", "--query", "red", "blue", "purple", "--crop", out]
    assert main([*map(str, arguments)]) == 0
    assert '"purple"' in capsys.readouterr().err
    data, cloud = properties(out)
    inside = np.zeros(len(data), bool)
    for name in ("red sphere", "blue box"):
        thing = solid(drawn, name)
        own = (np.abs(cloud.vertices - thing.centre) < np.array(thing.half) + 0.15).all(1)
        assert own.sum() > 50
        inside |= own
    assert inside.mean() > 0.8
    # Instances end where the surface turns, which is not everywhere where relevancy as the point has it passes the tie.
    assert (np.maximum(data["relevancy_0"], data["relevancy_1"]) > 0.5).mean() > 0.95


def test_a_mesh_and_its_crop(drawn, drawn_run, tmp_path, capsys):
    options = ["--what", "mesh", "--points", "40000", "--query", "red"]
    facts = run_json(capsys, "export", drawn_run, tmp_path / "mesh.ply", *options, "--resolution", "64")
    data, mesh = properties(tmp_path / "mesh.ply")
    assert isinstance(mesh, trimesh.Trimesh)
    assert (len(data), len(mesh.faces)) == (facts["vertices"], facts["faces"])
    assert len(mesh.faces) > 2000
    assert mesh.is_winding_consistent
    assert data.dtype.names == ("x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "relevancy_0")
    # Faces and normals look to the cameras, which stand in front of the scene (-y) and above it.
    to_cameras = np.array([0.0, -1.5, 1.2]) - mesh.triangles_center
    assert ((mesh.face_normals * to_cameras).sum(1) > 0).mean() > 0.8
    stored = np.stack([data["nx"], data["ny"], data["nz"]], 1)[mesh.faces[:, 0]]
    assert (stored * mesh.face_normals).sum(1).mean() > 0.8
    ball = solid(drawn, "red sphere")
    run_json(capsys, "export", drawn_run, tmp_path / "ball.ply", *options, "--resolution", "32", "--crop")
    data, mesh = properties(tmp_path / "ball.ply")
    distance = np.linalg.norm(mesh.vertices - ball.centre, axis=1)
    assert np.abs(np.median(distance) - ball.half[0]) < 0.06
    assert (distance < ball.half[0] + 0.2).mean() > 0.9
    assert np.median(data["relevancy_0"]) > 0.5


def test_what_is_refused(drawn_run, tmp_path, capsys):
    out = tmp_path / "out.ply"
    export = ["export", drawn_run, out, "--points", "2000"]
    assert "must end in .ply" in refused(capsys, "export", drawn_run, tmp_path / "out.obj")
    assert "--query" in refused(capsys, *export, "--crop")
    assert "--what cloud" in refused(capsys, *export, "--what", "mesh", "--embeddings")
    assert "nothing to cut out" in refused(capsys, *export, "--crop", "--query", "purple")
    assert "threshold" in refused(capsys, *export, "--query", "red", "--threshold", "2")
    assert "less than one" in refused(capsys, "export", drawn_run, out, "--points", "3")
    assert "reach" in refused(capsys, *export, "--reach", "-1")
    assert "resolution" in refused(capsys, *export, "--what", "mesh", "--resolution", "1")
    assert "not a run folder" in refused(capsys, "export", tmp_path, out)
    assert not list(tmp_path.iterdir())
