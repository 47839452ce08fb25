"""What `--masks` may name besides a folder; nothing is imported, so that the help of commands need not wait."""

from __future__ import annotations

MAKER = "sam:"
"""Before the id of a SAM or SAM 2 on the hub, or a folder of one."""
EXAMPLE = "facebook/sam-vit-base"


def model_of_masks(masks: str | None) -> str | None:
    """The id or folder of the network that makes the masks; None where they are in a folder, or there are none."""
    return masks.removeprefix(MAKER) if masks is not None and masks.startswith(MAKER) else None
