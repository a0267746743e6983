"""The neck adapter: a head and a body as one character, one mesh on the body's skeleton. The two stay, hidden.

The head is moved so that its neck meets the body's, and its lower neck changes its shape to run into the body's; what
lies between is bridged (joining/bridge.py). Around the seam shape and weights are diffused (joining/fair.py), and the
head's skin takes on the body's tone. The head's `neck` bone becomes the body's
head bone, its `root` the bone that carries that; jaw and eyes are added to it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..joining import tone
from ..joining.bridge import Bridge, around, bridge, down_at, meeting
from ..joining.cut import cut, narrowest
from ..joining.fair import eased, way_to
from ..joining.loops import F64, boundary_loops, length, plane
from .carried import carry_keys, carry_turns, copy_rig, turning_bones
from .found import HEAD, JOINED, KIND, PROVENANCE, RIG, SOURCE, BuiltAvatar, armature_modifier
from .glasses import glasses_of
from .guard import editing, scene_as_found
from .neck_tone import SKIN, TONE, tint
from .parts import HAIR
from .raw_mesh import RawMesh, build_raw, raw_mesh
from .strands import Carried, carry_strands, shown_strands, strands_of

_COVER = 0.25  # of the ramp: so far up the body's tone covers hair and shadows that no factor turns into skin
_GAP = 0.3  # of the neck's radius, between the two loops
_RAMP = 0.75  # of the neck's radius: so far up the head takes on the body's tone, and up and down the weights mix
_FLARE = 1.4  # of the neck's radius: so far up the head's neck changes its shape to meet the body's
_FACE = ("jaw", "left_eye", "right_eye")  # what hangs on these keeps its shape
_STRAIGHT = 0.7  # of the neck's radius: so far up it leans otherwise than it did
_EASED = 0.3  # of the neck's radius: so far up and down what bends sharply is smoothed
_SHAPE_ROUNDS, _WEIGHT_ROUNDS = 30, 300  # of diffusion: enough for creases, and for the whole ramp
_ALIKE = (0.5, 2.0)  # the head's neck over the body's: beyond, that opening is no neck
_HEADS = (re.compile(r"(?<![a-z])head(?![a-z])", re.IGNORECASE), re.compile(r"spine\.006$"))
_CUT = 0.5  # weight of the head's bones from which a separate part of the body belongs to its own head
_SCALES = (0.8, 1.25)  # more than this is no fitting, the bridge makes up for the rest
_REACH = 1.6  # of a neck's radius: what is farther from its axis is no neck
_SLIT = 12  # edges around a hole that hair leaves
_BELOW = 2.0  # of the last bone of the neck, so far below it the narrowest place is looked for


class JoinError(ValueError):
    """The two cannot be joined; one sentence for the user."""


@dataclass(frozen=True)
class Seam:
    """How well the two fit."""

    gap: float  # mm, the widest hole that is left between them
    delta_e: float  # of the colours at the seam, at most
    rings: int
    scale: float  # of the head, to fit the neck


def join(built: BuiltAvatar, body: Any, scale_to_fit: bool = True) -> tuple[Any, Any, Seam]:
    """(mesh, rig, seam) of the new character; head and body are hidden."""
    skeleton = getattr(armature_modifier(body), "object", None)
    head_mesh = _shortened_head(raw_mesh(built.head), built)
    head_loop = _neck(head_mesh)
    body_mesh = _without_head(raw_mesh(body), skeleton, head_mesh.points[head_loop], _up(built))
    body_loop = _opening(body_mesh, body.name, head_mesh.points[head_loop])
    head_mesh, scale, move = _fitted(head_mesh, head_loop, body_mesh.points[body_loop], scale_to_fit)
    fitted = head_mesh.points
    below = -down_at(body_loop, body_mesh.points, body_mesh.edges)
    head_mesh = _reshaped(head_mesh, head_loop, body_mesh.points[body_loop], below)
    between = bridge(
        head_mesh.points[head_loop],
        down_at(head_loop, head_mesh.points, head_mesh.edges),
        body_mesh.points[body_loop],
        below,
    )
    bones = _bones(built.rig, skeleton)
    if skeleton is None:
        body_mesh = replace(body_mesh, weights={bones["root"]: np.ones(len(body_mesh.points))})
    head_mesh = _renamed(head_mesh, bones)
    tones = _tones(head_mesh, head_loop, body_mesh, body_loop, between)
    whole = _welded(head_mesh, head_loop, body_mesh, body_loop, between, tones.place)
    radius = length(body_mesh.points[body_loop]) / (2 * np.pi)
    whole = _faired(whole, _ring_vertices(head_mesh, head_loop, body_loop, between), radius)
    with scene_as_found():
        rig = _rig(built, skeleton, bones, move, body)
        name = f"{body.name} {built.head.name}"
        mesh = build_raw(whole, name, rig.matrix_world, _attributes(tones, between, len(whole.uvs)))
        tint(mesh, len(head_mesh.materials))
        _link(mesh, rig, built)
        carry_keys(built.head, mesh, {built.rig: rig}, bones)
        turning = _turning(rig, bones) if skeleton is not None else {}
        carry_turns(built.rig, rig, turning)
        loose = shown_strands(built.rig, built.head)
        if loose is not None:
            count = len(fitted)
            weights = {name: values[:count] for name, values in whole.weights.items() if name in rig.data.bones}
            carry_strands(loose, rig, mesh, Carried(move, fitted, whole.points[:count], weights))
    seam = Seam(
        _widest_hole(whole, head_loop, body_loop, len(head_mesh.points), between),
        tones.delta_e,
        len(between.rings),
        scale,
    )
    rig[JOINED] = json.dumps({"gap": seam.gap, "delta_e": seam.delta_e, "turned_by": turning})
    beside = [item for item in (glasses_of(built.rig), strands_of(built.rig)) if item is not None]
    for item in (built.head, *built.pieces, *beside, body):
        item.hide_set(True)
        item.hide_render = True
    return mesh, rig, seam


def _neck(mesh: RawMesh) -> Any:
    loops = boundary_loops(mesh.faces)
    if not loops:
        raise JoinError("The head's neck is closed; it needs an open edge to be joined by.")
    widest = max(length(mesh.points[loop]) for loop in loops)
    wide = [loop for loop in loops if length(mesh.points[loop]) > widest / 2]
    return min(wide, key=lambda loop: float(mesh.points[loop][:, 2].mean()))


def _opening(mesh: RawMesh, name: str, neck: F64) -> Any:
    """The body's loop that is most like a neck: of its size, and highest up."""
    wanted = length(neck)
    alike = [loop for loop in boundary_loops(mesh.faces) if _ALIKE[0] < wanted / length(mesh.points[loop]) < _ALIKE[1]]
    if not alike:
        raise JoinError(
            f"{name} has no open neck about {1000 * wanted:.0f} mm around; delete the faces of its head first, "
            "or weight them to a bone called head."
        )
    return max(alike, key=lambda loop: float(mesh.points[loop][:, 2].mean()))


