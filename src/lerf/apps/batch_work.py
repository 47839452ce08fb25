"""`lerf batch`: many captures trained, with one table of how far each is."""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lerf.apps.batch import Batch
from lerf.apps.train import Train
from lerf.errors import ConfigError, LerfError
from lerf.files import is_absent, is_file, read_bytes

if TYPE_CHECKING:
    from lerf.fleet.batch import Batch as Running
    from lerf.fleet.jobs import Job, Progress

LARGEST_LIST = 64_000_000
"""Bytes of a list of captures."""


def batch(command: Batch, console: Console) -> dict[str, Any]:
    """Train all captures; which failed, and why, comes at the end."""
    from lerf.fleet.batch import Batch as Running
    from lerf.fleet.batch import run_here

    jobs, refused = jobs_of(command)
    board = _Board(console)
    running = Running(jobs, command.output, board.changed)
    for name, told in refused.items():
        running.journal(name, "failed", error=told)
    start = time.perf_counter()
    with board.shown(running):
        if command.ray is None:
            run_here(running, command.offline)
        else:
            from lerf.fleet.ray_batch import run_on_ray

            run_on_ray(running, command.offline, command.ray[0] if command.ray else "")
    failed = {**refused, **running.failed}
    seconds = time.perf_counter() - start
    whole = [name for name, now in running.progress.items() if now.state == "done"]
    console.print(f"{len(whole)} of {len(jobs) + len(refused)} captures are trained, in {seconds:.0f} s.")
    for name, told in failed.items():
        console.print(f"{name}: failed. {told}")
    runs = {name: str(job.output) for name, job in running.jobs.items() if name in whole}
    return {"runs": runs, "failed": failed, "seconds": seconds, "ok": not failed}


def jobs_of(command: Batch) -> tuple[list[Job], dict[str, str]]:
    """The captures with their settings, and by name why some cannot be trained.

    Raises:
        ConfigError: there is no capture, or a list cannot be read.
    """
    from lerf.fleet.jobs import Job
    from lerf.run.make_settings import completed

    jobs: list[Job] = []
    refused: dict[str, str] = {}
    for capture, options in _listed(command.captures):
        # As it is given: of links to captures each has a name of its own.
        base = Path(os.path.abspath(capture)).name or "capture"
        taken = {job.name for job in jobs} | refused.keys()
        name = next(one for n in range(1, len(taken) + 2) if (one := base if n == 1 else f"{base}-{n}") not in taken)
        start = ["--preset", command.preset] if command.preset else []
        try:
            asked = _parsed(
                [capture, "--output", str(command.output / name), *start, *_words(command.options), *options]
            )
            asked.check()
            jobs.append(Job(name, completed(asked.settings), asked.run))
        except LerfError as problem:
            refused[name] = str(problem)
    if not jobs and not refused:
        raise ConfigError("The patterns and lists given name no capture; give folders of captures.")
    return jobs, refused


def _listed(captures: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Captures of patterns and lists, with the options of each."""
    for given in captures:
        path = Path(given)
        if path.suffix == ".txt" and is_file(path):
            data = read_bytes(path, error=ConfigError, remedy="give a list of captures", largest=LARGEST_LIST)
            for line in data.decode("utf-8", "replace").splitlines():
                if words := _words(line.partition("#")[0]):
                    yield words[0], words[1:]
        elif glob.has_magic(given) and is_absent(path):
            yield from ((found, []) for found in sorted(glob.glob(given)))
        else:
            yield given, []


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise ConfigError(f"{text!r} are no options ({str(problem).lower()}); write them as for lerf train.") from None


def _parsed(arguments: list[str]) -> Train:
    """Options of `lerf train`.

    Raises:
        ConfigError: they are none.
    """
    import io

    from lerf.apps.main import parse

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            command = parse(["train", *arguments])
    except SystemExit:
        raise ConfigError(
            f"{' '.join(arguments[3:]) or 'These'} are not options of lerf train; see lerf train --help."
        ) from None
    assert isinstance(command, Train)
    return command


class _Board:
    """One table on a terminal; elsewhere a line whenever a scene begins a stage, is done or fails."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._running: Running | None = None
        self._said: dict[str, tuple[str, str]] = {}

    @contextlib.contextmanager
    def shown(self, running: Running) -> Iterator[None]:
        """Show the table while the work goes on."""
        self._running = running
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=2, get_renderable=self._table) as self._live:
            yield
        self._live = None

    def changed(self, job: Job, now: Progress) -> None:
        """Something is new of a job."""
        if self._live is None and self._said.get(job.name) != (now.state, now.stage):
            self._said[job.name] = (now.state, now.stage)
            told = now.stage if now.state == "working" else now.state
            self.console.print(f"{job.name}: {told}")

    def _table(self) -> Table:
        table = Table("scene", "state", "stage", "progress", "rays/s", "left", show_edge=False)
        for name, now in self._running.progress.items() if self._running else ():
            rays, left = now.facts.get("rays_per_second"), now.seconds_left
            table.add_row(
                name, now.state, now.stage, f"{now.done:,} of {now.total:,}" if now.total else "",
                "" if rays is None else f"{rays:,.0f}", "" if left is None else f"{left:.0f} s",
            )  # fmt: skip
        return table
