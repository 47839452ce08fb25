"""Train `mini`: image and text tower together, by symmetric InfoNCE on windows and their captions.

    python recipes/mini/train.py DATA OUT [--steps 2600]

InfoNCE (van den Oord et al. 2018, arXiv 1807.03748; symmetric as in CLIP, arXiv 2103.00020) over the windows of one
batch. A caption that is true of another window as well (the annotation knows) is left out of that window's
denominator. Generic captions ("object", "things") are ordinary captions: negatives of all windows that drew another.
To it comes the contrast of windows with sibling captions (`siblings.py`).
Matrices of the towers are moved by Muon, all else by AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101).
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

from canvas import Canvas, collated
from captions import Caption, Truth, all_words, loose_captions
from lerf.encoders.mini_text import PAD, UNKNOWN, TextTower, Vocabulary
from lerf.encoders.mini_tower import ImageTower
from lerf.errors import ConfigError
from lerf.evaluation.annotations import LabelledPart, Thing
from lerf.files import write_atomically
from siblings import choices_of, contrast_siblings, names_of_kinds, texts_of
from windows import LARGEST, Labels, Window, draw_windows

WIDTH = 128
CROP = 48
"""Pixels across a crop: a window and what is around it."""
PICTURES, WINDOWS, LOOSE = 16, 16, 64
"""Of one step: pictures, windows of each, captions of no window."""
SHIFT = 6.0
"""A window's middle lies up to so many pixels beside its crop's."""
SHORT = 4
"""Words of the captions that are read together, apart from the few longer ones: most have two or three."""
RATE, DECAY, WARM_UP = 4e-3, 0.02, 100
SIBLINGS = 1.0
"""Weight of the contrast with sibling captions (`siblings.py`)."""
FORGOTTEN = 0.03
"""Share of the words of captions that are made unknown."""
SAVE_EVERY = 200
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
    """Rendered scenes; index 0.. over all views of all scenes."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.npz"))
        if not self.files:
            raise ConfigError(f"{folder} holds no pictures; make some with recipes/mini/render_data.py.")
        self._scenes = [self._read(path) for path in self.files]
        self._places = [(scene, view) for scene, (views, *_) in enumerate(self._scenes) for view in range(len(views))]

    def __len__(self) -> int:
        return len(self._places)

    @staticmethod
    def _read(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[Thing, ...]]:
        with np.load(path) as archive:
            return archive["pictures"], archive["labels"], read_things(str(archive["things"]))

    @lru_cache(maxsize=20_000)  # noqa: B019 - one instance lives as long as the programme
    def labels(self, index: int) -> Labels:
        scene, view = self._places[index]
        _, labels, things = self._scenes[scene]
        return Labels(labels[view], things)

    @lru_cache(maxsize=2000)  # noqa: B019
    def canvas(self, index: int) -> Canvas:
        return Canvas(self.picture(index), LARGEST, CROP)

    def picture(self, index: int) -> np.ndarray:
        scene, view = self._places[index]
        return self._scenes[scene][0][view]

    def owners(self, index: int) -> np.ndarray:
        """The identifier of the thing that each pixel shows, 0 for none."""
        scene, view = self._places[index]
        _, labels, things = self._scenes[scene]
        return Labels(labels[view], things).owner[labels[view]]


def read_things(text: str) -> tuple[Thing, ...]:
    """Things as `render_data.py` described them; boxes were not kept."""
    corner = (0.0, 0.0, 0.0)
    return tuple(
        Thing(**{**entry, "parts": tuple(LabelledPart(label, name, corner, corner) for label, name in entry["parts"])},
              minimum=corner, maximum=corner)
        for entry in json.loads(text)
    )  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """Crops of one step, each about one window."""

    crops: Tensor
    """[n, 3, CROP, CROP], RGB in 0..1."""
    across: Tensor
    down: Tensor
    """[n, CROP / STRIDE]: weights of the map's columns and rows."""
    windows: list[Window]
    loose: list[Caption]