def _at_narrowest(mesh: RawMesh, low: F64, high: F64, reach: float, away: F64, spared: list[int]) -> RawMesh:
    """The mesh cut where its neck is narrowest; what lies `away` from there goes."""
    share = narrowest(mesh.points, mesh.triangles, low, high, away, reach)
    made = cut(mesh.points, mesh.faces, low + (high - low) * share, away, reach, spared)
    return mesh.shortened(made) if len(made.faces) != len(mesh.faces) else mesh


def _shortened_head(mesh: RawMesh, built: BuiltAvatar) -> RawMesh:
    """The head without the flaring lower end of its neck."""
    loop = mesh.points[_neck(mesh)]
    bone = built.rig.pose.bones.get("neck")
    if bone is None:
        return mesh
    top = np.array(built.rig.matrix_world @ bone.bone.head_local)
    hair = {index for index, item in enumerate(mesh.materials) if item is not None and HAIR in item.name}
    spared = [index for index, material in enumerate(mesh.material) if material in hair]
    reach = _REACH * length(loop) / (2 * np.pi)
    return _without_slits(_at_narrowest(mesh, loop.mean(0), top, reach, -_up(built), spared))


def _without_slits(mesh: RawMesh) -> RawMesh:
    """Where hair that was spared leaves small holes beside the neck's edge, these are filled."""
    neck = set(_neck(mesh).tolist())
    slits = [loop for loop in boundary_loops(mesh.faces) if len(loop) <= _SLIT and len(neck & set(loop.tolist())) > 0]
    for loop in slits:
        corners = mesh.corner_of(loop)
        first, *others = (int(vertex) for vertex in loop[::-1])
        fan = [(first, one, other) for one, other in pairwise(others)]
        uvs = mesh.uvs[[corners[vertex] for face in fan for vertex in face]]
        material = np.full(len(fan), mesh.material[_faces_at(mesh, loop)[0]], np.int32)
        mesh = replace(
            mesh,
            faces=[*mesh.faces, *fan],
            uvs=np.concatenate([mesh.uvs, uvs]),
            material=np.concatenate([mesh.material, material]),
        )
    return mesh


