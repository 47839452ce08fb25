"""Captures posed by other tools, in the layouts that the tests of their readers write."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from fuzzing.kinds.scene_checks import read_and_check
from fuzzing.kinds.spoiling import data, document, lines, one_of
from fuzzing.oracle import Case, Kind, check_finite

READERS = Path(__file__).resolve().parents[3] / "tests/scenes/readers"
KAPTURE = [f"sensors/{name}.txt" for name in ("sensors", "records_camera", "trajectories", "rigs")]
POINTS = ["reconstruction/points3d.txt", "reconstruction/observations.txt"]


def kinds() -> dict[str, Kind]:
    """By name."""
    files = {
        "bundler": one_of(["bundle.out", "bundle.out", "list.txt"], lines),
        "visual-sfm": one_of(["result.nvm"], lines),
        "alicevision": one_of(["cameras.sfm"], document),
        "openmvg": one_of(["sfm_data.json"], document),
        "opensfm": one_of(["reconstruction.json"], document),
        "metashape": one_of(["cameras.xml"], _xml),
        "reality-capture": one_of(["cameras.csv"], lines),
        "kapture": one_of([*KAPTURE, *POINTS], lines),
        "colmap-points": one_of(["sparse/0/points3D.bin", "sparse/0/test.txt"], data),
    }
    return {name: Kind(name, spoil, _read_with_points, weight=2) for name, spoil in files.items()}


def make(folder: Path) -> None:
    """Six photos of 60x40 pixels in each format."""
    parts = {name: folder / name for name in kinds()}
    for part in parts.values():
        part.mkdir(parents=True, exist_ok=True)
    bundler, visual_sfm = _tests_of("bundler"), _tests_of("visual_sfm")
    bundler.write(parts["bundler"], bundler.bundle())
    posed = zip(visual_sfm.NAMES, visual_sfm.poses(), strict=True)
    cameras = [visual_sfm.line(name, pose, 0.08) for name, pose in posed]
    visual_sfm.write(parts["visual-sfm"], visual_sfm.model(cameras))
    alicevision, openmvg, opensfm = (_tests_of(name) for name in ("alicevision", "openmvg", "opensfm"))
    alicevision.write(parts["alicevision"], alicevision.document() | {"structure": alicevision.structure()})
    lenses = [openmvg.intrinsic(key, kind) for key, kind in enumerate(openmvg.MODELS)]
    openmvg.write(parts["openmvg"], openmvg.document(lenses) | {"structure": openmvg.structure()})
    opensfm.write(parts["opensfm"], opensfm.reconstruction("brown"), opensfm.reconstruction(numbers=[0, 1]))
    metashape = _tests_of("metashape")
    metashape.write(parts["metashape"], metashape.rig())
    reality_capture = _tests_of("reality_capture")
    reality_capture.write(parts["reality-capture"])
    kapture = _tests_of("kapture")
    kapture.write(parts["kapture"], rigs=kapture.RIGS)
    kapture.write_points(parts["kapture"])
    colmap = _tests_of("colmap_extras")
    colmap.write_points(colmap.capture(parts["colmap-points"]) / colmap.MODEL, "binary")
    (parts["colmap-points"] / colmap.MODEL / "test.txt").write_text("0002.png\n0005.png\n")


def _read_with_points(case: Case) -> None:
    """As every capture, and its points."""
    from lerf.scenes.load import read_points, read_scene

    read_and_check(case)
    points = read_points(read_scene(case.input))
    if points is not None:
        check_finite(points.positions, "points")
        if points.observations is not None and len(points.observations):
            assert points.observations[:, 0].max() < len(points)
            assert points.observations[:, 1].max() < len(points.names)
            assert points.observations.min() >= 0


def _xml(path: Path, case: Case) -> str:
    """An XML file: its lines of elements, or its bytes."""
    return data(path, case) if case.random.random() < 0.3 else lines(path, case)


def _tests_of(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"readers_{name}", READERS / f"test_{name}.py")
    assert spec is not None, name
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module
