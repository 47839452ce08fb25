"""Many runs added to a catalogue: one after another, or each as a task of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lerf.catalogue.catalogue import Added, Catalogue
from lerf.errors import LerfError
from lerf.ray_cluster import ray_cluster

GIGABYTE = 1_000_000_000


def add_runs(
    place: str, runs: Sequence[str], *, weights: Path | None, offline: bool, device: str, ray: str | None
) -> Iterator[tuple[str, Added | LerfError]]:
    """Add runs to the catalogue at a place; each is told with what became of it, as soon as it is known.

    Args:
        place: of the catalogue.
        runs: folders or addresses.
        weights, offline, device: as in `lerf.load`.
        ray: address of a cluster, empty for one on this machine, None for none.

    Raises:
        LerfError: the catalogue or the cluster cannot be used.
    """
    catalogue, left, replaced = Catalogue(place), list(runs), False
    # The first one makes the catalogue, whose basis all others need.
    while left and (ray is None or not catalogue.exists):
        run = left.pop(0)
        told = _added(catalogue, run, weights, offline, device)
        replaced |= told == "replaced"
        yield run, told
    if left and ray is not None:
        for run, told in _on_ray(place, left, weights, offline, device, ray):
            replaced |= told == "replaced"
            yield run, told
    if catalogue.exists:
        catalogue.store.tidy(removed=replaced)


def _added(catalogue: Catalogue, run: str, weights: Path | None, offline: bool, device: str) -> Added | LerfError:
    try:
        return catalogue.add(run, weights=weights, offline=offline, device=device)
    except LerfError as problem:
        return problem


def _on_ray(
    place: str, runs: Sequence[str], weights: Path | None, offline: bool, device: str, address: str
) -> Iterator[tuple[str, Added | LerfError]]:
    with ray_cluster(address) as ray:
        task = ray.remote(num_cpus=1, num_gpus=int(device != "cpu"), memory=GIGABYTE, max_retries=3)(_task)
        pending = {task.remote(place, run, weights, offline, device): run for run in runs}
        while pending:
            (ready, *_), _ = ray.wait(list(pending), num_returns=1)
            run = pending.pop(ready)
            try:
                yield run, ray.get(ready)
            except ray.exceptions.RayError as problem:
                said = (str(problem).splitlines() or [""])[0]
                yield run, LerfError(f"The worker that added {run} failed ({said}); give the command again.")


def _task(place: str, run: str, weights: Path | None, offline: bool, device: str) -> Added | LerfError:
    return _added(Catalogue(place), run, weights, offline, device)
