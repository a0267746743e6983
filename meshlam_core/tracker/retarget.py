"""Driving an avatar with a track: the avatar's own proportions, on the clip's pixel grid.

For every frame the clip's person is put where the track has him, and the avatar is laid onto his landmarks: a small fit
of the head's rotation and translation, so that differences of build and of the two distance guesses do not show as an
offset. Both are neutral in it, as other people's jaws and lips lie elsewhere and would nod the head with every word;
the track's expression is put on afterwards. When avatar and clip are known to be the same person, the track's
expression is there in the fit and may give a little, which takes up what one photo could not tell about the neutral
face.

Frames and units: frames.py. Dims: L landmarks, K blendshapes, J joints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import reorder
from meshlam_core.frames import Camera, axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.tracker.problem import Face, project_face
from meshlam_core.tracker.rig import LandmarkRig, landmark_rig
from meshlam_core.tracker.seen_motion import as_seen
from meshlam_core.tracker.solver import Prior, solve
from meshlam_core.tracker.track import Track, TrackFrame

if TYPE_CHECKING:
    from meshlam_core.avatar.record import Avatar
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_FIRST = 60  # iterations of the first frame's fit
SAME_PERSON_SLACK = 0.0015  # m of movement by which the expression may then differ from the track's


@dataclass(frozen=True)
class AvatarPose:
    """What to render for one frame."""

    time: float  # s
    found: bool  # False where the clip shows no face
    camera: Camera
    expression: F32  # [K] of the avatar
    rotations: F32  # [J, 3] axis-angle, rad
    translation: F32  # [3] m, view frame


def retarget(
    track: Track,
    avatar: LandmarkRig,  # of the avatar: rig.of_person, or avatar_rig below
    joint_count: int,
    fitted: LandmarkRig | None = None,  # that the track was fitted with; None: the expression is the avatar's own
    same_person: bool = False,  # the avatar was made from the clip itself
    focal: float | None = None,  # px, of the camera to look through where it is known better than the track knows it
) -> Iterator[AvatarPose]:
    """The avatar's pose in every frame of a track."""
    return Retargeter.of(track, avatar, joint_count, fitted, same_person, focal).poses()


@dataclass(frozen=True)
class Retargeter:
    """A track that is laid onto an avatar."""

    track: Track
    avatar: LandmarkRig
    clip: LandmarkRig  # the avatar's trust in its landmarks, with the clip's person and movements
    joint_count: int
    same_person: bool
    camera: Camera  # to look through

    @classmethod
    def of(
        cls,
        track: Track,
        avatar: LandmarkRig,
        joint_count: int,
        fitted: LandmarkRig | None = None,
        same_person: bool = False,
        focal: float | None = None,
    ) -> Retargeter:
        """See retarget."""
        names = track.names
        clip_basis = np.zeros((3, len(names), avatar.basis.shape[2]))
        for rig in (avatar, fitted or avatar):  # what only the avatar knows moves as it does there
            shared = [name for name in rig.names if name in names]
            clip_basis[:, [names.index(name) for name in shared]] = rig.basis[
                :, [rig.modes + rig.names.index(name) for name in shared]
            ]
        clip = replace(avatar, neutral=track.landmarks.T.astype(np.float64), basis=clip_basis, modes=0, names=names)
        camera = Camera(focal or track.focal, track.centre, track.size)
        return cls(track, avatar, clip, joint_count, same_person, camera)

    def poses(self) -> Iterator[AvatarPose]:
        """One after the other."""
        previous: Face | None = None
        for frame in self.track.frames:
            previous = self._lay_on(frame, previous)
            yield self._pose(frame, previous)

    def settled(
        self,
        frame: TrackFrame,
        pose: AvatarPose,
    ) -> AvatarPose:
        """A pose that is known better than landmarks tell it, with the expression that meets them best there."""
        rotation = np.asarray(rotation_from_axis_angle(pose.rotations[0]), np.float64)
        face = Face(np.empty(0), np.empty(0), rotation, pose.translation.astype(np.float64), 0.0)
        return self._pose(frame, self._lay_on(frame, face, fix_pose=True))

    def _pose(self, frame: TrackFrame, face: Face) -> AvatarPose:
        rotations = np.zeros((self.joint_count, 3), np.float32)
        rotations[0] = axis_angle_from_rotation(face.rotation)
        expression, translation = face.expression.astype(np.float32), face.translation.astype(np.float32)
        return AvatarPose(frame.time, frame.found, self.camera, expression, rotations, translation)

    def _lay_on(self, frame: TrackFrame, previous: Face | None, fix_pose: bool = False) -> Face:
        """Rotation and translation (and a little expression) that put the avatar onto the clip's person."""
        avatar, clip, focal = self.avatar, self.clip, self.camera.focal
        centre = np.array(self.camera.centre)
        rotation = np.asarray(rotation_from_axis_angle(frame.rotation), dtype=np.float64)
        nothing = np.empty(0)
        translation = frame.translation.astype(np.float64)
        neutral = not (self.same_person or fix_pose)
        log_focal = float(np.log(self.track.focal))
        person = Face(nothing, frame.expression.astype(np.float64), rotation, translation, log_focal)
        if neutral:
            person = replace(person, expression=np.zeros(len(frame.expression)))
        targets = project_face(clip, person, centre).pixels
        expression = reorder(frame.expression, self.track.names, avatar.names).astype(np.float64)
        expression = np.clip(expression, avatar.ranges[:, 0], avatar.ranges[:, 1])
        away = translation * np.array([1, 1, focal / self.track.focal])  # as large in the picture
        fitted = np.zeros(len(expression)) if neutral else expression
        start = replace(person, expression=fitted, translation=away, log_focal=float(np.log(focal)))
        if previous is not None:  # the offset between the two builds changes slowly
            start = replace(start, rotation=previous.rotation, translation=previous.translation)
        view = rotation @ clip.neutral + translation[:, None]
        facing = -((rotation @ clip.normals) * view).sum(axis=0) / np.linalg.norm(view, axis=0)
        sigma = 0.005 * self.track.focal / -translation[2] * clip.face_height
        weight = np.sqrt(np.maximum(clip.trust, 0.02) * np.clip(facing * 4, 0.01, 1)) / sigma
        W = np.zeros((2, 2, len(weight)))
        W[0, 0] = W[1, 1] = weight
        reach = np.linalg.norm(avatar.basis[:, avatar.modes :], axis=0).max(axis=1)
        slack = SAME_PERSON_SLACK / np.maximum(reach, 1e-4) if self.same_person else np.full(len(expression), 1e-5)
        prior = Prior(np.inf, fitted, slack)
        look = lambda face: (avatar, W)  # noqa: E731
        # where one frame's fit ends the next one's goes on: unsettled at first, the head would glide into its place
        iterations, tolerance = (_FIRST, 0.0) if previous is None else (4, 5e-3)
        fit = solve(
            look, start, targets, centre, prior, iterations,
            robust_scale=6.0, fix_focal=True, fix_pose=fix_pose, tolerance=tolerance,
        )  # fmt: skip
        return replace(fit.face, expression=expression) if neutral else fit.face


