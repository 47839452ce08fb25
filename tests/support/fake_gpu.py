"""A GPU made of the CPU: tensors with real values that Python sees on `cuda:0`, or on `mps:0`.

They refuse to meet tensors and generators of the CPU and to become numpy arrays, as those of a GPU do, and a `Ledger`
counts what is launched, uploaded and waited for, by line of `lerf`. A CPU build of torch cannot differentiate tensors
that call themselves CUDA in C++; there they are of a device of Python's own, which torch has for such experiments.
As `mps` the device also refuses what Apple's GPUs refuse (`fake_mps.py`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import fake_mps
import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as trees
from torch.utils import backend_registration as registration
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing

SUPPORTED = hasattr(registration, "_setup_privateuseone_for_python_backend")
"""Whether this torch knows devices of Python's own; older ones do not."""
HOST = torch.device("cpu")
NAME = "fakegpu"
NO_KERNEL = frozenset({
    "_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "diagonal", "empty",
    "empty_like", "empty_strided", "expand", "is_same_size", "lift_fresh", "movedim", "narrow", "new_empty",
    "new_empty_strided", "permute", "real", "reshape", "resize_", "select", "slice", "split",
    "split_with_sizes", "squeeze", "sym_size", "sym_stride", "t", "transpose", "unbind", "unfold",
    "unsqueeze", "view", "view_as_real",
})  # fmt: skip
"""Operations that start nothing on a GPU."""
ALWAYS_WAIT = frozenset({
    "_linalg_check_errors", "_linalg_eigh", "_linalg_svd", "_local_scalar_dense", "_unique2", "bincount",
    "equal", "linalg_matrix_exp", "linalg_qr", "masked_select", "nonzero", "unique_consecutive", "unique_dim",
})  # fmt: skip
"""Operations after which a GPU's host waits: the result, or its size, decides what the host does next."""
COPIES = frozenset({
    "_to_copy", "copy", "copy_", "_copy_from", "lift_fresh", "set_",
})  # fmt: skip
NO_SCALARS_OF_HOST = frozenset({
    "_embedding_bag", "addmm", "bmm", "bucketize", "cat", "gather", "index_add", "index_add_", "index_select",
    "mm", "scatter", "scatter_", "scatter_add_", "scatter_reduce", "scatter_reduce_", "searchsorted", "stack",
})  # fmt: skip
"""Operations that do not even take a tensor of one number from the CPU."""
MASKS = (torch.bool, torch.uint8)


@dataclass
class Ledger:
    """What happened on the device since it was cleared."""

    launches: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    memory_left: float = math.inf
    """Bytes that a new tensor may have; a larger one is out of memory."""
    kind: Literal["cuda", "mps"] = "cuda"
    """What the device says that it is."""

    @property
    def device(self) -> torch.device:
        return torch.device(self.kind, 0)

    def clear(self) -> None:
        for each in (self.launches, self.waits, self.uploads, self.operations):
            each.clear()

    @property
    def launched(self) -> int:
        return sum(self.launches.values())


LEDGER = Ledger()


def _line() -> str:
    """The innermost line of `lerf` that is being run; the backward pass of torch's own operations is in none."""
    frame = sys._getframe(2)
    while frame is not None:
        _, _, inside = frame.f_code.co_filename.rpartition("/src/lerf/")
        if inside != frame.f_code.co_filename:
            return f"{inside}:{frame.f_lineno}"
        frame = frame.f_back
    return "outside"


_Generator = torch.Generator


class FakeGenerator(_Generator):
    """A generator that belongs to the device; C++ knows it as one of the CPU, and Python's object does not pass it."""

    made: ClassVar[set[int]] = set()

    def __init__(self) -> None:
        self.made.add(self._cdata)

    def __del__(self) -> None:
        self.made.discard(self._cdata)

    @property
    def device(self) -> torch.device:
        return LEDGER.device


