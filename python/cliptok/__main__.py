"""`python -m cliptok`: the same as the command `cliptok`."""

import sys

from cliptok.cli import main

if __name__ == "__main__":
    sys.exit(main())