def batch_of(pictures: Pictures, step: int, seed: int) -> Batch:
    """Crops and loose captions of a step: a function of the step alone."""
    random = np.random.default_rng([seed, step])
    epoch, place = divmod(step * PICTURES, len(pictures))
    order = np.concatenate([np.random.default_rng([seed, 1, epoch + i]).permutation(len(pictures)) for i in (0, 1)])
    cuts, windows = [], []
    for index in order[place : place + PICTURES]:
        canvas = pictures.canvas(int(index))
        for window in draw_windows(pictures.labels(int(index)), WINDOWS, random):
            cuts.append(canvas.cut(window.x, window.y, window.side, *random.uniform(-SHIFT, SHIFT, 2)))
            windows.append(window)
    crops, across, down = collated(cuts)
    mirrored = torch.from_numpy(random.random(len(crops)) < 0.5)
    crops[mirrored], across[mirrored] = crops[mirrored].flip(-1), across[mirrored].flip(-1)
    return Batch(jittered(crops, random), across, down, windows, loose_captions(random, LOOSE))


def jittered(crops: Tensor, random: np.random.Generator) -> Tensor:
    """Other exposure, white balance, contrast and noise, each crop its own."""
    count = len(crops)
    gain = random.uniform(0.8, 1.2, (count, 1)) * random.uniform(0.95, 1.05, (count, 3))
    power, noise = random.uniform(0.85, 1.15, count), random.uniform(0.0, 0.02, count)
    gain, power, noise = (
        torch.from_numpy(values.astype(np.float32).reshape(count, -1, 1, 1)) for values in (gain, power, noise)
    )
    # One field of noise for all, rolled: as good here as one for each, and drawn faster.
    field = torch.from_numpy(random.standard_normal((1, *crops.shape[1:]), dtype=np.float32))
    drawn = torch.cat([field.roll(tuple(random.integers(0, CROP, 2)), (2, 3)) for _ in range(count)])
    return ((crops * gain) ** power + noise * drawn).clamp(0.0, 1.0)


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


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to a hundredth; as a share of `RATE`."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    progress = (step - WARM_UP) / max(1, steps - WARM_UP)
    return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress))


