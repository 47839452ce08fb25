"""`mini`: the encoder that ships with the package, trained on generated scenes alone (`recipes/mini`).

It knows the words of its vocabulary: some sixty kinds of everyday objects, their parts, colours, materials and uses.
Its model card is `docs/mini.md`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.arrays import read_tensors
from lerf.devices import resized
from lerf.documents import converted, parse_document
from lerf.encoders.known import STOP_WORDS, UnknownWordsWarning, content_words
from lerf.encoders.mini_text import LONGEST, MODEL_WIDTH, TextTower, Vocabulary, words_of
from lerf.encoders.mini_tower import CHANNELS, FINE, MARGIN, STRIDE, WINDOW, ImageTower, framed, tent
from lerf.encoders.nearest_words import nearest_words
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid, refuse_blank
from lerf.errors import ConfigError, EncoderError
from lerf.files import is_file, read_bytes

CODE_VERSION = "mini-4"
"""Part of the fingerprint: change it whenever image embeddings change."""
HEIGHT = 240
"""Photos are resized to this height: what the tower was trained at."""
SPACING = 8.0
"""Distance between the middles of windows, in pixels of the resized photo."""
OTHERS = "conse (--encoder conse)"
DEFAULTS = EncoderDefaults(tile_ratios=(0.058, 0.085, 0.125, 0.18, 0.26, 0.38), temperature=27.0, threshold=0.924)
"""Tiles from the smallest window of training on, which small things want; chosen on generated scenes (seeds 201, 202).
Temperature: the factor on cosines that training learnt. Threshold: `recipes/mini/calibrate.py` says how chosen."""


LARGEST = 1_000_000_000
"""Bytes of a file of weights."""
REMEDY = "leave --weights out to use those of the package, or make them with `make mini-encoder`"


class _About(msgspec.Struct):
    """What the header of a file of weights says."""

    vocabulary: list[Annotated[str, msgspec.Meta(min_length=1)]]
    width: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]{0,4}$")]


class Weights:
    """Both towers, read once."""

    def __init__(self, path: Path | None, device: str) -> None:
        source = path or Path(str(files("lerf.encoders").joinpath("data").joinpath("mini.safetensors")))
        what = f"{source}, which does not hold weights of the encoder mini,"
        if not is_file(source):
            raise EncoderError(f"{source} does not hold weights of the encoder mini; {REMEDY}.")
        data = read_bytes(source, error=EncoderError, remedy=REMEDY, largest=LARGEST)
        tensors, header = read_tensors(source, error=EncoderError, remedy=REMEDY)
        words = parse_document(header.get("vocabulary", ""), list, what, error=EncoderError, remedy=REMEDY)
        about = converted({**header, "vocabulary": words}, _About, what, error=EncoderError, remedy=REMEDY)
        self.vocabulary, self.width = Vocabulary(about.vocabulary), int(about.width)
        self._check(source, tensors)
        self.image, self.text = ImageTower(self.width), TextTower(len(self.vocabulary), self.width)
        try:
            for prefix, tower in (("image.", self.image), ("text.", self.text)):
                own = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
                tower.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in own.items()})
            self.mean, self.deviation = (tensors[f"map.{name}"].float().to(device) for name in ("mean", "deviation"))
        except (RuntimeError, KeyError) as error:
            raise EncoderError(
                f"{source} holds weights of another version of the encoder mini; leave --weights out to use those of "
                "the package."
            ) from error
        for tower in (self.image, self.text):
            tower.eval().requires_grad_(False).to(device)
        self.image = self.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sha = hashlib.sha256(data).hexdigest()

    def _check(self, source: Path, tensors: dict[str, Tensor]) -> None:
        """Refuse sizes and words that are not those of the tensors, before memory is taken for them.

        Raises:
            EncoderError: when they are not.
        """
        shapes = {
            "text.words.weight": (len(self.vocabulary), MODEL_WIDTH),
            "text.head.weight": (self.width, MODEL_WIDTH),
            "image.head.2.bias": (self.width,),
            "map.mean": (CHANNELS[-1],),
            "map.deviation": (CHANNELS[-1],),
        }
        for name, shape in shapes.items():
            found = tuple(tensors[name].shape) if name in tensors else None
            if found != shape:
                raise EncoderError(f"{source} is of another version of the encoder mini ({name}: {found}); {REMEDY}.")
        finite = all(bool(tensor.isfinite().all()) for tensor in tensors.values())
        if not finite or not bool((tensors["map.deviation"] > 0).all()):
            raise EncoderError(f"{source} is damaged (it has numbers that no weights are); {REMEDY}.")


def _spelt(word: str) -> bool:
    """Whether a word is in the letters that the vocabulary is in; of others only parts are read, or nothing."""
    return word.isascii() and bool(words_of(word))


MAP_ZOOM = 2.0
"""The photo is resized by this before the map of `mini-map` is made of it."""


def _at_height(photo: Float[Tensor, "n 3 h w"], height: int) -> Float[Tensor, "n 3 rows columns"]:
    columns = max(1, round(photo.shape[-1] * height / photo.shape[-2]))
    return resized(photo, (height, columns), "bilinear")


@cache
def _halves_on_cpu() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself, at twice the speed or more."""
    # Older torch cannot say; there, products are of single precision.
    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def _precision(device: str) -> Literal["bfloat16", "float32"]:
    """What the tower multiplies in on a device."""
    kind = torch.device(device).type
    halves = torch.cuda.is_bf16_supported() if kind == "cuda" else kind == "cpu" and _halves_on_cpu()
    return "bfloat16" if halves else "float32"


