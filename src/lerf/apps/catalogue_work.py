"""`lerf catalogue` and `lerf search`: runs gathered in a catalogue, and phrases asked of all of them."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from lerf.apps.catalogue import Catalogue, Search
from lerf.apps.sizes import size_text
from lerf.apps.tables import Listing, show
from lerf.encoders.published import title_of
from lerf.errors import LerfError


def catalogue(command: Catalogue, console: Console) -> dict[str, Any]:
    """Add, remove, list or check."""
    return {"add": _add, "rm": _remove, "ls": _list, "check": _check}[command.action](command, console)


def _add(command: Catalogue, console: Console) -> dict[str, Any]:
    from lerf.fleet.adding import add_runs
    from lerf.run.device import choose_device

    results: dict[str, str] = {}
    failed: dict[str, str] = {}
    device, address = choose_device(command.device), command.ray
    for run, told in add_runs(
        command.to, command.runs, weights=command.weights, offline=command.offline, device=device,
        ray=None if address is None else (address[0] if address else ""),
    ):  # fmt: skip
        if isinstance(told, LerfError):
            failed[run] = str(told)
            console.print(f"{run}: failed. {told}")
        else:
            results[run] = told
            said = {"added": "added", "replaced": "brought up to date", "present": "there already"}[told]
            console.print(f"{run}: {said}")
    return {"catalogue": command.to, "runs": results, "failed": failed, "ok": not failed}


def _remove(command: Catalogue, console: Console) -> dict[str, Any]:
    from lerf.catalogue.catalogue import Catalogue as Opened

    opened = Opened(command.to)
    removed: list[str] = []
    missing: list[str] = []
    for run in command.runs:
        (removed if opened.remove(run) else missing).append(run)
    opened.store.tidy(removed=bool(removed))
    for run in removed:
        console.print(f"{run}: removed")
    for run in missing:
        console.print(f"{run}: not in the catalogue")
    return {"catalogue": command.to, "removed": removed, "missing": missing, "ok": not missing}


def _list(command: Catalogue, console: Console) -> dict[str, Any]:
    from lerf.catalogue.catalogue import Catalogue as Opened

    opened = Opened(command.to)
    entries = opened.entries()
    runs: list[dict[str, Any]] = [
        {
            "run": entry.name, "state": entry.state, "added": entry.added, "rows": entry.rows,
            "bytes": entry.content_bytes, "kept": entry.kept,
        }
        for entry in entries
    ]  # fmt: skip
    if not command.json:
        console.print(f"Encoder {title_of(opened.about.encoder)}.")
        table = Listing(("run", "state", "added", "rows", "size", "kept"))
        for row in runs:
            size = size_text(row["bytes"])
            table.add(row["run"], row["state"], row["added"], f"{row['rows']:,}", size, f"{row['kept']:.3f}")
        show(console, table)
    return {"catalogue": command.to, "encoder": opened.about.encoder, "runs": runs}


def _check(command: Catalogue, console: Console) -> dict[str, Any]:
    from lerf.catalogue.catalogue import Catalogue as Opened

    found = Opened(command.to).check()
    console.print(f"{found.runs} runs, {len(found.damaged)} damaged, {len(found.stale)} stale, {len(found.gone)} gone.")
    for sentence in found.damaged:
        console.print(sentence)
    for run in found.stale:
        console.print(f"{run} was trained or baked again since; add it again.")
    for run in found.gone:
        console.print(f"{run} is not there any more; remove it, or put it back.")
    if found.left_over:
        console.print(f"Cells of {found.left_over} additions that were cut off are cleared away.")
    return {
        "catalogue": command.to, "runs": found.runs, "damaged": list(found.damaged), "stale": list(found.stale),
        "gone": list(found.gone), "left_over": found.left_over, "ok": not (found.damaged or found.stale or found.gone),
    }  # fmt: skip


def search(command: Search, console: Console) -> dict[str, Any]:
    """Scenes that hold phrases, in a table."""
    from lerf.catalogue.search import open_searcher

    searcher = open_searcher(command.catalogue, weights=command.weights, offline=command.offline, device=command.device)
    found = searcher.search(
        command.phrases, top=command.top, canonical=command.canonical, temperature=command.temperature,
        threshold=command.threshold, exact=command.exact,
    )  # fmt: skip
    if not command.json:
        console.print(f"Encoder {title_of(found.encoder)}.")
        table = Listing(("phrase", "run", "relevancy", "point", "instances", "best seen in"))
        for phrase in found.phrases:
            if not phrase.scenes:
                table.add(phrase.text, "none", "", "", "", "")
            for scene in phrase.scenes:
                own = scene.answer
                assert own.geometry is not None
                point = tuple(f"{value:.3f}" for value in own.geometry.point)
                pixel = own.geometry.pixel
                view = (own.geometry.view or "", "" if pixel is None else "({:.0f}, {:.0f})".format(*pixel))
                note = "" if scene.state in ("fresh", "elsewhere") else f"({scene.state})"
                table.add(
                    phrase.text, (scene.run, note), f"{own.relevancy:.3f}", point, str(len(own.instances)), view
                )  # fmt: skip
        show(console, table)
        if any(scene.state == "stale" for phrase in found.phrases for scene in phrase.scenes):
            console.print("Runs marked stale were trained or baked again since; 'lerf catalogue add' them again.")
    return found.to_dict()
