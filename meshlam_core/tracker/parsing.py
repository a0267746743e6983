"""Person, hair and skin masks of a portrait: what may go into the texture, what is hair, where the head's outline is.

Frame: image frame (see frames.py) of the crop given. Masks are float32 in 0..1.
Dims:  H, W crop rows and columns; N side of the window, px.

A network of this project (parsing_network.py) tells hair, bare skin and the rest of the person from the background, and
among them ears, neck, glasses, and masks, hands and other things in front of the face. It sees the answer of Google's
selfie segmenter (Apache-2.0, from MediaPipe), which finds people but cuts curls, and the face, which says whose masks
these are. Its probabilities are snapped to the image's edges with a guided filter (He, Sun and Tang, "Guided image
filtering", PAMI 2013).

The masks describe a square of WINDOW face heights around the head, as far as the picture reaches into it. Outside of it
every mask is 0 and nothing is known: the picture's border is no outline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.assets import asset_path
from meshlam_core.opencv import cv2
from meshlam_core.points import (
    CHIN,
    FOREHEAD,
    LEFT_EYE,
    LEFT_EYE_OUTER,
    LIPS_OUTER,
    OVAL,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
)
from meshlam_core.tracker import parsing_network as net
from meshlam_core.tracker.parsing_network import SIDE, load_parsing_network, network_inputs, positions, predict
from meshlam_core.tracker.ramps import ramp, smooth_step
from meshlam_core.tracker.sampling import Region, resized, sample_region, warped

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

WINDOW = 3.2  # side of the parsed square, in face heights: hair to the shoulders, and hair as wide as two heads
WORK = 2 * SIDE  # px, side of the window the masks are made at
SUBSAMPLE = 4  # of the guided filter's statistics
FINE = 6  # bits behind the point of a polygon's corners
PERSON_SIDE = 256  # px, the segmenter's input
DOUBTFUL = 0.5  # trust below which the masks failed
SOLID = 0.8  # from which a pixel is surely hair
GREEN, UNSURE = (0.04, 0.12), (0.4, 0.8)  # how green, and how little sure, what is taken for hair is leaves behind it
FEW_PIXELS = 200  # samples below which a median colour says nothing
DARK = 0.04  # brightness below which a hue says nothing
FAINT = 0.2  # probability below which a part is nowhere
NETWORKS = (net.PARSING_NETWORK, net.PARTS_NETWORK)
COVERS = {"glasses": 0.06, "mask": 0.05, "hand": 0.04, "object": 0.01}  # shares of the face from which they are told

_lock = Lock()  # the interpreter keeps its tensors between calls


@dataclass(frozen=True)
class Parts:
    """Finer masks [H, W], made when they are asked for: most photos show neither glasses nor anything before the face.

    Ears, neck and glasses are parts of the skin, the occluder is part of what is neither hair nor skin.
    """

    classes: F32  # [C, SIDE, SIDE] the network's probabilities
    laid: Callable[[F32], F32]  # [SIDE, SIDE] -> [H, W]: a mask of the window, with the photo's edges, on the crop
    frame: F32 | None = None  # [H, W] of glasses that were found by their form, on the crop

    @cached_property
    def ears(self) -> F32:
        return self._mask(net.EARS)

    @cached_property
    def neck(self) -> F32:
        """Down to the collar."""
        return self._mask(net.NECK)

    @cached_property
    def glasses(self) -> F32:
        """Frames, and lenses too dark to see through."""
        told = self._mask(net.GLASSES)
        return told if self.frame is None else np.maximum(told, self.frame)

    @cached_property
    def occluder(self) -> F32:
        """Masks and scarves over the mouth, hands and their arms, telephones, microphones, cups, headphones."""
        return self._mask(net.MASK, net.HAND, net.OBJECT)

    def _mask(self, *members: int) -> F32:
        share = self.classes[list(members)].sum(axis=0)
        return self.laid(share if share.max() > FAINT else np.zeros_like(share))


@dataclass(frozen=True)
class Regions:
    """Masks of one crop, and the colours found in them. person = hair + skin + other, up to rounding.

    A value is about the probability that the pixel belongs, so values near one half mark what is doubtful.
    """

    person: F32  # [H, W] the person, hair included
    hair: F32  # [H, W] hair of the head
    skin: F32  # [H, W] face, ears, neck; eyes, brows, beard, lips and glasses count as skin
    other: F32  # [H, W] clothes, hats, what is in front: everything of the person that is neither hair nor skin
    skin_colour: F32  # [3] sRGB 0..1, median of cheeks, nose and forehead
    hair_colour: F32  # [3] sRGB 0..1, median of the hair, of doubtful hair where that is all; the skin's without any
    hair_share: float  # hair area / face area; below about 0.1 the head is practically bald
    hair_solid: float = 1.0  # area that is surely hair / face area; where it is tiny, there is stubble or shaded skin
    known: F32 | None = None  # [H, W] 1 where the masks mean something, 0 where nothing was looked at; None: all known
    trust: float = 1.0  # 0..1 in the outline of person and hair; below DOUBTFUL the masks failed
    trouble: str = ""  # why, as a clause; empty when nothing is wrong
    parts: Parts | None = None  # None: nobody looked for them
    covered: tuple[str, ...] = ()  # which of COVERS lie over skin of the face

    @property
    def looked_at(self) -> F32:  # [H, W]
        """`known`, everywhere 1 where all is known."""
        return np.ones_like(self.hair) if self.known is None else self.known

    @property
    def in_front(self) -> F32 | None:  # [H, W] 0..1
        """Glasses and whatever else is before the head, which is not its skin; None where nothing covers the face."""
        return self.parts.glasses + self.parts.occluder if self.parts and self.covered else None

    def with_glasses_kept(self) -> Regions:
        """The same with glasses counted as skin: they are painted on."""
        if self.parts is None:
            return self
        classes = self.parts.classes.copy()
        classes[net.SKIN] += classes[net.GLASSES]
        classes[net.GLASSES] = 0
        covered = tuple(name for name in self.covered if name != "glasses")
        return replace(self, parts=replace(self.parts, classes=classes), covered=covered)

    def with_glasses_at(
        self,
        frame: F32,  # [H, W]
    ) -> Regions:
        """The same with a frame that was found by its form, tracker/glasses.py."""
        if self.parts is None:
            return self
        covered = tuple(name for name in COVERS if name in (*self.covered, "glasses"))
        return replace(self, parts=replace(self.parts, frame=frame), covered=covered)


def parse_person(
    crop: U8,  # [H, W, 3] sRGB
    landmarks: F32,  # [478, 2 or 3] px of the crop, MediaPipe's order
    alpha: U8 | None = None,  # [H, W] 255 where the photo is opaque
) -> Regions:
    """Find person, hair and skin around the face of the landmarks."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    window = head_window(points)
    image = sample_region(crop, window, WORK)
    local = _to_window(points, window)
    face = polygon_mask(local[OVAL], (WORK, WORK))
    known = _within(window.picture_from_unit() / [WORK, WORK, 1], (WORK, WORK), crop.shape[:2])
    if alpha is not None:
        known *= sample_region(np.dstack([alpha] * 3), window, WORK)[..., 0] / np.float32(255)

    classes = _classes(image, local, known)
    snapped = GuidedFilter(image)
    coarse = np.stack([classes[net.HAIR], classes[net.BARE].sum(axis=0), classes[net.REST].sum(axis=0)])
    hair, skin, other = found = snapped(coarse)
    green = smooth_step(greenness(np.asarray(image / np.float32(255), np.float32)), *GREEN)
    hair *= 1 - green * (1 - smooth_step(hair, *UNSURE))
    found *= known / np.maximum(found.sum(axis=0), 1)
    person = np.minimum(hair + skin + other, 1)
    trust, trouble = judge_masks(person, hair, face, known)

    free = _grown_to(1 - classes[[net.GLASSES, net.MASK, net.HAND, net.OBJECT]].sum(axis=0), WORK) > 0.5
    skin_colour = _skin_colour(image, hair, face, free, local)
    solid = hair > SOLID
    samples = (image[mask] for mask in (solid, hair > 0.5))
    sample = next((sample for sample in samples if len(sample) > FEW_PIXELS), None)
    hair_colour = skin_colour if sample is None else np.median(sample, axis=0) / 255
    shape, window_from_crop = crop.shape[:2], _window_from_crop(window)
    reached = _within(window_from_crop, shape, (WORK, WORK))
    if alpha is not None:
        reached *= alpha / np.float32(255)
    on_crop = _to_crop(np.stack([person, hair, skin]), window_from_crop, shape) * reached

    def laid(mask: F32) -> F32:
        return np.asarray(_to_crop(snapped(mask[None]) * known, window_from_crop, shape)[0] * reached)

    return Regions(
        person=on_crop[0],
        hair=on_crop[1],
        skin=on_crop[2],
        other=(on_crop[0] - on_crop[1] - on_crop[2]).clip(0, 1),
        skin_colour=skin_colour,
        hair_colour=np.asarray(hair_colour, np.float32),
        hair_share=float(hair.sum() / max(float(face.sum()), 1.0)),
        hair_solid=float(solid.sum() / max(float(face.sum()), 1.0)),
        known=reached,
        trust=trust,
        trouble=trouble,
        parts=Parts(classes, laid),
        covered=what_covers(classes, local * (SIDE / WORK)),
    )