def _up(built: BuiltAvatar) -> F64:
    """Up as the head stands: both necks are cut across it, so that the openings lie alike."""
    return np.array(built.rig.matrix_world.to_3x3() @ Vector((0.0, 0.0, 1.0)))


def _without_head(mesh: RawMesh, skeleton: Any, head_loop: F64, up: F64) -> RawMesh:
    """The body without its own head: cut at the narrowest place of its neck, as its bones tell."""
    bone = _head_bone(skeleton)
    parent = skeleton.data.bones[bone].parent if bone else None
    if parent is None:
        return mesh
    high = np.array(skeleton.matrix_world @ skeleton.data.bones[bone].head_local)
    low = np.array(skeleton.matrix_world @ parent.head_local)
    low = low - _BELOW * (high - low)
    mesh = _at_narrowest(mesh, low, high, 2 * _REACH * length(head_loop) / (2 * np.pi), up, [])
    return _without_islands(mesh, [bone, *(child.name for child in skeleton.data.bones[bone].children_recursive)])


def _without_islands(mesh: RawMesh, bones: list[str]) -> RawMesh:
    """The mesh without what hangs on the head alone: eyes, teeth, hair of the body's own head."""
    weight = np.sum([mesh.weights.get(bone, np.zeros(len(mesh.points))) for bone in bones], axis=0)
    gone = weight > _CUT
    inside = np.array([bool(gone[list(face)].all()) for face in mesh.faces])
    if not inside.any() or inside.all():
        return mesh
    sizes = np.array([len(face) for face in mesh.faces])
    faces = [face for face, away in zip(mesh.faces, inside, strict=True) if not away]
    used = np.unique(np.concatenate([np.array(face) for face in faces]))
    number = np.zeros(len(mesh.points), int)
    number[used] = np.arange(len(used))
    return replace(
        mesh,
        points=mesh.points[used],
        faces=[tuple(int(number[vertex]) for vertex in face) for face in faces],
        uvs=mesh.uvs[np.repeat(~inside, sizes)],
        material=mesh.material[~inside],
        weights={name: values[used] for name, values in mesh.weights.items()},
        moves={name: values[used] for name, values in mesh.moves.items()},
    )


def _fitted(mesh: RawMesh, loop: Any, opening: F64, scale_to_fit: bool) -> tuple[RawMesh, float, Any]:
    """(head where its neck stands over the body's, its scale, how it was moved)."""
    middle, _ = plane(mesh.points[loop])
    target, normal = plane(opening)
    scale = float(np.clip(length(opening) / length(mesh.points[loop]), *_SCALES)) if scale_to_fit else 1.0
    up = normal if normal[2] > 0 else -normal
    radius = length(opening) / (2 * np.pi)
    points = (mesh.points - middle) * scale + target
    # a slanted loop must not dip into the body
    low = float(((points[loop] - target) @ up).min())
    shift = up * (radius * _GAP - min(low, 0.0))
    place = Vector((target + shift).tolist())
    move = Matrix.Translation(place) @ Matrix.Scale(scale, 4) @ Matrix.Translation(-Vector(middle.tolist()))
    return replace(mesh, points=points + shift, moves={name: m * scale for name, m in mesh.moves.items()}), scale, move


