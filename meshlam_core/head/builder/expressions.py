"""The 52 ARKit blendshapes from MakeHuman's face units.

Frame: MakeHuman's, decimetres. Dims: V head vertices, K = 52.
"""

from __future__ import annotations

import numpy as np

from meshlam_core.head.builder.assemble import Assembly
from meshlam_core.head.builder.mend import opened_behind_lip
from meshlam_core.head.builder.mouth import FUNNEL, PARTED, PUCKER, blunted, mouth_of, parted, pursed, tongue_out
from meshlam_core.head.builder.parts import PARTS
from meshlam_core.head.builder.source import F64, Source
from meshlam_core.head.lids import BLINKS, meeting, rims_of

CLEARANCE = 0.002  # dm between the skin of a lid and the eyeball


def expression_shapes(
    source: Source,
    assembly: Assembly,
    names: tuple[str, ...],
) -> F64:  # [K, V, 3] dm
    """One displacement per Apple name."""
    count = len(assembly.source_template)
    shapes = {name: assembly.carry(source.face_unit(name, count), gaze=name.startswith("eyeLook")) for name in names}
    mend_mouth(shapes, assembly)
    for name in BLINKS:
        shapes[name] = met(shapes[name], assembly)
    return np.stack([lids_kept_outside(shapes[name], assembly) for name in names])


def mend_mouth(
    shapes: dict[str, F64],  # [V, 3] each, dm; changed
    assembly: Assembly,
) -> None:
    """Pucker, funnel and tongue of our own; a rounder lower lip of the opened jaw, which `mouthClose` takes back."""
    size = len(assembly.template)
    mouth = mouth_of(assembly, shapes["jawOpen"])
    shapes["mouthPucker"] = pursed(mouth, size, *PUCKER)
    shapes["mouthFunnel"] = pursed(mouth, size, *FUNNEL) + parted(mouth, size, *PARTED)
    shapes["tongueOut"] = tongue_out(assembly)
    rounder = blunted(mouth, size)
    inside = [assembly.vertices_of(name) for name in ("lips", "teeth_lower", "tongue")]
    shapes["jawOpen"] = opened_behind_lip(shapes["jawOpen"] + rounder, assembly.template, *inside)
    shapes["mouthClose"] = shapes["mouthClose"] - rounder


def met(
    blink: F64,  # [V, 3] dm
    assembly: Assembly,
) -> F64:  # [V, 3] dm
    """The blink that closes the eye: MakeHuman's lays the upper lid 4 mm over the lower one."""
    rims = rims_of(blink, assembly.template, assembly.faces, assembly.part, PARTS)
    assert rims is not None
    return blink * meeting(assembly.template, blink, rims)[:, None]


def lids_kept_outside(
    shape: F64,  # [V, 3] dm
    assembly: Assembly,
) -> F64:  # [V, 3] dm
    """The lids' skin pushed out where the shape would pull it into the eyeball; the rims, which lie inside, stay."""
    result = shape.copy()
    lids = assembly.vertices_of("eyelids")
    for ball, side in zip(assembly.balls, (1, -1), strict=True):
        own = lids[assembly.template[lids, 0] * side > 0]
        rest = np.linalg.norm(assembly.template[own] - ball.centre, axis=1)
        skin = own[rest > ball.radius + CLEARANCE]
        away = assembly.template[skin] + shape[skin] - ball.centre
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        result[skin] += away / distance * (ball.radius + CLEARANCE - distance).clip(0)
    return result
