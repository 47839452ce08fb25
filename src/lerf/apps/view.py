"""`lerf view`: look at a run in the browser and ask it things, or at a capture before training."""

from __future__ import annotations

import json
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import only_with
from lerf.apps.options import MissingOption, PageOptions, RunOptions
from lerf.apps.suggest import suggested
from lerf.encoders.published import title_of
from lerf.errors import LerfWarning, RunError
from lerf.files import is_file, is_folder, resolved
from lerf.ranges import Count
from lerf.run.settings import optional

if TYPE_CHECKING:
    from lerf.viewer.capture_state import CaptureState

OF_RUNS = ("index", "refine", "weights", "offline", "device")
"""Options that mean nothing of a capture."""


@dataclass(frozen=True, kw_only=True)
class View(RunOptions, PageOptions, MissingOption):
    """Look at a run in the browser and ask it things, or at a capture before training.

    Of a run: type phrases, see them light up, fly to what was found; one whose language is not trained yet shows its
    colours and depth. Of a capture: where its photos were taken, its sparse points, and what lerf info tells of it.
    Needs the extra lerf[viewer].
    """

    run: Annotated[Path, Positional, arg(metavar="PATH")]
    """Run or capture folder."""
    share: bool = False
    """Also ask viser's public relay for an address that anybody on the internet can open."""
    index: Literal["auto", "require", "ignore"] = "auto"
    """Answer from the index that lerf bake wrote: where a fresh one is there, always, or never."""
    catalogue: bool = False
    """PATH is a catalogue that lerf catalogue add made: ask all its runs at once."""
    refine: Annotated[Count | None, optional()] = None
    """Rows of the sharpest picture; by default 360 on a processor and 720 on a GPU."""
    json: bool = False
    """Print the address as JSON when the page can be opened."""

    @property
    def is_run(self) -> bool:
        """Whether it is a run that is looked at."""
        return is_file(self.run / "config.json")

    def check(self) -> None:
        only_with(self, ("missing",), not self.is_run, "for a capture, and this is a run; give a capture")
        only_with(
            self, ("missing", "index", "share"), not self.catalogue, "for a run or a capture; leave --catalogue out"
        )


def view(command: View, console: Console) -> dict[str, Any] | None:
    """Serve until Ctrl-C."""
    from lerf.viewer.address import require_viser

    require_viser()
    served, encoder, lacking = _page(command, console)
    try:
        if encoder is not None:
            console.print(f"Encoder {title_of(encoder)}.")
        if command.json:
            facts = {"url": served.url, "host": served.host, "port": served.port, "encoder": encoder}
            print(json.dumps(facts), flush=True)
        if command.port not in (0, served.port):
            console.print(f"Port {command.port} is taken.")
        console.print(f"{command.run} is at {served.url} (stop with Ctrl-C)")
        if command.host in ("0.0.0.0", "::"):
            console.print("From another machine, write this one's name or IP address in place of localhost.")
        if lacking:
            console.print(lacking)
        if command.share:
            shared = served.page.share()
            console.print(f"Whoever has this address can open it: {shared}" if shared else "It could not be shared.")
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Stopped.")
    finally:
        served.close()
    return None


def _page(command: View, console: Console) -> tuple[Any, str | None, str]:
    """The page asked for, the encoder of what it shows, and what that lacks, in words."""
    if command.catalogue:
        return _catalogue_page(command)
    return _run_page(command) if command.is_run else _capture_page(command, console)


def _catalogue_page(command: View) -> tuple[Any, str | None, str]:
    """The page of a catalogue."""
    from lerf.catalogue.search import open_searcher
    from lerf.viewer.catalogue_page import CataloguePage

    searcher = open_searcher(command.run, weights=command.weights, offline=command.offline, device=command.device)
    page = CataloguePage(
        searcher, title=resolved(command.run).name, host=command.host, port=command.port, limit=command.refine
    )
    return page, searcher.encoder.name, ""


def _run_page(command: View) -> tuple[Any, str | None, str]:
    """The page of a run, its encoder where it has language, and what it lacks, in words."""
    from lerf.viewer.scene_state import open_scene_state
    from lerf.viewer.server import Viewer

    scene = open_scene_state(command.run, weights=command.weights, offline=command.offline, device=command.device)
    if scene.model is not None:
        # Whether the index that is required is there, is said before the page opens.
        scene.model.surfaces.index(command.index)
    title = resolved(command.run).name
    page = Viewer(
        scene, title=title, host=command.host, port=command.port, limit=command.refine, index=command.index
    )  # fmt: skip
    return page, None if scene.model is None else scene.model.encoder.name, scene.lacking


def _capture_page(command: View, console: Console) -> tuple[Any, str | None, str]:
    """The page of a capture, which has no encoder, and what it lacks, in words."""
    from lerf.scenes.inspection.fit import notes_on, usable_points
    from lerf.scenes.load import find_poses, load_scene, pose_place
    from lerf.viewer.capture_page import CapturePage
    from lerf.viewer.capture_state import CaptureState

    path = command.run
    if is_folder(path) and not find_poses(path) and not _has_photos(path):
        raise RunError(f"{path} is not a run folder, and holds no capture: give the folder of one.")
    only_with(command, OF_RUNS, False, "for a run, and this is a capture; give a run")
    scene = load_scene(path, missing=command.missing)
    points, trouble = usable_points(scene)
    for note in notes_on(scene, points, trouble):
        warnings.warn(note, LerfWarning, stacklevel=2)
    name = resolved(scene.root).name
    skip = ["--missing", command.missing] if command.missing != View.missing else []
    train = suggested("train", path, "--output", Path("runs") / name, *skip)
    state = CaptureState(scene, points, pose_place(path, scene), train)
    page = CapturePage(state, title=name, host=command.host, port=command.port)
    _tell_verdict(state, console)
    return page, None, "" if points is not None else "The capture has no sparse points; cameras and photos are shown."


def _tell_verdict(state: CaptureState, console: Console) -> None:
    """Print what lerf info says of a capture as soon as it is known; the page opens meanwhile."""

    def told(photo: int | None) -> None:
        if photo is None:
            found = state.findings
            said = [state.trouble] if found is None else [found.verdict.sentence, *found.verdict.advice]
            console.print("\n".join(said), markup=False, highlight=False)

    state.listen(told)


def _has_photos(path: Path) -> bool:
    from lerf.scenes.finder import pictures_under

    return next(pictures_under(path), None) is not None