def _reshaped(head: RawMesh, loop: Any, opening: F64, below: F64) -> RawMesh:
    """The head whose neck swells or narrows, less and less towards the jaw, to run into the body's."""
    radius = length(opening) / (2 * np.pi)
    way = np.linalg.norm(head.points[:, None] - head.points[loop][None], axis=2).min(1)
    near = tone.ramp(way, _FLARE * radius)
    free = 1 - (1 - near) * sum((head.weights.get(bone, 0.0) for bone in _FACE), np.zeros(len(near)))
    down = down_at(loop, head.points, head.edges)
    aside, lean = meeting(head.points[loop], down, opening, below, head.points)
    t = np.minimum(way / (_STRAIGHT * radius), 1.0)
    leaning = (t * (1 - t) ** 2 * _STRAIGHT * radius)[:, None] * lean  # Hermite's: rises as told, and ends flat at 0
    return replace(head, points=head.points + (aside * near[:, None] + leaning) * free[:, None])


def _head_bone(skeleton: Any) -> str:
    """The deforming bone of the head: called head, or Rigify's last one of the spine; empty where there is none."""
    names = [bone.name for bone in skeleton.data.bones if bone.use_deform] if skeleton is not None else []
    for pattern in _HEADS:
        found = [name for name in names if pattern.search(name)]
        if found:
            return str(min(found, key=lambda name: (len(name), name)))
    return ""


def _bones(rig: Any, skeleton: Any) -> dict[str, str]:
    """The bones of the new character by the head's: what is merged has the body's names."""
    names = {bone.name: bone.name for bone in rig.data.bones}
    head = _head_bone(skeleton)
    if not head:
        return names
    for name in names:  # the body may have a jaw of its own, which may even be no bone that deforms
        while names[name] in skeleton.data.bones:
            names[name] = f"face_{names[name]}"
    parent = skeleton.data.bones[head].parent
    names["neck"] = head
    names["root"] = parent.name if parent is not None else head
    return names


def _turning(rig: Any, bones: dict[str, str]) -> dict[str, str]:
    """Which bone of the character an artist turns for each of the head's."""
    head, carrier = turning_bones(rig, bones["neck"])
    return {**bones, "neck": head, "root": carrier}


def _renamed(head: RawMesh, bones: dict[str, str]) -> RawMesh:
    """The head's weights under the character's names."""
    weights: dict[str, F64] = {}
    for name, values in head.weights.items():
        target = bones.get(name, name)
        weights[target] = weights.get(target, 0.0) + values
    return replace(head, weights=weights)


def _faired(whole: RawMesh, seam: Any, radius: float) -> RawMesh:
    """Shape and weights without steps at the seam's vertices."""
    triangles = whole.triangles
    way = way_to(whole.points, triangles, seam, _RAMP * radius)
    points = eased(whole.points, whole.points, triangles, tone.ramp(way, _EASED * radius), _SHAPE_ROUNDS)
    names = [name for name, values in whole.weights.items() if values[np.isfinite(way)].any()]
    rows = np.stack([whole.weights[name] for name in names], axis=1)
    rows = eased(rows, points, triangles, tone.ramp(way, _RAMP * radius), _WEIGHT_ROUNDS)
    return replace(whole, points=points, weights={**whole.weights, **dict(zip(names, rows.T, strict=True))})


def _ring_vertices(head: RawMesh, head_loop: Any, body_loop: Any, between: Bridge) -> Any:
    """The character's vertices of both loops and of what lies between."""
    count, rings = len(head.points), between.rings.reshape(-1, 3).shape[0]
    return np.concatenate([head_loop, count + np.arange(rings), count + rings + body_loop])


