"""Train `mini`: image and text tower together, by symmetric InfoNCE on windows and their captions.

    python recipes/mini/train.py DATA OUT [--steps 4000]

InfoNCE (van den Oord et al. 2018, arXiv 1807.03748; symmetric as in CLIP, arXiv 2103.00020) over the windows of one
batch. A caption that is true of another window as well (the annotation knows) is left out of that window's
denominator. Generic captions ("object", "things") are ordinary captions: negatives of all windows that drew another.
To it comes the contrast of windows with sibling captions (`siblings.py`).
Every `SAVE_EVERY` steps the whole state is written; the command goes on from there, with the same batches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from captions import Caption, Truth, all_words, loose_captions
from lerf.encoders.mini_text import PAD, UNKNOWN, TextTower, Vocabulary
from lerf.encoders.mini_tower import STRIDE, ImageTower, padded_to, tent
from lerf.errors import ConfigError
from lerf.files import write_atomically
from lerf.generator.annotation import LabelledPart, Thing
from siblings import choices_of, contrast_cells, contrast_siblings, names_of_kinds, texts_of
from windows import LARGEST, SMALLEST, Labels, Window, as_float, draw_windows

WIDTH = 128
CROP_H, CROP_W = 192, 256
BATCH, WINDOWS, LOOSE = 8, 36, 64
RATE, DECAY, WARM_UP = 2e-3, 0.02, 200
SIBLINGS = 2.0
"""Weight of the contrast with sibling captions (`siblings.py`)."""
CELL = 8
"""Pixels across a cell that is contrasted by itself."""
CELLS = 1.0
"""Weight of the contrast of cells (`siblings.contrast_cells`)."""
FORGOTTEN = 0.03
"""Share of the words of captions that are made unknown."""
SAVE_EVERY = 250
HOTTEST = 30.0
"""The factor on cosines is learnt up to this."""


class Towers(nn.Module):
    """Both towers and the factor on cosines."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.image, self.text = ImageTower(WIDTH), TextTower(words, WIDTH)
        self.log_factor = nn.Parameter(torch.tensor(float(np.log(10.0))))

    @property
    def factor(self) -> Tensor:
        return self.log_factor.exp().clamp(max=HOTTEST)


