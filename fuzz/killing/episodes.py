"""One to three kills of a command, the same command again to its end, and a look at what it left."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.processor import waited
from killing.contents import contents_of, damage_of, difference_of
from killing.stages import KilledStage, Places

PROCESSES = multiprocessing.get_context("forkserver")
END_SECONDS = 300.0
"""In which an undisturbed command must end, without those in which others had the processor."""
POLL_SECONDS = 0.02


@dataclass
class Episode:
    """What happened."""

    stage: str
    number: int
    moments: list[float] = field(default_factory=list)
    """Seconds after which the command was killed, without those in which it had no processor."""
    leftovers: int = 0
    """Unfinished files that the kills left."""
    problem: str = ""
    """What was wrong; empty when nothing was."""


class Killer:
    """Kills one stage again and again."""

    def __init__(self, name: str, stage: KilledStage, places: Places) -> None:
        """Runs the command once undisturbed, which tells what is right and how long it takes."""
        self.name, self._stage, self._places = name, stage, places
        stage.begin(places)
        self.seconds = self._end()
        self._right = contents_of(places.output)

    def episode(self, number: int, seed: int) -> Episode:
        """Kill, look, and finish; the moments follow from the seed and the episode's number."""
        random, done = Random(f"{seed}:{number}"), Episode(self.name, number)
        self._stage.begin(self._places)
        for _ in range(random.choice((1, 1, 2, 3))):
            moment = random.uniform(0.0, self.seconds)
            if not self._killed(moment):
                break
            done.moments.append(round(moment, 3))
            done.problem = damage_of(self._places.output)
            if done.problem:
                return done
        done.leftovers = sum(path.name.startswith(".") for path in self._places.output.rglob("*"))
        try:
            self._end()
        except RuntimeError as error:
            done.problem = str(error)
            return done
        done.problem = difference_of(contents_of(self._places.output), self._right)
        return done

    def _started(self) -> Any:
        arguments = list(map(str, self._stage.arguments(self._places)))
        ours, theirs = PROCESSES.Pipe(duplex=False)
        given = (arguments, str(self._places.cache), str(self._log), theirs)
        child = PROCESSES.Process(target=_run, args=given)
        child.start()
        theirs.close()
        if not ours.poll(END_SECONDS):
            raise RuntimeError("A command did not begin.")
        ours.close()
        return child

    @property
    def _log(self) -> Path:
        return self._places.output.with_name("log.txt")

    def _killed(self, moment: float) -> bool:
        """Kill the command after so many seconds; False when it ended before."""
        child = self._started()
        watched(child, moment)
        alive = child.is_alive()
        child.kill()
        child.join()
        return alive

    def _end(self) -> float:
        """Let the command end; returns the seconds that it took."""
        child = self._started()
        seconds = watched(child, END_SECONDS)
        if child.is_alive():
            child.kill()
            child.join()
            raise RuntimeError(f"{self.name} was not done after {END_SECONDS:.0f} s")
        if child.exitcode != 0:
            raise RuntimeError(f"{self.name} ended with code {child.exitcode}: {self._log.read_text()[-500:]}")
        return seconds


def watched(child: Any, most: float) -> float:
    """Wait until a process ends or has had `most` seconds; returns how many it had, without those that it waited for a
    processor."""
    start, had = time.perf_counter(), 0.0
    while child.is_alive() and had < most:
        child.join(min(POLL_SECONDS, most - had))
        if child.is_alive():
            had = max(had, time.perf_counter() - start - waited(child.pid))
    return had


def _run(*given: Any) -> None:
    """Body of a child; what it imports is there already, but not in this process."""
    from killing.child import run

    run(*given)