@dataclass(frozen=True)
class _Tones:
    """Dims: C corners of the head's faces."""

    of_head: F64  # [C, 3] what the texture is multiplied by
    cover: F64  # [C, 4] the body's tone, and how much it covers
    of_body: F64  # [B, 3] the body's tone around its loop
    of_loop: F64  # [H, 3] the same around the head's, without its spots
    place: F64  # [2] of the texture, where the bridge's faces lie: across a seam of the layout they would span islands
    texel: F64  # [3] what is there
    delta_e: float


def _tones(head: RawMesh, head_loop: Any, body: RawMesh, body_loop: Any, between: Bridge) -> _Tones:
    """How the head's skin takes on the body's tone."""
    corners = head.corner_of(head_loop)
    own = head.colours(corners)
    of_body = body.colours(body.corner_of(body_loop))
    theirs = around(of_body[between.of_body])
    middle = int(np.linalg.norm(own - np.median(own, axis=0), axis=1).argmin())
    ratio = tone.ratio(own, theirs)
    nearest = np.linalg.norm(head.points[:, None] - head.points[head_loop][None], axis=2).argmin(1)
    reach = _RAMP * length(body.points[body_loop]) / (2 * np.pi)
    way = way_to(head.points, head.triangles, head_loop, reach)  # hair that only hangs near keeps its colour
    of_vertex = 1 + (ratio[nearest] - 1) * tone.ramp(way, reach)[:, None]
    flat = np.concatenate([np.array(face) for face in head.faces])
    place = head.uvs[list(corners.values())[middle]]
    cover = np.concatenate([theirs[nearest], tone.ramp(way, _COVER * reach)[:, None]], axis=1)
    worst = _apart_at(body, body_loop, of_body)  # the head's loop is covered, wholly
    return _Tones(of_vertex[flat], cover[flat], of_body, theirs, place, own[middle], worst)


def _apart_at(body: RawMesh, loop: Any, shown: F64) -> float:
    """ΔE between what a loop shows above it and in any of the faces below, which may lie apart in the texture."""
    place = {int(vertex): index for index, vertex in enumerate(loop)}
    flat = [vertex for face in body.faces for vertex in face]
    corners = [corner for corner, vertex in enumerate(flat) if vertex in place]
    above = shown[[place[flat[corner]] for corner in corners]]
    return float(tone.delta_e(body.colours(dict(enumerate(corners))), above).max())


def _welded(head: RawMesh, head_loop: Any, body: RawMesh, body_loop: Any, between: Bridge, place: F64) -> RawMesh:
    """One mesh of the head, the rings and the body."""
    count, ring_count = len(head.points), between.rings.reshape(-1, 3).shape[0]
    first_body = count + ring_count
    number = np.concatenate([head_loop, count + np.arange(ring_count), first_body + body_loop])
    faces = [tuple(int(number[v]) for v in face) for face in between.faces]
    uvs = np.tile(place, (sum(map(len, between.faces)), 1))
    skin = int(np.bincount([head.material[face] for face in _faces_at(head, head_loop)]).argmax())
    names = {*head.weights, *body.weights}
    weights = {}
    for name in names:
        top = head.weights.get(name, np.zeros(count))
        bottom = body.weights.get(name, np.zeros(len(body.points)))
        low = bottom[body_loop][between.of_body]
        middle = [top[head_loop] * (1 - t) + low * t for t in between.share]
        weights[name] = np.concatenate([top, *middle, bottom])
    moves = {
        name: np.concatenate([move, *(move[head_loop] * (1 - t) for t in between.share), np.zeros_like(body.points)])
        for name, move in head.moves.items()
    }
    shifted = [tuple(v + first_body for v in face) for face in body.faces]
    return RawMesh(
        np.concatenate([head.points, between.rings.reshape(-1, 3), body.points]),
        [*head.faces, *faces, *shifted],
        np.concatenate([head.uvs, uvs, body.uvs]),
        np.concatenate([head.material, np.full(len(faces), skin), body.material + len(head.materials)]).astype(
            np.int32
        ),
        [*head.materials, *(body.materials or [None])],
        weights,
        moves,
    )


