"""`lerf view`: look at a run in the browser and ask it things."""

from __future__ import annotations

import json
import threading
from typing import Any

from rich.console import Console

from lerf.apps import main as cli
from lerf.viewer.server import Viewer, require_viser
from lerf.viewer.world import open_world


def view(command: cli.View, console: Console) -> dict[str, Any] | None:
    """Serve until Ctrl-C."""
    require_viser()
    world = open_world(command.run, weights=command.weights, offline=command.offline, device=command.device)
    if command.index == "require" and world.model is not None:
        world.model.index("require")
    viewer = Viewer(
        world,
        title=command.run.resolve().name,
        host=command.host,
        port=command.port,
        limit=command.refine,
        index=command.index,
    )
    try:
        if command.json:
            print(json.dumps({"url": viewer.url, "host": viewer.host, "port": viewer.port}), flush=True)
        if command.port not in (0, viewer.port):
            console.print(f"Port {command.port} is taken.", highlight=False)
        console.print(f"{command.run} is at {viewer.url} (stop with Ctrl-C)", highlight=False)
        if world.lacking:
            console.print(world.lacking, highlight=False)
        if command.share:
            shared = viewer.server.request_share_url(verbose=False)
            console.print(f"Anybody can open it at {shared}" if shared else "It could not be shared.", highlight=False)
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Stopped.", highlight=False)
    finally:
        viewer.close()
    return None
