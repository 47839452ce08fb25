"""How fast, against plain torch, against the machine, and as the work grows; side by side in one process.

    python benchmarks/run.py [--json | --markdown] [--only SECTION ...]

docs/performance.md explains the rows. A ratio is reference time over our time, the median over rounds that alternate
between the two, with the smallest and the largest seen. Both sides use all threads. Times in seconds are printed only
where the target is a time: they say as much about the machine as about the program.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict

MEMORY = "--memory-of" in sys.argv
if not MEMORY:
    compiled = tempfile.TemporaryDirectory(prefix="lerf-numba-")
    os.environ["NUMBA_CACHE_DIR"] = compiled.name  # empty, so that first use is what a new user meets

import lerf  # noqa: E402, F401, I001  (first: it sets how thread pools wait)
import numba  # noqa: E402
import torch  # noqa: E402

from speed import machine  # noqa: E402
from speed.measure import Row, by_processor_time  # noqa: E402
from speed.sizes import FULL, TINY, Sizes  # noqa: E402

SECTIONS = (
    "first_use", "dense_layers", "encode", "compositing", "optimiser", "radiance_step", "language_step", "view_query",
    "baked_query", "pyramid", "splats", "growth", "memory",
)  # fmt: skip
"""Modules of `speed`, in order; compilation must come first."""


def report(sizes: Sizes, sections: tuple[str, ...]) -> dict:
    """All rows of some sections, with what the machine can do and how long the sections took."""
    torch.manual_seed(0)
    start = time.perf_counter()
    rows: list[Row] = []
    rates: machine.Rates | None = None
    took = {}
    for name in sections:
        if name != "first_use" and rates is None:
            rates = machine.measure(sizes.rates)
        print(f"{time.perf_counter() - start:5.0f} s  {name}", file=sys.stderr)
        since = time.perf_counter()
        rows += importlib.import_module(f"speed.{name}").rows(sizes, rates)
        took[name] = time.perf_counter() - since
    facts = {"torch": torch.__version__, "numba": numba.__version__, "threads": torch.get_num_threads(), "clock": ""}
    facts |= {} if rates is None else asdict(rates)
    listed = [{**asdict(row), "reached": row.reached} for row in rows]
    return {"machine": facts, "rows": listed, "seconds": time.perf_counter() - start, "section_seconds": took}


def shown(result: dict) -> str:
    """The report for people."""
    facts = result["machine"]
    lines = [f"torch {facts['torch']}, numba {facts['numba']}, {facts['threads']} threads; {facts['clock']}"]
    if "flops" in facts:
        lines.append(
            f"measured: {facts['flops'] / 1e9:.0f} billion operations a second in matrix products, "
            f"{facts['bytes'] / 1e9:.1f} GB/s copied, {facts['reads'] / 1e6:.0f} million random reads a second"
        )
    section = None
    for row in result["rows"]:
        if row["section"] != section:
            section = row["section"]
            lines.append(f"\n{section}")
        target = "" if row["target"] is None else f"  {'reached' if row['reached'] else 'MISSED'} {row['target']:g}"
        spread = f"[{row['smallest']:.2f} .. {row['largest']:.2f}]" if row["repeats"] > 1 else ""
        lines.append(f"  {row['name']:38} {row['value']:8.2f} {row['unit']:8} {spread:22}{target}  {row['work']}")
    return "\n".join([*lines, f"\n{result['seconds']:.0f} s in all"])


def markdown(result: dict) -> str:
    """The report as the tables of docs/performance.md."""
    sections: dict[str, list[dict]] = {}
    for row in result["rows"]:
        sections.setdefault(row["section"], []).append(row)
    lines = []
    for section, rows in sections.items():
        lines += [
            f"### {section.capitalize()}",
            "",
            "| what | work | measured | spread | asked |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            spread = f"{row['smallest']:.3g} to {row['largest']:.3g}" if row["repeats"] > 1 else ""
            asked = "" if row["target"] is None else f"{row['target']:g}{'' if row['reached'] else ', missed'}"
            lines.append(f"| {row['name']} | {row['work']} | {row['value']:.3g} {row['unit']} | {spread} | {asked} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Our speed against plain torch and against the machine, as ratios.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/performance.md")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to run; all by default")
    parser.add_argument(
        "--processor-time", action="store_true", help="one thread, and its processor time: for a machine at other work"
    )
    parser.add_argument("--tiny", action="store_true", help="sizes at which numbers mean nothing, to try every row")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = TINY if given.tiny else FULL
    if given.memory_of:
        from speed import memory

        print(json.dumps({"bytes": memory.measure(given.memory_of, sizes)}))
        return
    if given.processor_time:
        torch.set_num_threads(1)
        numba.set_num_threads(1)
        by_processor_time()
    result = report(sizes, tuple(given.only))
    result["machine"]["clock"] = "processor time, one thread" if given.processor_time else "wall time"
    print(json.dumps(result) if given.json else markdown(result) if given.markdown else shown(result))


if __name__ == "__main__":
    main()
