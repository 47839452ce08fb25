"""Encoders whose weights are on the hub: which model each is, what it is called, how large it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A model of the Hugging Face hub that the package has a name for."""

    model: str
    """Its id there."""
    title: str
    """What it is, and what it was trained on."""
    bytes: int
    """What is fetched: weights in single precision, words and settings, to a hundredth; the hub says it exactly."""
    licence: str
    """Of the weights, where their model card was not fetched with them."""


PUBLISHED = {
    "openclip": Published(
        "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "OpenCLIP ViT-B/16 laion2b_s34b_b88k", 602_000_000, "mit"
    ),
    "openclip-l": Published(
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "OpenCLIP ViT-L/14 laion2b_s32b_b82k", 1_714_000_000, "mit"
    ),
    "dino": Published("facebook/dino-vits8", "DINO ViT-S/8", 87_000_000, "apache-2.0"),
    "dinov2": Published("facebook/dinov2-small", "DINOv2 ViT-S/14", 88_000_000, "apache-2.0"),
}
"""By the name of the encoder."""
OF_THE_HUB = ("dino", "dinov2", "hf", "sam")
"""Encoders, and makers of masks, whose variant, after the colon, is a model of the hub or a folder."""
TITLES = {
    "conse": "ImageNet classes joined with WordNet",
    "conse-lite2": "ImageNet classes joined with WordNet",
    "mini": "trained on generated scenes",
    **{name: one.title for name, one in PUBLISHED.items()},
}
"""What encoders are, for people."""
COMPANIONS = {"conse": "conse-mid", "conse-lite2": "conse-mid", "mini": "mini-map"}
"""Dense regularisers that come with an encoder, so that whoever can use the one can use the other."""


def family_of(name: str) -> str:
    """The name of an encoder without its variant and options."""
    return name.partition(":")[0].partition("+")[0]


def title_of(name: str) -> str:
    """The name of an encoder, and what it is where that is known: `openclip (OpenCLIP ViT-B/16 ...)`."""
    title = "" if ":" in name else TITLES.get(family_of(name), "")
    return f"{name} ({title})" if title else name


def size_of(names: list[str] | tuple[str, ...]) -> int | None:
    """Bytes that fetching these models takes, where all are known: by encoder or by id."""
    known = {**PUBLISHED, **{one.model: one for one in PUBLISHED.values()}}
    return sum(known[name].bytes for name in names) if all(name in known for name in names) else None


def has_towers_with_patches(name: str) -> bool:
    """Whether an encoder is a CLIP or SigLIP that also embeds all places of a photo in one pass."""
    family = family_of(name)
    return family in ("hf", "openclip-l") or (family == "openclip" and ":" not in name)
