"""What decides the outcome of a stage, as JSON values and as one hash of them.

The key goes into the stage's checkpoint, so that a later training knows whether the checkpoint is what it would make
itself, and can say what is different where it is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lerf.ranges import ADDED
from lerf.run.differences import differences
from lerf.run.settings import to_plain
from lerf.scenes.scene import Scene

DIGITS = 24
"""Of the hashes in keys."""


@dataclass(frozen=True)
class StageKey:
    """The settings, fingerprints and keys of earlier stages that decide the outcome of a stage."""

    decided_by: dict[str, Any]

    @classmethod
    def of(cls, decided_by: Mapping[str, Any], needs: Mapping[str, StageKey]) -> StageKey:
        """The key of a stage from what decides it by itself and the keys of the stages that it needs."""
        whole = {**decided_by, "needs": {name: key.digest for name, key in needs.items()}}
        # As it will be read again: tuples become lists.
        return cls(json.loads(json.dumps(whole)))

    @property
    def digest(self) -> str:
        """Hexadecimal hash of `DIGITS` digits."""
        return hashlib.sha256(json.dumps(self.decided_by, sort_keys=True).encode()).hexdigest()[:DIGITS]

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """What is not as it was recorded, with both values: `seed 0 (now 4)`.

        Of what is a hash, such as a stage that it needs, there is the name alone.
        """
        return [
            one.name.removeprefix("needs.") if _is_digest(one.before) or _is_digest(one.now) else str(one)
            for one in differences(recorded, self.decided_by)
        ]


def _is_digest(value: Any) -> bool:
    """Whether a value is one of `StageKey.digest` or `capture_fingerprint`."""
    return isinstance(value, str) and len(value) == DIGITS and not set(value) - set("0123456789abcdef")


def settings_part(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as JSON values for a key.

    A setting that was added later, and has the value that stands for its absence, is left out: the keys of older runs
    stay the same.
    """
    plain = to_plain(settings)
    for item in dataclasses.fields(settings):
        if item.metadata == ADDED and getattr(settings, item.name) == item.default:
            del plain[item.name]
    return plain


def capture_fingerprint(scene: Scene) -> str:
    """Hash of the photos' names and sizes and of the split.

    Poses are left out, which come out of arithmetic that differs in the last digits from one machine to another, and
    the photos' content; `run/capture_record.py` knows both.
    """
    photos = [[photo.name, photo.camera.width, photo.camera.height] for photo in scene.photos]
    described = json.dumps([photos, list(scene.train), scene.background])
    return hashlib.sha256(described.encode()).hexdigest()[:DIGITS]
