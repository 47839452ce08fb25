"""The command line: `lerf demo | train | query | render | bake | eval | info | make-scene | features | cache`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from tyro.conf import Positional

from lerf.errors import LerfError, LerfWarning

PresetName = Literal["lerf-cpu", "lerf-demo", "lerf-lite", "lerf", "lerf-big"]


@dataclass(frozen=True)
class Train:
    """Turn a folder of posed photos into a language embedded radiance field.

    A run that was interrupted continues when the same command is given again.
    """

    data: Positional[Path]
    """Capture: a folder with transforms.json, Blender's transforms_train.json or a COLMAP model."""
    output: Path
    """Run folder to write."""
    preset: PresetName | None = None
    """Sizes and schedules; by default lerf-cpu without a GPU and lerf with one."""
    encoder: str | None = None
    """Image-text encoder; by default the preset's."""
    dense: str | None = None
    """Dense regulariser, or none; by default the preset's."""
    features: Literal["tiles", "dense"] | None = None
    """Pyramid tile by tile, or by one pass over the photo for each tile height, the default where the encoder can."""
    border: Literal["edge", "zero"] = "edge"
    """Only with --features tiles, what they see beyond the photo: its edge continued, or black as the authors' code."""
    tile_ratios: tuple[float, ...] | None = None
    """Tile heights over the photo's height; by default the encoder's own."""
    estimator: Literal["deferred", "per-sample"] | None = None
    """Language head once per ray on composited features, or at every sample as in the paper."""
    language: Literal["field", "lift"] = "field"
    """Train a language field, or lift the photos' embeddings onto the surface in seconds, without a gradient step."""
    radiance: Path | None = None
    """Run whose finished radiance is used as it is; only language is trained."""
    steps: int | None = None
    """Steps of each stage, instead of the preset's."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    downscale: int | None = None
    """Divide the photos' size by this; by default until the longest side is at most 1,600 pixels."""
    seed: int = 0
    """Seed of everything random."""
    refine_poses: bool = False
    """Also correct the cameras' poses while training."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    json: bool = False
    """Print the timings as JSON instead of a summary."""


@dataclass(frozen=True)
class Query:
    """Ask where phrases are."""

    run: Positional[Path]
    """Run folder."""
    phrases: Positional[tuple[str, ...]]
    """What to look for."""
    canonical: tuple[str, ...] | None = None
    """Phrases that a phrase must beat; by default the run's."""
    temperature: float | None = None
    """Factor on cosines; by default the encoder's."""
    threshold: float | None = None
    """Relevancy from which a phrase counts as present; by default the encoder's."""
    scale: float | None = None
    """Tile height in capture units; by default the one that answers best."""
    index: Literal["auto", "require", "ignore"] = "auto"
    """Answer from the index that lerf bake wrote: where a fresh one is there, always, or never."""
    compare: bool = False
    """With an index, also ask the field, and say how far the relevancy of each phrase is from the field's."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    device: str | None = None
    """cpu or cuda."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class Render:
    """Write pictures of views: colour, depth and the relevancy of phrases."""

    run: Positional[Path]
    """Run folder."""
    output: Path
    """Folder for the pictures."""
    query: tuple[str, ...] = ()
    """Phrases whose relevancy is rendered."""
    features: bool = False
    """Also write maps of the embeddings (clip) and of the dense features, in the colours of one basis for the scene."""
    split: Literal["train", "test"] = "test"
    """Photos whose cameras are used."""
    views: tuple[str, ...] | None = None
    """Only these photos, by name."""
    canonical: tuple[str, ...] | None = None
    """Phrases that a phrase must beat; by default the run's."""
    temperature: float | None = None
    """Factor on cosines; by default the encoder's."""
    scale: float | None = None
    """Tile height in capture units; by default the one that answers best."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    device: str | None = None
    """cpu or cuda."""
    json: bool = False
    """Print the list of files as JSON."""


@dataclass(frozen=True)
class Bake:
    """Write an index of a run's surface, RUN/index.safetensors, that answers phrases in milliseconds."""

    run: Positional[Path]
    """Run folder."""
    source: Literal["field", "lift"] = "field"
    """Where its embeddings come from: the trained language field, or the photos' pyramids averaged over the views."""
    compare: tuple[str, ...] = ()
    """Phrases for which to say how far the index's answers are from the field's."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    device: str | None = None
    """cpu or cuda."""
    json: bool = False
    """Print JSON."""


ProtocolName = Literal["colour", "lerf-localisation", "lerf-ovs", "existence", "3d"]


@dataclass(frozen=True)
class Eval:
    """Measure a run on its held-out views: their colour and, where the truth is known, its answers to phrases."""

    run: Positional[Path]
    """Run folder."""
    protocol: tuple[ProtocolName, ...] = ()
    """What to measure; by default everything that the scene's material allows: always colour, all of a generated
    scene."""
    labels: Path | None = None
    """Ground truth: a folder of LangSplat's label files, of box files, or of a generated scene; by default the
    capture's own."""
    maps: Path | None = None
    """Score another method's relevancy maps, DIR/<view stem>/<phrase>.npy, instead of the run's."""
    absent: Path | None = None
    """Text file of phrases that are not in the scene, one a line; by default what the label folders beside --labels
    name."""
    data: Path | None = None
    """The capture, where it is not where it was when the run was trained."""
    lpips_weights: Path | None = None
    """AlexNet's LPIPS weights, a file or a folder; adds LPIPS to the report."""
    device: str | None = None
    """cpu or cuda."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class Info:
    """What a capture or a run holds, and what training it will take."""

    path: Positional[Path]
    """Capture or run folder."""
    preset: PresetName | None = None
    """Preset of the estimate."""
    downscale: int | None = None
    """Divide the photos' size by this."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class Demo:
    """Train on the scene that comes with the package, measure the answers on held-out views, show them."""

    output: Path = Path("runs/demo")
    """Folder for the run, the pictures and report.json."""
    steps: int | None = None
    """Steps of each stage, instead of the preset's."""
    device: str | None = None
    """cpu or cuda."""
    json: bool = False
    """Print the report as JSON."""


