"""Fast kernels against their definitions: how many times faster, on the same work, side by side in one process.

    python benchmarks/run.py [--json]

A row is the ratio reference time / our time, the median over repeats that alternate between the two, with the smallest
and the largest ratio seen; a bare number of seconds would say more about the machine than about the kernel. Seconds are
printed only for first use, when numba compiles: it happens once per machine, not once per run.

The reference is the plain torch of `lerf.kernels.reference`, and torch's own Adam; both use all threads, as ours do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

compiled = tempfile.TemporaryDirectory(prefix="lerf-numba-")
os.environ["NUMBA_CACHE_DIR"] = compiled.name  # empty, so that first use is what a new user meets

import lerf  # noqa: E402, F401, I001  (first: it sets how thread pools wait)
import numba  # noqa: E402
import torch  # noqa: E402

from lerf import kernels  # noqa: E402
from lerf.kernels.layout import GridLayout  # noqa: E402
from lerf.training.optimiser import SparseAdam  # noqa: E402

Work = Callable[[], object]
PLAIN = GridLayout.geometric(16, 16, 2048, 2, 19)
LERF_CPU = GridLayout.geometric(10, 16, 1536, 2, 17)


@dataclass(frozen=True)
class Row:
    """How many times faster ours is than the reference; below one it is slower."""

    name: str
    work: str
    ratio: float
    smallest: float
    largest: float
    repeats: int


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, work: str, ours: Work, reference: Work, repeats: int, prepare: Work = lambda: None) -> Row:
    """Time both in turn after one round that does not count; `prepare` runs untimed before each."""
    ratios = []
    for repeat in range(repeats + 1):
        prepare()
        fast = seconds(ours)
        prepare()
        slow = seconds(reference)
        if repeat:
            ratios.append(slow / fast)
    return Row(name, work, statistics.median(ratios), min(ratios), max(ratios), repeats)


def by_reference(work: Work) -> Work:
    def run() -> object:
        with kernels.use("reference"):
            return work()

    return run


def encoding(label: str, layout: GridLayout, points: int, repeats: int) -> list[Row]:
    where, table = torch.rand(points, 3), torch.rand(layout.entries, layout.features, requires_grad=True)
    gradient = torch.rand(points, layout.width)
    work = f"{label}: {layout.levels} levels x {layout.features}, 2^{layout.log2_entries} entries, {points} points"

    def forward() -> None:
        with torch.no_grad():
            kernels.hash_encode(where, table, layout)

    rows = [compare("hash encode forward", work, forward, by_reference(forward), 2 * repeats)]
    outputs: dict[str, torch.Tensor] = {}

    def backward(backend: kernels.Backend) -> Work:
        with kernels.use(backend):
            outputs[backend] = kernels.hash_encode(where, table, layout)

        def run() -> None:
            torch.autograd.grad(outputs[backend], table, gradient, retain_graph=True)

        return run

    rows.append(compare("hash encode backward", work, backward("auto"), backward("reference"), repeats))
    return rows


def rendering(repeats: int) -> Row:
    rays, samples, channels = 4096, 16, 8
    densities = torch.rand(rays, samples, requires_grad=True)
    values = torch.rand(rays, samples, channels, requires_grad=True)
    lengths, gradient = torch.rand(rays, samples) * 0.1, torch.rand(rays, channels)

    def both_ways() -> None:
        out = kernels.composite(kernels.render_weights(densities, lengths), values)
        torch.autograd.grad(out, (densities, values), gradient)

    work = f"{rays} rays x {samples} samples x {channels} channels, forward and backward"
    return compare("weights and composite", work, both_ways, by_reference(both_ways), repeats)


def proposal(repeats: int) -> Row:
    rays = 4096
    origins, directions = torch.rand(rays, 3) - 0.5, torch.nn.functional.normalize(torch.randn(rays, 3), dim=-1)
    grid, jitter = (torch.rand(128, 128, 128) < 0.05) * 30.0, torch.rand(rays)

    def place() -> None:
        kernels.proposal_edges(
            origins, directions, grid, jitter,
            samples=16, bins=96, near=0.05, far=100.0, anneal=1.0, padding=0.05, cap=0.5,
        )  # fmt: skip

    return compare("proposal", f"{rays} rays, 96 bins, 128^3 cells", place, by_reference(place), repeats)


def optimiser(label: str, layout: GridLayout, points: int, repeats: int) -> Row:
    """One step, gradient cleared, on a table that samples on a surface have touched; against torch's fastest Adam."""
    table = torch.nn.Parameter(torch.rand(layout.entries, layout.features))
    dense = torch.nn.Parameter(table.detach().clone())
    sparse = SparseAdam(table)
    adam = torch.optim.Adam([dense], lr=1e-2, betas=(0.9, 0.99), eps=1e-15, fused=True)
    shell = 0.5 + 0.25 * torch.nn.functional.normalize(torch.randn(points, 3), dim=-1)
    where, gradient = shell + 0.002 * torch.randn(points, 3), torch.rand(points, layout.width)
    kernels.hash_encode(where, table, layout).backward(gradient)
    assert sparse.sink is not None
    sink, values = sparse.sink, sparse.sink.clone()
    share = float((values != 0).any(-1).float().mean())

    def prepare() -> None:
        sink.copy_(values)
        dense.grad = values.clone()

    def dense_step() -> None:
        adam.step()
        adam.zero_grad(set_to_none=False)

    work = f"{label}: {layout.entries} entries, {share:.0%} touched by {points} points"
    return compare("Adam, sparse", work, lambda: sparse.step(1e-2), dense_step, repeats, prepare)


