"""Steps whose launches are recorded once and replayed (CUDA graphs), where they are always the same.

Not tried on a GPU so far; `LERF_CUDA_GRAPHS=1` turns it on, and `benchmarks/gpu.py` compares it with plain steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any

import torch

from lerf.training.step_numbers import StepValues

WARM = 3
"""Steps of a kind that are done plainly before one is recorded: they make what later ones reuse."""


class RecordedSteps:
    """Does a body again and again, by replaying what it launched where that is wanted and can be."""

    def __init__(self, device: torch.device, generator: torch.Generator, wanted: bool | None = None) -> None:
        """
        Args:
            device: that the body works on.
            generator: all random numbers of the body are drawn from it.
            wanted: whether to record on CUDA; by default as the environment's LERF_CUDA_GRAPHS says.
        """
        wanted = os.environ.get("LERF_CUDA_GRAPHS") == "1" if wanted is None else wanted
        self.recording = wanted and device.type == "cuda"
        self._generator = generator
        self._done: dict[Hashable, int] = {}
        self._recorded: dict[Hashable, tuple[Any, StepValues]] = {}

    def do(self, kind: Hashable, body: Callable[[], StepValues]) -> StepValues:
        """Do the body once.

        Args:
            kind: bodies of one kind launch the same on the same memory. What else they do, on the host, is done only
                while they are not replayed.
            body: must neither wait nor upload; gradients that it makes are gone at its end.

        Returns:
            what the body does; of a replayed one, tensors that the next replay overwrites.
        """
        if not self.recording:
            return body()
        if kind in self._recorded:
            graph, values = self._recorded[kind]
            graph.replay()
            return values
        self._done[kind] = self._done.get(kind, 0) + 1
        if self._done[kind] <= WARM:
            return self._apart(body)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph):
            values = body()
        self._recorded[kind] = graph, values
        # Recording launches nothing.
        graph.replay()
        return values

    def forget(self) -> None:
        """Record anew: tensors that the body works on are others from now on."""
        self._done, self._recorded = {}, {}

    def _apart(self, body: Callable[[], StepValues]) -> StepValues:
        """Do a body on a stream of its own, as what is recorded will be: autograd goes back on the same stream."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            values = body()
        torch.cuda.current_stream().wait_stream(stream)
        return values
