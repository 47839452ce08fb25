"""Presets, and the settings of a run: one dataclass, which is also the command line and is saved beside the result."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from lerf.errors import ConfigError
from lerf.language.config import LanguageConfig
from lerf.masks.names import EXAMPLE, MAKER, model_of_masks
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.ranges import ADDED, Count, Positive, Range
from lerf.run.checks import OPTION_NAMES, check_fields, check_value, hints_of
from lerf.splats.names import is_splat_name
from lerf.training.schedules import LanguageTraining, RadianceTraining

LanguageSource = Literal["field", "lift"]
Missing = Literal["refuse", "skip"]
"""As in `lerf.scenes.listing`, which imports numpy; help need not wait for that."""
RadianceFrame = Literal["capture", "nerfstudio"]
"""Frames that the file of a splat may be in."""
PresetName = Literal["lerf-cpu", "lerf-demo", "lerf-lite", "lerf", "lerf-big"]


@dataclass(frozen=True)
class Preset:
    """Sizes and schedules that belong together."""

    encoder: str
    """Image-text encoder where none is asked for."""
    dense: str
    """Dense encoder where none is asked for, nor an encoder that brings one (`encoders/published.py`)."""
    features: Literal["tiles", "dense"] | None = None
    """How CLIP and its kin make pyramids where nothing is asked for; None leaves it to them, and they cut tiles."""
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
_NERFACTO_TRAINING = RadianceTraining(steps=30_000, points="surfaces")

PRESETS: dict[PresetName, Preset] = {
    "lerf-cpu": Preset(
        encoder="openclip",
        dense="dino",
        features="dense",
        radiance_training=RadianceTraining(steps=3000, points="surfaces"),
        language=LanguageConfig(
            grids=((8, 16, 256),), features=4, log2_entries=16, hidden=128, layers=2, dense_hidden=64, samples=8
        ),
        language_training=LanguageTraining(steps=1500, rays=4096, decay_steps=1500, pool_rays=400_000),
    ),
    "lerf-demo": Preset(
        encoder="mini",
        dense="mini-map",
        radiance_training=RadianceTraining(steps=1200, distortion_ramp=(200, 500), anneal_steps=100, points="surfaces"),
        language=LanguageConfig(
            grids=((8, 16, 256),), features=4, log2_entries=16, hidden=128, layers=2, dense_hidden=64, samples=8
        ),
        language_training=LanguageTraining(steps=600, rays=4096, decay_steps=600, pool_rays=300_000),
        language_source="lift",
    ),
    "lerf-lite": Preset(
        encoder="openclip",
        dense="dino",
        radiance=_NERFACTO,
        radiance_training=_NERFACTO_TRAINING,
        language=LanguageConfig(grids=((16, 16, 512),), samples=12),
        language_training=LanguageTraining(decay_steps=7000),
    ),
    "lerf": Preset(
        encoder="openclip",
        dense="dino",
        radiance=_NERFACTO,
        radiance_training=_NERFACTO_TRAINING,
        language=LanguageConfig(),
        language_training=LanguageTraining(decay_steps=4000),
    ),
    "lerf-big": Preset(
        encoder="openclip-l",
        dense="dino",
        radiance=_NERFACTO,
        radiance_training=_NERFACTO_TRAINING,
        language=LanguageConfig(grids=((16, 16, 128), (16, 128, 512)), samples=32),
        language_training=LanguageTraining(decay_steps=3000),
    ),
}
"""Encoders and language sizes of `lerf`, `lerf-lite` and `lerf-big` are the LERF authors'. `lerf-cpu` takes the encoder
of `lerf` by dense passes, for tiles cost a hundred times as much; its sizes were chosen by measurement, and
`lerf-demo` is its shorter form for generated scenes, whose words the encoder `mini` knows; on them lifted language
answers better than a trained field (`docs/quality.md`)."""


MEMORY = 4.0
"""Gigabytes that photos, and later features, may take unless the user says."""


def optional(metavar: str | None = None, name: str | None = None) -> Any:
    """How the help shows an option that may be left out: without a default, for its text says what holds then."""
    return arg(
        name=name,
        metavar=metavar,
        help_behavior_hint=lambda default: "" if default in ("None", "") else f"(default: {default})",
    )


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that decides the outcome of a training run, written to the run's config.json.

    Each field, and each field of its parts, is an option of `lerf train`; a field's docstring is its help.

    Raises:
        ConfigError: a value of another type or out of range, or settings that contradict each other.
    """

    data: Annotated[str, Positional, arg(metavar="CAPTURE", help_behavior_hint="(required without --config)")]
    """Capture: a folder with transforms.json, Blender's transforms_train.json or a COLMAP model."""
    preset: Annotated[PresetName, arg(help_behavior_hint="(default: lerf with a GPU, else lerf-cpu)")]
    """Sizes and schedules: what every other option is where it is not given."""
    encoder: Annotated[str, arg(metavar="ENCODER")]
    """Image-text encoder."""
    dense: Annotated[str, arg(metavar="ENCODER")]
    """Dense encoder that regularises a language field and says along a surface what belongs together, or none."""
    features: Annotated[Literal["tiles", "dense"] | None, optional()]
    """Pyramid tile by tile, or by passes over the whole photo, the default of mini, conse and of lerf-cpu with CLIP."""
    border: Literal["edge", "zero"]
    """Only with --features tiles, what they see beyond the photo: its edge continued, or black as the authors' code."""
    tile_ratios: Annotated[tuple[float, ...] | None, optional("RATIO [RATIO ...]")]
    """Tile heights over the photo's height; by default the encoder's own."""
    masks: Annotated[str | None, optional("DIR|sam:ID")] = field(default=None, metadata=ADDED)
    """Folder of masks of things in the photos (docs/masks.md), or after sam: the id or folder of a SAM or SAM 2 that
    makes them: where a photo has some they are embedded in place of tiles, each at its own size."""
    mask_crops: Literal["pool", "black", "blur", "context"] = field(default="pool", metadata=ADDED)
    """Only with --masks, what a thing is embedded by: the tiles under it, or its crop with nothing around it, with its
    blurred surroundings or with what is there."""
    language_source: Annotated[LanguageSource, arg(name=OPTION_NAMES["language_source"])] = field(
        default="field", metadata=ADDED
    )
    """Train a language field, or lift the photos' embeddings onto the surface in seconds, without a gradient step."""
    radiance_run: Annotated[str | None, optional("RUN", OPTION_NAMES["radiance_run"])]
    """Run whose finished radiance is used as it is, a nerfacto run of nerfstudio, or a file of Gaussian splats (.ply,
    .splat, .spz, .sog); only language is made."""
    radiance_frame: RadianceFrame = field(default="capture", metadata=ADDED)
    """Frame of the splat's file: the capture's, or that in which nerfstudio trains on the capture, as splatfacto
    exports it."""
    radiance_transforms: Annotated[str | None, optional("FILE")] = field(default=None, metadata=ADDED)
    """With --radiance-frame nerfstudio, dataparser_transforms.json of the nerfstudio run; by default the one beside the
    splat, or else the frame of nerfstudio's default settings."""
    device: Annotated[str, arg(metavar="DEVICE", help_behavior_hint="(default: cuda where there is one, else cpu)")]
    """cpu, cuda or mps."""
    downscale: Annotated[Count | None, optional()]
    """Divide the photos' size by this; by default until the longest side is at most 1,600 pixels."""
    missing: Missing = field(default="refuse", metadata=ADDED)
    """Photos whose file is not there or whose pose cannot be used: refuse the capture, or leave them out and say so."""
    seed: Annotated[int, Range(0, 2**63 - 1)]
    """Seed of everything random."""
    memory: Positive = field(default=MEMORY, metadata=ADDED)
    """Gigabytes of photos, and later of features, in memory at a time; what does not fit waits on the disk."""
    weights: Annotated[str | None, optional("PATH")]
    """Encoder weights, where they are not at their usual place."""
    radiance: RadianceConfig
    radiance_training: RadianceTraining
    language: LanguageConfig
    language_training: LanguageTraining

    def __post_init__(self) -> None:
        check_fields(self)
        check_border(self.features, self.border)
        if self.radiance.near >= self.radiance.far:
            raise ConfigError(
                f"--radiance.near {self.radiance.near:g} lies beyond --radiance.far {self.radiance.far:g}; give a "
                "smaller one."
            )
        check_ratios(self.tile_ratios)
        if model_of_masks(self.masks) == "":
            raise ConfigError(f"Name a model after --masks {MAKER}, for example {MAKER}{EXAMPLE}, or a folder.")
        if self.radiance_training.refine_poses and self.radiance_run:
            raise ConfigError("--refine-poses moves cameras with a radiance in training; leave it out with --radiance.")
        if self.radiance_frame != "capture" and self.splat is None:
            raise ConfigError("--radiance-frame is for a file of splats; leave it out, or give one with --radiance.")
        if self.radiance_transforms and self.radiance_frame != "nerfstudio":
            raise ConfigError(
                "--radiance-transforms tells a frame of nerfstudio; give --radiance-frame nerfstudio too."
            )
        if self.language_source == "lift" and self.language.estimator != "deferred":
            raise ConfigError("--estimator is for a language field; leave it out, or give --language field.")

    @property
    def splat(self) -> Path | None:
        """The file of splats that is the radiance; None where that is trained or another run's."""
        return Path(self.radiance_run) if self.radiance_run and is_splat_name(self.radiance_run) else None

    @property
    def memory_bytes(self) -> int:
        return int(self.memory * 1e9)


