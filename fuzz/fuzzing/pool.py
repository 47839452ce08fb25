"""Workers that are given cases, killed when one takes too long, and started again."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fuzzing.oracle import SPOILT, Verdict
from fuzzing.processor import waited
from fuzzing.worker import CASE, STACK, work

START_SECONDS = 300.0
"""In which a worker must be ready; the first one on a machine compiles."""
PROCESSES = multiprocessing.get_context("spawn")
FRAME = re.compile(r'File ".*?/((?:lerf|lerf_scenes)/[^"]*)", line \d+ in (\S+)')


@dataclass(frozen=True)
class Result:
    """A case and what came of it."""

    kind: str
    seed: int
    verdict: Verdict
    seconds: float


@dataclass
class _Worker:
    """One process, and the case that it is trying."""

    home: Path
    process: Any
    connection: Connection
    ready: bool = False
    case: tuple[str, int] | None = None
    since: float = field(default_factory=time.monotonic)
    queued: float = 0.0
    """Seconds that it had waited for a processor at `since`."""

    def begin(self, case: tuple[str, int]) -> None:
        """Let it try a case."""
        self.case, self.since, self.queued = case, time.monotonic(), waited(self.process.pid)
        self.connection.send(case)

    @property
    def seconds(self) -> float:
        """How long it has had for its case, without the time in which others had its processor."""
        return time.monotonic() - self.since - (waited(self.process.pid) - self.queued)


class Pool:
    """Tries cases in several processes; a context manager."""

    def __init__(self, suite: str, material: Path, scratch: Path, workers: int, seconds: float) -> None:
        """`seconds` is how long a case may take; `scratch` an empty folder."""
        self._suite, self._material, self._scratch, self._seconds = suite, material, scratch, seconds
        self._count, self._workers = workers, dict[int, _Worker]()
        self._slow: set[tuple[str, int]] = set()
        """Cases that took too long once: on a busy machine that is no proof, so they are tried again."""

    def __enter__(self) -> Pool:
        self._workers = {number: self._started(number) for number in range(self._count)}
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            self._stop(worker)

    def results(self, cases: Iterator[tuple[str, int]]) -> Iterator[Result]:
        """Try all cases; results come in the order in which they are there."""
        again: list[tuple[str, int]] = []
        more = True
        while more or again or any(worker.case for worker in self._workers.values()):
            for worker in self._workers.values():
                if worker.ready and worker.case is None and (more or again):
                    case = again.pop() if again else next(cases, None)
                    more = more and case is not None
                    if case is not None:
                        worker.begin(case)
            ready = wait([worker.connection for worker in self._workers.values()], timeout=0.2)
            for number, worker in list(self._workers.items()):
                if worker.connection in ready:
                    result = self._heard(number, worker)
                    if result is not None:
                        yield result
                elif worker.seconds > (self._seconds if worker.ready else START_SECONDS):
                    result = self._overdue(number, worker, again)
                    if result is not None:
                        yield result

    def _heard(self, number: int, worker: _Worker) -> Result | None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            code, case = worker.process.exitcode, worker.case
            if not worker.ready or case is None:
                raise RuntimeError(f"A worker ended with code {code} before it had a case.") from None
            verdict = _verdict(worker.home, "died", f"the process ended with code {code}")
            self._restart(number)
            return Result(*case, verdict, 0.0)
        if message == "ready":
            worker.ready = True
            return None
        assert worker.case is not None
        case, worker.case = worker.case, None
        seconds = message.pop("seconds")
        return Result(*case, Verdict(**message), seconds)

    def _overdue(self, number: int, worker: _Worker, again: list[tuple[str, int]]) -> Result | None:
        if not worker.ready:
            raise RuntimeError(f"A worker was not ready after {START_SECONDS:.0f} s.")
        if worker.case is None:
            return None
        case, verdict = worker.case, _verdict(worker.home, "hang", f"over {self._seconds:g} s")
        self._restart(number)
        if case not in self._slow:
            self._slow.add(case)
            again.append(case)
            return None
        return Result(*case, verdict, self._seconds)

    def _started(self, number: int) -> _Worker:
        home = self._scratch / f"worker-{number}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        ours, theirs = PROCESSES.Pipe()
        arguments = (self._suite, str(self._material), str(home), self._seconds, theirs)
        process = PROCESSES.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return _Worker(home, process, ours)

    def _restart(self, number: int) -> None:
        self._stop(self._workers[number])
        self._workers[number] = self._started(number)

    def _stop(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def _verdict(home: Path, fault: str, said: str) -> Verdict:
    """Of a worker that cannot tell any more: where it was when it was nearly out of time, and what it was reading."""
    frames = FRAME.findall(_text(home / STACK))
    place = f"{frames[0][0]}:{frames[0][1]}" if frames else "?"
    return Verdict("fault", said, fault, place, _text(home / CASE / SPOILT))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
