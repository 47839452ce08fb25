"""Compile every Triton kernel for GPUs that need not be there: `python compile_kernels.py 80 90` prints a JSON object a
line, with what a thread needs.

The kernels are found by calling the operations at the sizes of the preset `lerf` with tensors that have no values, so
that each is compiled as it is started. Not with TRITON_INTERPRET: the interpreter accepts what the compiler refuses.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lerf import kernels
from lerf.kernels import gpu, gpu_nearest, gpu_splats
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import AdamStep, PointGrid, ProposalSettings
from lerf.queries.near import NEAREST
from lerf.run.settings import PRESETS

TYPES = {torch.float32: "*fp32", torch.int32: "*i32", torch.int64: "*i64"}
BINARIES = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
ASSEMBLERS = sorted(BINARIES.glob("ptxas*"))
"""Triton has one for new GPUs, whose language the other one does not read."""


def empty(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def started() -> dict[tuple, tuple]:
    """Kernels with the types of their arguments and their constants, by a key, as the preset `lerf` starts them."""
    found: dict[tuple, tuple] = {}

    def note(kernel, _programs, *arguments, **constants) -> None:
        types = tuple(TYPES[each.dtype] if isinstance(each, torch.Tensor) else "i32" for each in arguments)
        found[kernel.__name__, types, tuple(constants.items())] = (kernel, types, constants)

    gpu.launch = gpu_nearest.launch = gpu_splats.launch = note
    with kernels.use("triton"):
        radiance, language = PRESETS["lerf"].radiance, PRESETS["lerf"].language
        own = GridLayout.geometric(radiance.levels, radiance.coarsest, radiance.finest, radiance.features, 12)
        grids = [GridLayout.geometric(*grid, language.features, 12) for grid in language.grids]
        train(own, sum(grids[1:], grids[0]), radiance.samples, radiance.bins, language.samples)
    splats()
    return found


def train(radiance: GridLayout, language: GridLayout, samples: int, bins: int, heaviest: int) -> None:
    """Everything that a training and a picture start."""
    rays = 64
    for layout in (radiance, language):
        table, points = empty(layout.entries, layout.features).requires_grad_(), empty(rays, 3).requires_grad_()
        kernels.hash_encode(points, table, layout).sum().backward()
        kernels.encode_composite(empty(rays, heaviest, 3), empty(rays, heaviest), table, layout).sum().backward()
        kernels.sparse_adam(table.data, table.grad, empty(*table.shape), empty(*table.shape), AdamStep(*6 * (0.5,)))
    weights = kernels.render_weights(empty(rays, samples).requires_grad_(), empty(rays, samples))
    for channels in (3, 7, 512):
        kernels.composite(weights, empty(rays, samples, channels)).sum().backward(retain_graph=True)
    kernels.direction_harmonics(empty(rays, 3))
    kernels.heaviest(weights, min(heaviest, samples))
    settings = ProposalSettings(samples, bins, 0.05, 100.0, 0.5, 0.05, 0.5)
    edges = kernels.proposal_edges(empty(rays, 3), empty(rays, 3), empty(64, 64, 64), empty(rays), settings)
    kernels.refined_edges(edges, weights, samples, 0.02)
    kernels.interval_points(empty(rays, 3), empty(rays, 3), edges)
    numbers, starts = (torch.empty(*shape, device="meta", dtype=torch.int32) for shape in ((9,), (5, 6, 8)))
    kernels.nearest_points(empty(rays, 3), PointGrid(empty(9, 3), numbers, starts, empty(3), 0.1), 0.3, NEAREST)


def splats() -> None:
    """Everything that pictures, points and lifting of a splat start. How many pairs there are only values tell, so that
    the kernels are started without what finds them."""

    def numbers(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta", dtype=torch.int32)

    tiles = gpu_splats._Tiles(empty(9, 9), numbers(5), numbers(40), numbers(4, 3), empty(1024, 2))
    for heaviest in (0, 1, 8, 16, gpu_splats.MOST_KEPT):
        seen, marks, _, _ = gpu_splats._traced(tiles, heaviest)
    gpu_splats.launch(gpu_splats.triton_splats.gather_splats, (4,), *tiles, empty(9, 4), BLOCK=gpu_splats.BLOCK)
    slopes, out = empty(1024, 4), empty(9, 9)
    back = gpu_splats.triton_splats.splats_back
    gpu_splats.launch(back, (4,), *tiles, seen, marks, slopes, out, BLOCK=gpu_splats.BLOCK)


def needs(kernel, types: tuple, constants: dict, capability: int) -> dict:
    """Registers, stack and spilt bytes of a thread, as the assembler says."""
    names = kernel.arg_names
    signature = dict(zip(names, types, strict=False)) | dict.fromkeys(constants, "constexpr")
    aligned = {(at,): [["tt.divisibility", 16]] for at, kind in enumerate(types) if kind.startswith("*")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4})
    text = made.asm["ptx"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.ptx")
        file.write_text(text)
        target = re.search(r"\.target (\S+?)[,\s]", text)[1]
        options = ["-v", f"--gpu-name={target}", file, "-o", Path(folder, "kernel.cubin")]
        tries = (subprocess.run([each, *options], capture_output=True, text=True, check=False) for each in ASSEMBLERS)
        said = next(each.stderr for each in tries if each.returncode == 0)
    return {
        "kernel": kernel.__name__, "constants": constants, "capability": capability,
        "registers": int(re.search(r"Used (\d+) registers", said)[1]),
        "stack": int(re.search(r"(\d+) bytes stack frame", said)[1]),
        "spilt": sum(map(int, re.findall(r"(\d+) bytes spill", said))),
        "atomics": sorted(set(re.findall(r"(?:red|atom)\.global\S*", text))),
    }  # fmt: skip


if __name__ == "__main__":
    for kernel, types, constants in started().values():
        for capability in map(int, sys.argv[1:]):
            print(json.dumps(needs(kernel, types, constants, capability)), flush=True)
