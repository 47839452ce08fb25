"""A cluster whose workers and whose driver are killed: the runs come out as those of one process."""

import contextlib
import os
import re
import subprocess
import sys
import time
from ipaddress import ip_address

import psutil
import pytest
from changed_runs import same_run
from page_support import wait_for

PHOTOS = "--steps 60 --device cpu --radiance-training.rays 512 --language lift"
COUNT = int(os.environ.get("LERF_TEST_CAPTURES", "3"))
SECONDS = 600


def workers(driver):
    """Processes of a driver that do a stage, which is their title; Ray's own services are left alone."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if re.match(r"ray::\w+ of room-\d+", " ".join(process.cmdline())):
                found.append(process)
    return found


def open_to_others(driver):
    """Addresses on which processes of a driver listen to other machines."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [one.laddr.ip for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert found
    return [address for address in found if not ip_address(address.removeprefix("::ffff:")).is_loopback]


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
        assert driver.poll() is None, "the work was over too soon"
        process = wait_for(lambda: next(iter(workers(driver)), None), "a worker", SECONDS)
        time.sleep(1.0)
        with contextlib.suppress(psutil.Error):
            process.kill()
            killed += 1
    assert open_to_others(driver) == []
    wait_for(lambda: workers(driver), "another worker", SECONDS)
    driver.kill()
    driver.wait()
    assert start("fleet", "--ray").wait(SECONDS) == 0
    print(f"one by one {alone:.0f} s; on the cluster, with what was killed, {time.monotonic() - begun:.0f} s")
    for number in range(COUNT):
        assert same_run(tmp_path / "alone" / f"room-{number}", tmp_path / "fleet" / f"room-{number}")