def greenness(
    image: F32,  # [H, W, 3] sRGB 0..1
) -> F32:  # [H, W] -1..1
    """How far green is beyond red and blue, of the brightest: leaves and lawns are, and no hair that was not dyed."""
    red, green, blue = np.moveaxis(image, -1, 0)
    return np.asarray((green - np.maximum(red, blue)) / np.maximum(image.max(axis=-1), DARK), np.float32)


def what_covers(
    classes: F32,  # [C, SIDE, SIDE] the network's probabilities
    points: NDArray[np.floating],  # [L, 2] landmarks, px of the same
) -> tuple[str, ...]:  # of COVERS
    """What of the things that the network knows lies over the face.

    Each has to cover more of the face, glasses of the band of the eyes, than it does by mistake: see docs/masks.md.
    """
    shares = cover_shares(classes, points)
    return tuple(name for name, least in COVERS.items() if shares[name] > least)


def cover_shares(
    classes: F32,  # [C, SIDE, SIDE]
    points: NDArray[np.floating],  # [L, 2] px
) -> dict[str, float]:  # 0..1 for each of COVERS
    """How much of the face lies under each thing, of the face's area."""
    face = polygon_mask(points[OVAL], classes.shape[1:]) > 0
    size = max(int(face.sum()), 1)
    kinds = {"glasses": net.GLASSES, "mask": net.MASK, "hand": net.HAND, "object": net.OBJECT}
    return {
        name: float((classes[kind] * (classes[kind] > net.LIKELY))[face].sum()) / size for name, kind in kinds.items()
    }