def check_border(mode: str | None, border: str) -> None:
    """Check that features made in this mode have a border to choose.

    Raises:
        ConfigError: they have none, and it is chosen.
    """
    if mode == "dense" and border != "edge":
        raise ConfigError(f"--border {border} is for tiles; use --features tiles with it, or leave it out.")


def check_ratios(ratios: tuple[float, ...] | None) -> None:
    """Check heights of tiles as shares of a photo's height.

    Raises:
        ConfigError: one lies outside of (0, 1], or is given twice.
    """
    given = ratios or ()
    if len(set(given)) < len(given) or not all(0.0 < ratio <= 1.0 for ratio in given):
        raise ConfigError(f"Tile ratios must lie in (0, 1], each given once, not {', '.join(map(str, given))}.")


def to_plain(value: Any) -> Any:
    """Dataclasses as plain JSON values."""
    return dataclasses.asdict(value)


def from_plain(kind: type, value: Any, prefix: str = "") -> Any:
    """The dataclass that `to_plain` wrote; `prefix` is the name of the part that it is: `radiance.`.

    Raises:
        ConfigError: when a field is missing or unknown, or its value another than it may have.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"The saved settings of {kind.__name__} are no settings by name.")
    known = {f.name for f in dataclasses.fields(kind)}
    value = {f.name: f.default for f in dataclasses.fields(kind) if f.metadata == ADDED} | value
    if set(value) != known:
        odd = ", ".join(sorted(set(value) ^ known))
        raise ConfigError(f"The saved settings of {kind.__name__} do not fit this version of lerf (fields: {odd}).")
    hints = hints_of(kind)
    ready = {}
    for name, item in value.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            ready[name] = from_plain(typing.cast(type, hint), item, f"{prefix}{name}.")
        else:
            ready[name] = _tuples(item)
            check_value(prefix + name, ready[name], hint)
    return kind(**ready)


def _tuples(item: Any, depth: int = 4) -> Any:
    """Lists as tuples, no deeper than any setting has them."""
    return tuple(_tuples(part, depth - 1) for part in item) if isinstance(item, list) and depth else item
