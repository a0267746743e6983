"""Means of many photos and clips, failures counted: an empty rendering stands for an avatar that could not be made.

A measure that nobody could take (no hair in any photo, an optional network missing) is nan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluate.clip import ClipResult
from training.evaluate.likeness import Likeness
from training.evaluate.photo import PhotoResult
from training.metrics import frechet_distance

WORST = 0.1  # the share of photos whose best is told as "worst tenth"


@dataclass(frozen=True)
class PhotoSummary:
    """A set of photos."""

    n: int
    failed: int
    head: float  # dB
    head_worst: float  # dB, the 10 % quantile
    hair: float
    silhouette: float
    undressed: float
    outline: float  # dB
    needles: float  # a head
    inverted: float  # a head
    through: float  # a head
    ssim: float
    ssim_window: float
    lpips: float
    akd: float  # px
    csim: float
    fid: float


@dataclass(frozen=True)
class ClipSummary:
    """A clip, or the mean of several."""

    frames: int
    failed: int  # clips without an avatar
    faceless: int  # frames in which nobody finds a face
    lost: int  # renderings on which the detector finds no face
    head: float  # dB
    hair: float
    silhouette: float
    undressed: float
    outline: float  # dB
    ssim: float
    ssim_window: float
    lpips: float
    akd: float  # px
    csim: float
    fid: float


PHOTO_TITLES = {
    "n": "n", "failed": "failed", "head": "head region dB", "head_worst": "worst tenth", "hair": "hair covered",
    "silhouette": "silhouette IoU", "undressed": "without clothes", "outline": "face outline dB",
    "needles": "needles", "inverted": "inverted", "through": "hair through face",
}  # fmt: skip
LIKENESS_TITLES = {
    "ssim": "SSIM", "ssim_window": "SSIM, whole window", "lpips": "LPIPS", "akd": "AKD px", "csim": "CSIM",
    "fid": "FID",
}  # fmt: skip
CLIP_TITLES = {
    "frames": "frames", "failed": "failed", "faceless": "no truth", "lost": "no face drawn", "head": "head region dB",
    "ssim": "SSIM", "ssim_window": "SSIM, whole window", "lpips": "LPIPS", "akd": "AKD px", "csim": "CSIM",
    "fid": "FID", "hair": "hair covered", "silhouette": "silhouette IoU", "undressed": "without clothes",
    "outline": "face outline dB",
}  # fmt: skip
DIGITS = {
    "head": 2, "head_worst": 2, "outline": 2, "akd": 2, "needles": 2, "inverted": 2, "through": 2, "hair": 3,
    "silhouette": 3, "undressed": 3, "ssim": 3, "ssim_window": 3, "lpips": 3, "csim": 3, "fid": 1,
}  # fmt: skip


def summarise_photos(results: Sequence[PhotoResult]) -> PhotoSummary:
    """Means over photos."""
    scores = [result.scores for result in results if result.scores]
    faults = [result.faults for result in results if result.faults]
    head = [score.head for score in scores]
    return PhotoSummary(
        n=len(results),
        failed=sum(bool(result.failure) for result in results),
        head=mean(head),
        head_worst=float(np.quantile(head, WORST)) if head else math.nan,
        hair=mean(score.hair for score in scores),
        silhouette=mean(score.silhouette for score in scores),
        undressed=mean(score.undressed for score in scores),
        outline=mean(score.outline for score in scores),
        needles=mean(fault.needles for fault in faults),
        inverted=mean(fault.inverted for fault in faults),
        through=mean(fault.through for fault in faults),
        **_likeness([result.likeness for result in results if result.likeness]),
    )


def summarise_clip(result: ClipResult) -> ClipSummary:
    """Means over a clip's frames."""
    frames = result.frames
    return ClipSummary(
        frames=len(frames),
        failed=int(bool(result.failure)),
        faceless=result.faceless,
        lost=sum(not frame.likeness.found for frame in frames),
        head=mean(frame.view.head for frame in frames),
        hair=mean(frame.view.hair for frame in frames),
        silhouette=mean(frame.view.silhouette for frame in frames),
        undressed=mean(frame.view.undressed for frame in frames),
        outline=mean(frame.view.outline for frame in frames),
        **_likeness([frame.likeness for frame in frames]),
    )


def summarise_clips(results: Sequence[ClipResult]) -> ClipSummary:
    """Every clip counts the same, however long it is."""
    clips = [summarise_clip(result) for result in results]
    counts = {name: sum(getattr(clip, name) for clip in clips) for name in ("frames", "failed", "faceless", "lost")}
    names = [name for name in CLIP_TITLES if name not in counts]
    means: dict[str, Any] = {name: mean(getattr(clip, name) for clip in clips) for name in names}
    means["fid"] = _fid([frame.likeness for result in results for frame in result.frames])  # of all frames together
    return ClipSummary(**counts, **means)


def _likeness(found: Sequence[Likeness]) -> dict[str, float]:
    names = ("ssim", "ssim_window", "lpips", "akd", "csim")
    return {name: mean(getattr(one, name) for one in found) for name in names} | {"fid": _fid(found)}


def _fid(found: Sequence[Likeness]) -> float:
    pairs = [one.features for one in found if one.features]
    if len(pairs) < 2:
        return math.nan
    return frechet_distance(np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs]))


def mean(values: Iterable[float]) -> float:
    """Over what is known; nan where nothing is."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def cells(summary: PhotoSummary | ClipSummary, names: Iterable[str]) -> list[str]:
    """The named values as texts, nothing for nan."""
    values = {name: getattr(summary, name) for name in names}
    return ["" if math.isnan(value) else f"{value:.{DIGITS.get(name, 0)}f}" for name, value in values.items()]
