"""Registration onto meshes that lack what the open head has inside."""

from __future__ import annotations

import numpy as np

from meshlam_core.head.carry import skin_triangles
from meshlam_core.head.model import HeadModel
from meshlam_core.head.registration import Target, register


def test_onto_a_mesh_without_mouth_and_eye_sockets_the_inside_stays_behind_the_lips(head: HeadModel) -> None:
    part = np.array(head.parts)[head.part]
    inside = np.isin(part, ("mouth_interior", "eye_sockets"))
    shown = skin_triangles(head) & ~inside[head.faces].any(axis=1)
    faces = np.concatenate([head.faces[shown], head.faces[np.char.startswith(part, "eyeball")[head.faces].all(axis=1)]])
    larger = 1.06 * head.template.astype(np.float64)  # the same head, so the truth is known
    eyes = tuple(np.flatnonzero(part == name) for name in ("eyeball_left", "eyeball_right"))
    joints = 1.06 * head.joints(head.template).astype(np.float64)
    laid = register(head, Target(larger, faces, np.unique(head.faces[shown]), (eyes[0], eyes[1]), joints))
    off = np.linalg.norm(laid - larger, axis=1) * 1000
    for name, most in (
        ("lips", 2.0),
        ("mouth_interior", 5.0),
        ("teeth_upper", 3.0),
        ("teeth_lower", 3.0),
        ("tongue", 3.0),
    ):
        assert np.quantile(off[part == name], 0.95) < most, name