def _features(tower: ImageTower, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n channels rows columns"]:
    """The tower's map, its products in bfloat16, as in training, where the device has them."""
    kind = pictures.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=_precision(kind) == "bfloat16"):
        return tower.feature_map(pictures.contiguous(memory_format=torch.channels_last)).float()


def _both_ways(tower: ImageTower, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n channels rows columns"]:
    """Mean of the maps of pictures and of their mirror images: what a window shows is the same in both, and the errors
    differ (`docs/mini.md` has the gain)."""
    return (_features(tower, pictures) + _features(tower, pictures.flip(-1)).flip(-1)) / 2


def maps_of(
    tower: ImageTower, photo: Float[Tensor, "n 3 h w"]
) -> tuple[Float[Tensor, "n fine high wide"], Float[Tensor, "n channels rows columns"]]:
    """Both maps of the tower over photos at `MAP_ZOOM` times the height it was trained at, a cell of the coarse one
    `STRIDE` pixels of that; products as in `_features`."""
    small = _at_height(photo, round(MAP_ZOOM * HEIGHT))
    rows, columns = (-(-side // STRIDE) for side in small.shape[-2:])
    kind, beyond = photo.device.type, MARGIN // STRIDE
    with torch.autocast(kind, torch.bfloat16, enabled=_precision(kind) == "bfloat16"):
        maps = tower.maps(framed(small).contiguous(memory_format=torch.channels_last))
    fine, coarse = (
        found[:, :, times * beyond : times * (beyond + rows), times * beyond : times * (beyond + columns)].float()
        for found, times in zip(maps, (STRIDE // FINE, 1), strict=True)
    )
    return fine, coarse


def map_of(tower: ImageTower, photo: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n channels rows columns"]:
    """The dense map of `mini-map` before it is standardised: cells of 4 pixels of a photo 240 pixels high."""
    return maps_of(tower, photo)[1]


class Mini:
    """Image-text encoder; see the module. Implements `DenseImageTextEncoder`."""

    name = "mini"
    input_size = 64
    defaults = DEFAULTS

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        self._device = device
        self.precision = _precision(device)
        self._towers = Weights(weights, device)
        self.width = self._towers.width
        self.fingerprint = hashlib.sha256(f"{CODE_VERSION} {self._towers.sha}".encode()).hexdigest()

    def encode_text(self, phrases: Sequence[str]) -> Float[Tensor, "phrases width"]:
        """Unit embeddings of phrases. Words outside the vocabulary warn (`UnknownWordsWarning`).

        Raises:
            QueryError: a phrase is blank.
        """
        refuse_blank(phrases)
        for phrase in phrases:
            self._warn_of_unknown(phrase)
        with torch.inference_mode():
            return self._towers.text(self._towers.vocabulary.encode(list(phrases)).to(self._device))

    def known(self, phrases: Sequence[str]) -> tuple[float, ...]:
        """For each phrase the share of its content words that are in the vocabulary, less where it is too long."""
        return tuple(map(self._read_share, phrases))

    def _read_share(self, phrase: str) -> float:
        words = content_words(phrase)
        read = [word for word in words if _spelt(word) and not self._towers.vocabulary.unknown(word)]
        return len(read) / len(words) * min(1.0, LONGEST / max(1, len(words_of(phrase)))) if words else 0.0

    def _warn_of_unknown(self, phrase: str) -> None:
        if len(words_of(phrase)) > LONGEST:
            warnings.warn(
                f'The encoder mini reads the first {LONGEST} words of a phrase; write a shorter one than "{phrase}".',
                UnknownWordsWarning,
                stacklevel=3,
            )
        unknown = [word for word in self._towers.vocabulary.unknown(phrase) if word not in STOP_WORDS]
        unknown += [word for word in content_words(phrase) if not _spelt(word)]
        # Whoever asks is told of a phrase without content words (`known.py`).
        if not unknown:
            return
        near = [nearest_words(word, self._towers.vocabulary.words) for word in unknown]
        listed = "; ".join(f"{', '.join(words)} (in {sense})" for words, sense in near) or "none"
        said = ", ".join(f'"{word}"' for word in unknown)
        warnings.warn(
            f"The encoder mini never learnt {said}; the nearest words that it knows: {listed}. "
            f"Encoders that know more: {OTHERS}.",
            UnknownWordsWarning,
            stacklevel=3,
        )

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles width"]:
        """Unit embeddings of tiles, each taken for the only window of a picture as large as it; RGB in 0..1."""
        small = resized(tiles.to(self._device), (WINDOW, WINDOW), "bilinear")
        framed_tiles = framed(small)
        middle, end = torch.tensor([WINDOW / 2 + MARGIN]), torch.tensor([float(WINDOW + MARGIN)])
        weights = tent(middle, framed_tiles.shape[-1] // STRIDE, (end - WINDOW, end)).to(self._device)
        weights = weights.expand(len(tiles), -1)
        return self.embed_crops(framed_tiles, weights, weights, torch.full((len(tiles),), float(self.input_size)))

    def embed_crops(
        self,
        crops: Float[Tensor, "n 3 crop crop"],
        across: Float[Tensor, "n cells"],
        down: Float[Tensor, "n cells"],
        sides: Float[Tensor, " n"],
    ) -> Float[Tensor, "n width"]:
        """Unit embeddings of one window in each crop, given by the weights of the map's columns and rows (`tent`).

        `sides` are what the windows measure in a photo 240 pixels high.
        """
        tower = self._towers.image
        with torch.inference_mode():
            features = _both_ways(tower, crops.to(self._device))
            means = torch.einsum("ncrs,nr,ns->nc", features, down.to(self._device), across.to(self._device))
            return tower.embed(means, sides.to(self._device))

    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        """Unit embeddings of windows of `tile_ratio` times the photo's height, centred 8 pixels of 240 apart.

        Raises:
            ConfigError: the ratio is not in (0, 1].
        """
        if not 0.0 < tile_ratio <= 1.0:
            raise ConfigError(f"A tile ratio must lie in (0, 1], not {tile_ratio}.")
        tower, device = self._towers.image, self._device
        with torch.inference_mode():
            small = _at_height(photo.to(device)[None], max(STRIDE, round(WINDOW / tile_ratio)))
            height, width = small.shape[-2:]
            features = _both_ways(tower, framed(small))[0]
            scale = height / HEIGHT
            step = SPACING * scale
            weights = []
            for extent, cells in ((height, features.shape[1]), (width, features.shape[2])):
                middles = torch.arange(step / 2, extent, step, device=device)
                ends = torch.zeros(1, device=device), torch.full((1,), float(extent), device=device)
                weights.append(tent(middles, cells, ends, first=-float(MARGIN)))
            means = torch.einsum("crs,yr,xs->yxc", features, *weights)
            grid = tower.embed(means, torch.full(means.shape[:2], tile_ratio * HEIGHT, device=device))
        x, y = photo.shape[2] / width, photo.shape[1] / height
        return FeatureGrid(grid, x * step / 2, y * step / 2, x * step, y * step)


class MiniMap:
    """`mini-map`: the feature map of the same tower as dense regulariser. Implements `DenseEncoder`.

    Channels are standardised by their mean and deviation over the training pictures, so that squared errors are of
    order one a channel.
    """

    name = "mini-map"

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        self._device = device
        self.precision = _precision(device)
        self._towers = Weights(weights, device)
        self.width = len(self._towers.mean)
        self.fingerprint = hashlib.sha256(f"map {CODE_VERSION} {self._towers.sha}".encode()).hexdigest()

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        """Map of the whole photo; RGB in 0..1."""
        with torch.inference_mode():
            features = map_of(self._towers.image, photo.to(self._device)[None])[0].permute(1, 2, 0)
            dy, dx = (STRIDE / (MAP_ZOOM * HEIGHT) * photo.shape[1],) * 2
            return FeatureGrid(
                ((features - self._towers.mean) / self._towers.deviation).contiguous(), dx / 2, dy / 2, dx, dy
            )


def load(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> Mini:
    """Registry entry `mini`. Needs no network access, so `offline` changes nothing."""
    return Mini(weights, device)


def load_map(weights: Path | None = None, offline: bool = True, device: str = "cpu") -> MiniMap:
    """Registry entry `mini-map`. Needs no network access, so `offline` changes nothing."""
    return MiniMap(weights, device)
