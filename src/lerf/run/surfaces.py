"""Who answers the queries of a run: its language along the rays of its photos, or the cells of its baked index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import QueryError, RunError
from lerf.language.bake import OTHER_SURFACE
from lerf.language.cell_language import CellLanguage, index_of
from lerf.language.cells import FILE, CellIndex
from lerf.language.protocol import LanguageSource
from lerf.queries.answer import PhraseAnswer
from lerf.queries.one_thing import ThingViews
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.phrases import Phrases
from lerf.queries.result import IndexNote
from lerf.queries.scales import ScaleSearch, relevancy_at
from lerf.queries.surface import Surface, steps_of_cells, steps_of_rays
from lerf.radiance.protocol import Radiance
from lerf.radiance.surface import trace_surface
from lerf.run.open_run import IndexUse, open_index
from lerf.run.surface_store import CELLS_FILE, stored_surface
from lerf.run.surface_store import FILE as SURFACE_FILE
from lerf.run.thing_views import thing_views
from lerf.steps import Steps, finish


class Surfaces:
    """The surfaces that answer in a run, opened on first use and kept in the run's folder."""

    def __init__(
        self,
        radiance: Radiance,
        language: LanguageSource,
        encoder: ImageTextEncoder,
        photos: PhotoCameras,
        folder: Path | None,
    ) -> None:
        """`folder` is the run's; None for a model that was not opened from one."""
        self.radiance, self.language, self.encoder, self.photos, self.folder = (
            radiance, language, encoder, photos, folder,
        )  # fmt: skip
        self._indices: dict[IndexUse, CellIndex | None] = {}
        self._of_language: Surface | None = None
        self._of_cells: Surface | None = None

    def open(self, use: IndexUse = "auto") -> Surface:
        """Who answers; see `open_steps`."""
        return finish(self.open_steps(use))

    def search(self) -> ScaleSearch:
        """What tells how well the scene shows texts."""
        return self.open().scale_search

    def open_steps(self, use: IndexUse = "auto") -> Steps[Surface]:
        """The cells of the baked index where it is used, else the run's language; a step is a photo that is traced.

        Raises:
            QueryError, RunError: as `open_index`.
        """
        index = self.index(use)
        return (yield from (self._language_steps() if index is None else self._cells_steps(index)))

    @property
    def of_language(self) -> Surface:
        """The run's language along the rays of its training photos."""
        return finish(self._language_steps())

    def _language_steps(self) -> Steps[Surface]:
        if self._of_language is None:
            sources = self._files("radiance.safetensors", "language.safetensors")
            path = None if self.folder is None else self.folder / SURFACE_FILE
            self._of_language = yield from stored_surface(path, sources, self.language, self._device, self._trace)
        return self._of_language

    def _cells_steps(self, index: CellIndex) -> Steps[Surface]:
        if self._of_cells is None:
            language = CellLanguage(index, self.language.samples)

            def make() -> Steps[Surface]:
                traced = yield from self._language_steps()
                return (yield from steps_of_cells(language, traced.depth_maps, self._views()))

            path = None if self.folder is None else self.folder / CELLS_FILE
            sources = self._files("radiance.safetensors", FILE)
            self._of_cells = yield from stored_surface(path, sources, language, self._device, make)
        return self._of_cells

    def index(self, use: IndexUse) -> CellIndex | None:
        """The baked index, if it answers; None for a run whose language is an index already.

        Raises:
            QueryError, RunError: as `open_index`.
        """
        if index_of(self.language) is not None:
            return None
        if use not in self._indices:
            self._indices[use] = open_index(self.folder, self.encoder, self._device, use)
        return self._indices[use]

    def note(self, use: IndexUse, phrases: Phrases, compared: Sequence[PhraseAnswer] | None) -> IndexNote | None:
        """What a result says of the index that answered; None where the language did.

        Args:
            use: as in the query.
            phrases: that were asked.
            compared: answers of the index whose distance to the language's is told; None for no comparison.

        Raises:
            QueryError: a comparison without an index.
        """
        index = self.index(use)
        if index is None:
            if compared is not None:
                raise QueryError(
                    "There is no index beside the run's language to compare with it; 'lerf bake' makes that of a field."
                )
            return None
        told = index.provenance
        note = IndexNote(told.source, len(index), told.cosine, told.lowest_cosine)
        return note if compared is None else replace(note, differences=self.differences(index, phrases, compared))

    @torch.no_grad()
    def differences(self, index: CellIndex, phrases: Phrases, answers: Sequence[PhraseAnswer]) -> dict[str, float]:
        """By phrase the mean absolute difference between the index's relevancy in a cell and the mean of the language's
        over the surface points there, at the scale at which the index answered.

        Raises:
            RunError: when no surface point lies in a cell of the index.
        """
        surface = self.of_language
        cells = index.locate(surface.positions)
        chosen = torch.nonzero(cells >= 0).flatten()
        if len(chosen) == 0:
            raise RunError(OTHER_SURFACE)
        count = torch.bincount(cells[chosen], minlength=len(index))
        filled, latent, results = count > 0, surface.latent[chosen], {}
        for row, own in enumerate(answers):
            theirs = relevancy_at(self.language, latent, phrases.chosen([row]), own.scale)[0]
            sums = torch.zeros(len(index), device=theirs.device).index_add_(0, cells[chosen], theirs)
            apart = sums[filled] / count[filled] - own.relevancy[filled]
            results[own.answer.text] = float(apart.abs().mean())
        return results

    @property
    def _device(self) -> str:
        return str(self.photos.table.positions.device)

    def _files(self, *names: str) -> tuple[Path, ...]:
        return () if self.folder is None else tuple(self.folder / name for name in names)

    def _trace(self) -> Steps[Surface]:
        scene, table = self.photos.scene, self.photos.table
        traced = yield from trace_surface(self.radiance, table, scene.train, self.language.samples)
        return (yield from steps_of_rays(traced, self.language, self._views()))

    def _views(self) -> ThingViews | None:
        return thing_views(self.photos.scene, self.photos.table, self._device)
