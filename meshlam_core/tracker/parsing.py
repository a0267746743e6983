"""Person, hair and skin masks of a portrait: what may go into the texture, and what is hair.

Frame: image frame (see frames.py) of the crop given. Masks are float32 in 0..1.
Dims:  H, W crop rows and columns; N side of the window, px.

Three sources, all cheap: Google's selfie segmenter (Apache-2.0, from MediaPipe) for the person, a small network of
this project for the hair (training/hair_parser.py makes it), and the colours of the visible face for the skin. The
masks are snapped to the image's edges with a guided filter (He, Sun and Tang, "Guided image filtering", PAMI 2013).

The masks describe a square of WINDOW face heights around the head; outside of it every mask is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from meshlam_core.assets import asset_path
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
from meshlam_core.tracker.hair_network import HairNetwork, load_hair_network
from meshlam_core.tracker.sampling import Region, sample_region

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

WINDOW = 2.6  # side of the parsed square, in face heights
WORK = 384  # px, side of the window the masks are made at
SUBSAMPLE = 4  # of the guided filter's statistics
PERSON_SIDE = 256  # px, the segmenter's input
FEW_PIXELS = 200  # samples below which a median colour says nothing

_lock = Lock()  # the interpreter keeps its tensors between calls


@dataclass(frozen=True)
class Regions:
    """Masks of one crop, and the colours found in them. person = hair + skin + other, up to rounding."""

    person: F32  # [H, W] the person, hair included
    hair: F32  # [H, W] hair of the head
    skin: F32  # [H, W] face, ears, neck; eyes, brows, beard and lips count as skin
    other: F32  # [H, W] clothes, hats, everything of the person that is neither hair nor skin
    skin_colour: F32  # [3] sRGB 0..1, median of cheeks, nose and forehead
    hair_colour: F32  # [3] sRGB 0..1, median of the hair; the skin's where there is hardly any hair
    hair_share: float  # hair area / face area; below about 0.1 the head is practically bald


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
    person = segment_person(image)
    if alpha is not None:
        person = person * sample_region(np.dstack([alpha] * 3), window, WORK)[..., 0] / np.float32(255)
    hair = _find_hair(load_hair_network(), image, person, face)

    refine = GuidedFilter(image)
    person, hair = refine(np.stack([np.maximum(person, 0.9 * face * (person > 0.2)), hair]))
    person = _sharpen(person)
    hair = np.minimum(_sharpen(hair), person)
    likely, skin_colour = _find_skin(image, person, hair, face, local)
    skin = np.minimum(refine(likely[None])[0], (person - hair).clip(0, 1))

    solid = image[hair > 0.8]
    hair_colour = np.median(solid, axis=0) / 255 if len(solid) > FEW_PIXELS else skin_colour
    masks = _to_crop(np.stack([person, hair, skin]), window, crop.shape[:2])
    return Regions(
        person=masks[0],
        hair=masks[1],
        skin=masks[2],
        other=(masks[0] - masks[1] - masks[2]).clip(0, 1),
        skin_colour=skin_colour,
        hair_colour=np.asarray(hair_colour, np.float32),
        hair_share=float(hair.sum() / max(float(face.sum()), 1.0)),
    )


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

    The statistics are taken at a quarter of the size (He and Sun, "Fast guided filter", 2015).
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
        masks: F32,  # [M, N, N]
    ) -> F32:  # [M, N, N] in 0..1
        """The masks as locally linear functions of the image's colours."""
        small = functional.avg_pool2d(torch.from_numpy(np.ascontiguousarray(masks, np.float32))[:, None], SUBSAMPLE)
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
    mask = Image.new("L", (size[1], size[0]))
    ImageDraw.Draw(mask).polygon([(float(x) - 0.5, float(y) - 0.5) for x, y in points], fill=1)
    return np.asarray(mask, np.float32)


def segment_person(
    image: U8,  # [N, N, 3]
) -> F32:  # [N, N] confidence that a pixel belongs to a person
    """Run the selfie segmenter."""
    small = Image.fromarray(image).resize((PERSON_SIDE, PERSON_SIDE), Image.Resampling.BOX)
    with _lock:
        interpreter = _segmenter()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.asarray(small, np.float32)[None] / 255)
        interpreter.invoke()
        mask = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, ..., 0]
    # the network's sigmoid gives NaN where its float32 logits overflow, far inside the background
    return _resize(np.nan_to_num(mask), len(image)).clip(0, 1)


