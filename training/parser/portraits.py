"""The 800 public-domain portraits as training samples: window, face, and labels from teachers.

The labels of hair are the answers of Google's hair segmenter (Apache-2.0), of the person those of the selfie segmenter
(Apache-2.0) joined with the hair, of skin what has the colour of the face.

Frames: the window of tracker/parsing.py, ROOM times as large, so that a sample can be turned and moved without ends.
Dims: S samples, M side of a stored sample, px. Stored channels: see CHANNELS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.files.images import load_photo
from meshlam_core.points import LEFT_EYE, LIPS_OUTER, OVAL, RIGHT_EYE
from meshlam_core.tracker import parsing
from meshlam_core.tracker.landmarks import LandmarkDetector
from meshlam_core.tracker.sampling import Region, sample_region
from training.evaluate.teachers import HairTeacher

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STORED = 288  # px
MADE = parsing.WORK  # px, at which the labels are made
ROOM = 1.125
# bald people on whose heads the teacher sees hair where the skin is in shade, found by looking
BALD = ("C000984", "C001072", "D000355", "H000324", "L000287")
# sure: of skin or not. Samples whose parts are known have more, of which skin and person include their shares.
# told: skin is face and the rest clothes wherever no part is named; clear: nothing unnamed is worn or before the head
GLASSES = Path(__file__).with_name("glasses.txt")  # portraits whose sitters wear some, or may
CHANNELS = ("red", "green", "blue", "face", "known", "hair", "person", "skin", "sure")
PARTS = ("ears", "neck", "glasses", "mask", "hand", "object")
MORE = (*PARTS, "told", "clear")


def prepare(paths: Iterable[Path], detector: LandmarkDetector, teacher: HairTeacher) -> Tensor:  # [S, 9, M, M] uint8
    """Cut every portrait's window and ask the teachers."""
    return torch.stack(
        [sample_of(picture, points, teacher, name in BALD) for name, picture, points in _faces(paths, detector)]
    )


@dataclass(frozen=True)
class Sitters:
    """What is known of those portraits beside their masks."""

    points: F64  # [S, 478, 2] px of the stored sample
    glasses: NDArray[np.bool_]  # [S] whether the sitter may wear some, found by looking

    @staticmethod
    def of(paths: Iterable[Path], detector: LandmarkDetector) -> Sitters:
        wearers = set(GLASSES.read_text().split())
        found, worn = [], []
        for name, _, points in _faces(paths, detector):
            inner = parsing.head_window(points)
            found.append(_local(points, Region(inner.centre, inner.side * ROOM, inner.roll)) * (STORED / MADE))
            worn.append(name in wearers)
        return Sitters(np.stack(found), np.array(worn))


def _faces(paths: Iterable[Path], detector: LandmarkDetector) -> Iterator[tuple[str, U8, F64]]:
    """Name, picture and landmarks of those in which a face is found."""
    for path in paths:
        picture = load_photo(path).pixels
        if faces := detector.detect(picture):
            yield path.stem, picture, faces[0].landmarks[:, :2].astype(np.float64)


def sample_of(
    picture: U8,  # [H, W, 3]
    points: NDArray[np.float64],  # [L, 2] px
    teacher: HairTeacher,
    bald: bool = False,  # what the teacher takes for hair is skin
) -> Tensor:  # [9, M, M] uint8
    """One sample of a picture and the landmarks in it."""
    window, image, face, known = _look(picture, points)
    local = _local(points, window)
    # the teachers see the photo as it is, not the smeared edges around it
    hair = _of_window(both_ways(picture, teacher), window)
    person = sharpened(
        parsing.GuidedFilter(image)(_of_window(both_ways(picture, parsing.segment_person), window)[None])[0]
    )
    person = np.maximum(np.maximum(person, hair), 0.9 * face)
    scalp, hair = (hair, np.zeros_like(hair)) if bald else (np.zeros_like(hair), hair)
    likely = np.maximum(likely_skin(image, person, hair, face, local), scalp)
    sure = np.maximum((np.abs(2 * likely - 1) > 0.6) & (hair < 0.2), face)
    return _stored(image, np.stack([face, known, hair, person, np.minimum(likely, 1 - hair), sure.astype(np.float32)]))


