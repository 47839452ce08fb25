"""Operations with several implementations, chosen in one place.

`OPERATIONS` names for every operation the backends that implement it:

    reference   the definition in plain torch: any device and type, differentiated by autograd
    torch       torch as well: with a shorter backward pass, or without waiting for a GPU
    cpu         numba, or oneDNN for dense layers; CPU tensors of 32 bits
    triton      kernels for CUDA, where Triton is installed (`lerf[gpu]`; torch's own CUDA builds bring it); tensors of
                32 bits
    bf16        networks on CUDA while they are trained, where the GPU multiplies bfloat16

The first backend in `PREFERENCE` that an operation has and that serves the tensor is taken; its module is imported on
the first call. `use("reference")` forces one backend, for tests, benchmarks and doubt. For `BRIEF` operations numba is
not loaded where it is not yet.

To add an operation: define it in `reference.py` (those of splats are in `reference_splats.py`), enter it in
`OPERATIONS`, declare it below with `_operation`, and compare every other implementation with the definition, forward
and backward, in `tests/kernels`. To add a backend: enter it in `PREFERENCE` and `SERVES`, and its functions, which have
the signatures of the definitions, in `OPERATIONS`.
A function that cannot serve some call after all (no oneDNN, no rows) calls the definition.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from torch import Tensor

from lerf.errors import LerfWarning
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import (
    AdamStep,
    FlatSplats,
    GradientSink,
    PointGrid,
    ProposalSettings,
    SparseRows,
    SplatPicture,
    SplatTrace,
    SplatView,
)


@cache
def has_triton() -> bool:
    """Whether Triton is installed for the tensors of a GPU; says once where it is not."""
    found = importlib.util.find_spec("triton") is not None
    if not found:
        warnings.warn(
            "Triton is not installed, so that the GPU does everything step by step, many times slower; "
            "pip install 'lerf[gpu]'.",
            LerfWarning,
            stacklevel=2,
        )
    return found


@cache
def multiplies_bf16() -> bool:
    """Whether networks are trained in bfloat16 on CUDA: the GPU can, and LERF_SINGLE_PRECISION=1 does not forbid it."""
    return os.environ.get("LERF_SINGLE_PRECISION") != "1" and torch.cuda.is_bf16_supported()


Backend = Literal["reference", "torch", "cpu", "triton", "bf16"]
PREFERENCE: tuple[Backend, ...] = ("cpu", "triton", "bf16", "torch", "reference")
SERVES: dict[Backend, Callable[[Tensor], bool]] = {
    "cpu": lambda tensor: tensor.device.type == "cpu" and tensor.dtype.itemsize == 4,
    "triton": lambda tensor: tensor.is_cuda and tensor.dtype.itemsize == 4 and has_triton(),
    "bf16": lambda tensor: tensor.is_cuda and tensor.dtype.itemsize == 4 and multiplies_bf16(),
    "torch": lambda tensor: True,
    "reference": lambda tensor: True,
}
# fmt: off
OPERATIONS: dict[str, dict[Backend, str]] = {
    "hash_encode": {
        "reference": "reference:hash_encode", "cpu": "cpu:hash_encode", "triton": "gpu:hash_encode",
    },
    "encode_composite": {
        "reference": "reference:encode_composite", "cpu": "cpu:encode_composite", "triton": "gpu:encode_composite",
    },
    "render_weights": {
        "reference": "reference:render_weights", "cpu": "cpu:render_weights", "triton": "gpu:render_weights",
    },
    "composite": {
        "reference": "reference:composite", "cpu": "cpu:composite", "triton": "gpu:composite",
    },
    "proposal_edges": {
        "reference": "reference:proposal_edges", "cpu": "cpu:proposal_edges", "triton": "gpu:proposal_edges",
    },
    "refined_edges": {
        "reference": "reference:refined_edges", "cpu": "cpu:refined_edges", "triton": "gpu:refined_edges",
    },
    "heaviest": {"reference": "reference:heaviest", "triton": "gpu:heaviest"},
    "interval_points": {
        "reference": "reference:interval_points", "cpu": "cpu:interval_points", "triton": "gpu:interval_points",
    },
    "direction_harmonics": {"reference": "reference:direction_harmonics", "triton": "gpu:direction_harmonics"},
    "dense_layers": {
        "reference": "reference:dense_layers", "cpu": "cpu_dense:dense_layers", "bf16": "bf16_dense:dense_layers",
    },
    "encoded_layers": {
        "reference": "reference:encoded_layers", "cpu": "cpu_encoded_layers:encoded_layers",
        "triton": "gpu:encoded_layers",
    },
    "unit_vectors": {"reference": "reference:unit_vectors", "torch": "unit:unit_vectors"},
    "sparse_adam": {
        "reference": "reference:sparse_adam", "torch": "masked_adam:sparse_adam",
        "cpu": "cpu_adam:sparse_adam", "triton": "gpu:sparse_adam",
    },
    "propagate": {"reference": "reference:propagate", "torch": "chebyshev:propagate", "cpu": "cpu_rows:propagate"},
    "few_products": {"reference": "reference:few_products", "cpu": "cpu_rows:few_products"},
    "nearest_points": {
        "reference": "reference:nearest_points", "cpu": "cpu_nearest:nearest_points",
        "triton": "gpu_nearest:nearest_points",
    },
    "project_splats": {"reference": "reference_splats:project_splats", "cpu": "cpu_splats:project_splats"},
    "seen_splats": {"reference": "reference_splats:seen_splats", "cpu": "cpu_splats:seen_splats"},
    "splat_colours": {"reference": "reference_splats:splat_colours", "cpu": "cpu_splats:splat_colours"},
    "draw_splats": {
        "reference": "reference_splats:draw_splats", "cpu": "cpu_splats:draw_splats",
        "triton": "gpu_splats:draw_splats",
    },
    "trace_splats": {
        "reference": "reference_splats:trace_splats", "cpu": "cpu_splats:trace_splats",
        "triton": "gpu_splats:trace_splats",
    },
    "gather_splats": {
        "reference": "reference_splats:gather_splats", "cpu": "cpu_splats:gather_splats",
        "triton": "gpu_splats:gather_splats",
    },
}
# fmt: on
"""Module and function within this folder, by operation and backend."""
BRIEF = frozenset({"propagate", "few_products"})
"""Operations that are over long before numba has been loaded, which takes most of a second: a query from the shell
needs no other. In a process that has rendered or trained, numba is there."""

F = TypeVar("F", bound=Callable[..., Any])
_forced: Backend | None = None


@contextmanager
def use(backend: Backend | Literal["auto"]) -> Iterator[None]:
    """Force a backend inside a `with` block, or none with "auto"; not safe to nest across threads.

    Operations that the backend does not implement take the definition.

    Raises:
        ValueError: there is no such backend.
    """
    global _forced
    if backend not in ("auto", *get_args(Backend)):
        raise ValueError(f"There is no backend {backend!r}; choose among auto, {', '.join(get_args(Backend))}.")
    previous, _forced = _forced, None if backend == "auto" else cast(Backend, backend)
    try:
        yield
    finally:
        _forced = previous


def backend_of(operation: str, tensor: Tensor) -> Backend:
    """The backend that serves an operation on a tensor."""
    has = OPERATIONS[operation]
    if _forced is not None:
        return _forced if _forced in has else "reference"
    for backend in PREFERENCE:
        waits = backend == "cpu" and operation in BRIEF and "numba" not in sys.modules
        if backend in has and SERVES[backend](tensor) and not waits:
            return backend
    return "reference"


@cache
def implementation(operation: str, backend: Backend) -> Callable[..., Any]:
    """A function of the table, imported on first use."""
    module, _, function = OPERATIONS[operation][backend].partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"lerf.kernels.{module}"), function)
    return found


def _operation(of: int) -> Callable[[F], F]:
    """Dispatch a declared operation by its positional argument number `of`."""

    def declare(signature: F) -> F:
        name = signature.__name__

        @wraps(signature)
        def call(*arguments: Any, **named: Any) -> Any:
            tensor = arguments[of]
            tensor = tensor.centres if isinstance(tensor, FlatSplats) else tensor
            return implementation(name, backend_of(name, tensor))(*arguments, **named)

        return cast(F, call)

    return declare


@_operation(of=1)
def hash_encode(points: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None) -> Tensor:
    """See `reference.hash_encode`."""
    raise NotImplementedError


@_operation(of=2)
def encode_composite(
    points: Tensor, weights: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None
) -> Tensor:
    """See `reference.encode_composite`."""
    raise NotImplementedError


@_operation(of=0)
def render_weights(densities: Tensor, lengths: Tensor) -> Tensor:
    """See `reference.render_weights`."""
    raise NotImplementedError


@_operation(of=1)
def composite(weights: Tensor, values: Tensor) -> Tensor:
    """See `reference.composite`."""
    raise NotImplementedError


@_operation(of=2)
def proposal_edges(
    origins: Tensor, directions: Tensor, density_grid: Tensor, jitter: Tensor, settings: ProposalSettings
) -> Tensor:
    """See `reference.proposal_edges`."""
    raise NotImplementedError


@_operation(of=0)
def refined_edges(edges: Tensor, weights: Tensor, samples: int, padding: float) -> Tensor:
    """See `reference.refined_edges`."""
    raise NotImplementedError


@_operation(of=0)
def heaviest(weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """See `reference.heaviest`."""
    raise NotImplementedError


@_operation(of=2)
def interval_points(origins: Tensor, directions: Tensor, edges: Tensor) -> Tensor:
    """See `reference.interval_points`."""
    raise NotImplementedError


@_operation(of=0)
def direction_harmonics(directions: Tensor) -> Tensor:
    """See `reference.direction_harmonics`."""
    raise NotImplementedError


@_operation(of=0)
def dense_layers(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """See `reference.dense_layers`."""
    raise NotImplementedError


@_operation(of=1)
def encoded_layers(
    points: Tensor, table: Tensor, layout: GridLayout, weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> Tensor:
    """See `reference.encoded_layers`; no gradients."""
    raise NotImplementedError


@_operation(of=0)
def unit_vectors(x: Tensor) -> Tensor:
    """See `reference.unit_vectors`."""
    raise NotImplementedError


@_operation(of=0)
def sparse_adam(
    table: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: AdamStep, touched: Tensor | None = None
) -> None:
    """See `reference.sparse_adam`."""
    raise NotImplementedError


@_operation(of=0)
def propagate(own: Tensor, transition: SparseRows, restart: float, steps: int) -> Tensor:
    """See `reference.propagate`."""
    raise NotImplementedError


@_operation(of=0)
def few_products(rows: Tensor, texts: Tensor) -> Tensor:
    """See `reference.few_products`."""
    raise NotImplementedError


@_operation(of=0)
def project_splats(
    means: Tensor, quaternions: Tensor, scales: Tensor, view: SplatView
) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference_splats.project_splats`."""
    raise NotImplementedError


@_operation(of=0)
def seen_splats(flat: FlatSplats, depths: Tensor, window: tuple[float, float, float, float], near: float) -> Tensor:
    """See `reference_splats.seen_splats`."""
    raise NotImplementedError


@_operation(of=0)
def splat_colours(coefficients: Tensor, means: Tensor, which: Tensor, position: Tensor) -> Tensor:
    """See `reference_splats.splat_colours`."""
    raise NotImplementedError


@_operation(of=0)
def draw_splats(flat: FlatSplats, width: int, height: int) -> SplatPicture:
    """See `reference_splats.draw_splats`."""
    raise NotImplementedError


@_operation(of=0)
def trace_splats(flat: FlatSplats, points: Tensor, heaviest: int) -> SplatTrace:
    """See `reference_splats.trace_splats`."""
    raise NotImplementedError


@_operation(of=0)
def gather_splats(flat: FlatSplats, width: int, height: int) -> Tensor:
    """See `reference_splats.gather_splats`."""
    raise NotImplementedError


@_operation(of=0)
def nearest_points(queries: Tensor, grid: PointGrid, reach: float, most: int) -> tuple[Tensor, Tensor]:
    """See `reference.nearest_points`."""
    raise NotImplementedError