class Pictures:
    """Rendered scenes; index 0.. over all views of the scenes given."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.npz"))
        if not self.files:
            raise ConfigError(f"{folder} holds no pictures; make some with recipes/mini/render_data.py.")
        self.views = len(np.load(self.files[0])["pictures"])

    def __len__(self) -> int:
        return len(self.files) * self.views

    @lru_cache(maxsize=2000)  # noqa: B019 - one instance lives as long as the programme
    def _scene(self, number: int) -> tuple[np.ndarray, np.ndarray, tuple[Thing, ...]]:
        with np.load(self.files[number]) as archive:
            return archive["pictures"], archive["labels"], read_things(str(archive["things"]))

    @lru_cache(maxsize=20_000)  # noqa: B019
    def labels(self, index: int) -> Labels:
        _, labels, things = self._scene(index // self.views)
        return Labels(labels[index % self.views], things)

    def raw_labels(self, index: int) -> np.ndarray:
        return self._scene(index // self.views)[1][index % self.views]

    def picture(self, index: int) -> np.ndarray:
        return self._scene(index // self.views)[0][index % self.views]


def read_things(text: str) -> tuple[Thing, ...]:
    """Things as `render_data.py` described them; boxes were not kept."""
    corner = (0.0, 0.0, 0.0)
    return tuple(
        Thing(**{**entry, "parts": tuple(LabelledPart(label, name, corner, corner) for label, name in entry["parts"])},
              minimum=corner, maximum=corner)
        for entry in json.loads(text)
    )  # fmt: skip


@dataclass(frozen=True)
class Crop:
    """A part of a picture, resized and mirrored at random."""

    picture: Tensor
    """[3, CROP_H, CROP_W], RGB in 0..1."""
    windows: list[Window]
    """In pixels of the crop."""
    kinds: Tensor
    """[CROP_H / CELL, CROP_W / CELL]: the kind that a cell of CELL pixels shows alone, else -1."""


def crop(pictures: Pictures, index: int, random: np.random.Generator) -> Crop:
    """One crop with its windows and cells."""
    picture, labels = pictures.picture(index), pictures.labels(index)
    height, width = picture.shape[:2]
    zoom = float(np.exp(random.uniform(np.log(0.8), np.log(1.5))))
    high, wide = min(height, CROP_H / zoom), min(width, CROP_W / zoom)
    y0, x0 = random.uniform(0, height - high), random.uniform(0, width - wide)
    y0, x0, high, wide = int(y0), int(x0), int(high), int(wide)
    scale_y, scale_x = CROP_H / high, CROP_W / wide
    cut = torch.from_numpy(as_float(picture[y0 : y0 + high, x0 : x0 + wide]))[None]
    cut = F.interpolate(cut, (CROP_H, CROP_W), mode="bilinear", antialias=True)[0]
    zoom = float(np.sqrt(scale_x * scale_y))
    frame = (x0, y0, x0 + wide, y0 + high)
    windows = draw_windows(labels, frame, SMALLEST / zoom, LARGEST / zoom, WINDOWS, random)
    mirrored = random.random() < 0.5
    if mirrored:
        cut = cut.flip(-1)
    placed = []
    for w in windows:
        x = (w.x - x0) * scale_x
        placed.append(Window(CROP_W - x if mirrored else x, (w.y - y0) * scale_y, w.side * zoom, w.seen, w.caption))
    gain = random.uniform(0.8, 1.2) * random.uniform(0.95, 1.05, 3)
    cut = (cut * torch.from_numpy(gain.astype(np.float32))[:, None, None]) ** random.uniform(0.85, 1.15)
    # Blur stands for pictures of more light paths than these, whose noise is finer.
    if random.random() < 0.4:
        cut = F.avg_pool2d(F.pad(cut[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    noise = torch.from_numpy(random.standard_normal(cut.shape, dtype=np.float32))
    middles_y, middles_x = (np.arange(extent // CELL) * CELL + CELL / 2 for extent in (CROP_H, CROP_W))
    probes = []
    for away_y, away_x in ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        y, x = np.meshgrid(middles_y + away_y * CELL / 2.5, middles_x + away_x * CELL / 2.5, indexing="ij")
        probes.append(labels.kind_at(x0 + (CROP_W - x if mirrored else x) / scale_x, y0 + y / scale_y))
    alone = np.all([probe == probes[0] for probe in probes], axis=0)
    kinds = torch.from_numpy(np.where(alone, probes[0], -1))
    return Crop((cut + random.uniform(0.0, 0.02) * noise).clamp(0.0, 1.0), placed, kinds)


def embed_windows(tower: ImageTower, features: Tensor, windows: list[list[Window]], inside: tuple[int, int]) -> Tensor:
    """Embeddings of the windows of each picture, one after the other."""
    rows, columns = features.shape[-2:]
    parts = []
    for feature, chosen in zip(features, windows, strict=True):
        if not chosen:
            continue
        x, y, side = (torch.tensor([float(getattr(w, name)) for w in chosen]) for name in ("x", "y", "side"))
        across, down = tent(x, side, columns, inside[1]), tent(y, side, rows, inside[0])
        # Channels last, as the network's maps lie in memory: one product for each row of the map.
        by_row = across @ feature.permute(1, 2, 0).contiguous()
        means = (by_row * down.T[..., None]).sum(dim=0)
        parts.append(tower.embed(means, side))
    return torch.cat(parts)


def contrast(image: Tensor, text: Tensor, loose: Tensor, factor: Tensor, true: np.ndarray) -> Tensor:
    """Symmetric InfoNCE; `true` [windows, captions + loose] marks what must not count as a negative."""
    count = len(image)
    mask = torch.from_numpy(true.astype(bool)).clone()
    own = torch.arange(count)
    mask[own, own] = False
    logits = factor * image @ torch.cat([text, loose]).T
    by_image = logits.masked_fill(mask, -1e4)
    by_text = logits[:, :count].masked_fill(mask[:, :count], -1e4).T
    return 0.5 * (F.cross_entropy(by_image, own) + F.cross_entropy(by_text, own))


def batch_of(pictures: Pictures, step: int, seed: int) -> tuple[list[Crop], list[Caption]]:
    """Crops and loose captions of a step: a function of the step alone."""
    random = np.random.default_rng([seed, step])
    epoch, place = divmod(step * BATCH, len(pictures))
    order = np.concatenate([np.random.default_rng([seed, 1, epoch + i]).permutation(len(pictures)) for i in (0, 1)])
    crops = [crop(pictures, int(index), random) for index in order[place : place + BATCH]]
    return crops, loose_captions(random, LOOSE)


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to a hundredth."""
    if step < WARM_UP:
        return RATE * (step + 1) / WARM_UP
    progress = (step - WARM_UP) / max(1, steps - WARM_UP)
    return RATE * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress)))


