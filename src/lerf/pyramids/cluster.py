"""Embedding photos on a Ray cluster: the same bytes in the same store, from many machines (extra `lerf[ray]`).

This process decodes photos, hands them out and writes what comes back, so that the nodes need neither the capture nor
the cache; they need lerf, the encoder's package and its weights. Every worker holds the encoder: one to a GPU, or one
to a CPU core. When a worker dies, Ray starts another and its photos are embedded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import EncoderError, LerfError
from lerf.pyramids.plan import Plan, PyramidOptions, make_plan
from lerf.pyramids.records import Levels
from lerf.ray_cluster import ray_cluster, require_ray

PHOTOS_A_WORKER = 2
"""Photos that wait at each worker: one in work, one to go on with."""
RETRIES = 3
"""Times that a photo is tried again after its worker has died."""


class Worker:
    """What runs in each process of the cluster."""

    def __init__(self, name: str, dense: bool, weights: str | None, offline: bool, device: str) -> None:
        """Load the encoder; arguments as in `Cluster`."""
        load: Any = load_dense_encoder if dense else load_encoder
        self._encoder = load(name, Path(weights) if weights else None, offline, device)
        self._device = device

    def embed(self, pixels: np.ndarray, settings: dict[str, Any], options: PyramidOptions) -> tuple[np.ndarray, Levels]:
        """Embeddings of a photo by the plan of these options, whose settings must come out as given.

        Raises:
            EncoderError: this encoder differs from the one that asks: other weights, precision or version.
        """
        plan = make_plan(self._encoder, options)
        if plan.settings != settings:
            raise EncoderError(
                f"The encoder '{self._encoder.name}' of this node has other weights, another precision or version than "
                "the one that started the work; install the same everywhere."
            )
        # What comes through Ray's shared memory cannot be written to, which torch wants to be sure of.
        return plan.embed(np.array(pixels), self._device)


class Cluster:
    """Implements `plan.Compute`."""

    def __init__(
        self,
        name: str,
        *,
        dense: bool = False,
        weights: Path | None = None,
        offline: bool = False,
        device: str = "cpu",
        address: str | None = None,
    ) -> None:
        """
        Args:
            name: of the encoder, as in the registry.
            dense: whether it is a dense encoder.
            weights: file or folder of weights, at the same place on every node.
            offline: forbid downloads.
            device: `cpu`, or `cuda` for one worker to a GPU.
            address: of a running cluster (`auto` for that of this machine); None starts one on this machine.

        Raises:
            ConfigError: Ray is not installed.
        """
        self._ray = require_ray(address)
        self._arguments = (name, dense, str(weights) if weights else None, offline, device)
        self._address = address

    def __call__(
        self, plan: Plan, photos: Iterator[tuple[int, np.ndarray]]
    ) -> Iterator[tuple[int, np.ndarray, Levels]]:
        """Embed photos; results come in the order in which they are ready.

        Raises:
            ConfigError: the cluster cannot be reached.
            EncoderError: it has no room for a worker, or a worker fails for good.
        """
        ray = self._ray
        first = next(photos, None)
        if first is None:
            return
        try:
            with ray_cluster(self._address or ""):
                yield from self._embed(plan, first, photos)
        except ray.exceptions.RayTaskError as error:
            # What the worker raised itself carries its own sentence.
            cause = error.cause if isinstance(error.cause, LerfError) else None
            raise EncoderError(str(cause or f"A worker failed: {str(error).splitlines()[-1]}")) from error
        except (ray.exceptions.RayError, ConnectionError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise EncoderError(
                f"The Ray cluster failed ({type(error).__name__}: {reason}); what is done is kept: give the same "
                "command again."
            ) from error

    def _embed(
        self, plan: Plan, first: tuple[int, np.ndarray], photos: Iterator[tuple[int, np.ndarray]]
    ) -> Iterator[tuple[int, np.ndarray, Levels]]:
        ray, settings = self._ray, plan.settings
        unit = "GPU" if self._arguments[-1].startswith("cuda") else "CPU"
        count = int(ray.cluster_resources().get(unit, 0))
        if count == 0:
            raise EncoderError(f"The Ray cluster has no {unit} for a worker; add a node or choose another --device.")
        needs = {"num_gpus": 1} if unit == "GPU" else {"num_cpus": 1}
        kind = ray.remote(max_restarts=-1, max_task_retries=RETRIES, **needs)(Worker)
        workers = [kind.remote(*self._arguments) for _ in range(count)]
        pending: dict[Any, tuple[int, Any]] = {}

        def hand_out(worker: Any, photo: tuple[int, np.ndarray]) -> None:
            index, pixels = photo
            result = worker.embed.remote(pixels, settings, plan.options)
            pending[result] = (index, worker)

        hand_out(workers[0], first)
        for turn in range(1, PHOTOS_A_WORKER * count):
            photo = next(photos, None)
            if photo is not None:
                hand_out(workers[turn % count], photo)
        while pending:
            (ready, *_), _ = ray.wait(list(pending), num_returns=1)
            index, worker = pending.pop(ready)
            array, levels = ray.get(ready)
            # Result and photo may now leave Ray's memory.
            del ready
            photo = next(photos, None)
            if photo is not None:
                hand_out(worker, photo)
            yield index, array, levels
