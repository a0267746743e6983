"""Make a head model of another project's mesh: a loader says what the file has, the open head gives the rest.

A new model is one file with a loader that returns a Foreign. Parts, texture layout, landmarks and correspondence come
by registration of the open head (registration.py), once; the converted file keeps them.

Frame: the model's own, with the avatar frame's axes, metres; the result is in the avatar frame, its root at the origin.
Dims: V vertices, F triangles, N identity modes, J joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.carry import (
    Group,
    Layout,
    carried_landmarks,
    carried_layout,
    correspond,
    skin_triangles,
    triangles_of,
)
from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.model import F32, HeadModel
from meshlam_core.head.pieces import connected_labels, mirrored_vertices
from meshlam_core.head.registration import Target, register

F64 = NDArray[np.float64]
Indices = NDArray[np.intp]

JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")  # what the registration starts from
JOINT_PARENTS = (-1, 0, 1, 1, 1)
OUTSIDE = ("face", "lips", "eyelids", "mouth_interior", "eye_sockets")  # parts that a mask "face" covers
NEAR = 64  # vertices that put a joint in its place
EYEBALLS = ("eyeball_left", "eyeball_right")


@dataclass(frozen=True)
class Foreign:
    """A head model as its loader read it."""

    name: str
    licence: str
    template: F64  # [V, 3] m
    faces: NDArray[np.integer]  # [F, 3] counter-clockwise from outside
    identity: NDArray[np.floating]  # [N, V, 3] at one standard deviation
    regressor: F64  # [5, V] of JOINT_NAMES, rows sum to 1; NaN rows where the file knows no such joint, not the eyes'
    weights: F64 | None  # [V, 5]; None: the open head's
    correctives: F64 | None = None  # [36, V, 3]
    known_parts: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)  # vertices by part name
    layout: Layout | None = None  # the model's own texture layout; None: the open head's


@dataclass(frozen=True)
class Adopted:
    """The head model, still without expressions, and what is needed to carry those over."""

    head: HeadModel
    skin: Group
    place: Correspondence


def adopt(
    foreign: Foreign,
    source: HeadModel,  # the open head
) -> Adopted:
    """Register the open head and carry over what the file lacks."""
    template, faces = np.asarray(foreign.template, np.float64), np.asarray(foreign.faces, np.int64)
    pieces = pieces_of(foreign, template, faces)
    groups = [Group(pieces["skin"], skin_triangles(source))]
    groups += [Group(rows, triangles_of(source, part)) for part, rows in pieces.items() if part in source.parts]
    grouped = np.concatenate(list(pieces.values()))
    rest = np.setdiff1d(np.arange(len(template)), grouped)
    if len(rest):  # what nobody names lies inside the head
        inside = np.isin(np.array(source.parts)[source.part[source.faces[:, 0]]], ("eye_sockets", "mouth_interior"))
        groups.append(Group(rest, inside))
    eyes = tuple(pieces.get(name, np.zeros(0, np.intp)) for name in EYEBALLS)
    joints = foreign.regressor @ template
    laid = register(source, Target(template, faces, pieces["skin"], (eyes[0], eyes[1]), joints))
    regressor = whole_regressor(foreign.regressor, source, laid, template, faces, groups)
    root = regressor[0] @ template
    template, laid = template - root, laid - root
    place = correspond(source, laid, template, faces, groups, foreign.layout is None)
    layout = foreign.layout or carried_layout(source, laid, template, faces, groups)
    part, parts = parts_of(foreign, source, place, pieces)
    skin, eyeball = (np.isin(np.arange(len(template)), rows) for rows in (pieces["skin"], np.concatenate(eyes)))
    landmarks = carried_landmarks(source, laid, template, faces, skin, eyeball)
    modes = foreign.identity - np.einsum("v,nvd->nd", regressor[0], foreign.identity)[:, None]
    weights = place.to_model(source.weights) if foreign.weights is None else foreign.weights
    head = HeadModel(
        name=foreign.name,
        licence=foreign.licence,
        template=template.astype(np.float32),
        faces=faces.astype(np.int32),
        uvs=layout.uvs,
        uv_faces=layout.uv_faces,
        part=part,
        parts=parts,
        identity_basis=modes.astype(np.float32),
        blendshapes=np.zeros((0, *template.shape), np.float32),
        blendshape_names=(),
        blendshape_ranges=np.zeros((0, 2), np.float32),
        blendshape_kind="arkit",
        joint_regressor=regressor.astype(np.float32),
        joint_names=JOINT_NAMES,
        joint_parents=JOINT_PARENTS,
        weights=at_most_four(weights),
        landmark_faces=landmarks[0],
        landmark_bary=landmarks[1],
        landmark_weight=landmarks[2],
        mirror=mirrored_vertices(place.to_model(source.template).astype(np.float64)),
        pose_correctives=None if foreign.correctives is None else foreign.correctives.astype(np.float32),
        correspondence=place,
    )
    return Adopted(head, groups[0], place)


def whole_regressor(
    known: F64,  # [5, V] NaN rows where unknown
    source: HeadModel,
    laid: F64,  # [O, 3] m
    template: F64,  # [V, 3] m
    faces: NDArray[np.integer],
    groups: Sequence[Group],
) -> F64:  # [5, V]
    """The open head's joints where the model has none, as mixes of the model's vertices."""
    missing = np.flatnonzero(~np.isfinite(known).all(axis=1))
    result = known.copy()
    if len(missing):
        place = correspond(source, laid, template, faces, groups)
        for joint in missing:
            own = source.joint_regressor[joint].astype(np.float64)[:, None] * place.on_model_bary
            result[joint] = np.bincount(place.on_model.ravel(), own.ravel(), len(template))
            result[joint] /= result[joint].sum()
            _place_joint(result[joint], source.joint_regressor[joint] @ laid, template)
    return result


def _place_joint(row: F64, at: F64, template: F64) -> None:
    """The least change of a row [V] that puts its joint exactly there on the mean head; the row still sums to one."""
    near = np.argsort(np.linalg.norm(template - at, axis=1))[:NEAR]
    system = np.concatenate([template[near].T - at[:, None], np.ones((1, len(near)))])
    row[near] += np.linalg.lstsq(system, np.append(at - row @ template, 0.0), rcond=None)[0]


def pieces_of(
    foreign: Foreign,
    template: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
) -> dict[str, Indices]:
    """Skin, eyeballs and inner parts: what the file says, else the mesh's pieces around the eye joints."""
    known = {name: np.asarray(rows, np.intp) for name, rows in foreign.known_parts.items()}
    inner = {name: rows for name, rows in known.items() if name.startswith(("eyeball", "teeth", "tongue", "lashes"))}
    label = connected_labels(faces, len(template))
    largest = np.bincount(label).argmax()
    if not set(EYEBALLS) & set(inner):
        joints = foreign.regressor @ template
        for name, joint in zip(EYEBALLS, (3, 4), strict=True):
            near = [
                rows
                for piece in np.unique(label)
                if piece != largest
                and len(rows := np.flatnonzero(label == piece)) > 20
                and np.linalg.norm(template[rows].mean(axis=0) - joints[joint]) < 0.015
            ]
            if near:
                inner[name] = np.concatenate(near)
    taken = np.concatenate(list(inner.values())) if inner else np.zeros(0, np.intp)
    skin = known.get("skin", np.flatnonzero(label == largest))
    return {"skin": np.setdiff1d(skin, taken), **inner}


