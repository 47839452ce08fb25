"""Which files of other pose tools load, and how exactly: a table for docs/captures.md.

    python benchmarks/readers.py [--samples ../shared/data/real]

The first rows are files that the tests of a reader write in the tool's layout, against the tool's formula written out
there. The others are public files of the tools, with photos of the stated names and sizes made here where only the pose
file is public: whether they load, how many of the photos that the file places are found, and, where a file has points
and says where photos see them, the median distance of what was seen from this project's projection.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
TESTS = REPOSITORY / "tests/scenes"
FORMULAS = (
    "bundler", "visual_sfm", "alicevision", "openmvg", "opensfm", "metashape", "reality_capture", "kapture",
)  # fmt: skip
"""Modules of tests with a `formula_error`."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    tool: str
    sample: str
    loads: str
    photos: str
    error: str

    def markdown(self) -> str:
        """As a line of a table."""
        return f"| {self.tool} | {self.sample} | {self.loads} | {self.photos} | {self.error} |"


@dataclass(frozen=True)
class Sample:
    """A public file, and what belongs beside it."""

    tool: str
    place: str
    """Under the folder of samples."""
    photos: Callable[[Path], Sequence[str]] = lambda _: ()
    """Names of the photos that are made for a file."""
    size: tuple[int, int] = (1, 1)
    """Of these; the stated size over a whole number."""
    beside: Callable[[Path, Sequence[str]], None] = lambda *_: None
    """Writes what else belongs into the folder."""
    observed: Callable[[object, Path], Sequence[float]] | None = None
    """(scene, folder): distances in pixels of what photos see from this project's projection."""


def tests_of(name: str) -> ModuleType:
    """The tests of a reader, as a module."""
    spec = importlib.util.spec_from_file_location(f"readers_{name}", TESTS / f"readers/test_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def formula_rows() -> Iterator[Row]:
    """What the tests write, by the tools' formulas."""
    for name in FORMULAS:
        module = tests_of(name)
        with tempfile.TemporaryDirectory() as folder:
            error = module.formula_error(Path(folder))
        yield Row(name.replace("_", "-"), "the tests' own, in its layout", "yes", "6 of 6", f"formula, {error:.0e} px")


def sample_rows(samples: Path) -> Iterator[Row]:
    """The public files."""
    for sample in listed():
        if (samples / sample.place).exists():
            with tempfile.TemporaryDirectory() as folder:
                yield row_of(sample, samples / sample.place, Path(folder))


def row_of(sample: Sample, place: Path, folder: Path) -> Row:
    """Loads one of them."""
    from pose_tools import write_samples_photos

    from lerf.errors import SceneError
    from lerf.scenes.load import find_poses, read_scene

    if place.is_file():
        names = sample.photos(place)
        (folder / place.name).write_bytes(place.read_bytes())
        write_samples_photos(folder / "images", names, sample.size)
        sample.beside(folder, names)
        place = folder
    try:
        scene = read_scene(place, 1)
    except SceneError as error:
        said = str(error).replace(str(place), "...").split(":")[0]
        return Row(sample.tool, sample.place, f"refused: {said}", "", "")
    (reader, found), *_ = find_poses(place)
    placed = len(reader.read(found, place).shots)
    error = ""
    if sample.observed is not None:
        distances = sample.observed(scene, place)
        error = f"observed, median {np.median(distances):.2f} px of {max(scene.photos[0].original_size)}"
    return Row(sample.tool, sample.place, "yes", f"{len(scene.photos)} of {placed}", error)


def listed() -> list[Sample]:
    """The public files of this half of the readers."""
    bundler, opensfm, colmap = (tests_of(name) for name in ("bundler", "opensfm", "colmap_extras"))

    def views(path: Path) -> list[str]:
        return [view["path"] for view in json.loads(path.read_text())["views"]]

    def list_beside(folder: Path, names: Sequence[str]) -> None:
        (folder / "list.txt").write_text("\n".join(f"images/{name}" for name in names))

    return [
        Sample(
            "Bundler", "poses/bundler_kermit/examples/kermit/results.example/bundle.out",
            lambda _: [f"kermit{number:03d}.jpg" for number in range(11)], (640, 480), list_beside,
            lambda scene, folder: bundler.reprojection(scene, folder / "bundle.out"),
        ),
        Sample("Meshroom", "poses/meshroom_cameras_sfm/data/cameras.sfm", views, (192, 144)),
        Sample("Meshroom", "poses/meshroom_cameras_sfm/data/cameras_new.sfm", views, (192, 144)),
        Sample("Meshroom", "poses/meshroom_cameras_sfm/data/cameraInit.sfm"),
        Sample("AliceVision", "poses/alicevision_small_sfm/pyTests/data/small.sfm"),
        Sample("OpenMVG", "poses/openmvg_sfmdata/sfm_data.json"),
        Sample(
            "OpenSfM", "poses/opensfm_raspi/reconstruction.json",
            lambda path: list(json.loads(path.read_text())[0]["shots"]), (640, 480),
        ),
        Sample("OpenSfM", "berlin", observed=opensfm.reprojection),
        Sample(
            "Metashape", "poses/metashape_xml_turntable/cameras.xml",
            lambda path: [f"{one.get('label')}.jpg" for one in ElementTree.parse(path).iter("camera")], (324, 216),
        ),
        Sample("Metashape", "poses/metashape_xml_stereo_rig/cameras.xml"),
        Sample("Metashape", "poses/metashape_template/template/cameras_template.xml"),
        Sample("COLMAP 3.12", "poses/colmap_rigs_corridor"),
        Sample(
            "COLMAP", "room_real/sparse/0",
            observed=lambda scene, folder: colmap.reprojection(scene, folder.parents[1], "binary")[0],
        ),
        Sample(
            "COLMAP", "flower_real/text",
            observed=lambda scene, folder: colmap.reprojection(scene, folder.parent, "text")[0],
        ),
    ]  # fmt: skip


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, default=REPOSITORY.parent / "shared/data/real")
    samples = parser.parse_args().samples
    sys.path[:0] = [str(TESTS), str(REPOSITORY / "src")]
    warnings.simplefilter("ignore")
    print("| pose tool | sample | loads | photos found of those placed | projection against |")
    print("|---|---|---|---|---|")
    for row in (*formula_rows(), *sample_rows(samples)):
        print(row.markdown(), flush=True)


if __name__ == "__main__":
    main()
