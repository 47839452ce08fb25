"""`lerf render`: pictures of the photos' cameras, and the raw maps as NPY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from lerf.apps.names import distinct, file_stem, phrase_stem
from lerf.apps.pictures import write_png
from lerf.apps.progress import TerminalReporter
from lerf.apps.render_options import Render
from lerf.apps.render_path import OTHERWISE, SUFFIXES_WRITTEN, render_path
from lerf.errors import QueryError
from lerf.exports.video import require_video_library
from lerf.files import write_atomically, write_json
from lerf.locks import locked_folder, remove_unfinished
from lerf.model import Model
from lerf.queries.phrases import Phrases
from lerf.rendering.features import feature_bases
from lerf.rendering.outputs import ViewMaps, paint
from lerf.rendering.pca import PcaBasis, apply_pca_basis

SUFFIXES = {"rgb": "colour", "depth": "depth", "accumulation": "accumulation", "clip": "clip", "dino": "dense"}
"""Ends of file names by output."""
OF_PHRASES = {"relevancy": "relevancy", "centred": "centred", "composited": "normalised"}
"""Ends of file names by the kind of a phrase's output."""
RAW = {"raw_relevancy": "raw"}
"""The same of what is only written where it is asked for."""


def render(command: Render, console: Console) -> dict[str, Any]:
    """One set of files a view. Along a camera path, frames and a video."""
    if command.video is not None:
        require_video_library()
    model: Model = command.open_model(console)
    if command.path is not None:
        return render_path(command, model, console)
    output = command.frames
    chosen = _chosen_photos(command, model)
    phrases = model.phrases(command.query, *command.compared) if command.query else None
    scales = model.scales(phrases, command.scale) if phrases else []
    bases = feature_bases(model.language, model.surface.latent) if command.features else {}
    drawer = _Drawer(model, output, phrases, scales, bases, command.scale, command.raw)
    unit = model.photos.unit
    with locked_folder(output, OTHERWISE):
        remove_unfinished(output, *SUFFIXES_WRITTEN)
        files = _drawn(drawer, chosen, TerminalReporter(console))
        facts = {
            "encoder": model.encoder.name,
            "scales": {text: value / unit for text, value in zip(phrases.texts, scales, strict=True)}
            if phrases
            else {},
            "files": [str(path) for path in files],
        }
        write_json(output / "render.json", facts)
    console.print(f"{len(files)} files in {output}")
    return facts


def _drawn(drawer: _Drawer, chosen: Sequence[int], reporter: TerminalReporter) -> list[Path]:
    """Write the files of the chosen photos' views."""
    files = []
    reporter.begin("views", len(chosen))
    try:
        for done, photo in enumerate(chosen):
            files += drawer.write(photo)
            reporter.advance(done + 1)
    finally:
        reporter.close()
    return files


def _chosen_photos(command: Render, model: Model) -> list[int]:
    """The photos whose cameras are rendered, as indices into the scene's.

    Raises:
        QueryError: there is none, or one that the run does not have is named.
    """
    scene = model.scene
    if not command.views:
        chosen = list(scene.train if command.split == "train" else scene.test)
        if not chosen:
            raise QueryError(f"The {command.split} split has no photo; use --split or --views.")
        return chosen
    names = {scene.photos[index].name: index for index in range(len(scene))}
    unknown = [name for name in command.views if name not in names]
    if unknown:
        raise QueryError(f"The run has no photo named {unknown[0]}; names look like {scene.photos[0].name}.")
    return [names[name] for name in dict.fromkeys(command.views)]


@dataclass
class _Drawer:
    """Writes the files of one view after another."""

    model: Model
    folder: Path
    phrases: Phrases | None
    scales: list[float]
    """Of the phrases, normalised units."""
    bases: dict[str, PcaBasis]
    feature_scale: float | None
    """At which embeddings are shown, capture units."""
    raw: bool
    """Whether relevancy is also written as language has it."""

    def __post_init__(self) -> None:
        texts = self.phrases.texts if self.phrases else ()
        # Numbered over all photos, so that a photo's files are named alike whatever else is rendered.
        self.stems = distinct([file_stem(photo.name) for photo in self.model.scene.photos])
        labels = distinct([phrase_stem(text) for text in texts])
        # The pair may still be that of another: a_b and c, a and b_c.
        pairs = iter(distinct([f"{stem}_{label}" for stem in self.stems for label in labels]))
        self.map_names = [[next(pairs) for _ in labels] for _ in self.stems]

    def write(self, photo: int) -> list[Path]:
        """Draw and write a view; its files."""
        view = self.model.render(photo)
        maps = self._relevancy(photo, view.picture.depth * self.model.photos.unit)
        raw = self._raw_relevancy(photo)
        features = {
            name: apply_pca_basis(
                basis, self.model.render_features(photo, self.feature_scale, dense=name == "dino").cpu()
            )
            for name, basis in self.bases.items()
        }
        picture = view.picture
        relevancy = dict(enumerate(maps)), dict(enumerate(raw))
        seen = ViewMaps(picture.colour, picture.depth, picture.accumulation, *relevancy, features)
        files = []
        for name, path in self._paths(photo):
            write_png(path, paint(name, seen)[0])
            files.append(path)
        arrays = list(zip(self.map_names[photo], maps, strict=True))
        if raw:
            arrays += [(f"{name}_raw", values) for name, values in zip(self.map_names[photo], raw, strict=True)]
        for name, values in arrays:
            path, array = self.folder / f"{name}.npy", values.cpu().numpy()
            write_atomically(path, lambda file, array=array: np.save(file, array))  # type: ignore[misc]
            files.append(path)
        return files

    def _paths(self, photo: int) -> Iterator[tuple[str, Path]]:
        """Outputs of a view and their files."""
        for name in ("rgb", "depth", "accumulation", *self.bases):
            yield name, self.folder / f"{self.stems[photo]}_{SUFFIXES[name]}.png"
        for number, stem in enumerate(self.map_names[photo]):
            for kind, suffix in (OF_PHRASES | RAW if self.raw else OF_PHRASES).items():
                yield f"{kind}_{number}", self.folder / f"{stem}_{suffix}.png"

    def _relevancy(self, photo: int, depth: Float[Tensor, "height width"]) -> Sequence[Float[Tensor, "height width"]]:
        if self.phrases is None:
            return ()
        return list(self.model.relevancy_maps(self.model.cameras, photo, self.phrases, self.scales, depth))

    def _raw_relevancy(self, photo: int) -> Sequence[Float[Tensor, "height width"]]:
        if self.phrases is None or not self.raw:
            return ()
        return list(self.model.relevancy_maps(self.model.cameras, photo, self.phrases, self.scales, raw=True))
