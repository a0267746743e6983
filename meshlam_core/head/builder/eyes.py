"""Round eyeballs in place of MakeHuman's eight-sided ones.

Frame: MakeHuman's, decimetres. Dims: E vertices of one eyeball, H helper vertices (72).

Under every identity the ball moves and scales as a whole, so it stays a sphere; a gaze shape turns it about its centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshlam_core.head.builder.source import F64, I64

MERIDIANS = 16
# polar angles of the rings from the pupil, degrees: finest around the iris (its edge lies near 22)
RINGS = (6.0, 13.0, 19.0, 23.0, 30.0, 40.0, 52.0, 66.0, 90.0, 115.0, 145.0)


@dataclass(frozen=True)
class EyeMesh:
    """A unit sphere looking along +Z: front pole, rings, back pole."""

    directions: F64  # [E, 3] unit vectors
    faces: I64  # [F, 3]
    mirror: I64  # [E] x -> -x
    centre_vertices: I64  # six vertices whose mean is the centre


@dataclass(frozen=True)
class Ball:
    """Centre and radius of an eyeball."""

    centre: F64  # [3] dm
    radius: float  # dm


def eye_mesh() -> EyeMesh:
    """Rings around the gaze axis; meridians start at +X and run towards +Y."""
    polar = np.radians(RINGS)[:, None]
    around = np.arange(MERIDIANS) * 2 * np.pi / MERIDIANS
    ring = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around], axis=-1
    )
    directions = np.concatenate([[[0, 0, 1.0]], ring.reshape(-1, 3), [[0, 0, -1.0]]])
    last = len(directions) - 1
    index = 1 + np.arange(len(RINGS) * MERIDIANS).reshape(len(RINGS), MERIDIANS)
    after = np.roll(index, -1, axis=1)
    front = np.stack([np.zeros(MERIDIANS, int), index[0], after[0]], axis=1)
    inner, outer, inner_next, outer_next = index[:-1], index[1:], after[:-1], after[1:]
    # diagonals mirror across x = 0 so that the right eye is the left eye's mirror image
    flip = (np.arange(MERIDIANS) % (MERIDIANS // 2) >= MERIDIANS // 4)[None, :, None]
    one = np.where(flip, np.stack([inner, outer, inner_next], -1), np.stack([inner, outer, outer_next], -1))
    two = np.where(flip, np.stack([inner_next, outer, outer_next], -1), np.stack([inner, outer_next, inner_next], -1))
    back = np.stack([np.full(MERIDIANS, last), after[-1], index[-1]], axis=1)
    mirrored_meridian = (MERIDIANS // 2 - np.arange(MERIDIANS)) % MERIDIANS
    mirror = np.concatenate([[0], index[:, mirrored_meridian].ravel(), [last]])
    equator = index[RINGS.index(90.0)]
    quarter = MERIDIANS // 4
    return EyeMesh(
        directions=directions,
        faces=np.concatenate([front, one.reshape(-1, 3), two.reshape(-1, 3), back]),
        mirror=mirror,
        centre_vertices=np.array([0, last, *equator[::quarter]]),
    )


def fit_ball(
    helper: F64,  # [H, 3] dm
) -> Ball:
    """The least-squares sphere through the helper eye."""
    system = np.c_[2 * helper, np.ones(len(helper))]
    solution = np.linalg.lstsq(system, (helper**2).sum(axis=1), rcond=None)[0]
    centre = solution[:3]
    return Ball(centre, float(np.sqrt(solution[3] + centre @ centre)))


def moved_with_shape(
    helper: F64,  # [H, 3] dm, template
    offsets: F64,  # [H, 3] dm, an identity target
    directions: F64,  # [E, 3]
    ball: Ball,
) -> F64:  # [E, 3] dm
    """The translation and uniform scaling nearest to the target's effect on the helper eye."""
    arm = helper - helper.mean(axis=0)
    growth = float((arm * (offsets - offsets.mean(axis=0))).sum() / (arm**2).sum())
    shift = offsets.mean(axis=0) + growth * (ball.centre - helper.mean(axis=0))
    return np.asarray(shift + growth * ball.radius * directions)


def turned_by_gaze(
    helper: F64,  # [H, 3] dm, template
    offsets: F64,  # [H, 3] dm, a gaze unit
    directions: F64,  # [E, 3]
    ball: Ball,
) -> F64:  # [E, 3] dm
    """The rotation about the ball's centre that carries the pupil as far as the unit does.

    The source also slides the whole eye sideways, out of its socket; turning further instead looks the same and fits.
    """
    front = helper[:, 2] > helper[:, 2].max() - 0.12 * ball.radius
    pupil = offsets[front].mean(axis=0)[:2] / ball.radius  # [dx, dy] as sines of the turn
    sine = float(np.linalg.norm(pupil))
    if sine < 1e-6:
        return np.zeros_like(directions)
    axis = np.array([-pupil[1], pupil[0], 0.0]) / sine
    k = np.cross(np.eye(3), axis)  # cross-product matrix: k @ v = axis x v
    rotation_minus_one = sine * k + (1 - np.sqrt(1 - sine**2)) * (k @ k)
    return np.asarray(ball.radius * directions @ rotation_minus_one.T)
