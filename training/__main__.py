"""`python -m training make|collect|train|retrain|ablate|evaluate ...`: draw, gather photographs, learn, draw and
learn for another head model, leave parts out, measure.

Each command has a --help.
"""

from __future__ import annotations

import sys
from importlib import import_module

from meshlam_core.errors import MeshlamError

COMMANDS = {
    "make": "data.make",
    "collect": "data.collect",
    "train": "train",
    "retrain": "retrain",
    "ablate": "ablate",
    "evaluate": "evaluate.command",
}


def main() -> None:
    """Call the command that is named first."""
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name not in COMMANDS:
        sys.exit(f"Expected a command of {', '.join(COMMANDS)}, got {name!r}.")
    try:
        import_module(f"training.{COMMANDS[name]}").main(arguments)
    except MeshlamError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
