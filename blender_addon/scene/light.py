"""The photo's own light in the scene: a world and a sun that repeat what shone on the face, and the way back."""

from __future__ import annotations

import json
from math import pi
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .. import compat
from ..axes import BLENDER_FROM_AVATAR
from ..light_fit import BuiltLight, build_light
from .found import BuiltAvatar, link_beside
from .turns import turn_of

LIGHT = "meshlam_light"  # on the rig: the avatar's light, 27 numbers, JSON
_SHOWN = "meshlam_photo_light"  # on the scene: the sun, while the photo's light is on
_WORLD, _BEFORE = "meshlam_photo_world", "meshlam_world_before"  # on the scene, then, too
_SUN_ANGLE = 0.15  # rad, how wide: photos are seldom lit by a hard sun


def store_light(avatar_light: Any, rig: Any) -> None:
    """Keep the avatar's light with the rig."""
    if avatar_light is not None:
        rig[LIGHT] = json.dumps(np.asarray(avatar_light, float).round(6).tolist())
    elif LIGHT in rig:
        del rig[LIGHT]


def photo_light_shown(scene: Any) -> bool:
    return scene.get(_SHOWN) is not None or scene.get(_WORLD) is not None


def show_photo_light(scene: Any, built: BuiltAvatar) -> BuiltLight:
    """Put the photo's world and sun into the scene, turned as the head is; lights of the scene stay as they are."""
    hide_photo_light(scene)
    light = build_light(np.array(json.loads(built.rig[LIGHT]), float))
    turn = _turn_of(built)
    name = built.head.name
    if scene.world is not None:
        scene[_BEFORE] = scene.world
    scene.world = scene[_WORLD] = _world(light, turn, f"{name} Photo World")
    scene[_SHOWN] = _sun(light, turn, f"{name} Photo Sun", built)
    return light


def hide_photo_light(scene: Any) -> None:
    """Take them out again; the world of before comes back."""
    sun, world, before = (scene.get(key) for key in (_SHOWN, _WORLD, _BEFORE))
    if sun is not None:
        data = sun.data
        bpy.data.objects.remove(sun)
        if not data.users:
            bpy.data.lights.remove(data)
    if world is not None:
        if scene.world == world:
            scene.world = before
        for key in (_WORLD, _BEFORE):
            if key in scene:
                del scene[key]
        if not world.users:
            bpy.data.worlds.remove(world)
    for key in (_SHOWN, _WORLD, _BEFORE):
        if key in scene:
            del scene[key]


def _turn_of(built: BuiltAvatar) -> Any:
    """[3, 3] the scene's axes from the avatar's: where the rig and its topmost bone have turned the head."""
    rig = built.rig.matrix_world.to_quaternion().to_matrix()
    root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
    # the bone's axes are the avatar's (armature.py)
    return rig @ Matrix(BLENDER_FROM_AVATAR.tolist()) @ turn_of(root).to_matrix()


def _sun(light: BuiltLight, turn: Any, name: str, built: BuiltAvatar) -> Any:
    data = bpy.data.lights.new(name, "SUN")
    most = float(max(light.sun.max(), 1e-9))
    data.energy = pi * most  # a white surface that faces a sun of 1 shows 1 / pi
    data.color = (light.sun / most).tolist()
    data.angle = _SUN_ANGLE
    sun = bpy.data.objects.new(name, data)
    towards = turn @ Vector(light.towards_sun.tolist())
    sun.rotation_mode = "QUATERNION"
    sun.rotation_quaternion = towards.to_track_quat("Z", "Y")  # it shines along its -Z
    sun.location = built.rig.matrix_world.translation + towards * 0.6 * built.rig.matrix_world.median_scale
    link_beside(sun, built.rig)
    return sun


def _world(light: BuiltLight, turn: Any, name: str) -> Any:
    """A background of colour = middle + slope x direction, channel by channel."""
    world = bpy.data.worlds.new(name)
    tree = compat.node_tree(world)
    tree.nodes.clear()
    output, shade = tree.nodes.new("ShaderNodeOutputWorld"), tree.nodes.new("ShaderNodeBackground")
    place, combine = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeCombineColor")
    for node, x in ((output, 400), (shade, 200), (combine, 0), (place, -600)):
        node.location = (x, 0)
    for channel in range(3):
        dot, add = tree.nodes.new("ShaderNodeVectorMath"), tree.nodes.new("ShaderNodeMath")
        dot.operation, add.operation = "DOT_PRODUCT", "ADD"
        dot.location, add.location = (-400, -180 * channel), (-200, -180 * channel)
        dot.inputs[1].default_value = turn @ Vector(light.slope[:, channel].tolist())
        add.inputs[1].default_value = float(light.middle[channel])
        tree.links.new(place.outputs["Generated"], dot.inputs[0])
        tree.links.new(dot.outputs["Value"], add.inputs[0])
        tree.links.new(add.outputs["Value"], combine.inputs[channel])
    tree.links.new(combine.outputs["Color"], shade.inputs["Color"])
    tree.links.new(shade.outputs["Background"], output.inputs["Surface"])
    return world
