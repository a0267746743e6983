"""Image measures used by the benchmarks and the evaluation.

Images are [H, W, 3] sRGB in 0..255; masks are [H, W] bool; landmarks are [L, 2] px in the image frame (frames.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from meshlam_core.points import CLASSIC_68

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


def ssim(
    image: NDArray[np.uint8],  # [H, W, 3]
    reference: NDArray[np.uint8],  # [H, W, 3]
    mask: NDArray[np.bool_],  # [H, W]
) -> float:
    """Structural similarity (Wang et al. 2004, Gaussian window of 1.5 px), averaged over the masked pixels."""
    from skimage.metrics import structural_similarity

    measure: Any = structural_similarity
    _, local = measure(
        image, reference, channel_axis=2, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(local[mask].mean())


def cosine(
    first: NDArray[np.floating],  # [C]
    second: NDArray[np.floating],  # [C]
) -> float:
    """Cosine of the angle between two descriptors; 0 where one of them is nothing."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else 0.0


def landmark_distance(
    first: NDArray[np.floating],  # [478, >=2] px
    second: NDArray[np.floating],  # [478, >=2] px
) -> float:  # px
    """Mean distance of the 68 classic landmarks."""
    gaps = first[CLASSIC_68, :2] - second[CLASSIC_68, :2]
    return float(np.linalg.norm(gaps, axis=1).mean())


def frechet_distance(
    first: NDArray[np.floating],  # [N, C]
    second: NDArray[np.floating],  # [M, C]
) -> float:
    """Squared Frechet distance of the normal distributions around two sets of features (FID)."""
    a, b = first - first.mean(0), second - second.mean(0)
    a, b = a / np.sqrt(max(len(a) - 1, 1)), b / np.sqrt(max(len(b) - 1, 1))
    # the trace of the root of the covariances' product is the nuclear norm of a b^T, which triangles Q'a, Q'b keep
    shared = np.linalg.svd(np.linalg.qr(a).R @ np.linalg.qr(b).R.T, compute_uv=False).sum()
    apart = np.square(first.mean(0) - second.mean(0)).sum()
    return float(apart + np.square(a).sum() + np.square(b).sum() - 2 * shared)
