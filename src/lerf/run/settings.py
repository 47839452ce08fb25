"""Presets, and the settings of a run as one dataclass that is saved beside the result."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from lerf.errors import ConfigError
from lerf.language.field import LanguageConfig
from lerf.radiance.hash_grid.field import RadianceConfig
from lerf.training.language import LanguageTraining
from lerf.training.radiance import RadianceTraining

LanguageSource = Literal["field", "lift"]


@dataclass(frozen=True)
class Preset:
    """Sizes and schedules that belong together."""

    encoder: str
    """Image-text encoder where none is asked for."""
    dense: str
    """Dense regulariser where none is asked for; `none` for no regulariser."""
    radiance: RadianceConfig = field(default_factory=RadianceConfig)
    radiance_training: RadianceTraining = field(default_factory=RadianceTraining)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    language_training: LanguageTraining = field(default_factory=LanguageTraining)
    language_source: LanguageSource = "field"
    """Where language comes from where nothing is asked for."""


# nerfacto's sizes: 16 levels of 2 features, 2^19 entries, finest 2048, colour at every sample, 48 samples.
_NERFACTO = RadianceConfig(
    levels=16, log2_entries=19, finest=2048, hidden=64, geometry=15, colour_hidden=64, shading="per-sample", samples=48,
    render_samples=96, bins=256,
)  # fmt: skip
_NERFACTO_TRAINING = RadianceTraining(steps=30_000)

PRESETS: dict[str, Preset] = {
    "lerf-cpu": Preset(
        encoder="conse",
        dense="conse-mid",
        radiance_training=RadianceTraining(steps=3000),
        language=LanguageConfig(
            grids=((8, 16, 256),), features=4, log2_entries=16, hidden=128, layers=2, dense_hidden=64, samples=8
        ),
        language_training=LanguageTraining(steps=1500, rays=4096, decay_steps=1500, pool_rays=400_000),
    ),
    "lerf-demo": Preset(
        encoder="mini",
        dense="mini-map",
        radiance_training=RadianceTraining(steps=1200, distortion_ramp=(200, 500), anneal_steps=100),
        language=LanguageConfig(
            grids=((8, 16, 256),), features=4, log2_entries=16, hidden=128, layers=2, dense_hidden=64, samples=8
        ),
        language_training=LanguageTraining(steps=600, rays=4096, decay_steps=600, pool_rays=300_000),
        language_source="lift",
    ),
    "lerf-lite": Preset(
        encoder="conse",
        dense="conse-mid",
        radiance=_NERFACTO,
        radiance_training=_NERFACTO_TRAINING,
        language=LanguageConfig(grids=((16, 16, 512),), samples=12),
        language_training=LanguageTraining(decay_steps=7000),
    ),
    "lerf": Preset(
        encoder="conse",
        dense="conse-mid",
        radiance=_NERFACTO,
        radiance_training=_NERFACTO_TRAINING,
        language=LanguageConfig(),
        language_training=LanguageTraining(decay_steps=4000),
    ),
    "lerf-big": Preset(
        encoder="conse",
        dense="conse-mid",
        radiance=_NERFACTO,
        radiance_training=_NERFACTO_TRAINING,
        language=LanguageConfig(grids=((16, 16, 128), (16, 128, 512)), samples=32),
        language_training=LanguageTraining(decay_steps=3000),
    ),
}
"""Language sizes of `lerf`, `lerf-lite` and `lerf-big` are the LERF authors'; `lerf-cpu` was chosen by measurement, and
`lerf-demo` is its shorter form for generated scenes, whose words the encoder `mini` knows; on them lifted language
answers better than a trained field (`docs/quality.md`)."""


MEMORY = 4.0
"""Gigabytes that photos, and later features, may take unless the user says."""
ADDED = {"added": True}
"""Marks a setting that older runs do not have; they were made with its default."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides the outcome of a training run, written to the run's config.json."""

    data: str
    """Folder or file of the capture."""
    preset: str
    """Name of the preset."""
    encoder: str
    dense: str
    features: Literal["tiles", "dense"] | None
    """Pyramid tile by tile, or by one pass a level; None for dense where the encoder offers it."""
    border: Literal["edge", "zero"]
    """What tiles see beyond the photo: its edge continued, or black as in the authors' code; with features `tiles`."""
    tile_ratios: tuple[float, ...] | None
    """Tile heights over the photo's height; None for the encoder's own."""
    downscale: int | None
    seed: int
    device: str
    weights: str | None
    radiance_run: str | None
    """Run whose radiance is used as it is."""
    radiance: RadianceConfig
    radiance_training: RadianceTraining
    language: LanguageConfig
    language_training: LanguageTraining
    language_source: LanguageSource = field(default="field", metadata=ADDED)
    """A trained field, or an index lifted from the pyramids without a gradient step."""
    memory: float = field(default=MEMORY, metadata=ADDED)
    """Gigabytes of photos, and later of features, that are in memory at a time; it decides what batches hold."""

    @property
    def memory_bytes(self) -> int:
        return int(self.memory * 1e9)


def to_plain(value: Any) -> Any:
    """Dataclasses as plain JSON values."""
    return dataclasses.asdict(value)


def from_plain(kind: type, value: dict[str, Any]) -> Any:
    """The dataclass that `to_plain` wrote.

    Raises:
        ConfigError: when a field is missing or unknown.
    """
    known = {f.name for f in dataclasses.fields(kind)}
    value = {f.name: f.default for f in dataclasses.fields(kind) if f.metadata == ADDED} | value
    if set(value) != known:
        odd = ", ".join(sorted(set(value) ^ known))
        raise ConfigError(f"The saved settings of {kind.__name__} do not fit this version of lerf (fields: {odd}).")
    hints = typing.get_type_hints(kind)
    ready = {}
    for name, item in value.items():
        if dataclasses.is_dataclass(hints[name]):
            item = from_plain(typing.cast(type, hints[name]), item)
        ready[name] = _tuples(item)
    return kind(**ready)


def _tuples(item: Any) -> Any:
    return tuple(_tuples(part) for part in item) if isinstance(item, list) else item
