"""``python -m unspool``: the command line."""

import sys

from unspool.cli import main

if __name__ == "__main__":
    sys.exit(main())
