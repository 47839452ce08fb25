"""Write the weights that the package ships: half precision, with vocabulary and statistics of the map.

python recipes/mini/export.py DATA OUT [--target src/lerf/encoders/data/mini.safetensors]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save

from captions import all_words
from lerf.encoders.mini import map_of
from lerf.encoders.mini_text import Vocabulary
from lerf.files import write_atomically
from train import WIDTH, Optimiser, Pictures, Towers, load_state, vocabulary_setting

TARGET = Path(__file__).resolve().parents[2] / "src" / "lerf" / "encoders" / "data" / "mini.safetensors"


@torch.inference_mode()
def map_statistics(towers: Towers, pictures: Pictures, count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each channel of the feature map over some training pictures."""
    total, squares, seen = torch.zeros(()), torch.zeros(()), 0
    for index in range(0, len(pictures), max(1, len(pictures) // count)):
        photo = torch.from_numpy(pictures.picture(index)).permute(2, 0, 1)[None] / 255.0
        features = map_of(towers.image, photo)[0]
        total = total + features.double().sum((1, 2))
        squares = squares + features.double().square().sum((1, 2))
        seen += features[0].numel()
    mean = total / seen
    return mean.float(), (squares / seen - mean.square()).clamp_min(1e-8).sqrt().float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    words = all_words()
    towers = Towers(len(Vocabulary(words)))
    step = load_state(arguments.out / "state.safetensors", towers, Optimiser(towers), vocabulary_setting())
    towers.eval()
    mean, deviation = map_statistics(towers, Pictures(arguments.data))
    tensors = {
        f"{prefix}.{name}": value.half() if value.is_floating_point() else value
        for prefix, tower in (("image", towers.image), ("text", towers.text))
        for name, value in tower.state_dict().items()
    }
    tensors |= {"map.mean": mean, "map.deviation": deviation}
    factor = float(towers.factor.detach())
    about = {"vocabulary": json.dumps(words), "width": str(WIDTH), "step": str(step), "factor": f"{factor:.3f}"}
    data = save({name: value.contiguous() for name, value in tensors.items()}, metadata=about)
    write_atomically(arguments.target, lambda file: file.write(data))
    print(f"{arguments.target}: {len(data) / 1e6:.2f} MB, step {step}, factor {factor:.1f}")


if __name__ == "__main__":
    main()