def tracking_rig(model: HeadModel) -> LandmarkRig:
    """The rig that clips are fitted with: where the frames' landmarks were, only it repeats.

    An avatar's own expressions go other ways: they start from its own neutral face, and wholly, where the landmark
    network follows in part.
    """
    return as_seen(landmark_rig(model))


def avatar_rig(
    avatar: Avatar,
    model: HeadModel,
) -> LandmarkRig:
    """The landmarks of an avatar made from a head model, found again by their texture coordinates.

    A corrected mesh has other vertices and faces than its template, but the same UV layout.
    """
    rig = landmark_rig(model)
    if np.array_equal(avatar.faces, model.faces):
        corners, bary = rig.corners, rig.bary
    else:
        triangle, bary = _locate(_landmark_uvs(model, rig), avatar.uvs[avatar.uv_faces].astype(np.float64))
        corners = avatar.faces[triangle]

    def embed(values: NDArray[np.floating]) -> F64:  # [..., V, 3] -> [3, ..., L]
        embedded = np.einsum("lk,...lkd->d...l", bary, values[..., corners, :].astype(np.float64))
        return np.ascontiguousarray(embedded)

    return replace(
        rig,
        neutral=embed(avatar.vertices),
        basis=embed(avatar.blendshapes),
        modes=0,
        names=avatar.blendshape_names,
        ranges=avatar.blendshape_ranges.astype(np.float64),
        corners=corners,
        bary=bary,
    )


def _landmark_uvs(model: HeadModel, rig: LandmarkRig) -> F64:  # [L, 2]
    """Texture coordinates of the landmarks; a vertex on a seam counts with any of its copies."""
    first = np.zeros(len(model.template), dtype=np.intp)
    first[model.faces.ravel()] = model.uv_faces.ravel()
    own = (rig.corners == model.faces[model.landmark_faces]).all(axis=1)
    copies = np.where(own[:, None], model.uv_faces[model.landmark_faces], first[rig.corners])
    uvs: F64 = np.einsum("lk,lkd->ld", rig.bary, model.uvs[copies].astype(np.float64))
    return uvs


def _locate(
    points: F64,  # [L, 2]
    triangles: F64,  # [F, 3, 2]
) -> tuple[NDArray[np.intp], F64]:  # [L], [L, 3]
    """The triangle that holds each point (the nearest where none does), and the barycentric coordinates in it."""
    low, high = triangles.min(axis=1) - 1e-9, triangles.max(axis=1) + 1e-9
    middle = triangles.mean(axis=1)
    found = np.empty(len(points), dtype=np.intp)
    bary = np.empty((len(points), 3))
    for index, point in enumerate(points):
        around = np.flatnonzero(((low <= point) & (point <= high)).all(axis=1))
        if not len(around):
            around = np.array([np.linalg.norm(middle - point, axis=1).argmin()])
        inside = _barycentric(point, triangles[around])
        best = int(inside.min(axis=1).argmax())
        found[index] = around[best]
        corner = np.clip(inside[best], 0, 1)
        bary[index] = corner / corner.sum()
    return found, bary


def _barycentric(
    point: F64,  # [2]
    triangles: F64,  # [M, 3, 2]
) -> F64:  # [M, 3]; flat triangles give -1
    a, b, c = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
    safe = np.where(np.abs(area) < 1e-14, 1.0, area)
    d = point - a
    v = (d[:, 0] * c[:, 1] - d[:, 1] * c[:, 0]) / safe
    w = (b[:, 0] * d[:, 1] - b[:, 1] * d[:, 0]) / safe
    out: F64 = np.where((np.abs(area) < 1e-14)[:, None], -1.0, np.stack([1 - v - w, v, w], axis=1))
    return out
