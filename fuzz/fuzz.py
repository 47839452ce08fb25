"""Valid inputs, spoilt at random, read by the real readers and commands: each must answer, or refuse in one sentence.

    python fuzz/fuzz.py [--seconds S] [--cases N] [--seed SEED] [--only KIND ...] [--replay KIND:SEED]

Ends with code 1 when a case was a fault: a traceback, a hang, memory without bounds, an answer that is not finite, a
message that is no printable line, or an input file that was changed.
"""

from __future__ import annotations

import sys

from fuzzing.command import main

if __name__ == "__main__":
    sys.exit(main())
