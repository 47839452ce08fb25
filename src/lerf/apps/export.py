"""Options of `lerf export`; `export_files.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lerf.apps.checks import check_file, check_replaced, only_with
from lerf.apps.options import PhraseOptions, RunOptions, ThresholdOption
from lerf.errors import ConfigError
from lerf.ranges import Count, Positive, Range, Words
from lerf.run.settings import optional

WRITTEN = (".ply", ".splat", ".spz")
"""Names of the files that are written; all but the first for splats alone."""


@dataclass(frozen=True, kw_only=True)
class Export(RunOptions, ThresholdOption, PhraseOptions):
    """Write the surface as a point cloud, a mesh or Gaussian splats, in capture coordinates; a JSON file beside it has
    the transform."""

    output: Annotated[Path, Positional, arg(metavar="OUTPUT")]
    """PLY file to write; of splats also .splat or .spz."""
    what: Literal["cloud", "mesh", "splat"] = "cloud"
    """Points, triangles, or Gaussian splats: those of the run, or some that are made of its surface."""
    query: Annotated[tuple[Words, ...], arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="")] = ()
    """Phrases whose relevancy every point carries, as the properties relevancy_0, relevancy_1, …; Gaussians also carry
    the number of the instance, as instance_0, …, -1 for none."""
    crop: bool = False
    """Keep only what the phrases name."""
    without: bool = False
    """Only with --what splat, leave out what the phrases name, and keep all else."""
    recolour: bool = False
    """Only with --what splat, paint relevancy into the colours, for viewers that know no such properties."""
    embeddings: bool = False
    """Also write the embedding of every point, as NPY; without --scale at the middle of the scales."""
    points: Annotated[Count | None, optional()] = None
    """Rays of the photos that look for the surface; by default half a million for a cloud, thrice that for a mesh,
    100,000 for splats."""
    reach: Annotated[Positive | None, optional()] = None
    """How far the surface is followed, in mean distances of the cameras from the middle; by default 6, for a mesh 2."""
    refine_steps: Annotated[int | None, Range(0, 100_000), optional()] = None
    """Only with --what splat, gradient steps that fit Gaussians made of the surface to the training photos; by default
    400, 0 for none."""
    resolution: Annotated[int | None, Range(8, 1024), optional()] = None
    """Only with --what mesh, voxels along its longest side; by default 384."""

    def check(self) -> None:
        mesh, splat = self.what == "mesh", self.what == "splat"
        suffix, written = self.output.suffix.lower(), WRITTEN if splat else WRITTEN[:1]
        if suffix not in written or self.output.name.lower().endswith(".compressed.ply"):
            formats = "the formats that are" if splat else "the format that is"
            raise ConfigError(f"{self.output} must end in {', '.join(written)}, {formats} written.")
        only_with(self, ("resolution",), mesh, "for a mesh; give --what mesh with it")
        only_with(self, ("embeddings",), self.what == "cloud", "for points; give --what cloud with it")
        only_with(self, ("refine_steps",), splat, "for Gaussians; give --what splat with it")
        only_with(self, ("without", "recolour"), splat, "for Gaussians; give --what splat with it")
        if self.crop and self.without:
            raise ConfigError("--crop keeps what --without leaves out; give one of them.")
        asked = ("crop", "without", "recolour", "canonical", "temperature", "threshold")
        only_with(self, asked, bool(self.query), "for phrases; name them with --query")
        only_with(self, ("exclusive",), len(self.query or ()) > 1, "for several phrases; name two or more with --query")
        only_with(self, ("scale",), bool(self.query) or self.embeddings, "for phrases and embeddings; give --query")
        check_file(self.output, "OUTPUT")
        for beside in (facts_file(self.output), embeddings_file(self.output)):
            check_file(beside, "OUTPUT")
        check_replaced(facts_file(self.output), "capture_to_normalised", "OUTPUT")


def facts_file(output: Path) -> Path:
    """The JSON file beside a PLY file."""
    return output.with_suffix(".json")


def embeddings_file(output: Path) -> Path:
    """The NPY file beside a PLY file."""
    return output.with_name(f"{output.stem}_embeddings.npy")
