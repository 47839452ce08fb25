"""`python fuzz/kills.py`: options, the journal, and the sum at the end."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from killing.episodes import PROCESSES, Episode, Killer
from killing.stages import STAGES, Places, make_valid

FUZZ = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
}  # fmt: skip
"""One thread: then the same command writes the same numbers. Who is killed leaves semaphores, of which we know."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="kills", description="Commands killed at random moments.")
    parser.add_argument("--kills", type=int, default=20, help="of all stages together")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments, as shares of an undisturbed command")
    parser.add_argument("--only", nargs="+", choices=list(STAGES), default=list(STAGES), help="only these stages")
    parser.add_argument("--journal", type=Path, help="file of what was done, one JSON a line; goes on from its end")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill until there are enough kills; 1 when something was wrong."""
    given = options(arguments)
    os.environ.update(ENVIRONMENT)
    # Where the process that the others are forked from finds its imports.
    paths = [FUZZ, FUZZ.parent / "src", os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(str(path) for path in paths if path)
    PROCESSES.set_forkserver_preload(["killing.child"])
    done = _read(given.journal)
    with tempfile.TemporaryDirectory(prefix="lerf-kills-") as scratch:
        valid, output = Path(scratch) / "valid", Path(scratch) / "output"
        _make(valid)
        killers = {}
        for number in itertools.count(len(done)):
            if sum(len(episode.moments) for episode in done) >= given.kills:
                break
            name = given.only[number % len(given.only)]
            if name not in killers:
                killers[name] = Killer(name, STAGES[name], Places(valid, output))
            episode = killers[name].episode(number, given.seed)
            done.append(episode)
            _note(given.journal, episode, output)
    print(_summary(done))
    return int(any(episode.problem for episode in done))


def _make(valid: Path) -> None:
    child = PROCESSES.Process(target=make_valid, args=(valid,))
    child.start()
    child.join()
    if child.exitcode != 0:
        raise SystemExit("What the commands start from could not be made; see above.")


def _read(journal: Path | None) -> list[Episode]:
    """What was done before; a last line that a kill cut off is not."""
    if journal is None or not journal.is_file():
        return []
    whole = journal.read_text().rpartition("\n")[0]
    journal.write_text(whole + "\n" if whole else "")
    return [Episode(**json.loads(line)) for line in whole.split("\n") if line]


def _note(journal: Path | None, episode: Episode, output: Path) -> None:
    line = json.dumps(dataclasses.asdict(episode))
    print(line, file=sys.stderr)
    if journal is not None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with open(journal, "a") as file:
            file.write(line + "\n")
        if episode.problem:
            shutil.copytree(output, journal.with_name(f"{journal.stem}-{episode.number}"), dirs_exist_ok=True)


def _summary(done: Sequence[Episode]) -> str:
    rows = [("stage", "kills", "endings", "left by kills", "problems")]
    for name in dict.fromkeys(episode.stage for episode in done):
        own = [episode for episode in done if episode.stage == name]
        kills, left = sum(len(episode.moments) for episode in own), sum(episode.leftovers for episode in own)
        rows.append((name, str(kills), str(len(own)), str(left), str(sum(bool(episode.problem) for episode in own))))
    lines = ["  ".join(cell.ljust(14) for cell in row).rstrip() for row in rows]
    return "\n".join([*lines, *(f"{e.stage} {e.number}: {e.problem}" for e in done if e.problem)])
