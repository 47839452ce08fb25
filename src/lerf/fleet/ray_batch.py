"""Many captures trained on a Ray cluster: each stage of each capture is a task with the resources that it needs.

Nodes share the captures, the runs and the cache (`LERF_CACHE`) by one file system. A stage that is finished stays in
the run or the cache, and an unfinished one is gone on with from its checkpoint: a worker that dies costs what it did
since, and Ray gives its task to another.
"""

from __future__ import annotations

import contextlib
from typing import Any

from lerf.errors import LerfError
from lerf.fleet.batch import Batch, in_words
from lerf.fleet.jobs import NEEDS, STAGES, Job, JobReporter
from lerf.fleet.one_stage import do_stage
from lerf.ray_cluster import ray_cluster
from lerf.stages.train import SAVE_SECONDS

RETRIES = 5
"""Times that a stage is tried again after its worker has died."""
TOLD_EVERY = 1.0
"""Seconds between two words of a worker about its stage."""
GPU_SHARES = {"features": 0.5, "radiance": 1.0, "language": 0.5, "surface": 0.25}
"""Of one GPU that each stage takes where the work runs on one."""
LIFT_BYTES = 2_000_000_000
"""Memory that is set aside for a task of language, beside the photos' features."""
MEMORY_SHARE = 0.5
"""Of a node's memory that a task may ask for at most: one that asks for more than there is would wait for ever."""


def run_on_ray(batch: Batch, offline: bool, address: str, save_seconds: float = SAVE_SECONDS) -> None:
    """Train the jobs of a batch on a cluster.

    Args:
        batch: the jobs.
        offline: forbid downloads.
        address: of a running cluster; empty starts one on this machine.
        save_seconds: time between checkpoints.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """
    with ray_cluster(address) as ray:
        board = ray.remote(num_cpus=0)(Board).remote()
        task = ray.remote(max_retries=RETRIES)(_task)
        pending: dict[Any, tuple[str, str]] = {}
        done: dict[str, set[str]] = {name: set() for name in batch.jobs}

        def submit(name: str, stage: str) -> None:
            job = batch.jobs[name]
            needs = _resources(ray, job, stage)
            threads = int(needs.get("num_cpus", 0)) or 1
            result = task.options(name=f"{stage} of {name}", **needs).remote(
                job, stage, offline, threads, save_seconds, board
            )
            pending[result] = (name, stage)

        for name in batch.jobs:
            batch.journal(name, "started")
            for stage in STAGES:
                if not NEEDS[stage]:
                    submit(name, stage)
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=1, timeout=TOLD_EVERY)
            _hear(ray, board, batch)
            for result in ready:
                name, stage = pending.pop(result)
                told = _outcome(ray, result)
                if batch.progress[name].state == "failed":
                    continue
                if told:
                    batch.finish(name, told)
                    continue
                done[name].add(stage)
                batch.journal(name, "stage finished", stage=stage)
                if len(done[name]) == len(STAGES):
                    batch.finish(name)
                for other in STAGES:
                    waiting = other not in done[name] and (name, other) not in pending.values()
                    if waiting and set(NEEDS[other]) <= done[name]:
                        submit(name, other)


def _outcome(ray: Any, result: Any) -> str:
    """Why a task failed, in words; empty where it did not."""
    try:
        return str(ray.get(result))
    except ray.exceptions.RayTaskError as problem:
        cause = getattr(problem, "cause", None)
        return in_words(cause if isinstance(cause, Exception) else problem)
    except ray.exceptions.RayError as problem:
        return f"The worker failed {RETRIES + 1} times ({type(problem).__name__}); give the same command again."


def _hear(ray: Any, board: Any, batch: Batch) -> None:
    """Take over what the workers have told since."""
    with contextlib.suppress(ray.exceptions.RayError):
        for name, stage, done, total, facts in ray.get(board.take.remote()):
            if batch.progress[name].state in ("waiting", "working"):
                batch.tell(name, stage, done, total, facts)


def _resources(ray: Any, job: Job, stage: str) -> dict[str, float]:
    """What Ray is to set aside for a stage."""
    needs: dict[str, float] = {"num_cpus": 1}
    if job.settings.device != "cpu":
        needs["num_gpus"] = GPU_SHARES[stage]
    if stage == "language":
        most = max((node["Resources"].get("memory", 0.0) for node in ray.nodes()), default=0.0)
        wanted = LIFT_BYTES + job.settings.memory_bytes
        needs["memory"] = int(min(wanted, MEMORY_SHARE * most))
    return needs


class Board:
    """What workers tell of their stages, until the driver takes it."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[str, str, int, int, dict[str, float]]] = {}

    def put(self, name: str, stage: str, done: int, total: int, facts: dict[str, float]) -> None:
        """The progress of a job; an earlier one that nobody took is forgotten."""
        self._latest[name] = (name, stage, done, total, facts)

    def take(self) -> list[tuple[str, str, int, int, dict[str, float]]]:
        """What is new."""
        latest, self._latest = list(self._latest.values()), {}
        return latest


def _task(job: Job, stage: str, offline: bool, threads: int, save_seconds: float, board: Any) -> str:
    """A stage in a worker; returns why it failed, in words, or nothing."""
    import numba
    import torch

    # Several workers share a machine: each has the cores that were set aside for it.
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.get_num_threads()))

    def tell(now: str, done: int, total: int, facts: dict[str, float]) -> None:
        board.put.remote(job.name, now, done, total, facts)

    reporter = JobReporter(tell, TOLD_EVERY)
    reporter.begin(stage, 0)
    try:
        do_stage(job.settings, job.output, stage, offline=offline, reporter=reporter, save_seconds=save_seconds)
    except LerfError as problem:
        return str(problem)
    return ""
