"""What OpenCV would do as well and as fast as the runtime's own code, which does without it.

    python -m training.bench.opencv [--repeat N]

Every case does the same work twice, on one thread: as the runtime does it, and as OpenCV would. `off` is the mean
difference of the two results in percent of their range, but for PNG, where it is how much larger OpenCV's file is.
Milliseconds are the least of N calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from meshlam_core.files.png import encode_png
from meshlam_core.tracker.crop import Crop, cut_crop
from meshlam_core.tracker.parsing import GuidedFilter, polygon_mask
from meshlam_core.tracker.sampling import Region, sample_region
from training.bench.markdown import print_head, print_row

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

EPSILON = 2e-4  # of GuidedFilter
VERDICT = """The runtime stays without OpenCV. Looks at a face would take 1 to 2 ms less each: some 10 of a photo's 900
ms and a tenth of a clip's frame. Its crops are averages where Pillow's are filtered; the guided filter and PNGs are
slower. That does not buy a wheel of 61 MB, whose folder `cv2` mediapipe's package claims, too."""
MASK = 512  # px


@dataclass(frozen=True)
class Case:
    """One kind of work done in two ways."""

    name: str
    where: str
    own: Callable[[], Any]
    theirs: Callable[[], Any]


def cases() -> list[Case]:
    """What the runtime does with pictures on the processor."""
    picture = np.ascontiguousarray(Image.fromarray(data.astronaut()).resize((1024, 1024)))  # type: ignore[no-untyped-call]
    window = np.ascontiguousarray(cv2.resize(picture, (MASK, MASK), interpolation=cv2.INTER_AREA))
    region, small = Region((420.0, 260.0), 500.0, 0.2), Region((420.0, 260.0), 150.0, 0.2)
    noise = np.random.default_rng(0).random((3, MASK, MASK)).astype(np.float32)
    blobs = np.stack([cv2.GaussianBlur(one, (0, 0), 20) for one in noise])
    masks = np.clip(blobs * 8 - 3.5, 0, 1).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    ring = np.stack([256 + 150 * np.cos(angle), 256 + 190 * np.sin(angle)], 1)
    crop, size = Crop(100, 60, 800, 800), (500, 500)
    return [
        Case("turned square of a picture, shrunk 500 to 256 px", "`tracker/sampling.py`, Pillow",
             lambda: sample_region(picture, region, 256), lambda: _warped(picture, region, 256)),
        Case("the same, grown 150 to 256 px", "`tracker/sampling.py`, Pillow",
             lambda: sample_region(picture, small, 256), lambda: _warped(picture, small, 256)),
        Case("crop shrunk 800 to 500 px", "`tracker/crop.py`, Pillow's Lanczos",
             lambda: cut_crop(picture, crop, 1.0, size), lambda: cv2.resize(
                 picture[60:860, 100:900], size, interpolation=cv2.INTER_AREA)),
        Case("guided filter, three masks of 512 px", "`tracker/parsing.py`, torch",
             lambda: GuidedFilter(window)(masks), lambda: _guided(window, masks)),
        Case("polygon of 36 points, 512 px", "`tracker/parsing.py`, Pillow",
             lambda: polygon_mask(ring, (MASK, MASK)), lambda: _polygon(ring)),
        Case("PNG of 1024 x 1024 px", "`files/png.py`, numpy and zlib",
             lambda: encode_png(picture), lambda: cv2.imencode(
                 ".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, 3])[1]),
    ]  # fmt: skip


def _warped(picture: U8, region: Region, size: int) -> U8:
    """sample_region: a box filter by whole pixels first where it shrinks, then bilinear."""
    matrix = region.picture_from_unit() / size
    matrix[:, 2] *= size
    shrink = max(1, int(region.side / size))
    if shrink > 1:
        height, width = (side // shrink for side in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        matrix /= shrink
    # OpenCV counts from pixel centres, the project from their corners
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _guided(image: U8, masks: F32, radius: int = 2, shrink: int = 4) -> F32:
    """GuidedFilter with OpenCV's box filters; the headless package has no guided filter of its own."""
    full = image.astype(np.float32) / 255
    size = (image.shape[1] // shrink, image.shape[0] // shrink)
    guide = cv2.resize(full, size, interpolation=cv2.INTER_AREA)

    def box(values: F32) -> F32:
        side = (2 * radius + 1, 2 * radius + 1)
        total = cv2.boxFilter(values, -1, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(total / (inside if values.ndim == 2 else inside[..., None]), np.float32)

    ones = np.ones(guide.shape[:2], np.float32)
    side = (2 * radius + 1, 2 * radius + 1)
    inside = cv2.boxFilter(ones, -1, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
    mean = box(guide)
    covariance = np.empty((*guide.shape[:2], 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            covariance[..., i, j] = covariance[..., j, i] = (
                box(guide[..., i] * guide[..., j]) - mean[..., i] * mean[..., j]
            )
    inverse = np.linalg.inv(covariance + EPSILON * np.eye(3, dtype=np.float32))
    results = []
    for mask in masks:
        rough = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        middle = box(rough)
        cross = box(guide * rough[..., None]) - mean * middle[..., None]
        slope = np.einsum("hwij,hwj->hwi", inverse, cross)
        offset = middle - (slope * mean).sum(2)
        line = cv2.resize(box(np.dstack([slope, offset])), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        results.append(((line[..., :3] * full).sum(2) + line[..., 3]).clip(0, 1))
    return np.asarray(results, np.float32)


def _polygon(ring: NDArray[np.floating]) -> F32:
    mask = np.zeros((MASK, MASK), np.uint8)
    cv2.fillPoly(mask, [np.round((ring - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(np.float32)


def least(call: Callable[[], Any], repeat: int) -> float:  # ms
    """The least time of some calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print_head("work", "where", "ours", "OpenCV", "off, mean")
    for case in cases():
        own, theirs = case.own(), case.theirs()
        if isinstance(own, bytes):
            off = f"{len(theirs) / len(own) - 1:+.0%} bytes"
        else:
            a, b = np.asarray(own, np.float64), np.asarray(theirs, np.float64)
            off = f"{np.abs(a - b).mean() / max(float(np.ptp(a)), 1e-9):.2%}"
        speed = [f"{least(call, arguments.repeat):.1f} ms" for call in (case.own, case.theirs)]
        print_row(case.name, case.where, *speed, off)
    print(f"\n{VERDICT}")


if __name__ == "__main__":
    main()
