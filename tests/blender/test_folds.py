"""Folds of the photo's expression come back with the keys that raise them."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from sample import encode_png, write_sample

from blender_addon.avatar_reader import AvatarFile, read_avatar
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.scene.before import go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.copies import delete
from blender_addon.scene.folds import folds_of
from blender_addon.scene.layers import pixels_of, set_light_in_texture
from blender_addon.scene.renew import renew

SMILE, SQUINT = ("mouthSmileLeft", "mouthSmileRight"), ("eyeSquintLeft",)
ALBEDO, LIT = 120, 60
# rows from the top of the pictures: a smile darkens the upper half, red most; a squint brightens the lower half
DARKER = np.array([88, 112, 120], np.uint8)
BRIGHTER = np.array([160, 160, 160], np.uint8)


def folded(sample, path, factor=1.0):
    """The sample with folds, and a texture without the photo's light."""
    smile, squint = np.full((2, 32, 32, 3), 128, np.uint8)
    smile[:16] = np.round(128 + factor * (DARKER.astype(float) - 128))
    squint[16:] = BRIGHTER
    images = sample.images | {
        "albedo": encode_png(np.full((64, 64, 3), ALBEDO, np.uint8)),
        "albedo_photo": encode_png(np.full((64, 64, 3), LIT, np.uint8)),
        "wrinkle_smile": encode_png(smile),
        "wrinkle_squint": encode_png(squint),
    }
    folds = [
        {"name": "smile", "keys": list(SMILE), "at": 0.8, "step": 1 / 64},
        {"name": "squint", "keys": list(SQUINT), "at": 0.5, "step": 1 / 64},
    ]
    light = np.zeros((9, 3), "<f4")
    light[0] = 3
    arrays = sample.arrays | {"light": light}
    header = sample.header | {"wrinkles": folds}
    return write_sample(path, replace(sample, arrays=arrays, images=images, header=header))


@pytest.fixture(scope="session")
def folded_avatar(sample, tmp_path_factory) -> AvatarFile:
    return read_avatar(folded(sample, tmp_path_factory.mktemp("folded") / "folded.meshlam"))


@pytest.fixture
def built(registered, folded_avatar):
    made = build_avatar(folded_avatar, "Ada")
    set_light_in_texture(made.head, 0.0)
    return made


def smile(head, left, right):
    for key, value in zip(SMILE, (left, right), strict=True):
        head.data.shape_keys.key_blocks[key].value = value


def linear(coded):
    coded = np.asarray(coded, float) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def skin_colour(head):
    """[64, 64, 3] linear base colour of the skin as Cycles sees it, rows from the top; nan beside the skin."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    scene.cycles.use_denoising = False
    target, rest = (bpy.data.images.new(name, 64, 64, float_buffer=True) for name in ("Target", "Rest"))
    target.pixels.foreach_set(np.full(64 * 64 * 4, -1, np.float32))
    added = []
    for slot in head.material_slots:
        tree = slot.material.node_tree
        shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
        output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
        image, emission = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeEmission")
        image.image = target if slot.material.name.endswith("Skin") else rest
        tree.nodes.active = image
        tree.links.new(shader.inputs["Base Color"].links[0].from_socket, emission.inputs["Color"])
        tree.links.new(emission.outputs[0], output.inputs["Surface"])
        added.append((tree, shader, output, image, emission))
    with bpy.context.temp_override(object=head, active_object=head, selected_objects=[head]):
        bpy.ops.object.bake(type="EMIT", margin=0, use_clear=False)
    for tree, shader, output, image, emission in added:
        tree.links.new(shader.outputs[0], output.inputs["Surface"])
        tree.nodes.remove(image)
        tree.nodes.remove(emission)
    pixels = pixels_of(target)[::-1, :, :3].astype(float)
    pixels[pixels < 0] = np.nan
    for image in (target, rest):
        bpy.data.images.remove(image)
    return pixels


def halves(head):
    """Upper and lower colour of the texture, away from the border between the pictures' halves."""
    pixels = skin_colour(head)
    return [np.nanmedian(half.reshape(-1, 3), axis=0) for half in (pixels[8:28], pixels[36:56])]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_the_skins_colour_follows_the_smile_as_the_file_says(built, value):
    smile(built.head, value, value)
    upper, lower = halves(built.head)
    logarithm = (DARKER.astype(float) - 128) / 64
    np.testing.assert_allclose(upper, linear(ALBEDO) * np.exp(logarithm * value / 0.8), rtol=0.01)
    np.testing.assert_allclose(lower, linear(ALBEDO), rtol=0.01)


