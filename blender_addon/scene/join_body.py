"""The neck adapter: a head and a body as one character, one mesh on the body's skeleton. The two stay, hidden.

The head is moved so that its neck meets the body's; what lies between is bridged (joining/bridge.py). Near the seam
the head's weights become the body's, and its skin takes on the body's tone. The head's `neck` bone becomes the body's
head bone, its `root` the bone that carries that; jaw and eyes are added to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..joining import tone
from ..joining.bridge import Bridge, bridge, down_at
from ..joining.loops import F64, boundary_loops, length, plane
from .found import HEAD, KIND, PROVENANCE, RIG, SOURCE, BuiltAvatar, armature_modifier
from .guard import editing, scene_as_found
from .raw_mesh import RawMesh, base_socket, build_raw, raw_mesh

JOINED = "meshlam_joined"  # on the new rig: what the seam was measured at, JSON
TONE = "meshlam_neck_tone"  # colour attribute: what the head's texture is multiplied by
_GAP = 0.12  # of the neck's radius, between the two loops
_RAMP = 0.75  # of the neck's radius: so far up the head takes on the body's tone and weights
_ALIKE = (0.5, 2.0)  # the head's neck over the body's: beyond, that opening is no neck
_CUT = 0.5  # weight of the head's bone from which the body's own head goes


class JoinError(ValueError):
    """The two cannot be joined; one sentence for the user."""


@dataclass(frozen=True)
class Seam:
    """How well the two fit."""

    gap: float  # mm, the widest hole that is left between them
    delta_e: float  # of the colours at the seam, the worst tenth left out
    rings: int
    scale: float  # of the head, to fit the neck


def join(built: BuiltAvatar, body: Any, scale_to_fit: bool = True) -> tuple[Any, Any, Seam]:
    """(mesh, rig, seam) of the new character; head and body are hidden."""
    skeleton = getattr(armature_modifier(body), "object", None)
    head_mesh, body_mesh = raw_mesh(built.head), _without_head(raw_mesh(body), skeleton)
    head_loop = _neck(head_mesh)
    body_loop = _opening(body_mesh, body.name, head_mesh.points[head_loop])
    head_mesh, scale = _fitted(head_mesh, head_loop, body_mesh.points[body_loop], scale_to_fit)
    between = bridge(
        head_mesh.points[head_loop],
        down_at(head_loop, head_mesh.points, head_mesh.edges),
        body_mesh.points[body_loop],
        -down_at(body_loop, body_mesh.points, body_mesh.edges),
    )
    bones = _bones(built.rig, skeleton)
    head_mesh = _blended_weights(head_mesh, head_loop, body_mesh, body_loop, between, bones)
    ratios, off = _tones(head_mesh, head_loop, body_mesh, body_loop, between)
    whole = _welded(head_mesh, head_loop, body_mesh, body_loop, between)
    colours = np.ones((len(whole.points), 3))
    colours[: len(ratios)] = ratios
    with scene_as_found():
        rig = _rig(built, skeleton, bones, scale, head_mesh, body)
        name = f"{body.name} {built.head.name}"
        mesh = build_raw(whole, name, rig.matrix_world, {TONE: colours})
        _tint(mesh, len(head_mesh.materials))
        _link(mesh, rig, built)
    seam = Seam(
        _widest_hole(whole, head_loop, body_loop, len(head_mesh.points), between), off, len(between.rings), scale
    )
    rig[JOINED] = json.dumps({"gap": seam.gap, "delta_e": seam.delta_e})
    for item in (built.head, *built.pieces, body):
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


def _without_head(mesh: RawMesh, skeleton: Any) -> RawMesh:
    """The body without the faces that its own head bone moves."""
    bone = _named_bone(skeleton, "head")
    weights = mesh.weights.get(bone, np.zeros(len(mesh.points))) if bone else np.zeros(len(mesh.points))
    for child in skeleton.data.bones[bone].children_recursive if bone else ():
        weights = weights + mesh.weights.get(child.name, 0.0)
    gone = weights > _CUT
    if not gone.any() or gone.all():
        return mesh
    sizes = np.array([len(face) for face in mesh.faces])
    kept = np.array([not gone[list(face)].any() for face in mesh.faces])
    number = np.cumsum(~gone) - 1
    faces = [tuple(int(number[v]) for v in face) for face, keep in zip(mesh.faces, kept, strict=True) if keep]
    return replace(
        mesh,
        points=mesh.points[~gone],
        faces=faces,
        uvs=mesh.uvs[np.repeat(kept, sizes)],
        material=mesh.material[kept],
        weights={name: values[~gone] for name, values in mesh.weights.items()},
        moves={name: values[~gone] for name, values in mesh.moves.items()},
    )


def _fitted(mesh: RawMesh, loop: Any, opening: F64, scale_to_fit: bool) -> tuple[RawMesh, float]:
    """The head where its neck stands over the body's."""
    middle, _ = plane(mesh.points[loop])
    target, normal = plane(opening)
    scale = length(opening) / length(mesh.points[loop]) if scale_to_fit else 1.0
    up = normal if normal[2] > 0 else -normal
    radius = length(opening) / (2 * np.pi)
    points = (mesh.points - middle) * scale + target + up * radius * _GAP
    # a slanted loop must not dip into the body
    low = float(((points[loop] - target) @ up).min())
    points += up * max(0.0, radius * _GAP / 2 - low)
    return replace(mesh, points=points, moves={name: move * scale for name, move in mesh.moves.items()}), scale