class _GeneratorKind(type(_Generator)):
    """So that a generator of either device is one of `torch.Generator`, which the class below stands for."""

    def __instancecheck__(cls, value) -> bool:
        return isinstance(value, _Generator)


class _AnyGenerator(_Generator, metaclass=_GeneratorKind):
    def __new__(cls, device="cpu"):
        return FakeGenerator() if _is_device(device) else _Generator()


class FakeGpuTensor(torch.Tensor):
    """A tensor on the device; `held` has its values."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> FakeGpuTensor:
        return torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=_real(), requires_grad=False,
        )  # fmt: skip

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})

    @property
    def device(self) -> torch.device:
        # torch's own Python makes new tensors where no mode of this file is on.
        return _real() if "/torch/" in sys._getframe(1).f_code.co_filename else LEDGER.device

    is_cuda = property(lambda self: LEDGER.kind == "cuda")
    is_mps = property(lambda self: LEDGER.kind == "mps")
    is_cpu = property(lambda self: False)

    def get_device(self) -> int:
        return 0

    def tolist(self):
        return self.detach().cpu().tolist()

    def numpy(self, *_args, **_named):
        raise TypeError(f"can't convert {LEDGER.device} device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy

    def __deepcopy__(self, memo):
        return self.clone()

    def __repr__(self, **_named) -> str:
        return f"FakeGpuTensor({self.held!r})"

    def __tensor_flatten__(self):
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner, _context, _size, _stride):
        return FakeGpuTensor(inner["held"])


def _real() -> torch.device:
    return torch.device(NAME, 0)


def _is_device(value) -> bool:
    if isinstance(value, str):
        return value.startswith((LEDGER.kind, NAME))
    return isinstance(value, torch.device) and value.type in (LEDGER.kind, NAME)


def _tensors(value) -> tuple[list[FakeGpuTensor], list[torch.Tensor]]:
    """Tensors of the device and of the CPU in arguments."""
    found = [each for each in trees.tree_leaves(value) if isinstance(each, torch.Tensor)]
    ours = [each for each in found if isinstance(each, FakeGpuTensor)]
    return ours, [each for each in found if not isinstance(each, FakeGpuTensor)]


def _run(operation, args, kwargs):
    """An operation that has to do with the device: checked, counted, and done on the values."""
    name = operation._schema.name.split("::")[1]
    ours, others = _tensors((args, kwargs))
    asked = kwargs.get("device")
    on_device = _is_device(asked) if asked is not None else bool(ours)
    if ours and others and name not in COPIES:
        _refuse_mixture(name, args, others)
    generator = kwargs.get("generator")
    if generator is not None and on_device and generator._cdata not in FakeGenerator.made:
        raise RuntimeError(f"Expected a '{LEDGER.kind}' device type for generator but found 'cpu' ({name})")
    _count(operation, name, args, kwargs, ours, others, on_device)
    plain_args, plain_kwargs = trees.tree_map(_plain, (args, {**kwargs, "pin_memory": None}))
    if "pin_memory" not in kwargs:
        del plain_kwargs["pin_memory"]
    out = operation(*plain_args, **plain_kwargs)
    if LEDGER.kind == "mps":
        fake_mps.refuse(operation, plain_args, plain_kwargs, out, on_device)
    if name == "_to_copy" and asked is not None and bool(ours) != on_device and _share(out, plain_args[0]):
        out = out.clone()
    if not on_device:
        return out
    size = sum(each.numel() * each.element_size() for each in trees.tree_leaves(out) if isinstance(each, torch.Tensor))
    if size > LEDGER.memory_left and name not in NO_KERNEL | {"_to_copy"} - {"empty", "new_empty"}:
        raise _out_of_memory(size, name)
    wrap = lambda each: FakeGpuTensor(each) if type(each) is torch.Tensor else each  # noqa: E731
    return return_and_correct_aliasing(operation, args, kwargs, trees.tree_map(wrap, out))


def _out_of_memory(size: int, name: str) -> RuntimeError:
    if LEDGER.kind == "mps":
        return RuntimeError(f"MPS backend out of memory. Tried to allocate {size} bytes ({name}).")
    return torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes ({name}).")


def _plain(value):
    if isinstance(value, FakeGpuTensor):
        return value.held
    return HOST if isinstance(value, torch.device) and _is_device(value) else value


def _share(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _refuse_mixture(name: str, args, others: list[torch.Tensor]) -> None:
    odd = [each for each in others if each.dim() > 0 or name in NO_SCALARS_OF_HOST]
    if name.startswith(("index", "_index", "_unsafe_index")) and isinstance(args[0], FakeGpuTensor):
        indices = {id(each) for each in args[1] if each is not None} if isinstance(args[1], (list, tuple)) else set()
        for each in odd:
            if id(each) in indices:
                LEDGER.waits[f"{_line()} index from the CPU"] += 1
        odd = [each for each in odd if id(each) not in indices]
    if odd:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found {LEDGER.device} and cpu ({name}, "
            f"{[tuple(each.shape) for each in odd]})"
        )


def _count(operation, name, args, kwargs, ours, others, on_device) -> None:
    if name in ALWAYS_WAIT or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        LEDGER.waits[f"{_line()} {name}"] += 1
    if name.startswith(("index", "_index", "_unsafe_index")) and len(args) > 1 and isinstance(args[1], (list, tuple)):
        masks = [each for each in args[1] if isinstance(each, FakeGpuTensor) and each.dtype in MASKS]
        if masks:
            LEDGER.waits[f"{_line()} {name} by a mask"] += 1
    if name == "_to_copy" and bool(ours) != on_device and (ours or others):
        later = bool(kwargs.get("non_blocking")) and all(hasattr(each, "is_pinned_for_fake") for each in others)
        _count_copy(up=on_device, later=later)
    elif name == "copy_" and ours and others:
        later = bool(kwargs.get("non_blocking", args[2] if len(args) > 2 else False))
        _count_copy(up=isinstance(args[0], FakeGpuTensor), later=later)
    if (ours or on_device) and name not in NO_KERNEL:
        LEDGER.launches[_line()] += 1
        LEDGER.operations[name] += 1


def _count_copy(up: bool, later: bool) -> None:
    """Only copies to the device from pinned memory, of which the caller has said so, are not waited for."""
    book = LEDGER.uploads if up and later else LEDGER.waits
    book[f"{_line()} {'to the device' if up else 'to the CPU'}"] += 1


class _Factories(TorchDispatchMode):
    """Operations that make tensors on the device."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # There is no compiler here, and to load it takes two seconds.
        return False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _is_device(kwargs.get("device")) or _tensors((args, kwargs))[0]:
            return _run(operation, args, kwargs)
        return operation(*args, **kwargs)