def judge_masks(
    person: F32,  # [N, N]
    hair: F32,  # [N, N]
    face: F32,  # [N, N]
    known: F32,  # [N, N]
) -> tuple[float, str]:  # trust in 0..1 and why it is low
    """Whether the masks can be those of a person with this face."""
    size = max(float(face.sum()), 1.0)
    inside = float((person * face * known).sum()) / max(float((face * known).sum()), 1.0)
    background = float(((1 - person) * known).sum()) / size
    above = slice(0, int(np.flatnonzero(face.any(axis=1))[-1]) + 1 if face.any() else None)  # the chin
    unclear = float(((abs(person - 0.5) < 0.25) * known)[above].sum()) / max(float(person[above].sum()), size)
    veil = float((hair * face).sum()) / size
    far = float((hair * ~_around(face)).sum()) / size
    findings = (
        (ramp(inside, 0.5, 0.85), "the person mask misses the face"),
        (ramp(background, 0.02, 0.15), "hardly any background is seen beside the person"),
        (1 - ramp(unclear, 0.15, 0.45), "the person's outline is unclear"),
        (1 - ramp(veil, 0.45, 0.75), "the hair mask covers the face"),
        (1 - ramp(far, 1.0, 2.5), "the hair mask reaches far away from the head"),
    )
    trust, trouble = min(findings)
    return trust, trouble if trust < DOUBTFUL else ""


def _around(face: F32) -> NDArray[np.bool_]:  # [N, N]
    """Where hair can be: a square of three face heights around the face, open below."""
    rows, columns = (np.flatnonzero(face.any(axis=axis)) for axis in (1, 0))
    around = np.zeros(face.shape, bool)
    if len(rows):
        height = rows[-1] - rows[0]
        left, right = max(0, columns[0] - height), columns[-1] + height
        around[max(0, rows[0] - height) :, left:right] = True
    return around


def head_window(
    points: NDArray[np.floating],  # [L, 2] px
) -> Region:
    """An upright square around the head: the face in the middle, a little more room above it for the hair."""
    eyes = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    roll = float(np.arctan2(eyes[1], eyes[0]))
    # a turned or nodding head is foreshortened one way only: the larger extent tells the face's size
    height = max(float(np.linalg.norm(points[FOREHEAD] - points[CHIN])), 1.55 * float(np.linalg.norm(eyes)))
    up = height * np.array([np.sin(roll), -np.cos(roll)])
    x, y = points[:468].mean(axis=0) + 0.1 * up
    return Region((float(x), float(y)), WINDOW * height, roll)


