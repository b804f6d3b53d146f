"""Code in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def printed(code: str, **variables: str) -> str:
    """What code prints in a new process that sees our files and these environment variables."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
    )
    return done.stdout
