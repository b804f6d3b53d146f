"""``python -m unspool``: the command line."""

import sys

from unspool.cli import main

sys.exit(main())
