"""Bounds on the numbers that files state, in one place: wide of every real camera, and close enough for arithmetic."""

from __future__ import annotations

LARGEST_COORDINATE = 1e12
"""Units of a capture: positions on the earth in micrometres have twelve digits before the point."""
SMALLEST_SPREAD = 1e-9
"""Units of a capture that its cameras must be apart."""
FARTHEST_OUTLIER = 1e6
"""Distance of a photo from the middle of all, over the usual one: further away, numbers of seven digits lose it."""
LARGEST_SCALE = 1e12
"""Factor between two frames; its inverse is the smallest."""
LARGEST_SIDE = 1_000_000
"""Pixels of a photo's side."""
SHORTEST_FOCAL, LONGEST_FOCAL = 1e-3, 1e4
"""Focal length over the longer side of the picture: a view of 179.9 degrees, and one of twenty seconds of arc."""
FARTHEST_CENTRE = 10.0
"""Distance of the principal point from the middle of the picture, over its longer side."""
LARGEST_RADIAL = 1e6
"""Radial terms of lens distortion; those of long lenses reach thousands."""
LARGEST_TANGENTIAL, HARMLESS_TANGENTIAL = 1.0, 0.02
"""Shift by tangential terms at the corner of a picture, over the radius: the most, and what can be undone for sure."""
NEAREST_FOLD = 0.25
"""Distance from the principal point at which a lens may fold over, over the shorter side: half way to the border."""
LARGEST_RESIDUE = 0.1
"""How far a pixel of the border may land from itself when distortion is undone and done again, over the longer side."""
ROTATION_TOLERANCE = 1e-3
"""How far the products of a saved rotation's rows may be from those of right angles and unit lengths."""