@cache
def _segmenter() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=asset_path("selfie_segmentation").read_bytes(), num_threads=2)
    interpreter.allocate_tensors()
    return interpreter


def _find_hair(network: HairNetwork, image: U8, person: F32, face: F32) -> F32:
    """[WORK, WORK] probability of hair, from the network at its own size."""
    rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    masks = torch.from_numpy(np.stack([person, face]).astype(np.float32))[None]
    small = functional.interpolate(torch.cat([rgb, masks], 1), size=(network.side,) * 2, mode="area")
    return _resize(network.predict(small[:, :3], small[:, 3:4], small[:, 4:]), WORK)


def _find_skin(
    image: U8,  # [N, N, 3]
    person: F32,  # [N, N]
    hair: F32,  # [N, N]
    face: F32,  # [N, N]
    points: NDArray[np.floating],  # [L, 2] px of the window
) -> tuple[F32, F32]:  # [N, N] probability of skin; [3] its median colour, sRGB 0..1
    """Skin looks like the inside of the face, in hue more than in brightness: necks lie in the shade."""
    colours = image.astype(np.float32) / 255
    plain = face * (hair < 0.3)
    for ring in (RIGHT_EYE, LEFT_EYE, LIPS_OUTER):
        plain *= 1 - polygon_mask(_grown(points[ring], 1.5), (WORK, WORK))
    sample = colours[(plain if plain.sum() > FEW_PIXELS else face) > 0]
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
    skin = np.maximum(likely, face) * (1 - hair) * person
    return np.asarray(skin, np.float32), np.median(sample, axis=0).astype(np.float32)


def _hue_and_brightness(
    rgb: NDArray[np.floating],  # [..., 3] sRGB 0..1
) -> F32:  # [..., 3] log r/g, log b/g, log brightness
    """Colours whose first two coordinates hardly change with the amount of light."""
    lifted = rgb.clip(0.02, 1.0) + 0.03
    r, g, b = lifted[..., 0], lifted[..., 1], lifted[..., 2]
    return np.asarray(np.stack([np.log(r / g), np.log(b / g), np.log((r + g + b) / 3)], axis=-1), np.float32)


def _grown(ring: NDArray[np.floating], factor: float) -> NDArray[np.floating]:
    """A ring of points blown up about its centre."""
    centre = ring.mean(axis=0)
    return np.asarray(centre + factor * (ring - centre))


def _sharpen(mask: F32) -> F32:
    """Filtered masks are soft everywhere: stretch the middle of the range to 0..1."""
    return np.asarray(((mask - 0.15) / 0.7).clip(0, 1), np.float32)


def _resize(mask: F32, side: int) -> F32:
    """Bilinear, square to square."""
    grown = functional.interpolate(torch.from_numpy(mask)[None, None], size=(side, side), mode="bilinear")
    return np.asarray(grown[0, 0].numpy(), np.float32)


def _to_window(points: NDArray[np.floating], window: Region) -> NDArray[np.floating]:
    """Crop pixels to pixels of the WORK-sized window."""
    matrix = window.picture_from_unit()
    return np.asarray((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T * WORK)


def _to_crop(
    masks: F32,  # [M, N, N] over the window
    window: Region,
    shape: tuple[int, ...],  # (height, width) of the crop
) -> F32:  # [M, H, W]
    """Resample masks of the window onto the crop's pixels, 0 outside of the window."""
    matrix = window.picture_from_unit()
    inverse = np.linalg.inv(matrix[:, :2])
    height, width = shape
    # crop pixel -> the window's -1..1, as affine_grid wants it: from the crop's -1..1
    half = np.diag([width / 2, height / 2])
    linear = 2 * inverse @ half
    offset = 2 * inverse @ (np.array([width / 2, height / 2]) - matrix[:, 2]) - 1
    theta = torch.from_numpy(np.column_stack([linear, offset]).astype(np.float32))[None]
    grid = functional.affine_grid(theta, [1, 1, height, width], align_corners=False)
    source = torch.from_numpy(np.ascontiguousarray(masks))[None]
    return np.asarray(functional.grid_sample(source, grid, padding_mode="zeros", align_corners=False)[0].numpy())
