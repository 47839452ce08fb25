"""Options of `lerf render`; `render.py` and `render_path.py` do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from lerf.apps.options import PhraseOptions, RunOptions
from lerf.run.settings import optional


@dataclass(frozen=True, kw_only=True)
class Render(RunOptions, PhraseOptions):
    """Write pictures of views: colour, depth and the relevancy of phrases; along a camera path also as a video.

    A path that was interrupted continues when the same command is given again.
    """

    output: Annotated[Path | None, optional("DIR")] = None
    """Folder for the pictures; with --video they are kept only if it is given."""
    query: Annotated[tuple[str, ...], arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="")] = ()
    """Phrases whose relevancy is rendered."""
    path: Annotated[Path | None, optional("FILE")] = None
    """Camera path that nerfstudio's viewer or ours saved, or photos: a path through the training photos."""
    video: Annotated[Path | None, optional("FILE")] = None
    """With --path, an MP4 file to write, the outputs side by side."""
    outputs: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]", help_behavior_hint="")] = ()
    """With --path: rgb, depth, accumulation, clip, dino, and of phrase i relevancy_i (raw), centred_i, composited_i
    (over the colours); by default rgb and every relevancy_i."""
    transforms: Annotated[Path | None, optional("FILE")] = None
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
    views: Annotated[tuple[str, ...] | None, optional("NAME [NAME ...]")] = None
    """Only these photos, by name."""
