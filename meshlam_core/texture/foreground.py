"""The colours of hair along its outline without those of the ground that shines through it.

Between the strands of an outline a photo shows what lies behind them, and a texture keeps it: a blue rim on blond hair
once the head is turned. Matting calls what is wanted the foreground's colour. A pixel's hue that lies on the way from
the hair's own hue, further inside, to that of the ground close by tells how much of it is ground; that much of the
ground is taken off, hue and brightness. Shade and gloss of hair are on another way and stay, and where hair and ground
have one hue nothing can be told and nothing is done.

Image frame of the crop (see frames.py). Colours are sRGB 0..1. Dims: H, W rows and columns of the crop; h, w of a
smaller picture of it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.opencv import cv2
from meshlam_core.texture.trust import FREE, eroded, mean_around
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.ramps import smooth_step
from meshlam_core.tracker.sampling import resized

F32 = NDArray[np.float32]

SPAN = 150.0  # px, face height of the smaller picture
REACH = 0.12  # of the face height: from how far ground shines through, and how far inside hair has its own colour
INSIDE, AROUND = 0.05, 0.12  # of the face height: from the outline to where hair is sure; over which that is averaged
NEAR = 0.06  # share of ground around a pixel from which it shines through fully
SURE, DOUBTFUL = 0.9, (0.3, 0.7)  # hair mask of sure hair; between which a pixel begins to count as hair
UNLIKE = 0.2  # distance of hues from which ground and hair are told apart
LIFT = 0.04  # added to colours, so that the noise of dark ones is no hue
GAIN = (0.6, 1.5)  # least and most by which the brightness may change
TINT = (0.4, 2.5)  # least and most by which a channel of the hue may


def without_ground(
    image: Tensor,  # [1, 3, H, W]
    regions: Regions,  # of the crop
    span: float,  # px of the crop, height of the face
) -> Tensor:  # [1, 3, H, W]
    """The picture with the ground taken off the hair's outline; the very same where no hair borders on ground."""
    factor = min(1.0, SPAN / max(span, 1.0))
    height, width = image.shape[2:]
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    person, hair = (resized(mask, size) for mask in (regions.person, regions.hair))
    if not (hair > SURE).any() or not (person < FREE).any():
        return image
    whole = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    small = np.asarray(cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA))
    gain = _gain(small, person, hair, regions.hair_colour, span * factor)
    gain = np.asarray(cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR))
    cleaned = ((whole + np.float32(LIFT)) * gain - np.float32(LIFT)).clip(0, 1)
    return torch.from_numpy(cleaned).permute(2, 0, 1)[None]


def _gain(
    image: F32,  # [h, w, 3]
    person: F32,  # [h, w]
    hair: F32,  # [h, w]
    usual: F32,  # [3] colour of the hair, where none is sure nearby
    span: float,  # px, height of the face
) -> F32:  # [h, w, 3]
    """What each lifted colour has to be multiplied by."""
    ground, near = mean_around(image, person < FREE, REACH * span)
    own, known = mean_around(image, eroded(hair > SURE, INSIDE * span), AROUND * span, times=2)
    own = np.where(known[..., None] > 0, own, usual)
    brightness, hue = _parted(image)
    brightness_of_ground, hue_of_ground = _parted(ground)
    brightness_of_hair, hue_of_hair = _parted(own)
    way = hue_of_ground - hue_of_hair
    length = (way**2).sum(axis=2)
    share = ((hue - hue_of_hair) * way).sum(axis=2) / np.maximum(length, UNLIKE**2 / 2)
    share = share.clip(0, 1) * (near / NEAR).clip(0, 1) * smooth_step(hair, *DOUBTFUL) * (length / UNLIKE**2).clip(0, 1)
    share = cv2.blur(share.astype(np.float32), (3, 3))[..., None]
    left = brightness - share * (brightness_of_ground - brightness_of_hair)
    return np.asarray(((hue - share * way) / hue).clip(*TINT) * (left / brightness).clip(*GAIN), np.float32)


def _parted(colour: F32) -> tuple[F32, F32]:  # [h, w, 1], [h, w, 3]
    """Brightness, and the colour at a brightness of 1."""
    lifted = np.asarray(colour + np.float32(LIFT), np.float32)
    brightness = np.asarray(cv2.cvtColor(lifted, cv2.COLOR_RGB2GRAY), np.float32)[..., None]
    return brightness, np.asarray(lifted / brightness, np.float32)