def _named_bone(skeleton: Any, word: str) -> str:
    """The bone of a skeleton whose name holds a word, the shortest name first (head, not head_end or forehead)."""
    names = [bone.name for bone in skeleton.data.bones] if skeleton is not None else []
    found = [name for name in names if word in name.lower()]
    deform = [name for name in found if skeleton.data.bones[name].use_deform] or found
    return min(deform, key=lambda name: (len(name), name), default="")


def _bones(rig: Any, skeleton: Any) -> dict[str, str]:
    """The bones of the new character by the head's: what is merged has the body's names."""
    names = {bone.name: bone.name for bone in rig.data.bones}
    head = _named_bone(skeleton, "head")
    if not head:
        return names
    parent = skeleton.data.bones[head].parent
    names["neck"] = head
    names["root"] = parent.name if parent is not None else head
    return names


def _blended_weights(
    head: RawMesh, head_loop: Any, body: RawMesh, body_loop: Any, between: Bridge, bones: Any
) -> RawMesh:
    """The head's weights under the new names, and near the seam those of the body's loop."""
    weights: dict[str, F64] = {}
    for name, values in head.weights.items():
        target = bones.get(name, name)
        weights[target] = weights.get(target, 0.0) + values
    share, nearest = _from_seam(head, head_loop, body, body_loop)
    for name in {*weights, *body.weights}:
        own = weights.get(name, np.zeros(len(head.points)))
        theirs = body.weights.get(name, np.zeros(len(body.points)))[body_loop][between.of_body][nearest]
        weights[name] = own * (1 - share) + theirs * share
    return replace(head, weights={name: values for name, values in weights.items() if values.any()})


def _from_seam(head: RawMesh, head_loop: Any, body: RawMesh, body_loop: Any) -> tuple[F64, Any]:
    """([V] 1 at the head's loop, 0 from the ramp's end on, [V] the place of the loop that is nearest)."""
    apart = np.linalg.norm(head.points[:, None] - head.points[head_loop][None], axis=2)
    reach = _RAMP * length(body.points[body_loop]) / (2 * np.pi)
    return tone.ramp(apart.min(1), reach), apart.argmin(1)


def _tones(head: RawMesh, head_loop: Any, body: RawMesh, body_loop: Any, between: Bridge) -> tuple[F64, float]:
    """[head and rings, 3] what the texture is multiplied by, and ΔE at the seam."""
    own = head.colours(head.corner_of(head_loop))
    theirs = body.colours(body.corner_of(body_loop))[between.of_body]
    ratio = tone.ratio(own, theirs)
    share, nearest = _from_seam(head, head_loop, body, body_loop)
    ratios = 1 + (ratio[nearest] - 1) * share[:, None]
    rings = np.tile(ratio, (len(between.rings), 1)).reshape(-1, 3)
    off = tone.delta_e(own * ratio, theirs)
    return np.concatenate([ratios, rings]), float(np.percentile(off, 90))


