"""SAM and SAM 2 as makers of masks, from checkpoints in the hub's layout, without torchvision.

SAM sees the photo with its longer side at the network's input size, the mean colour below or beside it; SAM 2 sees it
stretched to a square (as their own processors do; sizes, means and deviations are those of the checkpoint).
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from lerf.devices import in_single_precision, resized
from lerf.encoders.checkpoint import (
    build,
    class_named,
    digest_of,
    first_line,
    read_config,
    read_json,
    read_tensors,
)
from lerf.encoders.hub import Files
from lerf.encoders.preprocessing import read_statistics
from lerf.errors import EncoderError
from lerf.masks.prompted import MaskRule, at_size, believed_masks

CODE_VERSION = "sam-1"
"""Part of the fingerprint: change it whenever masks change."""
LONGEST = 1024
"""Pixels of the longer side of the masks, at most: what the networks see."""
SAM, SAM2 = MaskRule(), MaskRule(quality=0.8)
"""The defaults of the two automatic mask generators that were published with them."""
STRIDE = 4
"""Pixels of what a network sees that one of its logits stands for."""
RULES = {"sam": SAM, "sam2": SAM2, "sam2_video": SAM2}
"""By type of model; checkpoints of SAM 2 call themselves after the tracker that they are a part of."""
PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")


class Segmenter:
    """Finds masks of the things in a photo; see the module."""

    def __init__(self, name: str, files: Files, device: str = "cpu") -> None:
        """
        Args:
            name: what it was asked for by.
            files: where its files are, in the layout of `transformers`.
            device: torch device.

        Raises:
            EncoderError: the files are incomplete, damaged or of another architecture.
        """
        kind = kind_of(files)
        config = read_config(files.folder) if kind == "sam" else _without_tracker(files)
        network = build(
            class_named("SamModel" if kind == "sam" else "Sam2Model"), config, read_tensors(files), files.folder
        )
        mean, std = read_statistics(files.folder)
        self.name, self.rule = name, RULES[kind]
        self._stretched = kind != "sam"
        self._network: Any = network.to(device)
        self._device = device
        self._side = int((config.prompt_encoder_config if self._stretched else config.vision_config).image_size)
        self._mean, self._std = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))

    def masks(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> list[Bool[np.ndarray, "height width"]]:
        """Masks of a photo, at its resolution or reduced to `LONGEST` pixels; the surest first.

        Raises:
            EncoderError: the network gives masks that are not finite.
        """
        rows, columns = pixels.shape[:2]
        photo = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float().to(self._device) / 255.0
        seen, shape = self._seen(photo)
        with torch.inference_mode(), in_single_precision():
            embeddings = self._network.get_image_embeddings(seen[None])

            def asked(points: Float[Tensor, "points 2"]) -> tuple[Tensor, Tensor]:
                places = points.to(self._device) * torch.tensor([shape[1], shape[0]], device=self._device)
                found = self._network(image_embeddings=embeddings, input_points=places[None, :, None])
                logits = found.pred_masks[0]
                if not bool(logits.isfinite().all()):
                    raise EncoderError(f"The masks of {self.name} are not finite; fetch its weights again.")
                height, width = (-(-side // STRIDE) for side in shape)
                return logits[..., :height, :width], found.iou_scores[0]

            logits = believed_masks(asked, self.rule)
        shrink = min(1.0, LONGEST / max(rows, columns))
        size = max(1, round(rows * shrink)), max(1, round(columns * shrink))
        return list(at_size(logits, (shape[0] / STRIDE, shape[1] / STRIDE), size))

    def _seen(self, photo: Float[Tensor, "3 rows columns"]) -> tuple[Float[Tensor, "3 side side"], tuple[int, int]]:
        """What the network sees, and the height and width of the photo in it."""
        rows, columns = photo.shape[1:]
        share = self._side / max(rows, columns)
        shape = (self._side,) * 2 if self._stretched else (int(rows * share + 0.5), int(columns * share + 0.5))
        normalised = (resized(photo[None], shape, "bilinear")[0] - self._mean) / self._std
        return F.pad(normalised, (0, self._side - shape[1], 0, self._side - shape[0])), shape


def kind_of(files: Files) -> str:
    """The type of model of a checkpoint.

    Raises:
        EncoderError: it makes no masks of points, as far as is known here.
    """
    kind = str(read_json(files.folder / "config.json").get("model_type"))
    if kind not in RULES:
        raise EncoderError(
            f"{files.folder} holds a model of type '{kind}', not one of {', '.join(RULES)}; give --masks sam: another."
        )
    return kind


def fingerprint_of(files: Files) -> str:
    """Hash of everything that decides the masks of a photo.

    Raises:
        EncoderError: the settings are missing, or of another kind of model.
    """
    rule = sorted(dataclasses.asdict(RULES[kind_of(files)]).items())
    about = f"{CODE_VERSION} {LONGEST} {rule} {read_statistics(files.folder)} {digest_of(files)}"
    return hashlib.sha256(about.encode()).hexdigest()


def _without_tracker(files: Files) -> Any:
    """Settings of a SAM 2 for single pictures, from those of the tracker that its checkpoint is of.

    Raises:
        EncoderError: they are malformed.
    """
    settings = read_json(files.folder / "config.json")
    parts = {name: settings[name] for name in PARTS if isinstance(settings.get(name), dict)}
    if len(parts) < len(PARTS):
        raise EncoderError(f"The settings of {files.folder} describe no SAM 2; fetch the whole folder of the model.")
    for name in PARTS[1:]:
        parts[name] = {key: value for key, value in parts[name].items() if key != "model_type"}
    try:
        return class_named("Sam2Config")(**parts)
    except Exception as error:  # transformers raises what it likes, its own and those of its validators
        raise EncoderError(
            f"The settings of {files.folder} are not understood ({first_line(error)}); fetch them again."
        ) from error
