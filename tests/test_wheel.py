"""The wheel in an environment of its own: its data, the command and a query, with the checkout out of reach.

Dependencies come from the environment that runs the tests, so that nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
WHERE = "import lerf, lerf_scenes, sys; print(lerf.__file__, lerf_scenes.__file__, *sys.path, sep='\\n')"


ENCODE = """
from lerf.encoders.registry import load_encoder
print(f"{float(load_encoder('mini').encode_text(['red mug']).norm()):.3f}")
"""


def finished(*command: object, cwd: Path | None = None, path: Path | None = None) -> str:
    """Standard output of a command that must succeed, with `path` alone as `PYTHONPATH`: not what the tests have."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run([*map(str, command)], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does, from a copy of what it is built from: a build leaves folders beside its source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(REPOSITORY / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    finished(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that holds the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    finished(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    options = ("--no-deps", "--no-index", "--quiet")
    finished(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel)
    # A path in a .pth file comes after the environment's own packages, and .pth files in it, such as that of an
    # editable checkout, are not read.
    packages = finished(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    ours = {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")}
    (Path(packages) / "dependencies.pth").write_text("\n".join(sorted(ours)))
    return python.parent


def test_the_wheel_holds_its_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = REPOSITORY / "src"
    data = ("lerf/encoders/data", "lerf/scenes/demo_scene")
    expected = {path for folder in data for path in (source / folder).rglob("*") if path.is_file()}
    expected |= {source / "lerf" / "py.typed", source / "lerf_scenes" / "py.typed"}
    assert len(expected) > 80
    assert {str(path.relative_to(source)) for path in expected} - names == set()
    modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}
    assert not any(name.startswith(("tests/", "benchmarks/", "recipes/")) for name in names)


def test_the_command_comes_from_the_wheel(bin_folder: Path, tmp_path: Path) -> None:
    *modules, path = finished(bin_folder / "python", "-c", WHERE, cwd=tmp_path).strip().split("\n", 2)
    assert all(Path(module).is_relative_to(bin_folder.parent) for module in modules)
    assert str(REPOSITORY / "src") not in path.splitlines()
    assert finished(bin_folder / "lerf", "demo", "--help", cwd=tmp_path).startswith("usage: lerf demo ")


def test_a_query(bin_folder: Path, drawn_run: Path, tmp_path: Path) -> None:
    """The run's encoder is a plug-in of the tests (`tests/support`), found through its entry point."""
    command = (bin_folder / "lerf", "query", drawn_run, "red", "purple", "--json")
    red, purple = json.loads(finished(*command, cwd=tmp_path, path=REPOSITORY / "tests" / "support"))["queries"]
    assert (red["present"], purple["present"]) == (True, False)
    assert all(isinstance(value, float) for value in red["point"])


def test_the_encoder_of_the_package(bin_folder: Path, tmp_path: Path) -> None:
    assert finished(bin_folder / "python", "-c", ENCODE, cwd=tmp_path).strip() == "1.000"
