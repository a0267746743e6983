"""What a run shows in TensorBoard: scalars, and sheets of held-out heads.

    tensorboard --logdir RUN

Optional: without the package tensorboard a run says so once and writes its other files only. A run that goes on appends
to what it showed, and what it had shown beyond its last checkpoint is hidden.
Dims: H rows, W columns.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = "board"  # in RUN


class Board:
    """A run's page. Steps are counted in samples, so that runs of other batch sizes can be compared."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer  # torch's SummaryWriter

    @classmethod
    def open(cls, run: Path, samples: int = 0) -> Board | None:
        """The board of a run that has seen so many samples; None without TensorBoard."""
        if find_spec("tensorboard") is None:
            print("training: no TensorBoard (pip install tensorboard); the curves are in the CSVs.", file=sys.stderr)
            return None
        from torch.utils.tensorboard import SummaryWriter

        make: Any = SummaryWriter
        return cls(make(str(run / FOLDER), purge_step=samples + 1 if samples else None, flush_secs=10))

    def scalars(self, group: str, values: Mapping[str, float], samples: int) -> None:
        """Numbers of one moment; what is not finite is left out."""
        for name, value in values.items():
            if math.isfinite(value):
                self._writer.add_scalar(f"{group}/{name}", value, samples)

    def picture(self, name: str, pixels: NDArray[np.uint8], samples: int) -> None:  # [H, W, 3] sRGB
        """A sheet."""
        self._writer.add_image(name, pixels, samples, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
