"""Where the camera's axis runs, when nobody tells.

A photo may be a whole picture, a cutting, or a collage, and its EXIF may be of another picture; so where the optical
axis meets it is not known. Faces in the middle hardly mind. At the edge of a wide picture they do: there a lens
stretches what it sees, by 1 / cos along the circles around the axis and by 1 / cos^2 away from it, and a head that is
fitted as if it stood there unstretched, or the other way round, grows as wide as a pumpkin.

The face is therefore looked at straight: as a cutting with its own centre on the axis. Then the head does not depend on
where in the picture the face is, nor how large. Where the face stands far off the middle, the same is tried with the
picture turned back as its lens would have stretched it; faces are symmetric, so that a stretch that is not there, or
one that is overlooked, raises the cost of the fit.

Image frame of the photo, camera and view frame: frames.py. Dims: L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import CAMERA_FROM_VIEW, rotation_from_axis_angle
from meshlam_core.tracker.landmarks import face_centre
from meshlam_core.tracker.types import Detection

F64 = NDArray[np.float64]

FULL_FRAME = 43.27  # mm, the diagonal of the 35 mm frame, by which CIPA DCG-001 defines the equivalent focal length
USUAL_WIDE = 26.0  # mm, the main camera of phones: what takes most wide pictures
FAR_OFF = np.radians(15)  # off the axis; nearer to it the stretch is at most 4 %
CLEARLY = 0.8  # of the cost without a lens, below which the stretch is believed


@dataclass(frozen=True)
class Lens:
    """A pinhole whose axis meets the middle of the picture."""

    focal: float  # px
    centre: tuple[float, float]  # px

    def straightened(
        self,
        detection: Detection,  # px of the photo
    ) -> tuple[Detection, F64]:  # and view_from_straight [3, 3]
        """The face as a camera of the same focal length, turned towards it, would see it; its axis is at (0, 0)."""
        picture_from_straight = self._turn(face_centre(detection))
        offset = detection.landmarks[:, :2].astype(np.float64) - self.centre
        rays = np.column_stack([offset, np.full(len(offset), self.focal)]) @ picture_from_straight
        points = rays[:, :2] / rays[:, 2:] * self.focal  # [L, 2]
        # depths are relative to the face's size, which the turn changes a little
        scale = float(np.ptp(points, axis=0).prod() / np.ptp(offset, axis=0).prod()) ** 0.5
        landmarks = np.column_stack([points, detection.landmarks[:, 2] * scale]).astype(np.float32)
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        flip = CAMERA_FROM_VIEW.astype(np.float64)
        return replace(detection, landmarks=landmarks, box=box), flip @ picture_from_straight @ flip

    def _turn(
        self,
        towards: F64,  # [2] px
    ) -> F64:  # [3, 3] camera frame, columns are the straight camera's axes
        x, y = towards - self.centre
        length = float(np.hypot(x, y))
        if length < 1e-9:
            return np.eye(3)
        return np.asarray(rotation_from_axis_angle(np.array([-y, x, 0.0]) / length * np.arctan2(length, self.focal)))


def edge_lens(
    detection: Detection,  # px of the photo
    size: tuple[int, int],  # px, (width, height) of the photo
    focal_35mm: float | None,  # mm, EXIF; None: that of a phone
) -> Lens | None:
    """The lens that would have stretched this face; None where the face is too near the axis to matter."""
    focal = (focal_35mm or USUAL_WIDE) / FULL_FRAME * float(np.hypot(*size))
    centre = (size[0] / 2, size[1] / 2)
    offset = face_centre(detection) - centre
    return Lens(focal, centre) if np.hypot(*offset) > focal * np.tan(FAR_OFF) else None