def parts_of(
    foreign: Foreign, source: HeadModel, place: Correspondence, pieces: Mapping[str, Indices]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Part of each vertex: the open head's at its place, corrected by what the file says."""
    named = np.array(source.parts, dtype="<U32")[source.part[place.strongest()]]
    face = np.isin(named, OUTSIDE)
    for name, rows in foreign.known_parts.items():
        if name == "face":
            rows = np.asarray(rows)[~face[rows]]
        if name != "skin":
            named[rows] = name
    skin = np.isin(np.arange(len(named)), pieces["skin"])
    loose = ~skin
    for name, rows in pieces.items():
        if name != "skin":
            named[rows] = name
            loose[rows] = False
    named[loose & np.isin(named, source.parts)] = "eye_sockets"  # unnamed pieces inside: never seen, never grown
    parts = tuple(name for name in (*source.parts, *sorted(set(named) - set(source.parts))) if (named == name).any())
    return np.array([parts.index(name) for name in named], np.uint8), parts


def at_most_four(weights: NDArray[np.floating]) -> F32:  # [V, J]
    """The four strongest joints of each vertex, summing to one: what game engines take."""
    weakest_kept = np.sort(weights, axis=1)[:, -4][:, None]
    kept = np.where(weights >= weakest_kept, weights, 0.0).clip(0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True), dtype=np.float32)
