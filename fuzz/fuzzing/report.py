"""The table of a run, and its faults by place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from fuzzing.pool import Result

COLUMNS = ("kind", "cases", "refused", "accepted", "skipped", "faults", "seconds a case")


def table(results: Sequence[Result], kinds: Sequence[str]) -> str:
    """Kind x cases x refused x accepted x skipped x faults; below it the places of faults, the most frequent first."""
    rows = [COLUMNS]
    for kind in kinds:
        rows.append(_row(kind, [result for result in results if result.kind == kind]))
    rows.append(_row("all", results))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *_reasons(results), *_places(results)])


def _row(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    outcomes = [result.verdict.outcome for result in results]
    counts = [str(outcomes.count(outcome)) for outcome in ("refused", "accepted", "skipped", "fault")]
    seconds = sum(result.seconds for result in results) / max(1, len(results))
    return (name, str(len(results)), *counts, f"{seconds:.3f}")


def _reasons(results: Sequence[Result]) -> list[str]:
    """Why cases were skipped."""
    reasons = sorted({result.verdict.said for result in results if result.verdict.outcome == "skipped"})
    return [f"skipped: {reason}" for reason in reasons]


def _places(results: Sequence[Result]) -> list[str]:
    found: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        verdict = result.verdict
        if verdict.outcome == "fault":
            exception = verdict.said.partition(":")[0][:40] if verdict.fault == "traceback" else ""
            found[verdict.fault, verdict.place, exception].append(result)
    lines = []
    for (fault, place, _), own in sorted(found.items(), key=lambda item: -len(item[1])):
        first = own[0]
        said = first.verdict.said.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:200]
        lines.append(f"{len(own):5d} x {fault} at {place}: {said}")
        lines.append(f"        spoilt: {first.verdict.spoilt[:160]!r}; --replay {first.kind}:{first.seed}")
    return ["", f"{sum(map(len, found.values()))} faults at {len(found)} places", *lines] if lines else ["", "no fault"]
