"""How lips purse, part and hang: smooth displacements of the space in front of the teeth.

The source's pucker narrows the mouth by a sixth only and drags the chin, its funnel opens in a star, and its opened jaw
hangs the lower lip in a V. A displacement that is smooth in space moves lips, skin and the mouth behind the lips alike,
so nothing folds and the lips cannot cross.

Frame: MakeHuman's, decimetres. Dims: V head vertices, M vertices of skin and mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.builder.assemble import Assembly
from meshlam_core.head.builder.mend import belongs_to_lower_lip, edges_within
from meshlam_core.head.builder.source import F64, I64

# share of the way to the middle, dm forward, share by which either lip becomes higher
PUCKER = (0.41, 0.075, 0.45)  # the mouth gets a fifth of the face height wide, and shows more of the lips' red
FUNNEL = (0.27, 0.050, 0.10)
PARTED = (0.048, 0.065)  # dm that upper and lower lip of a funnel go apart; a higher upper lip would show the gums
BLUNTED = 0.08  # dm times the height of an ellipse above a triangle: 3 mm half-way to the corners
# dm aside, above and below within which the skin follows
DRAWN_REACH = (0.40, 0.20, 0.20)  # sideways, which does not move the middle anyway
THRUST_REACH = (0.36, 0.16, 0.17)  # forward: neither the nose nor the chin
SWOLLEN_REACH = (0.36, 0.16, 0.14)  # up and down: the lips turn outwards, the fold below them stays
PARTED_REACH = (0.30, 0.17, 0.20)
BLUNTED_REACH = (0.40, 0.10, 0.22)
INSIDE = (0.38, 0.14)  # dm behind the lips' front from which and up to which the mouth begins to follow
# dm of the tongue's tip forward, of the part between the teeth upwards, and 1/dm by which what is out hangs down
TONGUE = (0.52, 0.062, 2.4)
OVER_TEETH = (-0.45, -0.20)  # dm before the lips' front between which it has risen
FLATTER, WIDER = 0.25, 0.30  # share of its thickness that what is out loses, of its width that it gains
ROUNDED = 9.0  # 1/dm, how much less than the tip's middle its sides come forward
MIDDLE = 0.03  # dm from the middle: one column of vertices tells the height at which the lips meet


@dataclass(frozen=True)
class Mouth:
    """Skin and mouth around the line where the lips meet."""

    soft: I64  # [M] vertices of skin, lips and the mouth behind them
    place: F64  # [M, 3] dm from the foremost point of the line where the lips meet
    upper: NDArray[np.bool_]  # [M] above that line
    half: float  # dm, half the line's length

    def near(self, wide: float, above: float, below: float) -> F64:  # [M] 1 at the lips, 0 far off
        """Where a movement of the lips reaches."""
        tall = np.where(self.place[:, 1] > 0, above, below)
        away = np.hypot(self.place[:, 0] / wide, self.place[:, 1] / tall)
        return np.asarray(np.exp(-(away**4)) * smooth_step(self.place[:, 2], -INSIDE[0], -INSIDE[1]))

    def arch(self) -> F64:  # [M] 1 in the middle, 0 at the corners
        """Half an ellipse over the line where the lips meet."""
        return np.asarray(np.sqrt((1 - (self.place[:, 0] / self.half) ** 2).clip(0)))


def mouth_of(
    assembly: Assembly,
    jaw_open: F64,  # [V, 3] dm, tells the lower lip from the upper
) -> Mouth:
    """The mouth of the template."""
    lips = assembly.vertices_of("lips")
    mouth = np.concatenate([lips, assembly.vertices_of("mouth_interior")])
    edges = edges_within(mouth, assembly.faces)
    lower = belongs_to_lower_lip(assembly.template[mouth], edges, np.linalg.norm(jaw_open[mouth], axis=1))
    points, below = assembly.template[lips], lower[: len(lips)]
    middle = np.abs(points[:, 0]) < MIDDLE
    height = (points[middle & below, 1].max() + points[middle & ~below, 1].min()) / 2
    soft = np.concatenate([mouth, assembly.vertices_of("face")])
    place = assembly.template[soft] - [0, height, points[:, 2].max()]
    upper = place[:, 1] > 0
    upper[: len(mouth)] = ~lower
    return Mouth(soft, place, upper, float(np.abs(points[:, 0]).max()))


def tongue_out(
    assembly: Assembly,
) -> F64:  # [V, 3] displacement
    """The tongue thrust over the lower teeth and lip, hanging; the source's ends half a centimetre before the lips.

    It is meant for an open jaw, which takes the tongue down with the teeth.
    """
    rows = assembly.vertices_of("tongue")
    x, y, z = assembly.template[rows].T
    reach, rise, hang = TONGUE
    along = (z - z.min()) / (z.max() - z.min())  # 0 at the root, 1 at the tip
    result = np.zeros_like(assembly.template)
    result[rows, 2] = reach * along**1.5 * (1 - ROUNDED * x**2)
    before_lips = z + result[rows, 2] - assembly.template[assembly.vertices_of("lips"), 2].max()
    out = smooth_step(before_lips, -0.2, 0.1)
    result[rows, 0] = WIDER * out * x
    middle = np.polyval(np.polyfit(z, y, 2), z)
    result[rows, 1] = (
        rise * smooth_step(before_lips, *OVER_TEETH) - hang * before_lips.clip(0) ** 2 - FLATTER * out * (y - middle)
    )
    return result


def pursed(
    mouth: Mouth,
    count: int,  # V
    drawn: float,  # share of the way to the middle
    pout: float,  # dm forward
    swell: float,  # share of the height
) -> F64:  # [V, 3] displacement
    """Lips drawn together and thrust forward: one smooth one-to-one map of the space before the teeth, so no fold."""
    result = np.zeros((count, 3))
    result[mouth.soft, 0] = -drawn * mouth.place[:, 0] * mouth.near(*DRAWN_REACH)
    result[mouth.soft, 1] = swell * mouth.place[:, 1] * mouth.near(*SWOLLEN_REACH)
    result[mouth.soft, 2] = pout * mouth.near(*THRUST_REACH)
    return result


def parted(
    mouth: Mouth,
    count: int,  # V
    upper: float,  # dm in the middle
    lower: float,
) -> F64:  # [V, 3] displacement
    """Each lip moved away from the other, so that the opening is an ellipse."""
    result = np.zeros((count, 3))
    result[mouth.soft, 1] = np.where(mouth.upper, upper, -lower) * mouth.arch() * mouth.near(*PARTED_REACH)
    return result


def blunted(
    mouth: Mouth,
    count: int,  # V
) -> F64:  # [V, 3] displacement
    """What makes a U of the lower lip of an opened jaw, which in the source is a V."""
    result = np.zeros((count, 3))
    vee = (1 - np.abs(mouth.place[:, 0]) / mouth.half).clip(0)
    deeper = BLUNTED * (mouth.arch() - vee) * mouth.near(*BLUNTED_REACH)
    result[mouth.soft, 1] = np.where(mouth.upper, 0, -deeper)
    return result


def smooth_step(value: F64, low: float, high: float) -> F64:
    """0 below, 1 above, with level ends."""
    share = ((value - low) / (high - low)).clip(0, 1)
    return np.asarray(share**2 * (3 - 2 * share))
