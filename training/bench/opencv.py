"""What OpenCV does as well and as fast as other code, and what it does not.

    python -m training.bench.opencv [--repeat N]

Every case does the same work twice, on one thread: without OpenCV and with it. `off` is the mean
difference of the two results in percent of their range, but for PNG, where it is how much larger OpenCV's file is.
Milliseconds are medians of N calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from skimage import data
from torch.nn import functional

from meshlam_core.files.png import encode_png
from meshlam_core.model.borders import signed_distance
from meshlam_core.opencv import cv2, set_threads
from meshlam_core.texture.trust import box_blur, eroded
from meshlam_core.tracker.crop import Crop, cut_crop
from meshlam_core.tracker.parsing import GuidedFilter, polygon_mask
from meshlam_core.tracker.sampling import Region, resized, sample_region
from training.bench.markdown import print_head, print_row

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

EPSILON = 2e-4  # of GuidedFilter
VERDICT = """What OpenCV does as well and faster is OpenCV's. Pillow cut fractions off where it turned squares, half a
level on average; OpenCV rounds. Ours stay: crops that shrink (averages keep some three quarters of the squared gradient
that Pillow's Lanczos keeps), the guided filter, PNGs, and averages of arrays whose channels lie one after the other."""
MASK = 512  # px


@dataclass(frozen=True)
class Case:
    """One kind of work done in two ways."""

    name: str
    where: str
    taken: bool  # whether it is OpenCV that does it
    own: Callable[[], Any]
    theirs: Callable[[], Any]


def cases() -> list[Case]:
    """What the runtime does with pictures on the processor."""
    picture = np.ascontiguousarray(Image.fromarray(data.astronaut()).resize((1024, 1024)))  # type: ignore[no-untyped-call]
    window = np.ascontiguousarray(cv2.resize(picture, (MASK, MASK), interpolation=cv2.INTER_AREA))
    region, small = Region((520.0, 460.0), 500.0, 0.2), Region((520.0, 460.0), 150.0, 0.2)
    noise = np.random.default_rng(0).random((3, MASK, MASK)).astype(np.float32)
    blobs = np.stack([cv2.GaussianBlur(one, (0, 0), 20) for one in noise])
    masks = np.clip(blobs * 8 - 3.5, 0, 1).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    ring = np.stack([256 + 150 * np.cos(angle), 256 + 190 * np.sin(angle)], 1)
    blob, whole = blobs[0] > 0.5, torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    planes = whole.contiguous()
    crop, size = Crop(100, 60, 800, 800), (500, 500)
    return [
        Case("turned square of a picture, shrunk 500 to 256 px", "`tracker/sampling.py`, was Pillow", True,
             lambda: _by_pillow(picture, region, 256), lambda: sample_region(picture, region, 256)),
        Case("the same, grown 150 to 256 px", "`tracker/sampling.py`, was Pillow", True,
             lambda: _by_pillow(picture, small, 256), lambda: sample_region(picture, small, 256)),
        Case("polygon of 36 points, 512 px", "`tracker/parsing.py`, was Pillow", True,
             lambda: _pillow_polygon(ring), lambda: polygon_mask(ring, (MASK, MASK))),
        Case("mask grown 256 to 512 px", "`tracker/sampling.py`, was torch", True,
             lambda: functional.interpolate(torch.from_numpy(masks[:1, ::2, ::2].copy())[None], size=(MASK, MASK),
                 mode="bilinear").numpy()[0, 0],
             lambda: resized(masks[0, ::2, ::2].copy(), (MASK, MASK))),
        Case("mean over 13 x 13 px, 512 px", "`texture/trust.py`, was Pillow", True,
             lambda: _pillow_blur(blob, 6), lambda: box_blur(blob, 6)),
        Case("mask eroded by 6 px, 512 px", "`texture/trust.py`, was Pillow", True,
             lambda: _pillow_blur(blob, 6) == 1, lambda: eroded(blob, 6)),
        Case("colours shrunk 1024 to 712 px", "`texture/sight.py`, was torch", True,
             lambda: functional.interpolate(whole, size=(712, 712), mode="area")[0].permute(1, 2, 0).numpy(),
             lambda: cv2.resize(np.ascontiguousarray(whole[0].permute(1, 2, 0).numpy()), (712, 712),
                 interpolation=cv2.INTER_AREA)),
        Case("distances to a border, 512 px", "`model/borders.py`, scipy for comparison", True,
             lambda: _distance_by_scipy(masks[0]), lambda: signed_distance(masks[0])),
        Case("blur by 1 px, 512 px", "`viewing/likeness.py`, was scipy", True,
             lambda: ndimage.gaussian_filter(window / np.float32(255), (1, 1, 0)),
             lambda: cv2.GaussianBlur(window / np.float32(255), (0, 0), 1, borderType=cv2.BORDER_REFLECT)),
        Case("crop shrunk 800 to 500 px", "`tracker/crop.py`, Pillow's Lanczos", False,
             lambda: cut_crop(picture, crop, 1.0, size), lambda: cv2.resize(
                 picture[60:860, 100:900], size, interpolation=cv2.INTER_AREA)),
        Case("guided filter, three masks of 512 px", "`tracker/parsing.py`, torch", False,
             lambda: GuidedFilter(window)(masks), lambda: _guided(window, masks)),
        Case("masks shrunk 1024 to 128 px", "`model/session.py`, torch", False,
             lambda: functional.interpolate(planes, size=(128, 128), mode="area")[0].permute(1, 2, 0).numpy(),
             lambda: cv2.resize(np.ascontiguousarray(planes[0].permute(1, 2, 0).numpy()), (128, 128),
                 interpolation=cv2.INTER_AREA)),
        Case("PNG of 1024 x 1024 px", "`files/png.py`, numpy and zlib", False,
             lambda: encode_png(picture), lambda: cv2.imencode(
                 ".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, 3])[1]),
    ]  # fmt: skip


def _by_pillow(picture: U8, region: Region, size: int) -> U8:
    """sample_region inside the picture, with Pillow."""
    matrix = region.picture_from_unit() / size
    matrix[:, 2] *= size
    shrink = max(1, round(region.side / size))
    corners = region.picture_from_unit() @ np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    low, high = np.floor(corners.min(1) - 2 * shrink).astype(int), np.ceil(corners.max(1) + 2 * shrink).astype(int)
    patch = Image.fromarray(picture[low[1] : high[1], low[0] : high[0]])
    matrix[:, 2] -= low
    data = tuple((matrix / shrink).ravel())
    patch = patch.reduce(shrink) if shrink > 1 else patch
    return np.asarray(patch.transform((size, size), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def _pillow_polygon(ring: NDArray[np.floating]) -> F32:
    mask = Image.new("L", (MASK, MASK))
    ImageDraw.Draw(mask).polygon([(float(x) - 0.5, float(y) - 0.5) for x, y in ring], fill=1)
    return np.asarray(mask, np.float32)


def _pillow_blur(mask: NDArray[np.bool_], radius: int) -> F32:
    grey = Image.fromarray(mask.view(np.uint8) * np.uint8(255))
    return np.asarray(grey.filter(ImageFilter.BoxBlur(radius)), np.float32) / np.float32(255)


def _distance_by_scipy(mask: F32) -> F32:
    inside = mask > 0.5
    within, beyond = (ndimage.distance_transform_edt(side) for side in (inside, ~inside))
    return np.asarray(np.where(inside, within - 0.5, 0.5 - beyond), np.float32)


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


def median(call: Callable[[], Any], repeat: int) -> float:  # ms
    """The median time of some calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    set_threads(1)
    print_head("work", "where", "without", "OpenCV", "off, mean", "taken")
    for case in cases():
        own, theirs = case.own(), case.theirs()
        if isinstance(own, bytes):
            off = f"{len(theirs) / len(own) - 1:+.0%} bytes"
        else:
            a, b = np.asarray(own, np.float64), np.asarray(theirs, np.float64)
            off = f"{np.abs(a - b).mean() / max(float(np.ptp(a)), 1e-9):.2%}"
        speed = [f"{median(call, arguments.repeat):.2f} ms" for call in (case.own, case.theirs)]
        print_row(case.name, case.where, *speed, off, "OpenCV" if case.taken else "ours")
    print(f"\n{VERDICT}")


if __name__ == "__main__":
    main()
