"""Laying an avatar onto a frame by the frame's own picture: a pose that landmarks gave, corrected.

Landmarks tell the turn of a head only roughly: a chin that is drawn back looks like a nod, and what they are wrong by
at the face shows at the crown. Where a clip shows the very person of the avatar, its texture and its outline tell
better. The pose's six numbers are moved so that the textured mesh looks like the frame where it covers it (Lucas and
Kanade, "An iterative image registration technique", 1981, with the mean of both pictures' gradients as by Benhimane and
Malis, "Real-time image-based tracking of planes using efficient second-order minimization", 2004), and so that its
outline meets the person's (Harris and Stennett, "RAPID, a video rate object tracker", 1990), while the landmarks hold
it where these say nothing.

Frames and units: frames.py. Dims: H, W rows and columns of the small picture that is compared; P of its pixels that
show the avatar.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera, axis_angle_from_rotation, project, rotation_from_axis_angle
from meshlam_core.opencv import cv2
from meshlam_core.raster.render import Samples
from meshlam_core.tracker.parsing import segment_person
from meshlam_core.tracker.problem import by_pose, pixels_by_view
from meshlam_core.tracker.retarget import AvatarPose
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.viewing.viewer import AvatarRenderer, Pose

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Floats = NDArray[np.floating]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WINDOW = 1.5  # head heights, side of the square around the head that is compared
SIDE = 192  # px of that square
ROUNDS = 8
LEAST_MET = 0.5  # of the avatar's pixels that show a person
STILL = 1e-3  # rad and shares of the distance: smaller steps end it
BLUR = 1.0  # px, of both pictures
# parts that move by themselves, are lit anew in every frame or end where the person goes on
MOVING = ("lips", "eyelids", "eye_sockets", "eyeball_left", "eyeball_right", "lashes", "mouth_interior", "teeth_upper",
          "teeth_lower", "tongue", "neck")  # fmt: skip
COLOUR_NOISE = 0.05  # of 1, between the avatar's colours and the frame's
COLOUR_BEND = 2.0  # of that, from which a pixel counts less
COLOUR_WEIGHT = 800.0  # independent pixels that all of them count as
EDGE_NOISE = 2.0  # px
EDGE_BEND = 3.0  # px, from which a point of the outline counts less
EDGE_REACH = 9  # px to either side that the person's outline is looked for
EDGE_WEIGHT = 180.0  # points of the outline that all of them count as
ENDING = ("neck",)  # where the person goes on
LANDMARK_NOISE = 0.005  # of the face height
LANDMARK_WEIGHT = 0.002  # of what landmarks that err on their own would count


@dataclass(frozen=True)
class Sight:
    """The frame as it is compared."""

    camera: Camera
    colours: F32  # [H, W, 3] 0..1, blurred
    slopes: F32  # [2, H, W, 3] by x and y, a px
    person: F32  # [H, W] 0..1


def aligned(
    renderer: AvatarRenderer,
    rig: LandmarkRig,  # retarget.avatar_rig
    pose: AvatarPose,
    picture: U8,  # [h, w, 3] the frame, on the pose's camera
) -> AvatarPose:
    """The pose with its rotation and translation corrected; the same where no person is in the picture."""
    middle = np.asarray(rig.neutral.mean(axis=1), np.float64)
    rotation = np.asarray(rotation_from_axis_angle(pose.rotations[0]), np.float64)
    place = rotation @ middle + pose.translation
    sight = _look(renderer, pose, picture)
    if sight is None:
        return pose
    held = LANDMARK_WEIGHT * _landmark_precision(rig, rotation, pose.translation.astype(np.float64), place)
    moved = np.zeros(6)  # from the start: rotation in rad, translation in m
    for count in range(ROUNDS):
        drawn = _draw(renderer, _posed(pose, rotation, place - rotation @ middle), sight.camera)
        if count == 0 and not _met(sight, drawn):
            return pose
        hessian, gradient = _differences(renderer.avatar, sight, drawn, place)
        step = -np.linalg.solve(hessian + held + 1e-9 * np.eye(6), gradient + held @ moved)
        moved += step
        rotation = np.asarray(rotation_from_axis_angle(step[:3]), np.float64) @ rotation
        place = place + step[3:]
        if np.abs(step[:3]).max() < STILL and np.abs(step[3:]).max() < STILL * -place[2]:
            break
    return _posed(pose, rotation, place - rotation @ middle)


def _posed(pose: AvatarPose, rotation: F64, translation: F64) -> AvatarPose:
    rotations = pose.rotations.copy()
    rotations[0] = axis_angle_from_rotation(rotation)
    return replace(pose, rotations=rotations, translation=translation.astype(np.float32))


def _vertices(renderer: AvatarRenderer, pose: AvatarPose) -> Tensor:  # [V, 3] m, view frame
    return renderer.posed(Pose(pose.expression, pose.rotations)) + torch.from_numpy(pose.translation)


def _look(renderer: AvatarRenderer, pose: AvatarPose, picture: U8) -> Sight | None:
    """The square around the head, small; None where hardly anything of it lies in the picture."""
    points = project(_vertices(renderer, pose).numpy(), pose.camera)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    side = WINDOW * (high - low).max()
    first = np.clip(np.floor((low + high - side) / 2), 0, pose.camera.size).astype(int)
    last = np.clip(np.ceil((low + high + side) / 2), 0, pose.camera.size).astype(int)
    width, height = (last - first).tolist()
    factor = SIDE / side
    if min(width, height) * factor < SIDE / 4:
        return None
    camera = pose.camera.cropped(int(first[0]), int(first[1]), width, height)
    part = np.ascontiguousarray(picture[first[1] : last[1], first[0] : last[0]])
    person = segment_person(part)
    size = camera.scaled(factor).size
    small, mask = (cv2.resize(whole, size, interpolation=cv2.INTER_AREA) for whole in (part, person))
    colours = _blurred(np.asarray(small, np.float32) / np.float32(255))
    return Sight(camera.scaled(factor), colours, _slopes(colours), np.asarray(mask))


def _draw(renderer: AvatarRenderer, pose: AvatarPose, camera: Camera) -> Samples:
    return renderer.mesh.samples(_vertices(renderer, pose), camera, renderer.folded(pose.expression))


def _met(sight: Sight, drawn: Samples) -> bool:
    """Whether a person is where the avatar is."""
    inside = drawn.mask.numpy()
    return bool(inside.any() and sight.person[inside].mean() > LEAST_MET)


def _differences(avatar: Avatar, sight: Sight, drawn: Samples, place: F64) -> tuple[F64, F64]:  # [6, 6], [6]
    """Half the Gauss-Newton Hessian and gradient of what differs between avatar and frame."""
    inside, corners = drawn.mask.numpy(), avatar.faces[drawn.face.numpy()]
    flow = _flow(drawn.points.numpy(), place, sight.camera.focal)
    share = _blurred(inside.astype(np.float32))[..., None]
    colours = np.zeros_like(sight.colours)
    colours[inside] = drawn.colours.numpy()
    colours = np.asarray(_blurred(colours) / np.maximum(share, 1e-3), np.float32)

    counts = _eroded(inside, 2)[inside] & ~_among(avatar, corners, MOVING)
    wrong = colours[inside] - sight.colours[inside]
    wrong -= np.median(wrong[counts], axis=0) if counts.any() else 0  # a light that has changed
    slope = (sight.slopes[:, inside] + _slopes(colours)[:, inside]) / 2
    change = -np.einsum("dpc,pdk->pck", slope, flow)
    weight = counts[:, None] / (1 + (wrong / (COLOUR_BEND * COLOUR_NOISE)) ** 2) ** 2
    weight = weight * COLOUR_WEIGHT / (COLOUR_NOISE**2 * max(3 * counts.sum(), 1))
    hessian = np.einsum("pc,pck,pcl->kl", weight, change, change)
    gradient = np.einsum("pc,pck,pc->k", weight, change, wrong)

    edge, normal, gap, met = _outline(sight, inside, ~_among(avatar, corners, ENDING))
    along = np.einsum("pd,pdk->pk", normal, flow[edge])
    held = met / (1 + (gap / EDGE_BEND) ** 2) ** 2 * EDGE_WEIGHT / (EDGE_NOISE**2 * max(len(edge), 1))
    hessian += np.einsum("p,pk,pl->kl", held, along, along)
    gradient -= np.einsum("p,pk,p->k", held, along, gap)
    return hessian.astype(np.float64), gradient.astype(np.float64)


def _among(avatar: Avatar, corners: NDArray[np.integer], names: tuple[str, ...]) -> Mask:  # [P, 3] -> [P]
    """Where a triangle has a corner in one of the parts."""
    chosen = np.isin(avatar.part, [number for number, name in enumerate(avatar.parts) if name in names])
    return np.asarray(chosen[corners].any(axis=1))


def _outline(
    sight: Sight,
    inside: Mask,  # [H, W] where the avatar is
    taken: Mask,  # [P] of these pixels, whose outline counts
) -> tuple[NDArray[np.intp], F64, F64, Mask]:
    """Pixels (among P) on the avatar's outline, its outward normals [E, 2], how far outside the person's lies [E] px,
    and whether there is one."""
    border = np.zeros_like(inside)
    border[EDGE_REACH + 1 : -EDGE_REACH - 1, EDGE_REACH + 1 : -EDGE_REACH - 1] = True
    edge = np.flatnonzero((inside & ~_eroded(inside, 1) & border)[inside] & taken)
    row, column = (index[edge] for index in np.nonzero(inside))
    fall = -_slopes(_blurred(inside.astype(np.float32), 2.0))[::-1, row, column]
    normal = (fall / np.maximum(np.linalg.norm(fall, axis=0), 1e-9))[::-1].T  # x, y
    way = np.arange(-EDGE_REACH, EDGE_REACH + 0.1, 0.5)
    spots = np.stack([row[:, None] + normal[:, 1:] * way, column[:, None] + normal[:, :1] * way])
    x, y = spots[::-1].astype(np.float32)
    person = cv2.remap(sight.person, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    ends = (person[:, :-1] >= 0.5) & (person[:, 1:] < 0.5)
    gaps = np.where(ends, way[:-1] - 0.25, np.inf)  # an outline pixel's centre lies half a pixel inside
    nearest = np.abs(gaps).argmin(axis=1)
    gap = gaps[np.arange(len(edge)), nearest]
    met = np.isfinite(gap)
    return edge, normal.astype(np.float64), np.where(met, gap, 0.0), met


def _flow(
    points: Floats,  # [P, 3] m, view frame
    place: F64,  # [3] m, what the head is turned about
    focal: float,  # px
) -> F64:  # [P, 2, 6] px by rotation in rad and translation in m
    """How pixels of the head move with its pose."""
    view = points.T.astype(np.float64)
    turned = view - place[:, None]
    return np.stack([by_pose(turned, slopes).T for slopes in pixels_by_view(view, focal)], axis=1)


def _landmark_precision(rig: LandmarkRig, rotation: F64, translation: F64, place: F64) -> F64:  # [6, 6]
    """How surely landmarks that err on their own would tell the pose."""
    points = (rotation @ rig.neutral).T + translation
    flow = _flow(points, place, 1.0) * (-translation[2] / (LANDMARK_NOISE * rig.face_height))
    return np.asarray(np.einsum("pdk,pdl->kl", flow, flow), np.float64)


def _blurred(picture: F32, sigma: float = BLUR) -> F32:  # [H, W] or [H, W, C]
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def _eroded(mask: Mask, times: int) -> Mask:  # [H, W]
    """Without its outermost pixels; beyond the picture there is nothing."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    beyond = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    return np.asarray(cv2.erode(mask.view(np.uint8), cross, iterations=times, **beyond).view(bool))


def _slopes(picture: Floats) -> F32:  # [H, W, C] -> [2, H, W, C] by x and y, a px
    down, right = np.gradient(picture, axis=(0, 1))
    return np.asarray(np.stack([right, down]), np.float32)
