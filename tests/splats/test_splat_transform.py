"""PlayCanvas's converter reads what we write, and we read what it writes, and both see the same Gaussians.

`make test-splat-transform` fetches it; LERF_TEST_SPLAT_TRANSFORM names its program where it is elsewhere.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from splat_samples import furthest_apart, random_splats

from lerf.splats.files import read_splats, write_splats

PROGRAM = os.environ.get("LERF_TEST_SPLAT_TRANSFORM") or shutil.which("splat-transform")
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="@playcanvas/splat-transform is not there (make test-splat-transform fetches it)"
)


def converted(source: Path, target: Path, *options: str) -> Path:
    command = [str(PROGRAM), "-w", "-q", "-g", "cpu", *options, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.mark.filterwarnings("ignore::lerf.errors.LerfWarning")
@pytest.mark.parametrize("degree", [0, 3])
@pytest.mark.parametrize("suffix", [".ply", ".spz", ".splat"])
def test_it_reads_what_we_write(tmp_path, suffix: str, degree: int) -> None:
    splats = random_splats(600, degree)
    write_splats(tmp_path / f"a{suffix}", splats)
    theirs = read_splats(converted(tmp_path / f"a{suffix}", tmp_path / "b.ply"))
    ours = read_splats(tmp_path / f"a{suffix}")
    assert len(theirs) == len(ours) == 600
    apart = furthest_apart(ours, theirs)
    # It takes a byte of a .splat's rotation for 2 / 255 where the format's first reader had 1 / 128.
    assert apart.pop("covariances") < (0.04 if suffix == ".splat" else 1e-5)
    # A logit of 0 or 255 of 255 steps is a matter of taste.
    assert apart.pop("opacities") < 1.1e-3
    assert max(apart.values()) < 1e-5


def test_it_keeps_our_columns(tmp_path) -> None:
    splats = random_splats(600, 1).with_columns(
        {"relevancy_0": np.linspace(0, 1, 600, dtype=np.float32), "instance_0": np.arange(600, dtype=np.int32)}
    )
    write_splats(tmp_path / "a.ply", splats)
    theirs = read_splats(converted(tmp_path / "a.ply", tmp_path / "b.ply"))
    assert theirs.extra == ("relevancy_0", "instance_0")
    for name in theirs.extra:
        assert np.allclose(theirs.table[name], splats.table[name])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b.spz", ("--spz-version", "3")),
        ("b.spz", ("--spz-version", "4")),
        ("b.compressed.ply", ()),
        ("b.sog", ("--iterations", "2")),
    ],
)
@pytest.mark.parametrize("degree", [0, 2, 3])
def test_we_read_what_it_writes(tmp_path, name: str, options: tuple[str, ...], degree: int) -> None:
    write_splats(tmp_path / "a.ply", random_splats(600, degree))
    packed = converted(tmp_path / "a.ply", tmp_path / name, *options)
    ours, theirs = read_splats(packed), read_splats(converted(packed, tmp_path / "c.ply"))
    assert ours.degree == theirs.degree == degree
    apart = furthest_apart(ours, theirs)
    assert apart.pop("opacities") < 1.1e-3
    assert max(apart.values()) < 1e-5
