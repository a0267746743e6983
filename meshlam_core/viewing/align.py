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

import numpy as np
from numpy.typing import NDArray

from meshlam_core.opencv import cv2
from meshlam_core.tracker.parsing import segment_person
from meshlam_core.tracker.retarget import AvatarPose
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.viewing.likeness import (
    Difference,
    Placement,
    among,
    blurred,
    colours_of,
    difference,
    eroded,
    flow,
    slopes,
    window_around,
)
from meshlam_core.viewing.viewer import AvatarRenderer

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIDE = 192  # px of the square around the head
ROUNDS = 8
LEAST_MET = 0.5  # of the avatar's pixels that show a person
STILL = 1e-3  # rad and shares of the distance: smaller steps end it
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


def aligned(
    renderer: AvatarRenderer,
    rig: LandmarkRig,  # retarget.avatar_rig
    pose: AvatarPose,
    picture: U8,  # [h, w, 3] the frame, on the pose's camera
) -> AvatarPose:
    """The pose with its rotation and translation corrected; the same where no person is in the picture."""
    window = window_around(renderer, pose, picture, SIDE)
    if window is None:
        return pose
    colours, person = colours_of(window), window.resized(segment_person(window.picture))
    head = Placement.of(pose, rig)
    held = head.landmark_precision(rig)
    moved = np.zeros(6)  # from the start: rotation in rad, translation in m
    for count in range(ROUNDS):
        found = difference(renderer, head.on(pose), window.camera, colours)
        if count == 0 and not (found.inside.any() and person[found.inside].mean() > LEAST_MET):
            return pose
        motion = flow(found.drawn.points.numpy(), head.place, window.camera.focal)
        hessian, gradient = _by_colours(renderer, found, motion)
        by_outline = _by_outline(person, found, ~among(renderer, found.corners, ENDING), motion)
        hessian, gradient = hessian + by_outline[0] + held, gradient + by_outline[1] + held @ moved
        step = -np.linalg.solve(hessian + 1e-9 * np.eye(6), gradient)
        moved += step
        head = head.moved(step)
        if np.abs(step[:3]).max() < STILL and np.abs(step[3:]).max() < STILL * -head.place[2]:
            break
    return head.on(pose)


def _by_colours(
    renderer: AvatarRenderer,
    found: Difference,
    motion: F64,  # [P, 2, 6] px
) -> tuple[F64, F64]:  # [6, 6], [6]
    """Half the Gauss-Newton Hessian and gradient of what differs where the avatar is."""
    counts = eroded(found.inside, 2)[found.inside] & ~among(renderer, found.corners, MOVING)
    wrong = found.wrong - (np.median(found.wrong[counts], axis=0) if counts.any() else 0)  # a light that has changed
    change = -np.einsum("dpc,pdk->pck", found.slope, motion)
    weight = counts[:, None] / (1 + (wrong / (COLOUR_BEND * COLOUR_NOISE)) ** 2) ** 2
    weight = weight * COLOUR_WEIGHT / (COLOUR_NOISE**2 * max(3 * counts.sum(), 1))
    hessian = np.einsum("pc,pck,pcl->kl", weight, change, change)
    gradient = np.einsum("pc,pck,pc->k", weight, change, wrong)
    return hessian.astype(np.float64), gradient.astype(np.float64)


def _by_outline(
    person: F32,  # [H, W] 0..1
    found: Difference,
    taken: Mask,  # [P] whose outline counts
    motion: F64,  # [P, 2, 6] px
) -> tuple[F64, F64]:  # [6, 6], [6]
    """The same of what lies between the avatar's outline and the person's."""
    edge, normal, gap, met = _outline(person, found.inside, taken)
    along = np.einsum("pd,pdk->pk", normal, motion[edge])
    held = met / (1 + (gap / EDGE_BEND) ** 2) ** 2 * EDGE_WEIGHT / (EDGE_NOISE**2 * max(len(edge), 1))
    return np.einsum("p,pk,pl->kl", held, along, along), -np.einsum("p,pk,p->k", held, along, gap)


def _outline(
    person: F32,  # [H, W] 0..1
    inside: Mask,  # [H, W] where the avatar is
    taken: Mask,  # [P] of these pixels, whose outline counts
) -> tuple[NDArray[np.intp], F64, F64, Mask]:
    """Pixels (among P) on the avatar's outline, its outward normals [E, 2], how far outside the person's lies [E] px,
    and whether there is one."""
    border = np.zeros_like(inside)
    border[EDGE_REACH + 1 : -EDGE_REACH - 1, EDGE_REACH + 1 : -EDGE_REACH - 1] = True
    edge = np.flatnonzero((inside & ~eroded(inside, 1) & border)[inside] & taken)
    row, column = (index[edge] for index in np.nonzero(inside))
    fall = -slopes(blurred(inside.astype(np.float32), 2.0))[::-1, row, column]
    normal = (fall / np.maximum(np.linalg.norm(fall, axis=0), 1e-9))[::-1].T  # x, y
    way = np.arange(-EDGE_REACH, EDGE_REACH + 0.1, 0.5)
    spots = np.stack([row[:, None] + normal[:, 1:] * way, column[:, None] + normal[:, :1] * way])
    x, y = spots[::-1].astype(np.float32)
    along = cv2.remap(person, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    ends = (along[:, :-1] >= 0.5) & (along[:, 1:] < 0.5)
    gaps = np.where(ends, way[:-1] - 0.25, np.inf)  # an outline pixel's centre lies half a pixel inside
    nearest = np.abs(gaps).argmin(axis=1)
    gap = gaps[np.arange(len(edge)), nearest]
    met = np.isfinite(gap)
    return edge, normal.astype(np.float64), np.where(met, gap, 0.0), met
