"""Phrases asked of all runs of a catalogue: scenes found by their cells, then answered exactly as `lerf query` does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from lerf.catalogue.candidates import candidates
from lerf.catalogue.catalogue import Catalogue
from lerf.catalogue.entry import Entry
from lerf.catalogue.record import AnsweringScene
from lerf.catalogue.result import PhraseResult, SceneAnswer, SearchResult
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.errors import CatalogueError, LerfError, QueryError
from lerf.queries.answer import AnswerSettings, answer
from lerf.queries.phrases import Phrases, clean_phrases, embed_phrases, presence
from lerf.queries.result import Answer
from lerf.queries.rivals import AUTO
from lerf.queries.scales import choose_scales, relevancy_at
from lerf.run.device import choose_device
from lerf.steps import finish

TOP = 20
EXAMINED = 5
"""Scenes that are examined for each one asked for, since the order of candidates is not quite that of relevancy: of 200
scenes twice as many as asked for miss up to a quarter of the best twenty, five times as many one in a hundred."""
MEMORY = 1_000_000_000
"""Bytes of scenes that stay open between searches."""


class Searcher:
    """A catalogue with its encoder, and the scenes that were asked last kept open."""

    def __init__(
        self, catalogue: Catalogue, encoder: ImageTextEncoder, device: str = "cpu", memory: int = MEMORY
    ) -> None:
        """
        Raises:
            CatalogueError: the catalogue was made with another encoder.
        """
        catalogue.refuse_other_encoder(encoder, "The search")
        self.catalogue, self.encoder, self.device, self.memory = catalogue, encoder, device, memory
        self._scenes: OrderedDict[int, AnsweringScene] = OrderedDict()
        self._phrases: OrderedDict[tuple[object, ...], Phrases] = OrderedDict()

    def search(
        self,
        texts: str | Sequence[str],
        *,
        top: int = TOP,
        canonical: Sequence[str] | None = None,
        temperature: float | None = None,
        threshold: float | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """Which scenes hold phrases, and where.

        Args:
            texts: one phrase or several.
            top: most scenes a phrase.
            canonical, temperature, threshold: as in `Model.query`.
            exact: ask every scene, whatever the index says.

        Raises:
            QueryError: an empty phrase or a setting out of range.
            CatalogueError: the catalogue is damaged.
        """
        cleaned = clean_phrases(texts)
        if top < 1:
            raise QueryError(f"The scenes asked for must be at least 1, not {top}.")
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            raise QueryError(f"The threshold must lie in 0..1, not {threshold}.")
        entries = {entry.addition: entry for entry in self.catalogue.entries()}
        found = []
        for text in cleaned:
            asked = _Asked(text, canonical, temperature, threshold)
            wanted = EXAMINED * top
            order = list(entries) if exact or len(entries) <= wanted else self._candidates(asked, entries, wanted)
            found.append(PhraseResult(text, self._answered(asked, [entries[one] for one in order], top), len(order)))
        return SearchResult(self.encoder.name, len(entries), tuple(found))

    def _candidates(self, asked: _Asked, entries: dict[int, Entry], wanted: int) -> list[int]:
        phrases = self._embedded(asked, None)
        basis = self.catalogue.basis.T
        query, canonical = (vectors.cpu() @ basis for vectors in (phrases.queries, phrases.canonical))
        order = candidates(self.catalogue.store, query[0].numpy(), canonical.numpy(), wanted)
        # Cells of additions that are not finished, or replaced, are nobody's.
        return [addition for addition in order if addition in entries][:wanted]

    def _answered(self, asked: _Asked, entries: Sequence[Entry], top: int) -> tuple[SceneAnswer, ...]:
        """Answers of the scenes that hold a phrase, the most relevant `top`."""
        present = []
        for entry, scene in zip(entries, self._opened(entries), strict=True):
            phrases = self._embedded(asked, scene)
            limit = scene.defaults.threshold if asked.threshold is None else asked.threshold
            scale, relevancy = exact_presence(scene, phrases)
            if relevancy >= limit:
                present.append((-relevancy, entry.name, entry, phrases, scale, limit))
        found = []
        for _, _, entry, phrases, scale, limit in sorted(present, key=lambda one: one[:2])[:top]:
            scene = self.scene(entry)
            own = answer(scene.surface, phrases, scene.cameras, AnswerSettings(limit, (scale,)))[0].answer
            view = None if own.geometry is None else own.geometry.view
            photo = entry.photos.index(view) if view in entry.photos else None
            mark = None if photo is None else _mark(scene, own, photo)
            found.append(SceneAnswer(entry.name, entry.addition, entry.state, own, photo, mark))
        return tuple(found)

    def scene(self, entry: Entry) -> AnsweringScene:
        """What answers as a run does; kept open while there is memory."""
        return next(self._opened([entry]))

    def _opened(self, entries: Sequence[Entry]) -> Iterator[AnsweringScene]:
        held = {one.addition: self._scenes[one.addition] for one in entries if one.addition in self._scenes}
        missing = self.catalogue.scenes([one for one in entries if one.addition not in held], self.device)
        for entry in entries:
            # Held by itself: it may have been closed for another one meanwhile.
            scene = held.pop(entry.addition, None) or next(missing)
            self._scenes[entry.addition] = scene
            self._scenes.move_to_end(entry.addition)
            while len(self._scenes) > 1 and sum(one.memory_bytes for one in self._scenes.values()) > self.memory:
                self._scenes.popitem(last=False)
            yield scene

    def _embedded(self, asked: _Asked, scene: AnsweringScene | None) -> Phrases:
        """A phrase against the canonical ones of a scene, or of its encoder where there is no scene."""
        defaults = self.encoder.defaults if scene is None else scene.defaults
        canonical = tuple(defaults.canonical if asked.canonical is None else asked.canonical)
        factor = defaults.temperature if asked.temperature is None else asked.temperature
        if scene is None:
            canonical = tuple(text for text in canonical if text != AUTO) or self.encoder.defaults.canonical
        elif AUTO in canonical:
            search = scene.surface.scale_search
            return embed_phrases(self.encoder, asked.text, canonical, factor, self.device, scene=lambda: search)
        key = (asked.text, canonical, factor)
        if key not in self._phrases:
            self._phrases[key] = embed_phrases(self.encoder, asked.text, canonical, factor, self.device)
            while len(self._phrases) > 256:
                self._phrases.popitem(last=False)
        return self._phrases[key]


def _mark(scene: AnsweringScene, own: Answer, photo: int) -> tuple[float, float] | None:
    """Where in a photo the best point is, as shares of its sides."""
    if own.geometry is None or own.geometry.pixel is None:
        return None
    (x, y), (width, height) = own.geometry.pixel, scene.cameras.scene.photos[photo].original_size
    return x / width, y / height


class _Asked:
    """A phrase and how it is compared; None for what each run's own defaults say."""

    def __init__(
        self, text: str, canonical: Sequence[str] | None, temperature: float | None, threshold: float | None
    ) -> None:
        self.text, self.canonical, self.temperature, self.threshold = text, canonical, temperature, threshold