@dataclass(frozen=True)
class MakeScene:
    """Make a capture with known answers: everyday objects, modelled, arranged and photographed by path tracing."""

    output: Positional[Path]
    """Folder to write; a scene that was interrupted there is completed."""
    seed: int
    """Everything follows from it."""
    kind: Literal["table", "shelf", "desk"] | None = None
    """What the objects stand on; by default drawn with the seed."""
    views: int = 60
    """Photos to train on."""
    held_out: int = 8
    """Photos to measure on."""
    width: int = 320
    """Of every photo, in pixels."""
    height: int = 240
    """Of every photo, in pixels."""
    spp: int = 16
    """Light paths a pixel: less noise for more time."""
    json: bool = False
    """Print what was made as JSON."""


Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Query, tyro.conf.subcommand("query")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Bake, tyro.conf.subcommand("bake")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[MakeScene, tyro.conf.subcommand("make-scene")]
)
RUNNERS = {
    Train: "train", Query: "query", Render: "render", Bake: "bake", Eval: "evaluate", Info: "info",
    Demo: "demo", MakeScene: "make_scene",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 2 bad input (one sentence on stderr), 130 interrupted."""
    command: Any = tyro.cli(Command, prog="lerf", args=arguments, description=__doc__)  # type: ignore[arg-type]
@dataclass(frozen=True)
class Features:
    """Compute the features that training will learn from, and write them as pictures in the colours of one basis."""

    data: Positional[Path]
    """Capture: a folder with transforms.json, Blender's transforms_train.json or a COLMAP model."""
    output: Path
    """Folder for the pictures and features.json; the features themselves go to the cache."""
    encoder: str | None = None
    """Image-text encoder; by default that of the default preset."""
    dense: str = "none"
    """Dense regulariser, or none."""
    features: Literal["tiles", "dense"] | None = None
    """Pyramid tile by tile, or by passes over the whole photo; by default the encoder's own."""
    border: Literal["edge", "zero"] = "edge"
    """Only with --features tiles, what they see beyond the photo: its edge continued, or black as the authors' code."""
    tile_ratios: tuple[float, ...] | None = None
    """Tile heights over the photo's height; by default the encoder's own."""
    views: tuple[str, ...] | None = None
    """Pictures of these training photos only, by name; features are computed of all."""
    pictures: bool = True
    """Write pictures."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    downscale: int | None = None
    """Divide the photos' size by this; by default until the longest side is at most 1,600 pixels."""
    ray: tuple[str, ...] | None = None
    """Spread the work over a Ray cluster: its address, or nothing for one on this machine (pip install 'lerf[ray]')."""
    json: bool = False
    """Print what was made as JSON."""


@dataclass(frozen=True)
class Cache:
    """Show what is in the cache of features ($LERF_CACHE, or ~/.cache/lerf), or delete from it."""

    action: Positional[Literal["ls", "prune"]]
    """ls lists; prune deletes what nothing can use any more, and whatever the options below name."""
    older_than: float | None = None
    """Only with prune: also what was not used for so many days."""
    encoder: str | None = None
    """Only with prune: also what came from this encoder."""
    all: bool = False
    """Only with prune: everything."""
    json: bool = False
    """Print JSON."""


    # Human output goes to stderr when JSON is asked for, so that stdout holds JSON alone.
    console = Console(stderr=command.json, soft_wrap=True)
    errors = Console(stderr=True, soft_wrap=True)
    try:
        # The commands import torch; help must not wait for it.
        place, _, runner = RUNNERS[type(command)].rpartition(":")
        module = importlib.import_module(place or "lerf.apps.commands")
        with warnings.catch_warnings():
            shown_otherwise = warnings.showwarning

    | Annotated[Features, tyro.conf.subcommand("features")]
    | Annotated[Cache, tyro.conf.subcommand("cache")]
            def show(message: Any, category: type[Warning], *where: Any) -> None:
                if issubclass(category, LerfWarning):
                    errors.print(f"Warning: {message}", style="yellow", markup=False, highlight=False)
                else:
    Features: "lerf.apps.features:features", Cache: "lerf.apps.cache:cache",
                    shown_otherwise(message, category, *where)

            warnings.showwarning = show  # type: ignore[assignment]
            result = getattr(module, runner)(command, console)
        if command.json:
            print(json.dumps(result, indent=2, allow_nan=False))
        return 0
    except LerfError as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        errors.print("Interrupted; give the same command again to continue.", highlight=False)
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away; nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
