"""Phrases asked of all runs of a catalogue, in three steps: cells find scenes that may hold a phrase, their quantised
codes estimate how relevant it is to each, and the best of these answer exactly as `lerf query` does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from lerf.catalogue.candidates import candidates
from lerf.catalogue.catalogue import Catalogue
from lerf.catalogue.entry import Entry
from lerf.catalogue.kept import Kept
from lerf.catalogue.quantised import QuantisedScene
from lerf.catalogue.record import AnsweringScene
from lerf.catalogue.result import PhraseResult, SceneAnswer, SearchResult
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.errors import CatalogueError, LerfError, QueryError
from lerf.queries.answer import AnswerSettings, answer
from lerf.queries.phrases import Phrases, clean_phrases, embed_phrases, presence
from lerf.queries.result import Answer, QueryDefaults
from lerf.queries.rivals import AUTO
from lerf.queries.scales import choose_scales, relevancy_at
from lerf.queries.surface import Surface
from lerf.run.device import choose_device
from lerf.steps import finish

TOP = 20
ESTIMATED = 10
"""Scenes whose relevancy is estimated, for each one asked for: the order of cells says little of that of scenes."""
BEYOND = 10
"""Scenes that are examined exactly beyond those asked for: estimates are some hundredths off."""
MEMORY = 1_000_000_000
"""Bytes of scenes that stay open between searches, and as many of quantised codes."""


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
        self._scenes: Kept[AnsweringScene] = Kept(memory)
        self._quantised: Kept[QuantisedScene] = Kept(memory)
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
            examined = list(entries.values())
            if not exact and len(examined) > top + BEYOND:
                if len(examined) > ESTIMATED * top + BEYOND:
                    examined = self._candidates(asked, entries, ESTIMATED * top + BEYOND)
                examined = self._most_relevant(asked, examined, top + BEYOND)
            found.append(PhraseResult(text, self._answered(asked, examined, top), len(examined)))
        return SearchResult(self.encoder.name, len(entries), tuple(found))

    def _candidates(self, asked: _Asked, entries: dict[int, Entry], wanted: int) -> list[Entry]:
        own = self.encoder.defaults
        phrases = self._embedded(asked, QueryDefaults(own.canonical, own.temperature, own.threshold))
        direction = (phrases.queries[0] - phrases.canonical.mean(0)).cpu() @ self.catalogue.basis.T
        order = candidates(self.catalogue.store, direction.numpy(), wanted)
        # Cells of additions that are not finished, or replaced, are nobody's.
        return [entries[addition] for addition in order if addition in entries][:wanted]

    def _most_relevant(self, asked: _Asked, entries: Sequence[Entry], wanted: int) -> list[Entry]:
        """Those to which the phrase seems most relevant, in that order."""
        scenes = self._quantised.of(entries, self.catalogue.quantised)
        estimates = [scene.presence(self._embedded(asked, scene.defaults)) for scene in scenes]
        order = sorted(zip(estimates, entries, strict=True), key=lambda one: (-one[0], one[1].name))
        return [entry for _, entry in order[:wanted]]

    def _answered(self, asked: _Asked, entries: Sequence[Entry], top: int) -> tuple[SceneAnswer, ...]:
        """Answers of the scenes that hold a phrase, the most relevant `top`."""
        present = []
        for entry, scene in zip(entries, self._opened(entries), strict=True):
            phrases = self._embedded(asked, scene.defaults, scene.surface)
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
        return self._scenes.of(entries, lambda missing: self.catalogue.scenes(missing, self.device))

    def _embedded(self, asked: _Asked, defaults: QueryDefaults, surface: Surface | None = None) -> Phrases:
        """A phrase against the canonical ones of a run, and where its surface is given what else is seen there."""
        canonical = tuple(defaults.canonical if asked.canonical is None else asked.canonical)
        factor = defaults.temperature if asked.temperature is None else asked.temperature
        if surface is not None and AUTO in canonical:
            search = surface.scale_search
            return embed_phrases(self.encoder, asked.text, canonical, factor, self.device, scene=lambda: search)
        canonical = tuple(text for text in canonical if text != AUTO) or self.encoder.defaults.canonical
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
