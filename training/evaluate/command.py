"""`python -m training evaluate ...` is `meshlam evaluate ...`."""

from __future__ import annotations

import sys

from meshlam_core import cli


def main(arguments: list[str]) -> None:
    """Measure, and leave with the command's exit code."""
    code = cli.main(["evaluate", *arguments])
    if code:
        sys.exit(code)
