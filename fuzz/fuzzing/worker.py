"""A process that tries cases one after another, with a bound on its memory; the pool kills it when one takes too long.

Nothing heavy is imported before the environment is set.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import os
import resource
import shutil
import time
from multiprocessing.connection import Connection
from pathlib import Path

MEMORY = 2 * 2**30
"""Bytes that a case may take beyond what the process has."""
CASE = "case"
"""Folder in a worker's folder: that of the case that it tries."""
STACK = "stack.txt"
"""File in a worker's folder: where it was when its time was nearly up."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "80",
}  # fmt: skip


def work(suite_name: str, material: str, home: str, seconds: float, connection: Connection) -> None:
    """Body of the process: says "ready", then answers each (kind, seed) with a dictionary.

    Args:
        suite_name: the suite, as `suite_of` takes it.
        material: folder of valid inputs.
        home: folder of this worker alone.
        seconds: after which a case is a hang.
        connection: to the pool.
    """
    os.environ.update(ENVIRONMENT, LERF_CACHE=f"{home}/cache", HF_HOME=f"{home}/hub")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from fuzzing.oracle import judged
    from fuzzing.suite import case_of, suite_of

    suite = suite_of(suite_name)
    suite.set_up()
    suite.warm_up(Path(material))
    limit_memory(MEMORY)
    connection.send("ready")
    with open(Path(home) / STACK, "w") as stack:
        while True:
            try:
                kind, seed = connection.recv()
            except EOFError:
                return
            folder = Path(home) / CASE
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            os.chdir(folder)
            stack.truncate(0)
            faulthandler.dump_traceback_later(0.9 * seconds, file=stack)
            start = time.perf_counter()
            verdict = judged(suite.kinds[kind], case_of(kind, seed, Path(material), folder))
            faulthandler.cancel_dump_traceback_later()
            connection.send({**dataclasses.asdict(verdict), "seconds": time.perf_counter() - start})


def limit_memory(extra: int) -> None:
    """Let this process have so many bytes more of private memory than it has now; reservations count."""
    with open("/proc/self/status") as status:
        now = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (now + extra, now + extra))
