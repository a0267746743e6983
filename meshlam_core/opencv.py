"""OpenCV on as many threads as torch: `from meshlam_core.opencv import cv2`.

Left alone it takes every core, whatever OMP_NUM_THREADS says.
"""

from __future__ import annotations

import cv2
import torch

__all__ = ["cv2", "set_threads"]


def set_threads(count: int) -> None:
    """Let torch and OpenCV use so many threads of the processor."""
    torch.set_num_threads(count)
    cv2.setNumThreads(count)


cv2.setNumThreads(torch.get_num_threads())