def test_one_side_counts_half_and_nothing_goes_beyond_what_the_viewer_shows(built):
    rest = linear(ALBEDO)
    logarithm = (DARKER.astype(float) - 128) / 64
    smile(built.head, 0.8, 0.0)
    np.testing.assert_allclose(halves(built.head)[0], rest * np.exp(logarithm / 2), rtol=0.01)
    keys = built.head.data.shape_keys.key_blocks
    keys["eyeSquintLeft"].value = 1.0  # 2 times what the photo shows
    upper, lower = halves(built.head)
    np.testing.assert_allclose(upper, rest * np.exp(logarithm / 2), rtol=0.01)
    np.testing.assert_allclose(lower, rest * np.exp(32 / 64 * 1.5), rtol=0.01)


def test_folds_lie_on_the_photos_light_too(built):
    set_light_in_texture(built.head, 1.0)
    smile(built.head, 0.8, 0.8)
    np.testing.assert_allclose(
        halves(built.head)[0], linear(LIT) * np.exp((DARKER.astype(float) - 128) / 64), rtol=0.01
    )


def test_a_duplicate_shows_its_own_smile_and_a_keyed_one_that_of_the_frame(built):
    twin = built.head.copy()
    twin.data = built.head.data.copy()
    bpy.context.scene.collection.objects.link(twin)
    assert twin.data.materials[0] == built.head.data.materials[0]
    smile(twin, 0.8, 0.8)
    rest = linear(ALBEDO)
    np.testing.assert_allclose(halves(built.head)[0], rest, rtol=0.01)
    np.testing.assert_allclose(halves(twin)[0], rest * np.exp((DARKER.astype(float) - 128) / 64), rtol=0.01)
    key = twin.data.shape_keys.key_blocks[SMILE[0]]
    for frame, value in ((1, 0.0), (11, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    bpy.context.scene.frame_set(1)
    np.testing.assert_allclose(halves(twin)[0], rest * np.exp((DARKER.astype(float) - 128) / 64 / 2), rtol=0.01)


def test_undo_takes_the_folds_back_with_the_smile(built):
    name = built.head.name
    bpy.ops.ed.undo_push(message="calm")
    smile(built.head, 0.8, 0.8)
    bpy.ops.ed.undo_push(message="smile")
    bpy.ops.ed.undo()
    head = bpy.data.objects[name]
    np.testing.assert_allclose(halves(head)[0], linear(ALBEDO), rtol=0.01)
    assert folds_of(head) is not None


def test_an_appended_head_keeps_its_folds(built, tmp_path):
    smile(built.head, 0.8, 0.8)
    name, path = built.head.name, tmp_path / "library.blend"
    bpy.data.libraries.write(str(path), {built.head, built.rig})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(path)) as (_, wanted):
        wanted.objects = [name]
    head = wanted.objects[0]
    bpy.context.scene.collection.objects.link(head)
    np.testing.assert_allclose(halves(head)[0], linear(ALBEDO) * np.exp((DARKER.astype(float) - 128) / 64), rtol=0.01)


def test_another_reconstruction_brings_its_folds_and_the_way_back_those_of_before(built, sample, avatar, tmp_path):
    stronger = read_avatar(folded(sample, tmp_path / "stronger.meshlam", factor=0.5))
    before = folds_of(built.head)
    renew(built, stronger, None)
    set_light_in_texture(built.head, 0.0)
    smile(built.head, 0.8, 0.8)
    wanted = linear(ALBEDO) * np.exp((DARKER.astype(float) - 128) / 128)
    np.testing.assert_allclose(halves(built.head)[0], wanted, rtol=0.01)
    go_back(built)
    assert folds_of(built.head) == before
    renew(built, avatar, None)  # a face at rest has none
    assert folds_of(built.head) is None
    go_back(built)
    assert folds_of(built.head) == before


def test_a_deleted_head_takes_its_folds_along(built):
    delete(built)
    assert not list(bpy.data.node_groups)
    assert not [image.name for image in bpy.data.images if "Fold" in image.name]


@pytest.mark.files
@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc"])
def test_a_file_has_the_skin_at_rest_whatever_the_face_shows(built, tmp_path, suffix):
    smile(built.head, 0.8, 0.8)
    path = tmp_path / f"a{suffix}"
    assert verify(path, export_avatar(built, path, ExportOptions())) == []
    assert folds_of(built.head) is not None
    np.testing.assert_allclose(
        halves(built.head)[0], linear(ALBEDO) * np.exp((DARKER.astype(float) - 128) / 64), rtol=0.01
    )
