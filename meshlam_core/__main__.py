"""`python -m meshlam_core` is the `meshlam` command."""

import sys

from meshlam_core.cli import main

sys.exit(main())