def figure_sample(
    picture: U8,  # [H, W, 3]
    points: NDArray[np.float64],  # [L, 2] px
    truth: F32,  # [H, W, 3] shares of hair, skin and other
    parts: F32 | None = None,  # [H, W, 6] of PARTS
) -> Tensor:  # [9 or 17, M, M] uint8
    """One sample of a rendered figure, whose masks are known."""
    window, image, face, known = _look(picture, points)

    def shown(shares: F32) -> F32:  # [MADE, MADE, 3]
        whole = sample_region((shares.clip(0, 1) * 255 + 0.5).astype(np.uint8), window, MADE)
        return np.asarray(whole, np.float32) / np.float32(255)

    shares = shown(truth)
    hair, skin = shares[..., 0], shares[..., 1]
    masks = [face, known, hair, shares.sum(-1).clip(0, 1), skin, np.ones_like(hair)]
    if parts is not None:
        masks += [*shown(parts[..., :3]).transpose(2, 0, 1), *shown(parts[..., 3:]).transpose(2, 0, 1)]
        masks += [np.ones_like(hair)] * 2
    return _stored(image, np.stack(masks))


def both_ways(
    picture: U8,  # [H, W, 3]
    ask: Callable[[U8], F32],
) -> F32:  # [H, W]
    """A teacher's answer to the picture and to its mirror image, averaged."""
    mirrored = ask(np.ascontiguousarray(picture[:, ::-1]))[:, ::-1]
    return np.asarray((ask(picture) + mirrored) / 2, np.float32)


def _of_window(mask: F32, window: Region) -> F32:
    grey = (mask * 255 + 0.5).astype(np.uint8)
    return np.asarray(sample_region(np.dstack([grey] * 3), window, MADE)[..., 0], np.float32) / np.float32(255)


def _look(picture: U8, points: NDArray[np.float64]) -> tuple[Region, U8, F32, F32]:
    """The window with its room, what it shows, the face in it, and where the picture reaches."""
    inner = parsing.head_window(points)
    window = Region(inner.centre, inner.side * ROOM, inner.roll)
    image = sample_region(picture, window, MADE)
    known = (sample_region(np.full_like(picture, 255), window, MADE, 0)[..., 0] > 254).astype(np.float32)
    return window, image, parsing.polygon_mask(_local(points, window)[OVAL], (MADE, MADE)), known


def _local(points: NDArray[np.float64], window: Region) -> NDArray[np.float64]:
    matrix = window.picture_from_unit()
    return np.asarray((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T * MADE)


def _stored(image: U8, masks: F32) -> Tensor:  # [C, M, M] uint8
    whole = torch.from_numpy(np.concatenate([image.transpose(2, 0, 1) / np.float32(255), masks]))[None].float()
    return (functional.interpolate(whole, size=(STORED, STORED), mode="area")[0] * 255 + 0.5).byte()


def likely_skin(
    image: U8,  # [N, N, 3]
    person: F32,  # [N, N]
    hair: F32,  # [N, N]
    face: F32,  # [N, N]
    points: NDArray[np.floating],  # [L, 2] px of the window
) -> F32:  # [N, N] probability of skin
    """Skin looks like the inside of the face, in hue more than in brightness: necks lie in the shade."""
    colours = image.astype(np.float32) / 255
    plain = face * (hair < 0.3)
    for ring in (RIGHT_EYE, LEFT_EYE, LIPS_OUTER):
        plain *= 1 - parsing.polygon_mask(parsing.grown(points[ring], 1.5), image.shape[:2])
    sample = colours[(plain if plain.sum() > parsing.FEW_PIXELS else face) > 0]
    sample = sample[:: max(1, len(sample) // 4000)]
    features = _hue_and_brightness(sample)
    centre = np.median(features, axis=0)
    off = np.abs(features - centre).sum(axis=1)
    covariance = np.cov(features[off <= np.quantile(off, 0.9)].T)
    spread = covariance * np.array([[1.5, 1.5, 1], [1.5, 1.5, 1], [1, 1, 2]]) + np.diag([1e-3, 1e-3, 1e-2])
    deviation = _hue_and_brightness(colours) - centre
    deviation[..., 2] *= np.where(deviation[..., 2] < 0, 0.6, 1.0)  # shade is always darker
    distance = ((deviation @ np.linalg.inv(spread).astype(np.float32)) * deviation).sum(axis=-1)
    likely = 1 / (1 + np.exp((0.6 * (distance - 8)).clip(-30, 30)))
    return np.asarray(np.maximum(likely, face) * (1 - hair) * person, np.float32)


def _hue_and_brightness(
    rgb: NDArray[np.floating],  # [..., 3] sRGB 0..1
) -> F32:  # [..., 3] log r/g, log b/g, log brightness
    """Colours whose first two coordinates hardly change with the amount of light."""
    lifted = rgb.clip(0.02, 1.0) + 0.03
    r, g, b = lifted[..., 0], lifted[..., 1], lifted[..., 2]
    return np.asarray(np.stack([np.log(r / g), np.log(b / g), np.log((r + g + b) / 3)], axis=-1), np.float32)


def sharpened(mask: F32) -> F32:
    """Filtered masks are soft everywhere: stretch the middle of the range to 0..1."""
    return np.asarray(((mask - 0.15) / 0.7).clip(0, 1), np.float32)
