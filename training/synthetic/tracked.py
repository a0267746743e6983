"""What the tracker and the hull fit would deliver for a drawn photograph.

Both are the real ones: the fit sees landmarks and coefficients that are wrong as the detector's are
(detector_errors.py), the hull fit masks that are wrong as real ones are.

Frames and units: frames.py. Dims: V vertices, R, H sides of masks, canvas.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.lay_over import similarity
from meshlam_core.head.model import HeadModel
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.hair import with_hair
from meshlam_core.tracker.landmarks import face_centre
from meshlam_core.tracker.neutral import at_rest
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import TrackedFace
from training.synthetic.camera import Shot
from training.synthetic.detector_errors import DetectorErrors
from training.synthetic.world import EARS, NECK, SKIN

F32 = NDArray[np.float32]

BARE = (SKIN, EARS, NECK)


def simulate_tracker(
    head: HeadModel,
    posed: F32,  # [V, 3] view frame, the true bald head
    shot: Shot,
    errors: DetectorErrors,
    rng: np.random.Generator,
) -> TrackedFace:
    """The tracker's head on the canvas, still bald."""
    seen = errors.detect(head, head.landmarks(posed).astype(np.float64), shot, rng)
    x, y = face_centre(seen).tolist()
    around = (round(2 * x), round(2 * y))  # px, as if looked at along the axis: the canvas is no photo with a wide lens
    found = at_rest(head_fitter(head).fit(seen, around), head)
    return replace(found, camera=replace(found.camera, size=shot.camera.size))


def laid_on_face(
    vertices: F32,  # [V, 3] neutral, true
    bald: F32,  # [V, 3] neutral, true, without hair
    tracked: TrackedFace,
    head: HeadModel,
) -> F32:  # [V, 3]
    """The true head where the tracker has it: scaled, turned and shifted so that the faces lie on each other.

    Distance and focal length, and with them scale and part of the pose, are not to be had from one photo; asking for
    them would drown the hair's shape in an error that nobody can mend.
    """
    own, other = (head.landmarks(face).astype(np.float64) for face in (bald, tracked.vertices))
    scale, rotation, shift = similarity(own, other)
    return np.asarray(scale * vertices @ rotation.T + shift, np.float32)


def with_hull(
    tracked: TrackedFace,
    head: HeadModel,
    hair: F32,  # [R, R] 0..1, masks over the square canvas, as wrong as they come
    person: F32,  # [R, R]
    picture: NDArray[np.uint8],  # [H, H, 3] sRGB
    label: NDArray[np.uint8],  # [H, H]
    filled: tuple[int, int],  # px of H
) -> tuple[TrackedFace, Regions]:
    """The tracker's head with the hair that the hull fit finds in the masks, and these on what the photo fills."""
    size = len(label)
    width, height = filled
    masks = cv2.resize(np.stack([hair, person], axis=-1), (size, size), interpolation=cv2.INTER_LINEAR)
    hair_mask, person_mask = np.ascontiguousarray(np.moveaxis(masks, -1, 0)[:, :height, :width])
    shown = picture[:height, :width]
    skin = np.isin(label[:height, :width], BARE).astype(np.float32) * (1 - hair_mask) * person_mask
    regions = Regions(
        person=person_mask,
        hair=hair_mask,
        skin=skin,
        other=(person_mask - hair_mask - skin).clip(0, 1),
        skin_colour=_median(shown, skin, 127.0),
        hair_colour=_median(shown, hair_mask, _median(shown, skin, 127.0) * 255),
        hair_share=float(hair_mask.sum() / max(float(skin.sum()), 1.0)),
    )
    return with_hair(tracked, regions, tracked.camera, head), regions


def _median(picture: NDArray[np.uint8], mask: F32, otherwise: float | F32) -> F32:  # [3] 0..1
    """The colour where a mask is sure."""
    where = mask > 0.5
    found = np.median(picture[where], axis=0) if where.any() else np.full(3, otherwise)
    return np.asarray(found / 255, np.float32)