def save_state(
    path: Path, towers: Towers, optimiser: torch.optim.Optimizer, step: int, settings: dict[str, str]
) -> None:
    """Everything that going on needs, without pickle; `settings` say what it may be gone on with."""
    state = {f"model.{name}": value.contiguous() for name, value in towers.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        state |= {f"optimiser.{index}.{name}": value.contiguous() for name, value in values.items()}
    data = save(state, metadata={**settings, "step": str(step)})
    write_atomically(path, lambda file: file.write(data))


def load_state(path: Path, towers: Towers, optimiser: torch.optim.Optimizer, settings: dict[str, str]) -> int:
    """The step that the state was saved after.

    Raises:
        ConfigError: it was saved by a training with other settings.
    """
    with safe_open(path, framework="pt") as archive:
        about = archive.metadata()
        odd = [name for name, value in settings.items() if about.get(name) != value]
        if odd:
            raise ConfigError(f"{path} comes from a training with other {', '.join(odd)}; choose another folder.")
        entries = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    towers.load_state_dict({n.removeprefix("model."): v for n, v in entries.items() if n.startswith("model.")})
    kept = optimiser.state_dict()
    kept["state"] = {}
    for name, value in entries.items():
        if name.startswith("optimiser."):
            _, index, field = name.split(".")
            kept["state"].setdefault(int(index), {})[field] = value
    optimiser.load_state_dict(kept)
    return int(about["step"])


def vocabulary_setting() -> dict[str, str]:
    """The words, in the order of their indices."""
    return {"vocabulary": json.dumps(all_words())}


def forgotten(tokens: Tensor, random: np.random.Generator) -> Tensor:
    """Tokens of captions with a few words made unknown, so that an unknown word says little and disturbs little."""
    lost = torch.from_numpy(random.random(tokens.shape) < FORGOTTEN) & (tokens != PAD)
    return tokens.masked_fill(lost, UNKNOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    vocabulary = Vocabulary(all_words())
    towers = Towers(len(vocabulary)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(towers.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    state = arguments.out / "state.safetensors"
    pictures, truth = Pictures(arguments.data), Truth()
    settings = {
        **vocabulary_setting(), "steps": str(arguments.steps), "seed": str(arguments.seed),
        "pictures": hashlib.sha256(" ".join(path.name for path in pictures.files).encode()).hexdigest(),
    }  # fmt: skip
    first = load_state(state, towers, optimiser, settings) if state.exists() else 0
    towers.train()
    start, losses = time.monotonic(), []
    worker = ThreadPoolExecutor(1)
    ahead = worker.submit(batch_of, pictures, first, arguments.seed)
    for step in range(first, arguments.steps):
        crops, loose = ahead.result()
        batch, windows = torch.stack([crop.picture for crop in crops]), [crop.windows for crop in crops]
        ahead = worker.submit(batch_of, pictures, step + 1, arguments.seed)
        flat = [window for chosen in windows for window in chosen]
        captions = [window.caption for window in flat] + loose
        true = truth.table([window.seen for window in flat], captions)
        texts = np.array([caption.text for caption in captions])
        # Between windows and generic captions only an equal caption is exempt.
        same = texts[: len(flat), None] == texts[None, :]
        true = np.where(true < 0, same, (true > 0) | same)
        with torch.autocast("cpu", torch.bfloat16):
            features = towers.image.feature_map(padded_to(batch).contiguous(memory_format=torch.channels_last))
        image = embed_windows(towers.image, features.float(), windows, (CROP_H, CROP_W))
        random = np.random.default_rng([arguments.seed, 2, step])
        text = towers.text(forgotten(vocabulary.encode(list(texts)), random))
        loss = contrast(image, text[: len(flat)], text[len(flat) :], towers.factor, true)
        names = names_of_kinds(random)
        choices = choices_of([window.seen for window in flat], names)
        siblings = list(dict.fromkeys([*names.values(), *texts_of(choices)]))
        spoken = towers.text(vocabulary.encode(siblings))
        kinds = torch.stack([crop.kinds for crop in crops])
        cells = F.avg_pool2d(features.float(), CELL // STRIDE).permute(0, 2, 3, 1)[kinds >= 0]
        small = towers.image.embed(cells, torch.full((len(cells),), SMALLEST))
        loss = loss + SIBLINGS * contrast_siblings(image, spoken, siblings, choices, towers.factor)
        loss = loss + CELLS * contrast_cells(small, kinds[kinds >= 0], spoken[: len(names)], towers.factor)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, arguments.steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) / (time.monotonic() - start)
            mean = np.mean(losses[-50:])
            print(
                f"step {step + 1}  loss {mean:.3f}  factor {float(towers.factor):.1f}  {rate:.2f} steps/s", flush=True
            )
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == arguments.steps:
            save_state(state, towers, optimiser, step + 1, settings)


if __name__ == "__main__":
    main()
