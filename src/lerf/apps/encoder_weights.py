"""`lerf encoders ls|fetch`: encoders and their weights, and fetching these ahead."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from lerf.apps.encoders import Encoders
from lerf.apps.probes import encoder_states
from lerf.apps.progress import TerminalReporter
from lerf.apps.sizes import size_text
from lerf.apps.tables import Listing, show
from lerf.encoders.published import PUBLISHED, TITLES
from lerf.encoders.ready import fetch_model
from lerf.files import bytes_in
from lerf.run.report import downloading


def encoders(command: Encoders, console: Console) -> dict[str, Any]:
    """List or fetch.

    Raises:
        EncoderError: a name takes no weights of the hub, or they cannot be fetched.
    """
    if command.action == "ls":
        return _list(console, quiet=command.json)
    reporter = TerminalReporter(console)
    fetched = []
    try:
        for name in dict.fromkeys(command.names):
            folder = fetch_model(name, downloading(reporter, name), command.output)
            count = bytes_in(folder)
            fetched.append({"name": name, "folder": str(folder), "bytes": count})
            console.print(f"{name}: {size_text(count)} in {folder}")
    finally:
        reporter.close()
    return {"fetched": fetched}


def _list(console: Console, quiet: bool) -> dict[str, Any]:
    table = Listing(("encoder", "what", "weights", "to fetch", "licence"))
    listed = []
    for name, state in encoder_states().items():
        published = PUBLISHED.get(name)
        facts: dict[str, Any] = {
            "name": name,
            "what": TITLES.get(name),
            "weights": state,
            "model": published.model if published else None,
            "bytes": published.bytes if published else None,
            "licence": published.licence if published else None,
        }
        listed.append(facts)
        size = size_text(published.bytes) if published else ""
        table.add(name, facts["what"] or "", state, size, facts["licence"] or "")
    if not quiet:
        show(console, table)
    return {"encoders": listed}
