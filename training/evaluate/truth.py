"""What a photo or a frame says about the head in it, whatever the product makes of it.

Frame: image frame (frames.py). Dims: H, W rows and columns of the view, a picture of the head window whose longer side
has VIEW pixels; L landmarks.

The head window is an upright square of WINDOW face heights around the face, cut off at the photo's border, so that
long hair and none of the neighbours' faces is in it. Of the hair that the teacher finds, the pieces that touch the
face (grown by REACH) are this person's, but for spots beside the face, which are collars and shades.

Clothes are what the product's own masks say: no teacher tells them from skin. They only take pixels off the silhouette
`without clothes`, and never any above the middle of the face, where hats are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from meshlam_core.frames import Camera
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.landmarks import LandmarkDetector
from meshlam_core.tracker.parsing import parse_person
from meshlam_core.tracker.types import Detection
from training.evaluate.teachers import HairTeacher, PersonTeacher
from training.metrics import face_height, face_outline_mask

VIEW = 512  # px
SPOT = 0.02  # of the face outline's area: smaller pieces of hair that do not touch it are none
WINDOW = 3.0  # face heights
RISE = 0.1  # face heights by which the window's middle lies above the face's
REACH = 1.3  # how much larger than the face outline the place is where the head's hair begins

U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Landmarks = NDArray[np.float32]


@dataclass(frozen=True)
class Judges:
    """The networks that know the truth."""

    detector: LandmarkDetector
    hair: HairTeacher
    person: PersonTeacher


@dataclass(frozen=True)
class Window:
    """A box of the photo, in native pixels, and the size of its picture."""

    x0: int
    y0: int
    width: int
    height: int

    @property
    def factor(self) -> float:
        """Pixels of the view per native pixel."""
        return VIEW / max(self.width, self.height)

    def camera(self, photo: Camera) -> Camera:
        """The camera of the photo's native pixels, as it sees the window's picture."""
        return photo.cropped(self.x0, self.y0, self.width, self.height).scaled(self.factor)

    def cut(self, pixels: U8, scale: float = 1.0) -> U8:  # [H, W, 3]
        """The window's picture; `scale` is the number of given pixels per native pixel."""
        box = (self.x0, self.y0, self.x0 + self.width, self.y0 + self.height)
        size = (max(1, round(self.width * self.factor)), max(1, round(self.height * self.factor)))
        bounds = (box[0] * scale, box[1] * scale, min(box[2] * scale, pixels.shape[1]), box[3] * scale)
        bounds = (*bounds[:3], min(bounds[3], pixels.shape[0]))
        return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, bounds))


@dataclass(frozen=True)
class HeadTruth:
    """One head on the pixels of its window's picture."""

    window: Window
    picture: U8  # [H, W, 3]
    landmarks: Landmarks  # [L, 2] px
    hair: Mask  # [H, W] the teacher's hair of this head
    outline: Mask  # [H, W] inside the face outline
    person: Mask  # [H, W] the person, hair included
    above_chin: Mask  # [H, W] the half of the picture that is on the forehead's side of the chin
    clothes: Mask  # [H, W] shoulders and collars, which no head covers

    @property
    def head(self) -> Mask:
        """The head region: hair joined with the face outline."""
        return self.hair | self.outline


def find_truth(
    pixels: U8,  # working pixels
    judges: Judges,
    scale: float = 1.0,  # working pixels per native pixel
) -> HeadTruth | None:
    """The largest face's head; None where nobody finds a face."""
    faces = judges.detector.detect(pixels, every=False)
    if not faces:
        return None
    face = max(faces, key=lambda found: face_height(found.landmarks))
    return truth_of(pixels, face, judges, scale)


def truth_of(pixels: U8, face: Detection, judges: Judges, scale: float = 1.0) -> HeadTruth:
    """The head of one detected face (in working pixels)."""
    native = (round(pixels.shape[1] / scale), round(pixels.shape[0] / scale))
    window = head_window(face.landmarks[:, :2] / scale, native)
    picture = window.cut(pixels, scale)
    corner = np.array([window.x0, window.y0], np.float32)
    landmarks = ((face.landmarks[:, :2] / scale - corner) * window.factor).astype(np.float32)
    outline = face_outline_mask(landmarks, (picture.shape[1], picture.shape[0]))
    near = face_outline_mask(_grown(landmarks), (picture.shape[1], picture.shape[0]))
    hair = without_spots(touching(judges.hair(picture) > 0.5, near), outline)
    person = touching((judges.person(picture) > 0.5) | hair | outline, outline)
    above = above_chin(landmarks, person.shape)
    worn = (parse_person(picture, landmarks).other > 0.5) & ~above_middle(landmarks, person.shape)
    return HeadTruth(window, picture, landmarks, hair, outline, person, above, worn & ~hair & ~outline)


def head_window(
    landmarks: NDArray[np.floating],  # [L, 2] px, native
    photo: tuple[int, int],  # px, (width, height)
) -> Window:
    """The square around the head, as far as the photo reaches."""
    low, high = landmarks.min(0), landmarks.max(0)
    # a turned or nodding head is foreshortened one way only: the largest extent tells the face's size
    height = max(face_height(landmarks), float((high - low).max()))
    side = max(2, round(WINDOW * height))
    first = np.floor((low + high) / 2 + _up(landmarks) * RISE * height - side / 2).astype(int)
    x0, y0 = np.clip(first, 0, np.array(photo) - 1)
    x1, y1 = np.clip(first + side, (x0 + 1, y0 + 1), photo)
    return Window(int(x0), int(y0), int(x1 - x0), int(y1 - y0))


def above_chin(
    landmarks: NDArray[np.floating],  # [L, 2] px
    shape: tuple[int, ...],  # (height, width)
) -> Mask:  # [H, W]
    """Everything on the forehead's side of the line through the chin, square to the face."""
    return _above(landmarks[CHIN, :2], landmarks, shape)


def above_middle(
    landmarks: NDArray[np.floating],  # [L, 2] px
    shape: tuple[int, ...],  # (height, width)
) -> Mask:  # [H, W]
    """The same of the line halfway between chin and forehead."""
    return _above(landmarks[[CHIN, FOREHEAD], :2].mean(axis=0), landmarks, shape)


def touching(mask: Mask, place: Mask) -> Mask:
    """The connected pieces of a mask that touch a place."""
    pieces, _ = ndimage.label(mask)
    found = np.unique(pieces[mask & place])
    return np.asarray(np.isin(pieces, found[found > 0]))


def without_spots(hair: Mask, outline: Mask) -> Mask:
    """Hair but for small pieces apart from the face."""
    pieces, count = ndimage.label(hair)
    kept = ndimage.sum_labels(hair, pieces, np.arange(count + 1)) >= SPOT * outline.sum()
    kept[pieces[ndimage.binary_dilation(outline, iterations=2)]] = True
    return np.asarray(hair & kept[pieces])


def _above(point: NDArray[np.floating], landmarks: NDArray[np.floating], shape: tuple[int, ...]) -> Mask:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    up = _up(landmarks)
    return np.asarray((x - point[0]) * up[0] + (y - point[1]) * up[1] > 0)


def _up(landmarks: NDArray[np.floating]) -> NDArray[np.floating]:  # [2] unit
    up = landmarks[FOREHEAD, :2] - landmarks[CHIN, :2]
    return np.asarray(up / max(float(np.linalg.norm(up)), 1e-6))


def _grown(landmarks: Landmarks) -> Landmarks:
    centre = landmarks.mean(0)
    return np.asarray(centre + REACH * (landmarks - centre), np.float32)