def _welded(head: RawMesh, head_loop: Any, body: RawMesh, body_loop: Any, between: Bridge) -> RawMesh:
    """One mesh of the head, the rings and the body."""
    count, ring_count = len(head.points), between.rings.reshape(-1, 3).shape[0]
    first_body = count + ring_count
    rings = len(between.rings)
    number = np.concatenate([head_loop, count + np.arange(ring_count), first_body + body_loop])
    faces = [tuple(int(number[v]) for v in face) for face in between.faces]
    corners = head.corner_of(head_loop)
    places = np.array([head.uvs[corner] for corner in corners.values()])
    of_loop = np.concatenate([places, np.tile(places, (rings, 1)), places[_inverse(between.of_body, len(body_loop))]])
    uvs = np.array([of_loop[v] for face in between.faces for v in face])
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


def _inverse(of_body: Any, count: int) -> Any:
    """For each vertex of the body's loop the place in the head's loop that is nearest."""
    places = np.arange(len(of_body))
    return np.array(
        [places[np.abs((of_body - index + count // 2) % count - count // 2).argmin()] for index in range(count)]
    )


def _faces_at(mesh: RawMesh, loop: Any) -> list[int]:
    on = set(loop.tolist())
    return [index for index, face in enumerate(mesh.faces) if len(on & set(face)) >= 2]


def _widest_hole(whole: RawMesh, head_loop: Any, body_loop: Any, count: int, between: Bridge) -> float:
    """mm between what should be one: 0 where every edge of both loops has a face on each side."""
    first_body = count + between.rings.reshape(-1, 3).shape[0]
    seam = {*head_loop.tolist(), *(body_loop + first_body).tolist()}
    open_edges = [loop for loop in boundary_loops(whole.faces) if seam & set(loop.tolist())]
    return max((1000 * float(np.ptp(whole.points[loop], axis=0).max()) for loop in open_edges), default=0.0)


def _rig(built: BuiltAvatar, skeleton: Any, bones: dict[str, str], scale: float, head: RawMesh, body: Any) -> Any:
    """A copy of the body's skeleton with the head's further bones; of the head's rig where the body has none."""
    source = skeleton if skeleton is not None else built.rig
    rig = source.copy()
    rig.data = source.data.copy()
    rig.name = f"{body.name} {built.head.name} Rig"
    rig.animation_data_clear()
    for key in list(rig.keys()):
        del rig[key]
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.update()
    if skeleton is None:
        return rig
    place = _move_of(built, head, scale)
    to_rig = rig.matrix_world.inverted() @ place @ built.rig.matrix_world
    new = [bone for bone in built.rig.data.bones if bones[bone.name] == bone.name and bone.name not in rig.data.bones]
    points = {bone.name: (to_rig @ bone.head_local, to_rig @ bone.tail_local) for bone in new}
    with editing(rig):
        for name, (start, end) in points.items():
            made = rig.data.edit_bones.new(name)
            made.head, made.tail = start, end
            made.parent = rig.data.edit_bones.get(bones["neck"])
    for name in points:
        rig.pose.bones[name].rotation_mode = "QUATERNION"
    return rig


def _move_of(built: BuiltAvatar, head: RawMesh, scale: float) -> Any:
    """How the head was moved to the body, from one of its vertices."""
    before = built.head.matrix_world @ Vector(built.head.data.vertices[0].co)
    after = Vector(head.points[0].tolist())
    return Matrix.Translation(after) @ Matrix.Scale(scale, 4) @ Matrix.Translation(-before)


def _tint(mesh: Any, heads: int) -> None:
    """Multiply the head's textures by the tones of the neck, in materials of their own."""
    for slot in list(mesh.material_slots)[:heads]:
        socket = base_socket(slot.material)
        if socket is None or not socket.is_linked:
            continue
        slot.material = slot.material.copy()
        socket, tree = base_socket(slot.material), slot.material.node_tree
        source = socket.links[0].from_socket
        tint, mix = tree.nodes.new("ShaderNodeVertexColor"), tree.nodes.new("ShaderNodeMix")
        tint.layer_name, mix.data_type, mix.blend_type = TONE, "RGBA", "MULTIPLY"
        mix.inputs[0].default_value = 1.0
        first, second = [item for item in mix.inputs if item.type == "RGBA"]
        tree.links.new(source, first)
        tree.links.new(tint.outputs["Color"], second)
        tree.links.new(next(item for item in mix.outputs if item.type == "RGBA"), socket)


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
