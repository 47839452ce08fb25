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

from lerf.run.settings import ADDED, to_plain
from lerf.scenes.scene import Scene


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
        """Hexadecimal hash, 24 digits."""
        return hashlib.sha256(json.dumps(self.decided_by, sort_keys=True).encode()).hexdigest()[:24]

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """Names of what is not as it was recorded, such as `seed`, `radiance.levels` or a stage that it needs."""
        return [name.removeprefix("needs.") for name in _differences(recorded, self.decided_by, "")]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str) -> list[str]:
    found = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new or (name in before) != (name in now):
            found.append(f"{prefix}{name}")
    return found


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
    """Hash of the photos' names and sizes and of the split. Poses are left out: they come out of arithmetic that
    differs in the last digits from one machine to another."""
    photos = [[photo.name, photo.camera.width, photo.camera.height] for photo in scene.photos]
    described = json.dumps([photos, list(scene.train), scene.background])
    return hashlib.sha256(described.encode()).hexdigest()[:24]