class GuidedFilter:
    """Makes masks follow the edges of one colour image; the image's statistics are computed once.

    The statistics are taken at a quarter of the size (He and Sun, "Fast guided filter", 2015). With
    OpenCV's box filters the same takes 1.2 to 2 times as long (docs/benchmarks/opencv.md).
    """

    def __init__(
        self,
        image: U8,  # [N, N, 3]
        radius: int = 2,  # px at a quarter of the size
        epsilon: float = 2e-4,  # variance of 0..1 colours below which a patch counts as flat
    ) -> None:
        self._full = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255  # [1, 3, N, N]
        self._radius = radius
        self._guide = functional.avg_pool2d(self._full, SUBSAMPLE)
        self._mean = self._box(self._guide)
        i, j = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
        products = self._box(self._guide[:, i] * self._guide[:, j]) - self._mean[:, i] * self._mean[:, j]
        rr, rg, rb, gg, gb, bb = products[0]
        rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
        # inverse of the symmetric 3x3 covariance by cofactors
        c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        inverse = torch.stack([c00, c01, c02, c01, c11, c12, c02, c12, c22])
        self._inverse = (inverse / (rr * c00 + rg * c01 + rb * c02)).unflatten(0, (3, 3))  # [3, 3, N/4, N/4]

    def __call__(
        self,
        masks: F32,  # [M, N, N], or smaller, as long as SUBSAMPLE allows
    ) -> F32:  # [M, N, N] in 0..1
        """The masks as locally linear functions of the image's colours."""
        rough = torch.from_numpy(np.ascontiguousarray(masks, np.float32))[:, None]
        small = functional.avg_pool2d(rough, rough.shape[-1] // self._guide.shape[-1])
        mean = self._box(small)  # [M, 1, N/4, N/4]
        covariance = self._box(self._guide * small) - self._mean * mean  # [M, 3, N/4, N/4]
        slope = torch.einsum("ijhw,mjhw->mihw", self._inverse, covariance)
        offset = mean - (slope * self._mean).sum(1, keepdim=True)
        line = self._box(torch.cat([slope, offset], 1))
        line = functional.interpolate(line, size=self._full.shape[-2:], mode="bilinear", align_corners=False)
        return np.asarray(((line[:, :3] * self._full).sum(1) + line[:, 3]).clamp(0, 1).numpy(), np.float32)

    def _box(self, values: Tensor) -> Tensor:
        """Mean over a square, border pixels over the part inside."""
        r = self._radius
        for size, padding in (((1, 2 * r + 1), (0, r)), ((2 * r + 1, 1), (r, 0))):
            values = functional.avg_pool2d(values, size, 1, padding, count_include_pad=False)
        return values


def polygon_mask(
    points: NDArray[np.floating],  # [P, 2] px
    size: tuple[int, int],  # (height, width)
) -> F32:  # [H, W] 1 inside the closed ring of points, 0 outside
    """Fill a polygon."""
    mask = np.zeros(size, np.float32)
    cv2.fillPoly(mask, [np.rint((points - 0.5) * 2**FINE).astype(np.int32)], 1.0, shift=FINE)
    return mask


def segment_person(
    image: U8,  # [H, W, 3]
) -> F32:  # [H, W] confidence that a pixel belongs to a person
    """Run the selfie segmenter."""
    small = cv2.resize(image, (PERSON_SIDE, PERSON_SIDE), interpolation=cv2.INTER_AREA)
    with _lock:
        interpreter = _segmenter()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.asarray(small, np.float32)[None] / 255)
        interpreter.invoke()
        mask = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, ..., 0]
    # the network's sigmoid gives NaN where its float32 logits overflow, far inside the background
    return resized(np.nan_to_num(mask), image.shape[:2]).clip(0, 1)


def segment_known(
    image: U8,  # [N, N, 3]
    known: NDArray[np.bool_],  # [N, N] where the picture reaches
) -> F32:  # [N, N] 0 where nothing is known
    """Run the selfie segmenter on the part of a window that the picture covers."""
    mask = np.zeros(known.shape, np.float32)
    if known.any():
        rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        mask[part] = segment_person(np.ascontiguousarray(image[part]))
    return mask * known