class _Devices(TorchFunctionMode):
    """The device that the program names, as C++ knows it."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        if function is torch.device:
            return function(*args, **kwargs)
        if function in (torch.tensor, torch.as_tensor, torch.asarray) and _is_device(kwargs.get("device")):
            del kwargs["device"]
            made = function(*args, **kwargs)
            return made if isinstance(made, FakeGpuTensor) else made.to(_real())
        if name == "new_tensor" and isinstance(args[0], FakeGpuTensor):
            return torch.tensor(args[1], dtype=kwargs.get("dtype") or args[0].dtype).to(_real())
        if name == "pin_memory":
            pinned = args[0].clone()
            pinned.is_pinned_for_fake = True
            return pinned
        if name in ("__getitem__", "__setitem__") and isinstance(args[0], FakeGpuTensor):
            keys = tuple(map(_uploaded, args[1])) if isinstance(args[1], tuple) else _uploaded(args[1])
            args = (args[0], keys, *args[2:])
        if "pin_memory" in kwargs:
            kwargs["pin_memory"] = False
        if name in ("to", "cuda", "type"):
            args = tuple(_real() if isinstance(each, str) and _is_device(each) else each for each in args)
        args = tuple(_real() if isinstance(each, torch.device) and _is_device(each) else each for each in args)
        if _is_device(kwargs.get("device")):
            kwargs["device"] = _real()
        return function(*args, **kwargs)


def _uploaded(index):
    """Lists and arrays that index a tensor are brought to it, and waited for."""
    return torch.as_tensor(np.asarray(index)).to(_real()) if isinstance(index, (list, np.ndarray)) else index


def register() -> None:
    """Make the device known to torch; before the first backward pass of the process, which counts the devices."""
    if SUPPORTED and not hasattr(torch, NAME):
        registration._setup_privateuseone_for_python_backend(
            NAME, backend_module=registration._DummyBackendModule(),
            hook=_KEPT[0], device_guard=_KEPT[1],
        )  # fmt: skip


_KEPT = (registration._DummyPrivateUse1Hook(), registration._DummyDeviceGuard()) if SUPPORTED else ()
"""torch does not hold on to them."""


@contextlib.contextmanager
def fake_gpu(free: int = 80 << 30, kind: Literal["cuda", "mps"] = "cuda") -> Iterator[Ledger]:
    """Inside, `cuda` or `mps` is there; what is on it is no longer of use outside. `free` are the bytes of memory that
    the former says it has."""
    import pytest

    register()
    LEDGER.clear()
    LEDGER.memory_left = math.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LEDGER, "kind", kind)
        if kind == "mps":
            fake_mps.appear(patch)
        else:
            patch.setattr(torch.cuda, "is_available", lambda: True)
            patch.setattr(torch.cuda, "device_count", lambda: 1)
            patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (free, free))
            patch.setattr(torch.cuda, "is_bf16_supported", lambda *_args, **_named: True)
            patch.setattr(torch.cuda, "empty_cache", lambda: None)
        patch.setattr(torch, "Generator", _AnyGenerator)
        # In inference mode composite operations are not taken apart, and their results could not be wrapped.
        patch.setattr(torch.inference_mode, "__enter__", _enter_without_gradients)
        patch.setattr(torch.inference_mode, "__exit__", _leave_without_gradients)
        _patch_triton(patch)
        with _Factories(), _Devices():
            yield LEDGER


def triton_is_interpreted() -> bool:
    """Whether Triton is there and runs its kernels on the CPU, as the fake device needs it."""
    return importlib.util.find_spec("triton") is not None and os.environ.get("TRITON_INTERPRET") == "1"


def _patch_triton(patch) -> None:
    """Let Triton's kernels run interpreted on the values; where it is not there to do so, leave them out."""
    from lerf import kernels

    if not triton_is_interpreted():
        patch.setattr(kernels, "has_triton", lambda: False)
        return
    from lerf.kernels import gpu, gpu_nearest, gpu_splats

    plain = gpu.launch

    def launch(kernel, programs, *arguments, **constants) -> None:
        ours, others = _tensors(arguments)
        if others:
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu ({kernel})")
        if not all(each.is_contiguous() for each in ours):
            raise RuntimeError(f"A tensor that is not contiguous is given to {kernel}.")
        LEDGER.launches[_line()] += 1
        LEDGER.operations[kernel.__name__] += 1
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            plain(kernel, programs, *map(_plain, arguments), **constants)

    for module in (gpu, gpu_nearest, gpu_splats):
        patch.setattr(module, "launch", launch)


def _enter_without_gradients(mode) -> None:
    mode._plain = torch.no_grad()
    mode._plain.__enter__()


def _leave_without_gradients(mode, *error) -> None:
    mode._plain.__exit__(*error)


def held(value: torch.Tensor) -> torch.Tensor:
    """The values of a tensor, wherever it is."""
    return value.held if isinstance(value, FakeGpuTensor) else value.detach()
