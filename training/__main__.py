"""`python -m training make|train|retrain ...`: drawing samples, learning from them, both for another head model.

Each command has a --help.
"""

from __future__ import annotations

import sys

from meshlam_core.errors import MeshlamError


def main() -> None:
    """Call the command that is named first."""
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name == "make":
        from training.data.make import main as run
    elif name == "train":
        from training.train import main as run
    elif name == "retrain":
        from training.retrain import main as run
    else:
        sys.exit(f"Expected a command of make, train or retrain, got {name!r}.")
    try:
        run(arguments)
    except MeshlamError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
