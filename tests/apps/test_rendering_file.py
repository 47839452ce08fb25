"""render.json of a camera path: whatever one entry becomes, it is read with finite numbers or refused."""

import json
import math

import pytest
from mutations import mutated

from lerf.apps.rendering_file import Fixed, read_fixed, write_fixed
from lerf.errors import ConfigError, LerfError, RunError

REQUEST = {
    "format": 1, "checkpoints": {"radiance": "a" * 64, "language": "b" * 64}, "cameras": [[1.0, 0.5, False]] * 3,
    "size": [48, 36], "phrases": ["red", "blue"], "canonical": ["object"], "temperature": 10.0, "scale": None,
}  # fmt: skip
FIXED = Fixed(REQUEST, [0.1, 0.2], [0.9, 0.4], (0.5, 3.0))


def test_it_is_read_as_it_was_written(tmp_path):
    write_fixed(tmp_path / "render.json", FIXED)
    assert read_fixed(tmp_path / "render.json", REQUEST) == FIXED


def test_whatever_an_entry_becomes(tmp_path):
    place = tmp_path / "render.json"
    write_fixed(place, FIXED)
    whole, refused = json.loads(place.read_text()), 0
    for what, spoilt in mutated(whole, 300, seed=1):
        place.write_text(json.dumps(spoilt))
        try:
            fixed = read_fixed(place, REQUEST)
        except LerfError:
            refused += 1
            continue
        assert len(fixed.scales) == len(fixed.scores) == 2, what
        assert all(map(math.isfinite, (*fixed.scales, *fixed.scores, *fixed.depth_range))), what
    assert 200 < refused < 300


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 10_000, b'{"files": [], "scales": {}}'])
def test_what_is_something_else(tmp_path, data):
    (tmp_path / "render.json").write_bytes(data)
    with pytest.raises(RunError, match="is not that of a camera path, or damaged: choose another folder"):
        read_fixed(tmp_path / "render.json", REQUEST)


def test_another_request_is_told_with_both_values(tmp_path):
    write_fixed(tmp_path / "render.json", FIXED)
    with pytest.raises(
        ConfigError, match=r"\(other phrases .*\"blue\"\] \(now \[\"red\"\]\), scale not given \(now 0\.5\)\)"
    ):
        read_fixed(tmp_path / "render.json", {**REQUEST, "phrases": ["red"], "scale": 0.5})
    with pytest.raises(ConfigError, match=r"\(other cameras\): choose"):
        read_fixed(tmp_path / "render.json", {**REQUEST, "cameras": []})
