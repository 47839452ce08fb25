"""The relevancy from which `mini` says that a phrase is present.

    python recipes/mini/calibrate.py REPORT [REPORT ...]

`REPORT` are reports of `benchmarks/scenes.py` on scenes that no evaluation uses (seeds 201 to 203). Printed is the
threshold that tells most phrases of these scenes right, present and absent ones alike; `encoders/mini.py` holds it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np


def best_threshold(scores: np.ndarray, present: np.ndarray) -> tuple[float, float]:
    """The middle of the gap at which the mean of recall and of absent phrases refused is highest, and that mean."""
    order = np.unique(scores)
    cuts = np.concatenate([[order[0] / 2], (order[1:] + order[:-1]) / 2])
    right = [((scores >= cut)[present].mean() + (scores < cut)[~present].mean()) / 2 for cut in cuts]
    best = int(np.argmax(right))
    return float(cuts[best]), float(right[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    arguments = parser.parse_args()
    rows = [row for path in arguments.reports for row in json.loads(path.read_text())["phrases"] if "score" in row]
    scores = np.array([row["score"] for row in rows])
    present = np.array([row["present"] for row in rows])
    threshold, right = best_threshold(scores, present)
    print(f"threshold {threshold:.3f}: {100 * right:.1f} % of {len(rows)} phrases right, both sides counting alike")


if __name__ == "__main__":
    main()
