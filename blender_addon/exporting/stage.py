"""A clean copy of a head for the exporters, under its own names: at the origin, in metres, at rest, all keys at 0.

Whatever stands in the scene keeps its place and its values; the originals only give up their names for that long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
from mathutils import Matrix

from ..scene.correctives import bake_alone
from ..scene.found import RIG, BuiltAvatar, armature_modifier
from ..scene.mesh import HAIR_ATTRIBUTE, ORIGINAL_ATTRIBUTE
from ..scene.neck_tone import SKIN
from ..scene.shape_keys import BALD, CORRECTIVE_PREFIX, points_of
from ..scene.strands import STRANDS, shown_strands
from ..scene.trust import MILLIMETRES, TRUST, UNCERTAINTY
from .expressions import add_expressions
from .maps import carry_maps
from .modifiers import apply_modifiers, shown_modifiers
from .options import RIG_NAME, ExportOptions, spelt, with_strands
from .pictures import export_material
from .weights import limit_weights


@dataclass(frozen=True)
class Staged:
    """What the exporters are to write."""

    head: Any
    meshes: tuple[Any, ...]  # the head, its pieces, its strands and what is worn, in this order
    rig: Any  # None for morphs only
    own: Callable[[Any], None]  # takes data-blocks made on the way, to be removed with the rest
    beside: frozenset[Path]  # pictures that go beside the file
    strands: Any = None  # one of the meshes, or None

    def without_strands(self) -> Staged:
        """The same with the hull as all of the hair."""
        return replace(self, meshes=tuple(mesh for mesh in self.meshes if mesh != self.strands), strands=None)

    def objects(self) -> list[Any]:
        return [item for item in (*self.meshes, self.rig) if item is not None]


class Workshop:
    """Copies of data-blocks under the originals' names, and their removal."""

    def __init__(self, pictures: Path, target: Path) -> None:
        self.pictures, self.suffix = pictures, target.suffix.lower()  # where textures are written, for which format
        # USD's textures and one of FBX lie in one folder for all heads beside it, so their names begin as its does
        self.prefix = f"{target.stem}_" if self.suffix.startswith((".usd", ".fbx")) else ""
        self.beside: set[Path] = set()  # those that go beside the file
        self.occlusion: Any = None  # the node group that stands for it
        self.images: dict[tuple[str, bool], Any] = {}  # exported by (name, with paint)
        self._made: list[Any] = []
        self._borrowed: list[tuple[Any, str]] = []

    def copy(self, original: Any, name: str = "") -> Any:
        made = original.copy()
        self.own(made)
        self.name(made, name or original.name, original)
        return made

    def own(self, made: Any) -> None:
        self._made.append(made)

    def name(self, made: Any, name: str, holder: Any = None) -> None:
        """Give `made` the name that `holder` bears; what is linked bears its names in another library."""
        if holder is not None and holder.library is None and holder.name == name:
            self._borrowed.append((holder, name))
            holder.name = f"{name[:30]} (scene)"
        made.name = name

    def close(self) -> None:
        bpy.data.batch_remove([item for item in self._made if item is not None])
        for holder, name in reversed(self._borrowed):
            holder.name = name


@contextmanager
def staged(built: BuiltAvatar, options: ExportOptions, pictures: Path, target: Path) -> Iterator[Staged]:
    """The copy; textures are written to the folder `pictures`, unsaved paint included."""
    workshop = Workshop(pictures, target)
    unit = bpy.context.scene.unit_settings
    units = (unit.system, unit.scale_length)
    try:
        unit.system, unit.scale_length = "METRIC", 1.0
        rig = _copy_rig(workshop, built.rig)
        strands = shown_strands(built.rig, built.head) if with_strands(options, target.suffix.lower()) else None
        originals = [built.head, *built.pieces, *([strands] if strands is not None else [])]
        originals += _worn(built) if options.accessories else []
        copies = {built.rig: rig}
        for original in originals:
            copies[original] = _copy_mesh(workshop, original, copies, options)
        materials: dict[Any, Any] = {}
        for original in originals:
            _dress(workshop, copies[original], materials, options)
        for slot in copies[strands].material_slots if strands is not None else ():
            if slot.material is not None:
                slot.material.use_backface_culling = False  # ribbons have two sides, whatever the head has
        bpy.context.view_layer.update()
        meshes = tuple(copies[original] for original in originals)
        if not options.bones:
            _detach(meshes)
        bones, beside = rig if options.bones else None, frozenset(workshop.beside)
        yield Staged(meshes[0], meshes, bones, workshop.own, beside, copies.get(strands))
    finally:
        workshop.close()
        unit.system, unit.scale_length = units


def _copy_rig(workshop: Workshop, original: Any) -> Any:
    rig = workshop.copy(original, RIG_NAME)
    rig.data = workshop.copy(original.data)
    _into_scene(rig)
    rig.parent = None
    rig.matrix_world = Matrix.Identity(4)
    for bone in rig.pose.bones:
        bone.matrix_basis = Matrix.Identity(4)
        for constraint in list(bone.constraints):
            bone.constraints.remove(constraint)
    return rig


