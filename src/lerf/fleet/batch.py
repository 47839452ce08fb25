"""Many captures trained one after another on this machine; what fails is told and never stops the rest."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lerf.errors import LerfError
from lerf.fleet.jobs import JOURNAL, Job, JobReporter, Progress
from lerf.run.journal import append_metrics
from lerf.stages.train import train


class Batch:
    """The jobs of one call, with what is known of each and the journal."""

    def __init__(self, jobs: Sequence[Job], output: Path, changed: Callable[[Job, Progress], None]) -> None:
        """
        Args:
            jobs: in the order in which they begin.
            output: folder of the runs, where the journal is.
            changed: is told whenever something is new.
        """
        self.jobs, self.output, self._changed = {job.name: job for job in jobs}, output, changed
        self.progress = {job.name: Progress() for job in jobs}

    def tell(self, name: str, stage: str, done: int, total: int, facts: dict[str, float]) -> None:
        """A job got on."""
        now = self.progress[name]
        if stage != now.stage or now.state != "working":
            now.since = time.monotonic()
        now.state, now.stage, now.done, now.total, now.facts = "working", stage, done, total, facts
        self._changed(self.jobs[name], now)

    def journal(self, name: str, event: str, **facts: str | float) -> None:
        """Add a line to the journal."""
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        self.output.mkdir(parents=True, exist_ok=True)
        append_metrics(self.output / JOURNAL, {"time": at, "scene": name, "event": event, **facts})

    def finish(self, name: str, error: str = "") -> None:
        """A job is done, or has failed."""
        now = self.progress[name]
        now.state, now.error = ("failed" if error else "done"), error
        self.journal(name, "failed" if error else "finished", **({"error": error} if error else {}))
        self._changed(self.jobs[name], now)

    @property
    def failed(self) -> dict[str, str]:
        """Errors of the jobs that failed, by name."""
        return {name: now.error for name, now in self.progress.items() if now.state == "failed"}


def run_here(batch: Batch, offline: bool) -> None:
    """Train the jobs of a batch one after another in this process.

    Raises:
        KeyboardInterrupt: after a checkpoint has been written.
    """
    for name, job in batch.jobs.items():
        batch.journal(name, "started")
        before = ""

        def tell(stage: str, done: int, total: int, facts: dict[str, float], name: str = name) -> None:
            nonlocal before
            if stage != before:
                batch.journal(name, "stage", stage=stage)
                before = stage
            batch.tell(name, stage, done, total, facts)

        try:
            train(job.settings, job.output, offline=offline, reporter=JobReporter(tell))
        except Exception as problem:
            batch.finish(name, in_words(problem))
        else:
            batch.finish(name)


def in_words(problem: BaseException) -> str:
    """Why a job failed: the sentence of an error of ours, or the kind of one that nobody foresaw."""
    if isinstance(problem, LerfError):
        return str(problem)
    said = (str(problem).splitlines() or [""])[-1]
    return f"{type(problem).__name__}: {said}"
