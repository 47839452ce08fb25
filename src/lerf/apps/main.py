"""The command line: `lerf demo | train | query | render | export | bake | eval | info | make-scene | …`."""

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
    language: Literal["field", "lift"] | None = None
    """Train a language field, or lift the photos' embeddings onto the surface in seconds, without a gradient step; by
    default the preset's."""
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
    memory: float = 4.0
    """Gigabytes of photos, and later of features, in memory at a time; batches of captures that need more come from a
    part of the photos that moves on with the steps."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    view: bool = False
    """Watch it in the browser: progress, curves, and a button that holds it. Needs the extra lerf[viewer]."""
    host: str = "127.0.0.1"
    """Only with --view, address to listen on."""
    port: int = 7007
    """Only with --view, port to listen on; the next free one if it is taken."""
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
    """Write pictures of views: colour, depth and the relevancy of phrases; along a camera path also as a video.

    A path that was interrupted continues when the same command is given again.
    """

    run: Positional[Path]
    """Run folder."""
    output: Path | None = None
    """Folder for the pictures; with --video they are kept only if it is given."""
    query: tuple[str, ...] = ()
    """Phrases whose relevancy is rendered."""
    path: Path | None = None
    """Camera path that nerfstudio's viewer or ours saved, or photos: a path through the training photos."""
    video: Path | None = None
    """With --path, an MP4 file to write, the outputs side by side."""
    outputs: tuple[str, ...] = ()
    """With --path: rgb, depth, accumulation, clip, dino, and of phrase i relevancy_i (raw), centred_i, composited_i
    (over the colours); by default rgb and every relevancy_i."""
    transforms: Path | None = None
    """With --path, dataparser_transforms.json of the nerfstudio run that the path was made in; by default the frame
    that nerfstudio's default settings give the capture."""
    downscale: float = 1.0
    """With --path, divide the size of its pictures by this."""
    npy: bool = False
    """With --path, also write the maps of depth and relevancy as NPY."""
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
class Export:
    """Write the surface as a point cloud or a mesh, in capture coordinates; a JSON file beside it has the transform."""

    run: Positional[Path]
    """Run folder."""
    output: Positional[Path]
    """PLY file to write."""
    what: Literal["cloud", "mesh"] = "cloud"
    """Points, or triangles."""
    query: tuple[str, ...] = ()
    """Phrases whose relevancy every point carries, as the properties relevancy_0, relevancy_1, …"""
    crop: bool = False
    """Keep only what the phrases name."""
    embeddings: bool = False
    """Also write the embedding of every point, as NPY."""
    points: int | None = None
    """Rays of the photos that look for the surface; by default half a million for a cloud, thrice that for a mesh."""
    reach: float | None = None
    """Leave out what is further from the middle of the scene than this many times the cameras' mean distance from it;
    by default 6 for a cloud, 2 for a mesh."""
    resolution: int = 384
    """Voxels of a mesh along its longest side."""
    threshold: float | None = None
    """Relevancy from which a phrase counts as present; by default the encoder's."""
    canonical: tuple[str, ...] | None = None
    """Phrases that a phrase must beat; by default the run's."""
    temperature: float | None = None
    """Factor on cosines; by default the encoder's."""
    scale: float | None = None
    """Tile height in capture units, of phrases and embeddings; by default the one that answers best, and the middle."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    device: str | None = None
    """cpu or cuda."""
    json: bool = False
    """Print what was written as JSON."""


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
    encoder: str | None = None
    """Image-text encoder of the estimate; by default the preset's."""
    dense: str | None = None
    """Dense regulariser of the estimate; by default the preset's."""
    memory: float = 4.0
    """What lerf train would be given as --memory."""
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


@dataclass(frozen=True)
class View:
    """Look at a run in the browser: type phrases, see them light up, fly to what was found.

    A run whose language is not trained yet shows its colours and depth. Needs the extra lerf[viewer].
    """

    run: Positional[Path]
    """Run folder."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 7007
    """Port to listen on; the next free one if it is taken."""
    share: bool = False
    """Also ask viser's public relay for an address that anybody on the internet can open."""
    index: Literal["auto", "require", "ignore"] = "auto"
    """Answer from the run's baked index or one made at the start, from the run's alone, or from the field."""
    refine: int | None = None
    """Rows of the sharpest picture; by default 360 on a processor and 720 on a GPU."""
    weights: Path | None = None
    """Encoder weights, where they are not at their usual place."""
    offline: bool = False
    """Forbid downloads."""
    device: str | None = None
    """cpu or cuda."""
    json: bool = False
    """Print the address as JSON when the page can be opened."""


Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Query, tyro.conf.subcommand("query")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Bake, tyro.conf.subcommand("bake")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[MakeScene, tyro.conf.subcommand("make-scene")]
    | Annotated[Features, tyro.conf.subcommand("features")]
    | Annotated[Cache, tyro.conf.subcommand("cache")]
    | Annotated[View, tyro.conf.subcommand("view")]
)
RUNNERS = {
    Train: "train", Query: "query", Render: "render", Bake: "bake", Eval: "evaluate", Info: "info",
    Demo: "demo", MakeScene: "make_scene", Export: "lerf.apps.export:export",
    Features: "lerf.apps.features:features", Cache: "lerf.apps.cache:cache",
    View: "lerf.apps.view:view",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 2 bad input (one sentence on stderr), 130 interrupted."""
    command: Any = tyro.cli(Command, prog="lerf", args=arguments, description=__doc__)  # type: ignore[arg-type]
    # Human output goes to stderr when JSON is asked for, so that stdout holds JSON alone.
    console = Console(stderr=command.json, soft_wrap=True)
    errors = Console(stderr=True, soft_wrap=True)
    try:
        # The commands import torch; help must not wait for it.
        place, _, runner = RUNNERS[type(command)].rpartition(":")
        module = importlib.import_module(place or "lerf.apps.commands")
        with warnings.catch_warnings():
            shown_otherwise = warnings.showwarning

            def show(message: Any, category: type[Warning], *where: Any) -> None:
                if issubclass(category, LerfWarning):
                    errors.print(f"Warning: {message}", style="yellow", markup=False, highlight=False)
                else:
                    shown_otherwise(message, category, *where)

            warnings.showwarning = show  # type: ignore[assignment]
            result = getattr(module, runner)(command, console)
        if command.json and result is not None:
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
