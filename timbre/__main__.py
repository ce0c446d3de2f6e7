"""`python -m timbre`: the command `timbre` where the package is not installed."""

import sys

from timbre.cli import main

if __name__ == "__main__":
    sys.exit(main())