@cache
def _segmenter() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=asset_path("selfie_segmentation").read_bytes(), num_threads=2)
    interpreter.allocate_tensors()
    return interpreter


def _classes(
    image: U8,  # [N, N, 3]
    points: NDArray[np.floating],  # [L, 2] px of the window
    known: F32,  # [N, N]
) -> F32:  # [C, SIDE, SIDE] probabilities of the network's classes
    """Ask the network at its own size."""
    small = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    reach = known[:: WORK // SIDE, :: WORK // SIDE] > 0.5
    face = polygon_mask(points[OVAL] * (SIDE / WORK), (SIDE, SIDE))
    rgb = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    selfie = segment_known(small, reach)
    hints = torch.from_numpy(np.stack([selfie, face, reach]).astype(np.float32))[None]
    inputs = network_inputs(rgb, hints[:, :1], hints[:, 1:2], hints[:, 2:], positions(SIDE))
    found = net.with_parts(*(predict(load_parsing_network(path), inputs) for path in NETWORKS))
    # clothes come in more forms than the network has seen: below the face the segmenter counts as much
    chin = int(points[CHIN, 1] * SIDE / WORK)
    found[net.CLOTHES, max(0, chin) :] += (0.5 * found[net.BACKGROUND] * selfie)[max(0, chin) :]
    return found


def _skin_colour(
    image: U8,  # [N, N, 3]
    hair: F32,  # [N, N]
    face: F32,  # [N, N]
    free: NDArray[np.bool_],  # [N, N] nothing is worn there or lies in front
    points: NDArray[np.floating],  # [L, 2] px of the window
) -> F32:  # [3] sRGB 0..1
    """Median of the face without hair, eyes, lips, and what covers it."""
    plain = face * (hair < 0.3) * free
    for ring in (RIGHT_EYE, LEFT_EYE, LIPS_OUTER):
        plain *= 1 - polygon_mask(grown(points[ring], 1.5), (WORK, WORK))
    sample = image[(plain if plain.sum() > FEW_PIXELS else face) > 0]
    return np.asarray(np.median(sample[:: max(1, len(sample) // 4000)], axis=0) / 255, np.float32)


def grown(ring: NDArray[np.floating], factor: float) -> NDArray[np.floating]:
    """A ring of points blown up about its centre."""
    centre = ring.mean(axis=0)
    return np.asarray(centre + factor * (ring - centre))


def _grown_to(mask: F32, size: int) -> F32:  # [size, size]
    """Each pixel repeated."""
    times = size // len(mask)
    return mask.repeat(times, 0).repeat(times, 1)


def _to_window(points: NDArray[np.floating], window: Region) -> NDArray[np.floating]:
    """Crop pixels to pixels of the WORK-sized window."""
    matrix = _window_from_crop(window)
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _window_from_crop(window: Region) -> NDArray[np.floating]:  # [2, 3]
    """Crop pixels to pixels of the WORK-sized window, as a matrix."""
    crop_from_unit = window.picture_from_unit()
    linear = np.linalg.inv(crop_from_unit[:, :2]) * WORK
    return np.column_stack([linear, -linear @ crop_from_unit[:, 2]])


def _within(
    matrix: NDArray[np.floating],  # [2, 3] from the pixels asked about to those of another picture
    shape: tuple[int, ...],  # (height, width) of the pixels asked about
    other: tuple[int, ...],  # (height, width) of the other picture
) -> F32:  # [height, width] 1 where a pixel's centre lies in the other picture
    """Where one picture reaches in another."""
    rows, columns = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1]) + 0.5
    inside = np.ones((), bool)
    for line, size in zip(matrix, (other[1], other[0]), strict=True):
        place = (line[0] * columns + line[2]).astype(np.float32) + (line[1] * rows).astype(np.float32)
        inside = inside & (place >= 0) & (place <= size)
    return inside.astype(np.float32)


def _to_crop(
    masks: F32,  # [1 or 3, N, N] over the window
    window_from_crop: NDArray[np.floating],  # [2, 3]
    shape: tuple[int, ...],  # (height, width) of the crop
) -> F32:  # [1 or 3, H, W] in steps of 1/255
    """Resample masks of the window onto the crop's pixels, 0 outside of the window."""
    picture = (masks.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)
    found = warped(picture, window_from_crop, (shape[0], shape[1]), cv2.BORDER_CONSTANT)
    return np.asarray(np.atleast_3d(found).transpose(2, 0, 1), np.float32) / np.float32(255)
