"""From a photo to a TrackedFace, and from a clip to a Track.

Which face is followed, over cuts and losses, is said in shots.py. A clip has one identity and one focal length,
estimated together from a dozen frames that differ most (clip_fit.py); every frame then gets its pose and expression,
and the whole track is smoothed without lag (smoothing.py).
Frames and units: frames.py. Dims: T frames, K blendshapes, L landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.files.ahead import ahead
from meshlam_core.files.images import Frame, Photo
from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.tracker.clip_fit import fit_person, spread_frames, with_shared
from meshlam_core.tracker.fit import HeadFitter, Person, clip_fitter, head_fitter
from meshlam_core.tracker.landmarks import LandmarkDetector, check_face_size, choose_face, face_centre
from meshlam_core.tracker.problem import Face
from meshlam_core.tracker.rig import eye_joints
from meshlam_core.tracker.shots import Seen, watch
from meshlam_core.tracker.smoothing import smooth
from meshlam_core.tracker.solver import solve
from meshlam_core.tracker.teeth import seat_teeth
from meshlam_core.tracker.types import Detection, TrackedFace

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Progress = Callable[[str, float], None]  # (stage, fraction done); may raise to cancel

KEY_FRAMES = 12
CALM = 0.4  # of the frames, those with the least expression, among which key frames are chosen
# The most that one frame's fit jitters, seen on still faces; whatever moves more is the person.
ROTATION_NOISE = 0.004  # rad
TRANSLATION_NOISE = (0.0003, 0.0003, 0.004)  # m; the distance is the least certain
EXPRESSION_NOISE = 0.02


@dataclass(frozen=True)
class TrackFrame:
    """The face in one frame."""

    time: float  # s
    found: bool  # False: filled in between its neighbours
    expression: F32  # [K]
    rotation: F32  # [3] axis-angle of the head, rad
    translation: F32  # [3] m, view frame
    landmark_error: float  # rms over the visible landmarks / face height; NaN where not found


@dataclass(frozen=True)
class Track:
    """The face through a clip, as seen by one camera."""

    size: tuple[int, int]  # px
    focal: float  # px
    centre: tuple[float, float]  # px
    names: tuple[str, ...]  # [K] of the expression
    identity: F32  # [N]
    landmarks: F32  # [L, 3] m, of the person's neutral face: what retarget.py compares proportions by
    eyes: F32  # [2, 3] m, centres of the right and the left eyeball
    frames: tuple[TrackFrame, ...]
    source: str = ""  # file name of the clip
    refused: int = 0  # frames bridged although they show a face: too small, or hardly human


def find_face(
    photo: Photo,
    detector: LandmarkDetector,
    face: int | str = "largest",
) -> Detection:
    """The chosen face, in native pixels."""
    found = detector.detect(photo.pixels, every=face != "largest")
    chosen = detector.refine(photo.pixels, choose_face(found, face, photo.path.name))
    native = scaled_detection(chosen, 1 / photo.scale)
    check_face_size(native, photo.path.name)
    return native


def track_photo(
    photo: Photo,
    detector: LandmarkDetector,
    model: HeadModel,
    face: int | str = "largest",
) -> TrackedFace:
    """Fit the head model to one face of a photo. `face`: "largest", or 1 for the leftmost, 2 for the next, ..."""
    detection = find_face(photo, detector, face)
    return seat_teeth(photo, head_fitter(model).fit(detection, photo.native_size, photo.focal_35mm), model)


def scaled_detection(detection: Detection, factor: float) -> Detection:
    """The detection on a picture `factor` times as large."""
    if factor == 1.0:
        return detection
    x0, y0, x1, y1 = (side * factor for side in detection.box)
    return replace(detection, landmarks=(detection.landmarks * factor).astype(np.float32), box=(x0, y0, x1, y1))


def track_clip(
    frames: Iterable[Frame],
    detector: LandmarkDetector,
    model: HeadModel,
    face: int | str = "largest",
    source: str = "the clip",
    progress: Progress = lambda stage, fraction: None,
) -> Track:
    """Track one face through a clip."""
    seen = watch(ahead(frames), detector, head_fitter(model), face, source, progress)
    return fit_clip(seen, clip_fitter(model), source, progress)


def fit_clip(
    clip: Seen,
    fitter: HeadFitter,
    source: str = "the clip",
    progress: Progress = lambda stage, fraction: None,
) -> Track:
    """The track of a person who was followed through a clip."""
    times, detections, size = clip.times, clip.detections, clip.size
    seen = [index for index, detection in enumerate(detections) if detection is not None]
    found = [detection for detection in detections if detection is not None]
    progress("person", 0.0)
    # where the axis meets the picture is not known: see lens.py
    centre = np.median([face_centre(detection) for detection in found], axis=0)
    person, start = fit_person(fitter, key_frames(fitter, found), centre)
    faces, errors = follow(fitter, person, found, start, centre, progress)
    expression, rotation, translation = _fill_and_smooth(np.array(times), np.array(seen), np.array(clip.shots), faces)
    all_errors = np.full(len(times), np.nan)
    all_errors[seen] = errors
    neutral = fitter.model.joint_regressor.astype(np.float64) @ person.vertices
    return Track(
        size=size,
        focal=float(np.exp(start.log_focal)),
        centre=(float(centre[0]), float(centre[1])),
        names=fitter.rig.names,
        identity=fitter.padded(start.identity),
        landmarks=person.rig.neutral.T.astype(np.float32),
        eyes=neutral[list(eye_joints(fitter.model))].astype(np.float32),
        frames=tuple(
            TrackFrame(
                float(time),
                detections[index] is not None,
                expression[index].astype(np.float32),
                rotation[index].astype(np.float32),
                translation[index].astype(np.float32),
                float(all_errors[index]),
            )
            for index, time in enumerate(times)
        ),
        source=source,
        refused=clip.refused,
    )


def key_frames(fitter: HeadFitter, found: list[Detection]) -> list[Detection]:
    """The frames that tell the person: turned as differently as possible, with a face as calm as possible."""
    energy = [float(np.linalg.norm(fitter.expression_of(detection)[fitter.calm])) for detection in found]
    calm = [found[i] for i in np.argsort(energy, kind="stable")[: max(KEY_FRAMES, round(CALM * len(found)))]]
    return [calm[i] for i in spread_frames(calm, KEY_FRAMES)]


def follow(
    fitter: HeadFitter,
    person: Person,
    found: list[Detection],  # [M]
    start: Face,  # whose focal length is the clip's
    centre: F64,  # [2] px
    progress: Progress = lambda stage, fraction: None,
) -> tuple[list[Face], list[float]]:  # and landmark errors
    """Pose and expression of every frame, each starting from the frame before."""
    faces: list[Face] = []
    errors: list[float] = []
    for index, detection in enumerate(found):
        pose = with_shared(fitter.start(detection, centre), start) if not faces else faces[-1]
        pose = replace(pose, identity=np.empty(0), expression=fitter.expression_of(detection))
        observation = fitter.observe(detection, centre, pose, person)
        prior = fitter.pose_prior(detection)
        face = solve(
            observation.look,
            pose,
            observation.targets,
            centre,
            prior,
            iterations=6 if not faces else 3,
            robust_scale=fitter.settings.robust_scale,
            fix_focal=True,
        ).face
        faces.append(face)
        errors.append(observation.sight(face).error)
        progress("fit", (index + 1) / len(found))
    return faces, errors


def _fill_and_smooth(
    times: F64,  # [T] s, of every frame
    seen: NDArray[np.intp],  # frames with a face
    shots: NDArray[np.intp],  # [T] number of each frame's shot
    faces: list[Face],
) -> tuple[F64, F64, F64]:  # [T, K], [T, 3], [T, 3]
    """Channels of every frame: gaps bridged, jitter smoothed away."""
    reference = faces[len(faces) // 2].rotation
    # rotations as small turns away from one of them, where axis-angle vectors can be averaged
    turns = np.array([axis_angle_from_rotation(face.rotation @ reference.T) for face in faces])
    channels = np.concatenate(
        [turns, np.array([face.translation for face in faces]), np.array([face.expression for face in faces])], axis=1
    )
    noise = np.full(channels.shape[1], EXPRESSION_NOISE)
    noise[:3], noise[3:6] = ROTATION_NOISE, TRANSLATION_NOISE
    smoothed = _smooth_by_run(times[seen], channels, seen, shots[seen], noise)
    filled = np.empty((len(times), channels.shape[1]))
    for shot in np.unique(shots):
        there, inside = shots == shot, shots[seen] == shot
        # a shot without the person holds what was last seen
        known = inside if inside.any() else np.ones(len(seen), dtype=bool)
        for channel in range(channels.shape[1]):
            filled[there, channel] = np.interp(times[there], times[seen][known], smoothed[known, channel])
    rotations = rotation_from_axis_angle(filled[:, :3]) @ reference
    return filled[:, 6:], np.array([axis_angle_from_rotation(matrix) for matrix in rotations]), filled[:, 3:6]


def _smooth_by_run(times: F64, channels: F64, seen: NDArray[np.intp], shots: NDArray[np.intp], noise: F64) -> F64:
    """Smooth each unbroken run of frames by itself: across a gap or a cut there is nothing to average."""
    out = channels.copy()
    for run in np.split(np.arange(len(seen)), np.flatnonzero((np.diff(seen) > 1) | (np.diff(shots) > 0)) + 1):
        out[run] = smooth(times[run], channels[run], noise)
    return out
