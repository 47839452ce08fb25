"""`lerf view`: look at a run in the browser and ask it things."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rich.console import Console

from lerf.apps.options import PageOptions, RunOptions
from lerf.encoders.published import title_of
from lerf.ranges import Count
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class View(RunOptions, PageOptions):
    """Look at a run in the browser: type phrases, see them light up, fly to what was found.

    A run whose language is not trained yet shows its colours and depth. Needs the extra lerf[viewer].
    """

    share: bool = False
    """Also ask viser's public relay for an address that anybody on the internet can open."""
    index: Literal["auto", "require", "ignore"] = "auto"
    """Answer from the index that lerf bake wrote: where a fresh one is there, always, or never."""
    refine: Annotated[Count | None, optional()] = None
    """Rows of the sharpest picture; by default 360 on a processor and 720 on a GPU."""
    json: bool = False
    """Print the address as JSON when the page can be opened."""


def view(command: View, console: Console) -> dict[str, Any] | None:
    """Serve until Ctrl-C."""
    from lerf.viewer.address import require_viser
    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    require_viser()
    scene = open_scene_state(command.run, weights=command.weights, offline=command.offline, device=command.device)
    if scene.model is not None:
        # Whether the index that is required is there, is said before the page opens.
        scene.model.surfaces.index(command.index)
    viewer = Viewer(
        scene,
        title=command.run.resolve().name,
        host=command.host,
        port=command.port,
        limit=command.refine,
        index=command.index,
    )
    encoder = None if scene.model is None else scene.model.encoder.name
    try:
        if encoder is not None:
            console.print(f"Encoder {title_of(encoder)}.")
        if command.json:
            facts = {"url": viewer.url, "host": viewer.host, "port": viewer.port, "encoder": encoder}
            print(json.dumps(facts), flush=True)
        if command.port not in (0, viewer.port):
            console.print(f"Port {command.port} is taken.")
        console.print(f"{command.run} is at {viewer.url} (stop with Ctrl-C)")
        if command.host in ("0.0.0.0", "::"):
            console.print("From another machine, write this one's name or IP address in place of localhost.")
        if scene.lacking:
            console.print(scene.lacking)
        if command.share:
            shared = viewer.page.share()
            console.print(f"Whoever has this address can open it: {shared}" if shared else "It could not be shared.")
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Stopped.")
    finally:
        viewer.close()
    return None
