"""A cluster whose workers and whose driver are killed: the runs come out as those of one process."""

import os
import subprocess
import sys
import time

import psutil
import pytest
from changed_runs import same_run
from page_support import wait_for

PHOTOS = "--steps 60 --device cpu --radiance-training.rays 512 --language lift"
COUNT = int(os.environ.get("LERF_TEST_CAPTURES", "3"))
SECONDS = 600


def workers(driver):
    """Processes that do a stage for this driver."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if process.name().startswith("ray::") or " of room-" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if "Board" not in " ".join(process.cmdline())]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_workers_and_the_driver_are_killed_and_nothing_is_lost(drawn, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'lerf[ray]'")
    for number in range(COUNT):
        (tmp_path / "captures").mkdir(exist_ok=True)
        (tmp_path / "captures" / f"room-{number}").symlink_to(drawn.folder)
    listed = tmp_path / "captures.txt"
    listed.write_text("".join(f"{tmp_path}/captures/room-{n} --seed {n}\n" for n in range(COUNT)))
    support = next(path for path in sys.path if path.endswith("tests/support"))
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([support, *sys.path]), "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }  # fmt: skip

    def start(output, *more):
        command = [
            sys.executable, f"{support}/tiny.py", "batch", str(listed), f"--options={PHOTOS}", "--output",
            str(tmp_path / output), *more,
        ]  # fmt: skip
        cache = {"LERF_CACHE": str(tmp_path / f"cache-{output}")}
        return subprocess.Popen(command, env={**environment, **cache})

    begun = time.monotonic()
    assert start("alone").wait(SECONDS) == 0
    alone = time.monotonic() - begun
    begun = time.monotonic()
    driver = start("fleet", "--ray")
    killed = 0
    while killed < 2:
        found = wait_for(lambda: workers(driver) or driver.poll() is not None, "a worker", SECONDS)
        assert driver.poll() is None, "the work was over too soon"
        time.sleep(1.0)
        for process in found[:1]:
            try:
                process.kill()
                killed += 1
            except psutil.Error:
                continue
    time.sleep(3.0)
    assert driver.poll() is None, "the driver went on"
    driver.kill()
    driver.wait()
    assert start("fleet", "--ray").wait(SECONDS) == 0
    print(f"one by one {alone:.0f} s; on the cluster, with what was killed, {time.monotonic() - begun:.0f} s")
    for number in range(COUNT):
        assert same_run(tmp_path / "alone" / f"room-{number}", tmp_path / "fleet" / f"room-{number}")