def exact_presence(scene: AnsweringScene, phrases: Phrases) -> tuple[float, float]:
    """The scale at which a phrase answers in a scene, normalised units, and its relevancy to it: those of
    `queries.answer`."""
    surface = scene.surface
    scale = finish(choose_scales(surface.scale_search, phrases))[0]
    relevancy = relevancy_at(surface.language, surface.latent, phrases, scale)[0]
    return scale, presence(relevancy * surface.answering)


def search(
    texts: str | Sequence[str],
    catalogue: str | Path,
    *,
    top: int = TOP,
    canonical: Sequence[str] | None = None,
    threshold: float | None = None,
    weights: str | Path | None = None,
    offline: bool = False,
    device: str | None = None,
) -> SearchResult:
    """Which scenes of a catalogue hold phrases, and where; see `Searcher.search`.

    Raises:
        CatalogueError: there is no catalogue, of this version and with the weights given.
        EncoderError: its encoder cannot be had.
        QueryError: an empty phrase or a setting out of range.
    """
    return open_searcher(catalogue, weights=weights, offline=offline, device=device).search(
        texts, top=top, canonical=canonical, threshold=threshold
    )


def open_searcher(
    catalogue: str | Path, *, weights: str | Path | None = None, offline: bool = False, device: str | None = None
) -> Searcher:
    """A catalogue with the encoder that it was made with.

    Raises:
        CatalogueError, EncoderError: as `search`.
    """
    opened, chosen = Catalogue(catalogue), choose_device(device)
    name = opened.about.encoder
    try:
        encoder = load_encoder(name, Path(weights) if weights else None, offline, chosen)
    except LerfError as problem:
        raise CatalogueError(f"The encoder '{name}' of the catalogue {catalogue} cannot be opened: {problem}") from None
    return Searcher(opened, encoder, chosen)
