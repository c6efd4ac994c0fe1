"""Runs a command beside every store, told of them by its environment; ends as the command does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

from servers import STORES

ELSEWHERE = ("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")
"""What opens a user's own stores."""


def main() -> int:
    """The command's exit code; 128 more than the signal that ended it."""
    with ExitStack() as stack:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ELSEWHERE)}
        for name, start in STORES.items():
            place = stack.enter_context(start()).place("")
            environment |= place.environment | {f"CIO2PARQUET_TEST_{name.upper()}": str(place)}
        code = subprocess.run(sys.argv[1:], env=environment, check=False).returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
