"""Finding faces and their landmarks in a picture.

Image frame: frames.py, in pixels of the array that is passed in.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_MIRROR
from meshlam_core.errors import FaceTooSmall, NoFace, UsageError
from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE_OUTER, MIRROR, RIGHT_EYE_OUTER
from meshlam_core.tracker.close_look import PLACE, look_closely
from meshlam_core.tracker.face_nets import (
    DETECTOR_SIZE,
    LOOKS_AT_ONCE,
    MESH_SIZE,
    MIN_SCORE,
    FaceNets,
    overlaps,
    sigmoid,
)
from meshlam_core.tracker.sampling import Region, sample_region
from meshlam_core.tracker.types import Detection

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

MAX_FACES = 24
MIN_FACE_HEIGHT = 64  # px, forehead to chin: below it neither landmarks nor texture carry a likeness
LARGE = 0.25  # face height / picture side: beside such a face there is no room for others that matter
LARGEST = 0.1  # the same, where only the largest face matters: the whole picture shows one of this size
TILE_MIN_SCORE = 0.9  # in tiles texture of all sorts is seen enlarged, and some of it looks like a face
SURE = 0.9999  # score of a real face seen the right way up
MARGINS = (1.4, 2.0)  # of the picture's side: a face that its border cuts is found where there is room around it
QUARTERS = (np.pi / 2, np.pi, -np.pi / 2)
LYING = 0.7  # rad of roll from which a face may rather be one that stands
SMALLEST_TILE = 160  # px: in smaller ones even a face too small to use is large
REFINE_ZOOMS = (0.9, 1.12)
ROI_SCALE = 1.5  # region side / longer side of the landmarks' box, as the networks were trained (MediaPipe)


class LandmarkDetector(Protocol):
    """What the tracker needs from a landmark network."""

    def detect(
        self,
        image: U8,  # [H, W, 3]
        every: bool = True,
    ) -> list[Detection]:
        """Every face, from left to right in the picture; or at least the largest."""

    def refine(
        self,
        image: U8,  # [H, W, 3]
        detection: Detection,
    ) -> Detection:
        """The same face, as exactly as the network can see it."""

    def follow(
        self,
        image: U8,  # [H, W, 3]
        previous: Detection,
    ) -> Detection | None:
        """The face of the previous frame in this one; None when it is lost."""


def choose_face(
    detections: list[Detection],  # from left to right
    which: int | str = "largest",  # 1 is the leftmost face
    source: str = "the picture",
) -> Detection:
    """The face asked for. NoFace and FaceTooSmall say what was found and what helps."""
    if which != "largest" and not (isinstance(which, int) and which >= 1):
        raise UsageError(f"face: expected 'largest' or a number from 1 on, got {which!r}.", "1 is the leftmost face.")
    if not detections:
        raise NoFace(
            f"No face was found in {source}.",
            "Use a photo that shows one face from the front, well lit and not covered.",
        )
    if isinstance(which, int):
        if which > len(detections):
            many = "1 face was" if len(detections) == 1 else f"{len(detections)} faces were"
            raise NoFace(f"Face {which} was asked for, but {many} found in {source}.", "1 is the leftmost face.")
        return detections[which - 1]
    return max(detections, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))


def check_face_size(
    detection: Detection,  # px of the file's own pixels
    source: str = "the picture",
) -> None:
    """Refuse a face with too few pixels."""
    height = face_span(detection.landmarks)
    if height < MIN_FACE_HEIGHT:
        raise FaceTooSmall(
            f"The face in {source} is {height:.0f} pixels high; at least {MIN_FACE_HEIGHT} are needed.",
            "Use a larger version of the photo, or one taken closer.",
        )


def face_span(
    landmarks: F32,  # [L, >=2] px
) -> float:  # px
    """Distance from the top of the forehead to the chin in the picture."""
    return float(np.linalg.norm(landmarks[FOREHEAD, :2] - landmarks[CHIN, :2]))


def face_centre(
    detection: Detection,
) -> NDArray[np.float64]:  # [2] px
    """The middle of the face in the picture."""
    x0, y0, x1, y1 = detection.box
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])


@dataclass(frozen=True)
class _Look:
    """One answer of the landmark network."""

    landmarks: F32  # [L, 3] px
    coefficients: F32  # [52]
    log_odds: float  # of a face

    def detection(self) -> Detection:
        return _detection(self.landmarks, self.coefficients, float(sigmoid(self.log_odds)))


@dataclass(frozen=True)
class _Candidate:
    region: Region
    score: float


class MediaPipeDetector:
    """Google's Face Landmarker: 478 landmarks and the ARKit coefficients, on the CPU.

    A tongue that is out, which its coefficients do not tell, is read from the picture (close_look.py).
    """

    def __init__(self, task_file: str | Path, threads: int = 1) -> None:
        self._nets = FaceNets(Path(task_file), threads)

    def detect(self, image: U8, every: bool = True) -> list[Detection]:
        """Every face, from left to right; small ones are searched in tiles when no large one is found."""
        height, width = image.shape[:2]
        faces: list[Detection] = []
        for level in (1, 2, 4, 8):
            side = max(height, width) / level
            if level > 1 and side < SMALLEST_TILE:
                break
            least = MIN_SCORE if level == 1 else TILE_MIN_SCORE
            faces = self._search(image, _tiles(width, height, side), faces, least)
            if level == 1 and max((face.score for face in faces), default=0.0) < SURE:
                # a scan lying on its side, a drawing upside down
                rolled = [replace(tile, roll=roll) for tile in _tiles(width, height, side) for roll in QUARTERS]
                faces = self._best_apart(image, faces + self._search(image, rolled, [], SURE))
            tallest = max((face.box[3] - face.box[1] for face in faces), default=0.0)
            large = LARGE if every else LARGEST
            if tallest > large * min(height, width) or (faces and level >= 4):
                break
        if not faces:
            middle, side = (width / 2, height / 2), max(height, width)
            faces = self._search(image, [Region(middle, margin * side) for margin in MARGINS], [], MIN_SCORE)
        return sorted(faces, key=lambda face: face.box[0] + face.box[2])

    def _search(self, image: U8, tiles: list[Region], known: list[Detection], least: float) -> list[Detection]:
        """The known faces and those that the tiles show beside them."""
        faces = list(known)
        found = [face for tile in tiles for face in self._search_tile(image, tile)]
        for candidate in _distinct(found)[:MAX_FACES]:
            if not _is_known(candidate.region, faces):
                face = self._turned_right(image, self._zoom(image, candidate).region)
                if face.score >= least and not _overlaps_any(face, faces):
                    faces.append(face)
        return faces

    def _turned_right(self, image: U8, region: Region) -> Detection:
        """The face in a region. Small ones are at times seen lying when they stand: then the likelier one counts."""
        face = self._look(image, region).detection()
        if abs(np.arctan2(np.sin(region.roll), np.cos(region.roll))) < LYING:
            return face
        upright = self._look(image, replace(region, roll=0.0)).detection()
        return max((face, upright), key=lambda seen: self.refine(image, seen).score)

    def _best_apart(self, image: U8, faces: list[Detection]) -> list[Detection]:
        """The likeliest of every group of overlapping faces: a face taken for one lying on its side scores high, too,
        but looks at it disagree."""
        if len(faces) < 2:
            return faces
        kept: list[Detection] = []
        for face in sorted(faces, key=lambda item: -self.refine(image, item).score):
            if not _overlaps_any(face, kept):
                kept.append(face)
        return kept

    def refine(self, image: U8, detection: Detection) -> Detection:
        """Look again at the tight upright region and at its mirror image, and average: the error falls by a third."""
        region = landmark_region(self._look(image, landmark_region(detection.landmarks)).landmarks)
        wanted = [
            (replace(region, side=region.side * zoom), mirrored) for zoom in REFINE_ZOOMS for mirrored in (False, True)
        ]
        with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
            looks = list(pool.map(lambda look: self._look(image, *look), wanted))
        points = np.stack([look.landmarks for look in looks])  # [4, L, 3]
        landmarks = points.mean(axis=0)
        coefficients = np.mean([look.coefficients for look in looks], axis=0).astype(np.float32)
        coefficients[PLACE] = look_closely(image, landmarks)
        spread = np.sqrt(((points - landmarks)[..., :2] ** 2).sum(axis=-1).mean()) / max(region.side / ROI_SCALE, 1.0)
        log_odds = float(np.mean([look.log_odds for look in looks]))
        return _detection(landmarks, coefficients, _likeness(log_odds, float(spread)))

    def follow(self, image: U8, previous: Detection) -> Detection | None:
        """One look at where the face was; when it moved, one more at where it went."""
        face = self._look(image, landmark_region(previous.landmarks)).detection()
        if face.score < MIN_SCORE:
            return None
        moved = np.abs(np.subtract(face.box, previous.box)).max() / (previous.box[3] - previous.box[1])
        face = self._look(image, landmark_region(face.landmarks)).detection() if moved > 0.08 else face
        face.coefficients[PLACE] = look_closely(image, face.landmarks)
        return face

    def _look(self, image: U8, region: Region, mirrored: bool = False) -> _Look:
        picture = sample_region(image, region, MESH_SIZE)
        points, log_odds = self._nets.landmarks(picture[:, ::-1] if mirrored else picture)
        if mirrored:
            points = points[MIRROR] * np.array([-1, 1, 1], np.float32) + np.array([1, 0, 0], np.float32)
        matrix = region.picture_from_unit()
        flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        landmarks = np.concatenate([flat, points[:, 2:] * region.side], axis=1).astype(np.float32)
        if mirrored:  # asked of the mirrored face, so that the network's left-right bias cancels in the average
            coefficients = self._nets.expression((landmarks * np.array([-1, 1, 1], np.float32))[MIRROR])[ARKIT_MIRROR]
        else:
            coefficients = self._nets.expression(landmarks)
        return _Look(landmarks, coefficients, log_odds)

    def _zoom(self, image: U8, candidate: _Candidate) -> _Candidate:
        """Look again, closer and turned upright: a face that is small in its tile is found there, but not exactly."""
        near = self._search_tile(image, replace(candidate.region, side=candidate.region.side * 1.5))
        return max(near, key=lambda face: face.score, default=candidate)

    def _search_tile(self, image: U8, tile: Region) -> list[_Candidate]:
        found = self._nets.find(sample_region(image, tile, DETECTOR_SIZE, outside=0))
        matrix = tile.picture_from_unit()
        candidates = []
        for box, keypoints, score in zip(found.boxes, found.keypoints, found.scores, strict=True):
            centre = matrix[:, :2] @ ((box[:2] + box[2:]) / 2) + matrix[:, 2]
            eyes = keypoints[1] - keypoints[0]
            side = float((box[2:] - box[:2]).max()) * tile.side * ROI_SCALE
            roll = tile.roll + float(np.arctan2(eyes[1], eyes[0]))
            candidates.append(_Candidate(Region((float(centre[0]), float(centre[1])), side, roll), float(score)))
        return candidates


def _likeness(log_odds: float, spread: float) -> float:
    """How much a face looks like a human one, 0..1, from several looks at it.

    The network's looks at animals disagree, and it is less sure of them. On 261 faces of people the spread was at most
    1.31 % of the face (all but one: 0.93 %), the log odds between 10 and 22; on a monkey and two dogs the spread was at
    least 1.55 %, with log odds up to 15. So mostly the spread counts: between two processors the monkey's log odds went
    from 14.0 to 15.1, its spread from 1.60 to 1.55 %.
    """
    return float(sigmoid((log_odds - 14.8) / 3.0 + (0.0140 - spread) / 0.001))


def landmark_region(
    landmarks: F32,  # [L, >=2] px
) -> Region:
    """The upright square around a face that the landmark network expects."""
    eyes = landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]
    roll = float(np.arctan2(eyes[1], eyes[0]))
    c, s = np.cos(roll), np.sin(roll)
    turned = landmarks[:, :2] @ np.array([[c, -s], [s, c]])
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = np.array([[c, -s], [s, c]]) @ ((low + high) / 2)
    return Region((float(centre[0]), float(centre[1])), float((high - low).max()) * ROI_SCALE, roll)


def _detection(landmarks: F32, coefficients: F32, score: float) -> Detection:
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return Detection(landmarks, coefficients, (float(low[0]), float(low[1]), float(high[0]), float(high[1])), score)


def _tiles(width: int, height: int, side: float) -> list[Region]:
    """Squares of a side that cover the picture, each overlapping the next by a half."""

    def starts(length: float) -> NDArray[np.float64]:
        if length <= side:
            return np.array([length / 2])
        return np.linspace(side / 2, length - side / 2, int(np.ceil((length - side) / (side / 2))) + 1)

    return [Region((float(x), float(y)), side) for y in starts(height) for x in starts(width)]


def _is_known(region: Region, faces: list[Detection]) -> bool:
    x, y = region.centre
    return any(face.box[0] < x < face.box[2] and face.box[1] < y < face.box[3] for face in faces)


def _overlaps_any(face: Detection, faces: list[Detection]) -> bool:
    known = np.array([other.box for other in faces], np.float32).reshape(-1, 4)
    return bool((overlaps(np.array(face.box, np.float32), known) > 0.3).any())


def _distinct(candidates: list[_Candidate]) -> list[_Candidate]:
    """The surest candidate of every face."""
    kept: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda item: -item.score):
        near = [
            np.hypot(*np.subtract(candidate.region.centre, other.region.centre))
            < 0.35 * max(candidate.region.side, other.region.side)
            for other in kept
        ]
        if not any(near):
            kept.append(candidate)
    return kept