def _attributes(tones: _Tones, between: Bridge, count: int) -> dict[str, F64]:
    """The colour attributes of all corners: the head's come first, then the bridge's, then the body's."""
    colours, cover = np.ones((count, 3)), np.zeros((count, 4))
    colours[: len(tones.of_head)], cover[: len(tones.cover)] = tones.of_head, tones.cover
    bridged = _at_bridge(tones.of_loop, tones.of_body, between)
    part = slice(len(tones.cover), len(tones.cover) + len(bridged))
    colours[part] = tone.ratio(tones.texel, bridged)
    cover[part] = np.concatenate([bridged, np.ones((len(bridged), 1))], axis=1)
    return {TONE: colours, SKIN: cover}


def _at_bridge(of_head: F64, of_body: F64, between: Bridge) -> F64:
    """What is told around the head's loop runs into what is around the body's; for each corner of the faces between."""
    rings = [of_head * (1 - t) + of_body[between.of_body] * t for t in between.share]
    of_vertex = np.concatenate([of_head, *rings, of_body])
    return np.asarray(of_vertex[np.concatenate([np.array(face) for face in between.faces])])


def _faces_at(mesh: RawMesh, loop: Any) -> list[int]:
    on = set(loop.tolist())
    return [index for index, face in enumerate(mesh.faces) if len(on & set(face)) >= 2]


def _widest_hole(whole: RawMesh, head_loop: Any, body_loop: Any, count: int, between: Bridge) -> float:
    """mm between what should be one: 0 where every edge of both loops has a face on each side."""
    first_body = count + between.rings.reshape(-1, 3).shape[0]
    seam = {*head_loop.tolist(), *(body_loop + first_body).tolist()}
    open_edges = [loop for loop in boundary_loops(whole.faces) if seam & set(loop.tolist())]
    return max((1000 * float(np.ptp(whole.points[loop], axis=0).max()) for loop in open_edges), default=0.0)


def _rig(built: BuiltAvatar, skeleton: Any, bones: dict[str, str], move: Any, body: Any) -> Any:
    """A copy of the body's skeleton with the head's further bones; of the head's rig where the body has none."""
    rig = copy_rig(skeleton if skeleton is not None else built.rig, f"{body.name} {built.head.name} Rig")
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.update()
    if skeleton is None:
        rig.matrix_world = move @ built.rig.matrix_world
        return rig
    to_rig = rig.matrix_world.inverted() @ move @ built.rig.matrix_world
    new = [bone for bone in built.rig.data.bones if bones[bone.name] not in rig.data.bones]
    points = {bones[bone.name]: (to_rig @ bone.head_local, to_rig @ bone.tail_local) for bone in new}
    with editing(rig):
        for name, (start, end) in points.items():
            made = rig.data.edit_bones.new(name)
            made.head, made.tail = start, end
            made.parent = rig.data.edit_bones.get(bones["neck"])
    for name in points:
        rig.pose.bones[name].rotation_mode = "QUATERNION"
    return rig


def _link(mesh: Any, rig: Any, built: BuiltAvatar) -> None:
    """A collection with the new character, which the face's panel knows as a head."""
    collection = bpy.data.collections.new(mesh.name)
    bpy.context.scene.collection.children.link(collection)
    for scene_item in (rig, mesh):
        collection.objects.link(scene_item)
    bpy.context.scene.collection.objects.unlink(rig)
    mesh.parent = rig
    mesh.matrix_parent_inverse = Matrix.Identity(4)
    mesh.matrix_basis = Matrix.Identity(4)
    modifier = mesh.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    rig[HEAD], mesh[RIG] = mesh, rig
    for key in (PROVENANCE, SOURCE, KIND):
        if key in built.rig:
            rig[key] = built.rig[key]
