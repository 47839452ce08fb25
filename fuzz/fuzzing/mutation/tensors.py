"""Files of safetensors, spoilt where they are understood: tensors, the facts in the header, the header itself."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from fuzzing.mutation.data import spoilt_bytes
from fuzzing.mutation.documents import parsed, spoilt, written

KINDS = (torch.float32, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.bfloat16)


def spoilt_safetensors(data: bytes, random: Random) -> tuple[bytes, str]:
    """A changed file, and what was done."""
    pick = random.random()
    if pick < 0.2:
        return spoilt_bytes(data, random)
    if pick < 0.35:
        header, rest = _split(data)
        document, said = spoilt(parsed(header), random)
        return _joined(written(document).encode("utf-8", "surrogatepass"), rest), f"header: {said}"
    if pick < 0.6:
        return _other_facts(data, random)
    return _other_tensors(data, random)


def _split(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + length], data[8 + length :]


def _joined(header: bytes, rest: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + rest


def _other_facts(data: bytes, random: Random) -> tuple[bytes, str]:
    """What the header says about the tensors: its values are texts, some of them JSON themselves."""
    header, rest = _split(data)
    document: dict[str, Any] = json.loads(header)
    about = document.get("__metadata__") or {"": ""}
    key = random.choice(sorted(about))
    try:
        inner, said = spoilt(parsed(about[key]), random)
        about[key] = written(inner)
    except ValueError:
        about[key], said = "\x1b[31m?", "text"
    document["__metadata__"] = about
    return _joined(json.dumps(document).encode(), rest), f"facts {key}: {said}"


def _other_tensors(data: bytes, random: Random) -> tuple[bytes, str]:
    header = json.loads(_split(data)[0])
    tensors = load(data)
    name = random.choice(sorted(tensors))
    what = random.choice(("fill", "fill", "one", "kind", "shape", "cut", "drop", "extra", "swap", "huge"))
    tensor = tensors[name]
    if what in ("fill", "one") and tensor.numel():
        tensor = tensor.clone()
        value = _wrong_number(tensor, random)
        if what == "fill":
            tensor.fill_(value)
        else:
            tensor.view(-1)[random.randrange(tensor.numel())] = value
        tensors[name] = tensor
    elif what == "kind":
        tensors[name] = tensor.to(random.choice(KINDS))
    elif what == "shape":
        shapes = (
            tensor.reshape(-1),
            tensor[None],
            tensor.reshape(-1)[:0],
            tensor.reshape(-1)[:1],
            tensor.mT if tensor.ndim > 1 else tensor,
        )
        tensors[name] = random.choice(shapes).contiguous().clone()
    elif what == "cut" and tensor.ndim and len(tensor):
        tensors[name] = tensor[: random.randrange(len(tensor))].clone()
    elif what == "drop":
        del tensors[name]
    elif what == "extra":
        tensors[f"{name}\x1b[31m"] = torch.zeros(3)
    elif what == "huge":
        tensors[name] = torch.full_like(tensor.double(), 1e30).to(tensor.dtype)
    else:
        other = random.choice(sorted(tensors))
        tensors[name], tensors[other] = tensors[other].clone(), tensors[name].clone()
    return save(tensors, header.get("__metadata__")), f"{what} of {name}"


def _wrong_number(tensor: Tensor, random: Random) -> float | int | bool:
    if tensor.is_floating_point():
        return random.choice((float("nan"), float("inf"), -float("inf"), 0.0, 1e4, -1.0))
    if tensor.dtype == torch.bool:
        return random.random() < 0.5
    most = torch.iinfo(tensor.dtype)
    return random.choice((most.min, most.max, 0, 1))
