"""Commands killed at random moments: nothing may be corrupt, and the same command again must end as if undisturbed.

    python fuzz/kills.py [--kills N] [--seed SEED] [--only STAGE ...] [--journal FILE]

With a journal, the same command goes on where it was stopped, or killed. Ends with code 1 when something was wrong.
"""

from __future__ import annotations

import sys

from killing.command import main

if __name__ == "__main__":
    sys.exit(main())