class Optimiser:
    """Muon for matrices of the towers (kernels of convolutions as one row an output), AdamW for all else.

    Muon: Jordan 2024, with the step size of Liu et al. 2025 (arXiv 2502.16982), under which both take one rate.
    """

    def __init__(self, towers: Towers) -> None:
        matrices, others = [], []
        for name, parameter in towers.named_parameters():
            inner = parameter.ndim >= 2 and not name.startswith(("text.words", "text.places", "image.trunk.0"))
            (matrices if inner else others).append(parameter)
        # Muon takes matrices only: these share their memory with the kernels.
        self._pairs = [(parameter, parameter.detach().flatten(1)) for parameter in matrices]
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                [flat for _, flat in self._pairs], lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(others, lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98)),
        )
        self._towers = towers

    def step(self, share: float) -> None:
        """One step with `share` of the full rate; gradients are used up."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = share * RATE
        for parameter, flat in self._pairs:
            assert parameter.grad is not None
            flat.grad = parameter.grad.flatten(1)
        for part in self.parts:
            part.step()
        self._towers.zero_grad(set_to_none=True)


def save_state(path: Path, towers: Towers, optimiser: Optimiser, step: int, settings: dict[str, str]) -> None:
    """Everything that going on needs, without pickle; `settings` say what it may be gone on with."""
    state = {f"model.{name}": value.contiguous() for name, value in towers.state_dict().items()}
    for number, part in enumerate(optimiser.parts):
        for index, values in part.state_dict()["state"].items():
            state |= {f"optimiser.{number}.{index}.{name}": value.contiguous() for name, value in values.items()}
    data = save(state, metadata={**settings, "step": str(step)})
    write_atomically(path, lambda file: file.write(data))


def load_state(path: Path, towers: Towers, optimiser: Optimiser, settings: dict[str, str]) -> int:
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
    for number, part in enumerate(optimiser.parts):
        kept = part.state_dict()
        kept["state"] = {}
        for name, value in entries.items():
            if name.startswith(f"optimiser.{number}."):
                _, _, index, field = name.split(".")
                kept["state"].setdefault(int(index), {})[field] = value
        part.load_state_dict(kept)
    return int(about["step"])


def vocabulary_setting() -> dict[str, str]:
    """The words, in the order of their indices."""
    return {"vocabulary": json.dumps(all_words())}


def forgotten(tokens: Tensor, random: np.random.Generator) -> Tensor:
    """Tokens of captions with a few words made unknown, so that an unknown word says little and disturbs little."""
    lost = torch.from_numpy(random.random(tokens.shape) < FORGOTTEN) & (tokens != PAD)
    return tokens.masked_fill(lost, UNKNOWN)


def embedded_by_length(text: TextTower, tokens: Tensor) -> Tensor:
    """Embeddings of captions: short and long ones apart, so that few places hold nothing but padding."""
    short = (tokens[:, SHORT:] == PAD).all(dim=1)
    order = torch.cat([short.nonzero(), (~short).nonzero()]).flatten()
    parts = [part for part in (tokens[short, :SHORT], tokens[~short]) if len(part)]
    return torch.cat([text(part) for part in parts])[order.argsort()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    vocabulary = Vocabulary(all_words())
    towers = Towers(len(vocabulary))
    optimiser = Optimiser(towers)
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
        batch = ahead.result()
        ahead = worker.submit(batch_of, pictures, step + 1, arguments.seed)
        random = np.random.default_rng([arguments.seed, 2, step])
        losses.append(loss_of(towers, vocabulary, truth, batch, random))
        losses[-1].backward()
        losses[-1] = losses[-1].detach()
        optimiser.step(learning_rate(step, arguments.steps))
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) / (time.monotonic() - start)
            mean = float(torch.stack(losses[-50:]).mean())
            print(
                f"step {step + 1}  loss {mean:.3f}  factor {float(towers.factor.detach()):.1f}  {rate:.2f} steps/s",
                flush=True,
            )
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == arguments.steps:
            save_state(state, towers, optimiser, step + 1, settings)


def loss_of(towers: Towers, vocabulary: Vocabulary, truth: Truth, batch: Batch, random: np.random.Generator) -> Tensor:
    """What a step descends."""
    count = len(batch.windows)
    captions = [window.caption for window in batch.windows] + batch.loose
    true = truth.table([window.seen for window in batch.windows], captions)
    texts = np.array([caption.text for caption in captions])
    # Between windows and generic captions only an equal caption is exempt.
    same = texts[:count, None] == texts[None, :]
    true = np.where(true < 0, same, (true > 0) | same)
    with torch.autocast("cpu", torch.bfloat16):
        features = towers.image.feature_map(batch.crops.contiguous(memory_format=torch.channels_last))
    means = torch.einsum("ncrs,nr,ns->nc", features.float(), batch.down, batch.across)
    image = towers.image.embed(means, torch.tensor([window.side for window in batch.windows]))
    names = names_of_kinds(random)
    choices = choices_of([window.seen for window in batch.windows], names, random)
    siblings = texts_of(choices)
    tokens = vocabulary.encode([*texts, *siblings])
    tokens[: len(texts)] = forgotten(tokens[: len(texts)], random)
    with torch.autocast("cpu", torch.bfloat16):
        embedded = embedded_by_length(towers.text, tokens).float()
    text, spoken = embedded[: len(texts)], embedded[len(texts) :]
    return contrast(image, text[:count], text[count:], towers.factor, true) + SIBLINGS * contrast_siblings(
        image, spoken, siblings, choices, towers.factor
    )


if __name__ == "__main__":
    main()