def first_use() -> dict[str, float]:
    """Seconds of the first call of each kernel on next to nothing, compilation included."""
    layout = GridLayout((2,), 2, 8)
    points = torch.rand(4, 3, requires_grad=True)
    table = torch.nn.Parameter(torch.rand(layout.entries, 2))
    densities, values = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, 4)
    ray = torch.zeros(1, 3)
    encode = lambda: kernels.hash_encode(points, table, layout).sum().backward()  # noqa: E731
    render = lambda: kernels.composite(kernels.render_weights(densities, densities.detach()), values).sum().backward()  # noqa: E731
    place = lambda: kernels.proposal_edges(  # noqa: E731
        ray, ray + 1, torch.zeros(2, 2, 2), torch.zeros(1),
        samples=1, bins=2, near=0.1, far=2.0, anneal=1.0, padding=0.0, cap=0.5,
    )  # fmt: skip
    step = SparseAdam(table).step
    return {
        "hash encode": seconds(encode),
        "weights and composite": seconds(render),
        "proposal": seconds(place),
        "sparse Adam": seconds(lambda: step(1e-2)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Ratios of reference time to our time for every fast kernel.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    torch.manual_seed(0)
    compiling = first_use()
    rows = [
        *encoding("lerf-cpu", LERF_CPU, 65536, repeats=4),
        *encoding("plain", PLAIN, 131072, repeats=2),
        rendering(repeats=30),
        proposal(repeats=15),
        optimiser("lerf-cpu", LERF_CPU, 65536, repeats=15),
        optimiser("plain", PLAIN, 131072, repeats=8),
    ]
    machine = {"torch": torch.__version__, "numba": numba.__version__, "threads": torch.get_num_threads()}
    if as_json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows], "first_use_seconds": compiling}))
        return
    print("  ".join(f"{name} {value}" for name, value in machine.items()))
    print("reference time / our time: median [smallest .. largest]")
    for row in rows:
        print(f"{row.name:22} {row.ratio:6.1f} x  [{row.smallest:.1f} .. {row.largest:.1f}]  {row.work}")
    print("first use, seconds of compilation once per machine:")
    for name, value in compiling.items():
        print(f"{name:22} {value:6.1f} s")


if __name__ == "__main__":
    main()