def _copy_mesh(workshop: Workshop, original: Any, copies: dict[Any, Any], options: ExportOptions) -> Any:
    mesh = workshop.copy(original)
    mesh.data = workshop.copy(original.data)
    _into_scene(mesh)
    rig = next(iter(copies.values()))
    of_head = RIG in original
    mesh.parent = rig if of_head else copies.get(original.parent, rig)
    if of_head:
        mesh.parent_type, mesh.matrix_parent_inverse = "OBJECT", Matrix.Identity(4)
        mesh.matrix_basis = Matrix.Identity(4)
    _clean_keys(mesh, options)
    mesh.data.pop(STRANDS, None)
    for name in (ORIGINAL_ATTRIBUTE, HAIR_ATTRIBUTE, TRUST, UNCERTAINTY, MILLIMETRES, SKIN):
        if name in mesh.data.attributes:
            mesh.data.attributes.remove(mesh.data.attributes[name])
    _bend_by(workshop, mesh, rig, options.bones, apply_others=not of_head or options.modifiers)
    if options.bones:
        limit_weights(mesh, {bone.name for bone in rig.data.bones})
    else:
        mesh.vertex_groups.clear()
    return mesh


def _into_scene(item: Any) -> None:
    """Visible, selectable, without custom properties, animation and constraints."""
    for key in list(item.keys()):
        del item[key]
    item.animation_data_clear()
    item.constraints.clear()
    bpy.context.scene.collection.objects.link(item)
    item.hide_viewport = item.hide_select = item.hide_render = False  # USD leaves out what is not rendered
    item.hide_set(False)


def _bend_by(workshop: Workshop, mesh: Any, rig: Any, bones: bool, apply_others: bool) -> None:
    """Keep the armature modifier, turned to the copied rig; others are applied or left out."""
    armature = None
    for modifier in list(mesh.modifiers):
        if modifier.type == "ARMATURE":
            modifier.object = rig
            armature = armature or modifier.name
    if apply_others and shown_modifiers(mesh):
        if armature is not None:
            mesh.modifiers[armature].show_viewport = False
        apply_modifiers(mesh, workshop.own)
    for modifier in list(mesh.modifiers):
        if not bones or modifier.name != armature:
            mesh.modifiers.remove(modifier)
        else:
            modifier.show_viewport = True


def _detach(meshes: tuple[Any, ...]) -> None:
    """Without the rig everything stands by itself, where it stood."""
    places = [mesh.matrix_world.copy() for mesh in meshes]
    for mesh, place in zip(meshes, places, strict=True):
        mesh.parent = None
        mesh.matrix_world = place
    bpy.context.view_layer.update()


def _clean_keys(mesh: Any, options: ExportOptions) -> None:
    keys = mesh.data.shape_keys
    if keys is None:
        return
    bake_alone(mesh)
    keys.animation_data_clear()
    mesh.show_only_shape_key = False
    for key in list(keys.key_blocks)[1:]:
        if key.name.startswith(CORRECTIVE_PREFIX):
            mesh.shape_key_remove(key)
        else:
            key.mute, key.value = False, 0.0
    if BALD in keys.key_blocks:
        _settle_hair(mesh, options.hair)
    if len(mesh.data.shape_keys.key_blocks) == 1:
        mesh.shape_key_clear()
        return
    if options.expressions == "vrm":
        add_expressions(mesh)
    for key in mesh.data.shape_keys.key_blocks[1:]:
        key.name = spelt(key.name, options.spelling)


def _settle_hair(mesh: Any, how: str) -> None:
    """Leave the hull as it is, take it off for good, or keep the switch as a morph."""
    keys = mesh.data.shape_keys.key_blocks
    bald = keys[BALD]
    if how == "switch":
        bald.name = "bald"
        return
    if how == "bald":
        off = points_of(bald.data) - points_of(keys[0].data)
        for key in keys:
            if key != bald:
                key.data.foreach_set("co", (points_of(key.data) + off).ravel())
        mesh.data.vertices.foreach_set("co", points_of(keys[0].data).ravel())
    mesh.shape_key_remove(bald)


def _worn(built: BuiltAvatar) -> list[Any]:
    """Hat, glasses, clothes: meshes that hang on the rig or are bent by it, and can be seen."""
    hanging = list(built.rig.children_recursive)
    bent = [item for item in bpy.context.scene.objects if item.type == "MESH" and item not in hanging]
    hanging += [item for item in bent if getattr(armature_modifier(item), "object", None) == built.rig]
    there = bpy.context.view_layer.objects
    own = built.rig.get(STRANDS)
    worn = [item for item in hanging if item.type == "MESH" and RIG not in item and item != own and item.name in there]
    return [item for item in worn if item.visible_get()]


def _dress(workshop: Workshop, mesh: Any, done: dict[Any, Any], options: ExportOptions) -> None:
    """Materials with textures that every exporter finds: as files of plain names."""
    for slot in mesh.material_slots:
        original = slot.material
        if original is None:
            continue
        if original not in done:
            done[original] = export_material(workshop, original, options)
            carry_maps(workshop, done[original])
        slot.material = done[original]
