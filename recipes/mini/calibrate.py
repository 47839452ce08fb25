"""The relevancy from which `mini` says that a phrase is present.

    python recipes/mini/calibrate.py REPORT [REPORT ...]

`REPORT` are reports of `benchmarks/scenes.py` on scenes that no evaluation uses (seeds 201 and 202). Printed is the
lowest threshold that tells the phrases of these scenes, present and absent ones counting alike, as well as the best one
does within two standard errors: many do, and a thing that is there and denied is the worse mistake.
`encoders/mini.py` holds it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np


def lowest_good_threshold(scores: np.ndarray, present: np.ndarray) -> tuple[float, float, float]:
    """That threshold, its mean of present phrases found and absent ones refused, and that of the best threshold."""
    order = np.unique(scores)
    cuts = np.concatenate([[order[0] / 2], (order[1:] + order[:-1]) / 2])
    found = np.array([(scores >= cut)[present].mean() for cut in cuts])
    refused = np.array([(scores < cut)[~present].mean() for cut in cuts])
    right = (found + refused) / 2
    best = int(np.argmax(right))
    error = 0.5 * np.sqrt(
        found[best] * (1 - found[best]) / present.sum() + refused[best] * (1 - refused[best]) / (~present).sum()
    )
    lowest = int(np.argmax(right >= right[best] - 2 * error))
    return float(cuts[lowest]), float(right[lowest]), float(right[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    arguments = parser.parse_args()
    rows = [row for path in arguments.reports for row in json.loads(path.read_text())["phrases"] if "score" in row]
    scores = np.array([row["score"] for row in rows])
    present = np.array([row["present"] for row in rows])
    threshold, right, best = lowest_good_threshold(scores, present)
    print(f"threshold {threshold:.3f}: {100 * right:.1f} % of {len(rows)} phrases right (best {100 * best:.1f} %)")


if __name__ == "__main__":
    main()
