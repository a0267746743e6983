"""Image measures used by the benchmarks and the evaluation.

Images are [H, W, 3] sRGB in 0..255; masks are [H, W] bool; landmarks are [L, 2] px in the image frame (frames.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

# MediaPipe's face oval, in order around the face (face_mesh_connections.py of MediaPipe, Apache-2.0)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


def face_outline_mask(
    landmarks: NDArray[np.floating],  # [L, >=2] px
    size: tuple[int, int],  # (width, height)
) -> NDArray[np.bool_]:  # [H, W]
    """The pixels inside the face outline."""
    mask = Image.new("1", size)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in landmarks[list(FACE_OVAL), :2]], fill=1)
    return np.asarray(mask)


def psnr(
    image: NDArray[np.uint8],  # [H, W, 3]
    reference: NDArray[np.uint8],  # [H, W, 3]
    mask: NDArray[np.bool_],  # [H, W]
) -> float:  # dB
    """Peak signal-to-noise ratio over the masked pixels."""
    difference = image[mask].astype(np.float64) - reference[mask]
    return float(10 * np.log10(255.0**2 / max(float(np.mean(difference**2)), 1e-9)))


def face_height(
    landmarks: NDArray[np.floating],  # [L, >=2] px
) -> float:  # px
    """Distance from the top of the forehead (landmark 10) to the chin (152)."""
    return float(np.linalg.norm(landmarks[10, :2] - landmarks[152, :2]))


def overlap(
    first: NDArray[np.bool_],  # [H, W]
    second: NDArray[np.bool_],  # [H, W]
) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else 1.0


def share_covered(
    wanted: NDArray[np.bool_],  # [H, W]
    covered: NDArray[np.bool_],  # [H, W]
) -> float:
    """Share of the wanted pixels that are covered; nan where none is wanted."""
    count = int(wanted.sum())
    return float((wanted & covered).sum()) / count if count else float("nan")
