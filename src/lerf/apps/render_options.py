"""Options of `lerf render`; `render.py` and `render_path.py` do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from lerf.apps.checks import check_apart, check_file, check_folder, check_replaced, only_with
from lerf.apps.options import PhraseOptions, RunOptions
from lerf.errors import ConfigError
from lerf.ranges import Range, Words
from lerf.run.settings import optional

PHOTOS = Path("photos")
"""Stands for a path through the photos' own cameras."""


@dataclass(frozen=True, kw_only=True)
class Render(RunOptions, PhraseOptions):
    """Write pictures of views: colour, depth and the relevancy of phrases; along a camera path also as a video.

    A path that was interrupted continues when the same command is given again.
    """

    output: Annotated[Path | None, optional("DIR")] = None
    """Folder for the pictures; with --video they are kept only if it is given."""
    query: Annotated[tuple[Words, ...], arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="")] = ()
    """Phrases whose relevancy is rendered."""
    path: Annotated[Path | None, optional("FILE")] = None
    """Camera path that nerfstudio's viewer or ours saved, or photos: a path through the training photos."""
    video: Annotated[Path | None, optional("FILE")] = None
    """With --path, an MP4 file to write, the outputs side by side."""
    outputs: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]", help_behavior_hint="")] = ()
    """With --path: rgb, depth, accumulation, clip, dino, and of phrase i relevancy_i, centred_i, composited_i (over
    the colours), raw_relevancy_i (not propagated); by default rgb and every relevancy_i."""
    transforms: Annotated[Path | None, optional("FILE")] = None
    """With --path, dataparser_transforms.json of the nerfstudio run that the path was made in; by default the frame
    that nerfstudio's default settings give the capture."""
    downscale: Annotated[float | None, Range(0.1, 1000), optional()] = None
    """With --path, divide the size of its pictures by this; by default they are as the path says."""
    npy: bool = False
    """With --path, also write the maps of depth and relevancy as NPY."""
    raw: bool = False
    """Also write the relevancy of phrases as language has it, before it is propagated along the surface."""
    features: bool = False
    """Also write maps of the embeddings (clip) and of the dense features, in the colours of one basis for the scene."""
    split: Literal["train", "test"] = "test"
    """Photos whose cameras are used."""
    views: Annotated[tuple[str, ...] | None, optional("NAME [NAME ...]")] = None
    """Only these photos, by name."""

    def check(self) -> None:
        on_path = self.path is not None
        of_path = ("video", "outputs", "transforms", "downscale", "npy")
        only_with(self, of_path, on_path, "for a camera path; give --path FILE or --path photos with it")
        only_with(self, ("split", "views"), not on_path, "for the photos' cameras; leave --path out")
        only_with(self, ("features",), not on_path, "for the photos' cameras; with --path give --outputs clip dino")
        only_with(self, ("split",), self.views is None, "for all photos of a split; leave --views out")
        only_with(self, ("transforms",), self.path != PHOTOS, "for a path from a file; give --path FILE with it")
        only_with(self, ("canonical", "temperature"), bool(self.query), "for phrases; name them with --query")
        only_with(self, ("exclusive",), len(self.query) > 1, "for several phrases; name two or more with --query")
        only_with(self, ("raw",), not on_path, "for the photos' cameras; with --path give --outputs raw_relevancy_0")
        only_with(self, ("raw",), bool(self.query), "for phrases; name them with --query")
        shows = bool(self.query) or self.features
        only_with(self, ("scale",), shows, "for phrases and features; give --query or --features with it")
        if self.output is None and self.video is None:
            raise ConfigError("Say where the pictures go with --output" + (", or give --video." if on_path else "."))
        if self.output is not None:
            check_folder(self.output, "output")
            check_apart(self.output, self.run, "output")
            check_file(self.output / "render.json", "output")
            if not on_path:
                # That of a path knows its frames, which would have to be drawn again.
                check_replaced(self.output / "render.json", "files", "output")
        if self.video is not None:
            check_file(self.video, "video")
            check_folder(self.frames, "video")

    @property
    def frames(self) -> Path:
        """Folder of the frames of a path."""
        assert self.video is not None or self.output is not None
        return self.output or self.video.with_name(self.video.name + ".frames")  # type: ignore[union-attr]
