"""Train the head of `mini-things` on the tower of `mini` as it is, and write its weights.

    python recipes/mini/things.py DATA OUT [--steps 2400] [--target src/lerf/encoders/data/mini_things.safetensors]

DATA are the pictures of `render_data.py`. The maps of the tower are computed once and kept in OUT, a file a picture of
7 MB. A step draws pictures and shifts: every place is compared with the one so many cells away, and exp(-|a - b|^2) is
held against whether both show one thing, furniture and walls being things too. Pairs of one thing and pairs of two
count equally, though there are many more of the first. Every `SAVE_EVERY` steps the whole state is written; the command
goes on from there, with the same batches.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from lerf.encoders.mini import Weights, maps_of
from lerf.encoders.mini_things import ThingHead
from lerf.files import write_atomically
from train import Pictures

TARGET = Path(__file__).resolve().parents[2] / "src" / "lerf" / "encoders" / "data" / "mini_things.safetensors"
PICTURES, SHIFTS, FARTHEST = 6, 16, 6
"""Of one step: pictures, and shifts of the map against itself, in cells of it in each direction."""
RATE, LEAST_RATE, DECAY, WARM_UP = 2e-3, 1e-5, 1e-2, 20
HELD_OUT = 40
"""Pictures that are never learnt from."""
SAVE_EVERY = 200
Batch = tuple[Float[Tensor, "n fine high wide"], Float[Tensor, "n coarse rows columns"], UInt8[Tensor, "n high wide"]]


def reduced(owners: np.ndarray, shape: tuple[int, int]) -> UInt8[np.ndarray, "high wide"]:
    """What the middles of a map's cells show."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, owners.shape, strict=True))
    return owners[rows[:, None], columns].astype(np.uint8)


def prepared(pictures: Pictures, out: Path) -> list[Path]:
    """A file a picture with the maps of the tower and what the places of the finer one show."""
    tower, paths = Weights(None, "cpu").image, [out / "maps" / f"{index:05d}" for index in range(len(pictures))]
    for index, path in enumerate(paths):
        if path.exists():
            continue
        with torch.inference_mode():
            fine, coarse = maps_of(tower, torch.from_numpy(pictures.picture(index)).permute(2, 0, 1)[None] / 255.0)
        things = torch.from_numpy(reduced(pictures.owners(index), tuple(fine.shape[-2:])))
        data = save({"fine": fine[0].half().contiguous(), "coarse": coarse[0].half().contiguous(), "things": things})
        write_atomically(path, lambda file, data=data: file.write(data))
    return paths


def batch_of(paths: list[Path]) -> Batch:
    """Both maps of these pictures, and what they show."""
    held = [load_file(path) for path in paths]
    fine, coarse, things = (torch.stack([one[name] for one in held]) for name in ("fine", "coarse", "things"))
    return fine.float(), coarse.float(), things


def loss_of(
    vectors: Float[Tensor, "n width rows columns"], things: UInt8[Tensor, "n rows columns"], random: torch.Generator
) -> Tensor:
    """Mean surprise about pairs of one thing and of two, over random shifts."""
    total = torch.zeros(())
    for _ in range(SHIFTS):
        down, across = (int(v) for v in torch.randint(-FARTHEST, FARTHEST + 1, (2,), generator=random))
        if down == across == 0:
            continue
        rows, columns = things.shape[1:]
        here = slice(max(0, down), rows - max(0, -down)), slice(max(0, across), columns - max(0, -across))
        there = slice(max(0, -down), rows - max(0, down)), slice(max(0, -across), columns - max(0, across))
        apart = (vectors[:, :, here[0], here[1]] - vectors[:, :, there[0], there[1]]).square().sum(1)
        same = things[:, here[0], here[1]] == things[:, there[0], there[1]]
        # exp(-d) for one thing, 1 - exp(-d) for two.
        total = total + apart[same].clamp(max=30.0).mean() - torch.log(-torch.expm1(-apart[~same] - 1e-4)).mean()
    return total / SHIFTS


def rate_at(step: int, steps: int) -> float:
    """Learning rate: a warm-up, then half a cosine."""
    return RATE * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps)) + LEAST_RATE


def save_state(path: Path, head: ThingHead, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Everything that going on needs."""
    tensors = {f"head.{name}": value for name, value in head.state_dict().items()}
    for number, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"moments.{number}.{name}": value for name, value in moments.items()}
    tensors["step"] = torch.tensor(step)
    data = save({name: value.contiguous() for name, value in tensors.items()})
    write_atomically(path, lambda file: file.write(data))


def load_state(path: Path, head: ThingHead, optimiser: torch.optim.Optimizer) -> int:
    """Take up what `save_state` wrote; returns the steps that were done."""
    tensors = load_file(path)
    head.load_state_dict({name.removeprefix("head."): v for name, v in tensors.items() if name.startswith("head.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("moments."):
            _, number, which = name.split(".")
            moments.setdefault(int(number), {})[which] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return int(tensors["step"])


def train(paths: list[Path], out: Path, steps: int) -> ThingHead:
    """The trained head; goes on from the state in OUT."""
    torch.manual_seed(0)
    head = ThingHead()
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    state = out / "state.safetensors"
    first = load_state(state, head, optimiser) if state.exists() else 0
    unseen, start = batch_of(paths[:HELD_OUT]), time.monotonic()
    for step in range(first, steps):
        random = torch.Generator().manual_seed(step)
        chosen = torch.randint(HELD_OUT, len(paths), (PICTURES,), generator=random).tolist()
        fine, coarse, things = (part.flip(-1) if step % 2 else part for part in batch_of([paths[i] for i in chosen]))
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, steps)
        with torch.autocast("cpu", torch.bfloat16):
            vectors = head(fine, coarse)
        loss = loss_of(vectors.float(), things, random)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(state, head, optimiser, step + 1)
            with torch.inference_mode():
                surprise = float(loss_of(head(*unseen[:2]), unseen[2], torch.Generator().manual_seed(0)))
            speed = (step + 1 - first) / (time.monotonic() - start)
            told = f"step {step + 1}: loss {float(loss.detach()):.3f}, unseen {surprise:.3f}, {speed:.2f} steps/s"
            print(told, flush=True)
    return head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    head = train(prepared(Pictures(arguments.data), arguments.out), arguments.out, arguments.steps)
    tensors = {name: value.half().contiguous() for name, value in head.state_dict().items()}
    data = save(tensors, metadata={"tower": Weights(None, "cpu").sha, "steps": str(arguments.steps)})
    write_atomically(arguments.target, lambda file: file.write(data))
    print(f"{arguments.target}: {len(data) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
