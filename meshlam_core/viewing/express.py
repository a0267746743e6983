"""What a frame shows of its person's pose and expression, finer than landmarks tell it.

After align.py has laid the avatar onto the frame, pose and keys are moved together until what both show is the same
pixel by pixel. Light that has changed is told from motion by its scale: both are compared as if they had the same
colours on average over LIGHT (as in Land and McCann, "Lightness and retinex theory", 1971). The keys stay near what the
landmarks say, so that what no pixel tells stays as it was; the eyes' turn stays in any case, since eyes are small, and
lit anew in every frame.

Gauss-Newton on the picture, after Lucas and Kanade (1981); weights of Geman and McClure's loss.
Frames and units: frames.py. Dims: P pixels that show the avatar, V vertices, K keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.tracker.problem import pixels_by_view
from meshlam_core.tracker.retarget import AvatarPose, Retargeter
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.tracker.track import TrackFrame
from meshlam_core.viewing.align import aligned
from meshlam_core.viewing.likeness import (
    Difference,
    Placement,
    among,
    blurred,
    colours_of,
    difference,
    eroded,
    flow,
    posed_in_view,
    window_around,
)
from meshlam_core.viewing.viewer import AvatarRenderer

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

SIDE = 256  # px of the square around the head
ROUNDS = 4
LIGHT = 6.0  # px over which light changes, standard deviation
FAINT = 0.02  # of 1, colours below which light is not told
MOST_LIT = 2.0  # times that light may have changed
NOISE = 0.02  # of 1, between the avatar's colours and the frame's
BEND = 2.0  # of that, from which a pixel counts less
WEIGHT = 8000.0  # independent pixels that all of them count as
SLACK = 0.002  # m of movement by which the keys may differ from what the landmarks say, one standard deviation
# painted anew, or lit anew in every frame; the neck goes on as the person
NOT_SEEN = ("eye_sockets", "eyeball_left", "eyeball_right", "lashes", "mouth_interior", "teeth_upper", "teeth_lower",
            "tongue", "neck")  # fmt: skip
GAZE = "eyeLook"  # keys that stay
STILL = 1e-5  # m: a vertex that no key moves further


def onto_frame(
    laid: Retargeter,
    renderer: AvatarRenderer,
    frame: TrackFrame,
    pose: AvatarPose,  # by the landmarks alone
    picture: U8,  # [h, w, 3] the frame, on the pose's camera
) -> AvatarPose:
    """The avatar as it looks most like its own person in a frame; as the landmarks say where nobody is seen."""
    coarse = aligned(renderer, laid.avatar, pose, picture)
    settled = laid.settled(frame, coarse)
    return settled if coarse is pose else expressed(renderer, laid.avatar, settled, picture)


def expressed(
    renderer: AvatarRenderer,
    rig: LandmarkRig,  # retarget.avatar_rig
    pose: AvatarPose,  # within a few pixels
    picture: U8,  # [h, w, 3] the frame, on the pose's camera
) -> AvatarPose:
    """Pose and expression corrected together; the same where hardly anything of the head lies in the picture."""
    window = window_around(renderer, pose, picture, SIDE)
    if window is None:
        return pose
    colours = colours_of(window)
    keys = _Keys.of(renderer, rig)
    head = Placement.of(pose, rig)
    precision = np.zeros((6 + len(keys.names), 6 + len(keys.names)))  # of what is known without the picture
    precision[:6, :6] = head.landmark_precision(rig)
    precision[6:, 6:] = np.diag(keys.reach.astype(np.float64) ** 2 / SLACK**2)
    moved = np.zeros(len(precision))  # from the start: rotation in rad, translation in m, keys
    found = pose
    for _ in range(ROUNDS):
        seen = difference(renderer, found, window.camera, colours)
        hessian, gradient = _by_pixels(renderer, seen, colours, found, keys, head, window.camera.focal)
        hessian, gradient = hessian + precision, gradient + precision @ moved
        step = _bounded_step(hessian, gradient, keys.bounds(found.expression))
        moved += step
        head = head.moved(step[:6])
        found = head.on(replace(found, expression=keys.applied(found.expression, step[6:])))
    return found


@dataclass(frozen=True)
class _Keys:
    """The keys that the picture may move."""

    names: tuple[str, ...]  # [K']
    at: NDArray[np.intp]  # [K'] among the avatar's
    shapes: F32  # [K', V, 3] m, glasses included
    moving: Bools  # [V]
    reach: F32  # [K'] m, the largest movement
    ranges: F64  # [K', 2]

    @classmethod
    def of(cls, renderer: AvatarRenderer, rig: LandmarkRig) -> _Keys:
        avatar = renderer.avatar
        names = tuple(name for name in avatar.blendshape_names if not name.startswith(GAZE))
        at = np.array([avatar.blendshape_names.index(name) for name in names], np.intp)
        shapes = renderer.blendshapes[at]
        size = np.linalg.norm(shapes, axis=2)
        ranges = rig.ranges[[rig.names.index(name) for name in names]]
        reach = np.maximum(size.max(axis=1), STILL)
        return cls(names, at, shapes, size.max(axis=0) > STILL, reach, np.asarray(ranges, np.float64))

    def bounds(self, expression: F32) -> F64:  # [K] -> [K', 2]
        """The steps that stay within the ranges."""
        return np.asarray(self.ranges - expression[self.at, None])

    def applied(self, expression: F32, step: F64) -> F32:  # [K], [K'] -> [K]
        moved = expression.copy()
        moved[self.at] = np.clip(expression[self.at] + step, self.ranges[:, 0], self.ranges[:, 1])
        return moved


def _by_pixels(
    renderer: AvatarRenderer,
    seen: Difference,
    colours: F32,
    pose: AvatarPose,
    keys: _Keys,
    head: Placement,
    focal: float,
) -> tuple[F64, F64]:  # [6 + K', 6 + K'], [6 + K']
    """Half the Gauss-Newton Hessian and gradient of what differs where the avatar is."""
    counts = eroded(seen.inside, 2)[seen.inside] & ~among(renderer, seen.corners, NOT_SEEN)
    size = 6 + len(keys.names)
    if not counts.any():
        return np.zeros((size, size)), np.zeros(size)
    wrong = _in_one_light(seen, colours, counts)[counts]
    slope = seen.slope[:, counts]
    weight = 1 / (1 + (wrong / np.float32(BEND * NOISE)) ** 2) ** 2
    weight *= np.float32(WEIGHT / (NOISE**2 * 3 * len(wrong)))
    # a pixel's three colours tell two directions: what they weigh by those, and how they pull
    weighs = np.einsum("pc,dpc,epc->pde", weight, slope, slope)
    pulls = -np.einsum("pc,dpc,pc->pd", weight, slope, wrong)

    by_pose = flow(seen.drawn.points.numpy()[counts], head.place, focal).astype(np.float32)
    corners = seen.corners[counts]
    soft = keys.moving[corners].any(axis=1)
    by_keys = _flow_of_keys(
        renderer, pose, keys, head.rotation, focal, corners[soft], seen.drawn.bary.numpy()[counts][soft]
    )

    hessian, gradient = np.empty((size, size), np.float32), np.empty(size, np.float32)
    weighed = _flat(weighs @ by_pose)
    hessian[:6, :6] = _flat(by_pose).T @ weighed
    hessian[6:, :6] = _flat(by_keys).T @ _flat(weighs[soft] @ by_pose[soft])
    hessian[:6, 6:] = hessian[6:, :6].T
    hessian[6:, 6:] = _flat(by_keys).T @ _flat(weighs[soft] @ by_keys)
    gradient[:6] = _flat(by_pose).T @ pulls.ravel()
    gradient[6:] = _flat(by_keys).T @ pulls[soft].ravel()
    return hessian.astype(np.float64), gradient.astype(np.float64)


def _in_one_light(seen: Difference, colours: F32, counts: Bools) -> F32:  # [P, 3]
    """The difference if the frame were lit as the avatar is."""
    maps = np.zeros((2, *seen.inside.shape, 3), np.float32)
    frame = colours[seen.inside]
    maps[0][seen.inside], maps[1][seen.inside] = frame * counts[:, None], (seen.wrong + frame) * counts[:, None]
    frame_light, own_light = (blurred(one, LIGHT)[seen.inside] for one in maps)
    factor = np.clip((own_light + FAINT) / (frame_light + FAINT), 1 / MOST_LIT, MOST_LIT)
    return np.asarray(seen.wrong + frame * (1 - factor), np.float32)


def _flow_of_keys(
    renderer: AvatarRenderer,
    pose: AvatarPose,
    keys: _Keys,
    rotation: F64,
    focal: float,
    corners: NDArray[np.int64],  # [S, 3] vertices of the pixels' triangles
    bary: F32,  # [S, 3]
) -> F32:  # [S, 2, K'] px
    """How pixels move with the keys."""
    used, inverse = np.unique(corners, return_inverse=True)
    view = posed_in_view(renderer, pose).numpy()[used].T.astype(np.float64)
    by_view = np.einsum("dev,ef->vdf", pixels_by_view(view, focal), rotation).astype(np.float32)  # [U, 2, 3]
    moved = by_view @ keys.shapes[:, used].transpose(1, 2, 0)  # [U, 2, K']
    inverse = inverse.reshape(corners.shape)
    flows = moved[inverse[:, 0]] * bary[:, 0, None, None]
    for k in (1, 2):
        flows += moved[inverse[:, k]] * bary[:, k, None, None]
    return np.asarray(flows, np.float32)


def _flat(values: F32) -> F32:  # [P, 2, K] -> [2 P, K]
    return values.reshape(-1, values.shape[-1])


def _bounded_step(hessian: F64, gradient: F64, bounds: F64) -> F64:  # [6 + K'], bounds [K', 2]
    """The Gauss-Newton step, without the keys that stand at a bound and would be pushed over it."""
    free = np.ones(len(gradient), bool)
    step = np.zeros(len(gradient))
    while True:
        index = np.flatnonzero(free)
        step[:] = 0
        step[index] = -np.linalg.solve(hessian[np.ix_(index, index)] + 1e-9 * np.eye(len(index)), gradient[index])
        over = (step[6:] < np.minimum(bounds[:, 0], 0)) & (bounds[:, 0] > -1e-6)
        over |= (step[6:] > np.maximum(bounds[:, 1], 0)) & (bounds[:, 1] < 1e-6)
        if not over.any():
            return step
        free[6:] &= ~over
