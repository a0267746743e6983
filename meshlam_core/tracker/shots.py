"""Whose face is where in a clip: shots, people, and which of them is meant.

A face that is followed from frame to frame is a run. Runs end where the face is lost and where the picture changes all
at once, a cut; then all faces are looked for again, in every frame until there are some. Runs of one person are told by
the shape of the face. A run that hardly looks human, or has too few pixels, is refused, however long it is.

Image frame: frames.py. Dims: T frames, L landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import FaceTooSmall, NoFace
from meshlam_core.files.images import Frame
from meshlam_core.opencv import cv2
from meshlam_core.tracker.face_nets import overlaps
from meshlam_core.tracker.fit import HeadFitter
from meshlam_core.tracker.landmarks import (
    MIN_FACE_HEIGHT,
    LandmarkDetector,
    check_face_size,
    choose_face,
    face_span,
)
from meshlam_core.tracker.types import Detection

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MOST = 4  # faces followed at once, the largest
LOOKS = (0, 4, 16)  # frames of a run in which the face is looked at more closely
HUMAN = 0.5  # likeness, the best of the looks, below which a run is no face
LONE = 3  # frames that a run must last in a clip of more
CUT = 22.0  # of 255, mean difference of small copies of two frames from which they are of different shots
CUT_TIMES = 3.0  # and how many times the usual difference it must be
SMALL = (32, 18)  # px, of the small copies
SAME_PERSON = 0.02  # rms between the landmarks of two neutral faces of one size


@dataclass
class Run:
    """One face, followed without a break."""

    first: int  # frame
    shot: int
    detections: list[Detection] = field(default_factory=list)  # of the frames from `first` on
    looks: list[Detection] = field(default_factory=list)  # closer ones at LOOKS

    @property
    def human(self) -> bool:
        """Whether it is a face."""
        return max((look.score for look in self.looks), default=0.0) >= HUMAN

    @property
    def usable(self) -> list[int]:
        """Frames in which it has pixels enough."""
        spans = [face_span(detection.landmarks) for detection in self.detections]
        return [self.first + index for index, span in enumerate(spans) if span >= MIN_FACE_HEIGHT]


@dataclass(frozen=True)
class Seen:
    """The chosen person through a clip."""

    times: list[float]  # [T] s
    detections: list[Detection | None]  # [T] None: not there, or not usable
    shots: list[int]  # [T] number of the shot
    size: tuple[int, int]  # px
    refused: int  # frames that show a face, but only one that is too small or hardly human


def watch(
    frames: Iterable[Frame],
    detector: LandmarkDetector,
    fitter: HeadFitter,
    face: int | str,
    source: str,
    progress: Callable[[str, float], None],
) -> Seen:
    """Follow all faces of a clip and choose one person: the asked one, or the one that is seen longest."""
    times: list[float] = []
    shots: list[int] = []
    runs: list[Run] = []
    active: list[Run] = []
    size, change = (0, 0), _Change()
    for index, frame in enumerate(frames):
        size = (frame.pixels.shape[1], frame.pixels.shape[0])
        cut = change.is_cut(frame.pixels)
        shots.append((shots[-1] if shots else 0) + cut)
        times.append(frame.time)
        active = [] if cut else _followed(active, frame, detector)
        if not active:
            # in a shot whose first frames show nobody one face is enough; a picture of several is searched for all
            every = index == 0 or cut or face != "largest"
            found = sorted(detector.detect(frame.pixels, every=every), key=lambda item: -face_span(item.landmarks))
            active = [Run(index, shots[-1], [item]) for item in found[:MOST]]
            runs += active
        for run in active:
            if index - run.first in LOOKS:
                run.looks.append(detector.refine(frame.pixels, run.detections[-1]))
        progress("landmarks", 0.0)
    return _choose(runs, times, shots, size, fitter, face, source)


def _followed(runs: list[Run], frame: Frame, detector: LandmarkDetector) -> list[Run]:
    kept: list[Run] = []
    for run in runs:
        found = detector.follow(frame.pixels, run.detections[-1])
        boxes = np.array([other.detections[-1].box for other in kept], np.float32).reshape(-1, 4)
        if found is None or (overlaps(np.array(found.box, np.float32), boxes) > 0.5).any():
            continue
        run.detections.append(found)
        kept.append(run)
    return kept


class _Change:
    """How much the picture changes from frame to frame."""

    def __init__(self) -> None:
        self._last: F32 | None = None
        self._usual = 0.0

    def is_cut(
        self,
        pixels: NDArray[np.uint8],  # [H, W, 3]
    ) -> bool:
        """Whether another shot begins with this frame."""
        step = max(1, min(pixels.shape[:2]) // 90)
        small = cv2.resize(np.ascontiguousarray(pixels[::step, ::step]), SMALL, interpolation=cv2.INTER_AREA)
        now = np.asarray(small, np.float32)
        change = 0.0 if self._last is None else float(np.abs(now - self._last).mean())
        self._last = now
        cut = change > max(CUT, CUT_TIMES * self._usual)
        if not cut:
            self._usual += 0.2 * (change - self._usual)
        return cut


def _choose(
    runs: list[Run],
    times: list[float],
    shots: list[int],
    size: tuple[int, int],
    fitter: HeadFitter,
    face: int | str,
    source: str,
) -> Seen:
    good = [run for run in runs if run.human and run.usable]
    lasting = [run for run in good if len(run.detections) >= min(LONE, len(times))]
    people = _people(lasting or good, fitter)
    refused = {run.first + i for run in runs if run not in good for i in range(len(run.detections))}
    if not people:
        _refuse(runs, source)
    if face == "largest":
        person = max(people, key=lambda one: sum(len(run.usable) for run in one))
    else:
        opening = min(run.first for one in people for run in one)
        there = [run for one in people for run in one if run.first == opening]
        there.sort(key=lambda run: run.detections[0].box[0] + run.detections[0].box[2])
        asked = choose_face([run.detections[0] for run in there], face, source)
        wanted = next(run for run in there if run.detections[0] is asked)
        person = next(one for one in people if wanted in one)
    detections: list[Detection | None] = [None] * len(times)
    for run in person:
        usable = set(run.usable)
        refused |= {run.first + i for i in range(len(run.detections))} - usable
        for index in usable:
            detections[index] = run.detections[index - run.first]
    count = sum(detections[index] is None for index in refused)
    return Seen(times, detections, shots, size, count)


def _refuse(runs: list[Run], source: str) -> None:
    """Say why no run of a clip can be used."""
    human = [run for run in runs if run.human]
    if human:
        largest = max((d for run in human for d in run.detections), key=lambda d: face_span(d.landmarks))
        check_face_size(largest, source)
        raise FaceTooSmall(f"The faces in {source} are too small.", "Use a clip that was taken closer.")
    if runs:
        raise NoFace(
            f"What looks like a face in {source} is seen too unsurely to be one.",
            "Use a clip that shows one face from the front, well lit.",
        )
    raise NoFace(f"No face was found in {source}.", "Use a clip that shows one face from the front, well lit.")


def _people(runs: list[Run], fitter: HeadFitter) -> list[list[Run]]:
    """Runs of one person together: their faces are alike, and they are never seen at once."""
    people: list[tuple[list[Run], F64]] = []
    for run in sorted(runs, key=lambda item: -len(item.detections)):
        if len(runs) == 1:
            return [[run]]
        shape = _shape(run, fitter)
        near = [
            (float(np.sqrt(((shape - known) ** 2).sum(axis=1).mean())), one)
            for one, known in people
            if not any(_at_once(run, other) for other in one)
        ]
        off, nearest = min(near, key=lambda pair: pair[0], default=(np.inf, None))
        if nearest is not None and off < SAME_PERSON:
            nearest.append(run)
        else:
            people.append(([run], shape))
    return [sorted(one, key=lambda run: run.first) for one, _ in people]


def _at_once(a: Run, b: Run) -> bool:
    return a.first < b.first + len(b.detections) and b.first < a.first + len(a.detections)


def _shape(
    run: Run, fitter: HeadFitter
) -> F64:  # [L, 3] the neutral face, centred and of size 1, the mean of the closer looks
    shapes = []
    for look in run.looks:
        points = fitter.rig.of_person(fitter.neutral(fitter.parametric(look).face.identity)).neutral.T
        points = points - points.mean(axis=0)
        shapes.append(points / np.sqrt((points**2).sum(axis=1).mean()))
    mean: F64 = np.mean(shapes, axis=0)
    return mean
