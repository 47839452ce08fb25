"""`python -m lerf`: the command line."""

import sys

from lerf.apps.main import main

if __name__ == "__main__":
    sys.exit(main())
