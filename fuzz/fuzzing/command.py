"""`python fuzz/fuzz.py`: options, the order of the cases, and the table at the end."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzzing.material import material_of
from fuzzing.oracle import Kind
from fuzzing.pool import Pool, Result
from fuzzing.report import table
from fuzzing.suite import Suite, suite_of

SUITE = "fuzzing.kinds:SUITE"
CASE_SECONDS = 20.0


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Spoilt inputs against the real readers and commands.")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the whole run; its cases have seeds from SEED x 10^6 on"
    )
    parser.add_argument("--seconds", type=float, help="end after so long; by default 600, without --cases")
    parser.add_argument("--cases", type=int, help="end after so many cases of all kinds together")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="only these kinds")
    parser.add_argument("--replay", metavar="KIND:SEED", help="repeat one case and show all of it")
    parser.add_argument("--list", action="store_true", help="name the kinds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--limit", type=float, default=CASE_SECONDS, help="seconds after which a case is a hang")
    parser.add_argument("--suite", default=SUITE, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.seconds is None and given.cases is None:
        given.seconds = 600.0
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Try cases; 1 when one was a fault."""
    given = options(arguments)
    suite = suite_of(given.suite)
    if given.list:
        print("\n".join(suite.kinds))
        return 0
    kinds = _chosen(suite, given)
    with tempfile.TemporaryDirectory(prefix="lerf-fuzz-") as scratch:
        start = time.monotonic()
        material = material_of(given.suite, suite, Path(scratch))
        print(f"Valid inputs are in {material}, after {time.monotonic() - start:.0f} s.", file=sys.stderr)
        workers = 1 if given.replay else given.workers
        with Pool(given.suite, material, Path(scratch), workers, given.limit) as pool:
            results = list(_reported(pool.results(_cases(kinds, given))))
    if given.replay:
        _show(results[0])
    else:
        print(table(results, list(kinds)))
    return int(any(result.verdict.outcome == "fault" for result in results))


def _chosen(suite: Suite, given: argparse.Namespace) -> dict[str, Kind]:
    wanted = [given.replay.partition(":")[0]] if given.replay else given.only or list(suite.kinds)
    unknown = [name for name in wanted if name not in suite.kinds]
    if unknown:
        raise SystemExit(f"There is no kind {unknown[0]}; kinds are {', '.join(suite.kinds)}.")
    return {name: suite.kinds[name] for name in wanted}


def _cases(kinds: dict[str, Kind], given: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Kinds in turn, each as often as it weighs, until time or number is up."""
    if given.replay:
        kind, _, seed = given.replay.partition(":")
        yield kind, int(seed)
        return
    # Time counts from the first case on: workers are ready then.
    end = None
    seeds: dict[str, Iterator[int]] = defaultdict(lambda: itertools.count(given.seed * 1_000_000))
    round_of = [name for name, kind in kinds.items() for _ in range(kind.weight)]
    for count, name in enumerate(itertools.cycle(round_of)):
        end = end or (time.monotonic() + given.seconds if given.seconds else float("inf"))
        if time.monotonic() >= end or (given.cases is not None and count >= given.cases):
            return
        yield name, next(seeds[name])


def _reported(results: Iterator[Result]) -> Iterator[Result]:
    """The same, with a line on the terminal for each fault and now and then one for the rest."""
    told, start = time.monotonic(), time.monotonic()
    for number, result in enumerate(results, 1):
        verdict = result.verdict
        if verdict.outcome == "fault":
            said = verdict.said.encode("ascii", "backslashreplace").decode()[:160].replace("\n", " ")
            print(f"{result.kind}:{result.seed} {verdict.fault} at {verdict.place}: {said!r}", file=sys.stderr)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{told - start:.0f} s, {number} cases", file=sys.stderr)
        yield result


def _show(result: Result) -> None:
    verdict = result.verdict
    print(f"{result.kind}:{result.seed} {verdict.outcome} {verdict.fault} after {result.seconds:.2f} s")
    print(f"spoilt: {verdict.spoilt!r}\nsaid:   {verdict.said!r}\nplace:  {verdict.place}")
    print("".join(verdict.trace).encode("utf-8", "backslashreplace").decode())
