"""Moving, parenting and duplicating a head: it stays whole, and each copy is told from the others."""

from __future__ import annotations

from math import radians

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix, Vector

from blender_addon.scene import together
from blender_addon.scene.before import can_go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.copies import complete, delete, make_own, remove_leftovers
from blender_addon.scene.found import active_avatar, editable, find_avatar, limits
from blender_addon.scene.guard import objects_in_view
from blender_addon.scene.renew import renew


@pytest.fixture(autouse=True)
def watched(empty_scene):
    together.register()
    yield
    together.unregister()


@pytest.fixture
def built(avatar):
    return build_avatar(avatar, "Ada")


def world(head) -> np.ndarray:
    """The deformed mesh's points, [V, 3] in world space."""
    bpy.context.view_layer.update()
    item = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = item.to_mesh()
    points = np.array([item.matrix_world @ vertex.co for vertex in mesh.vertices])
    item.to_mesh_clear()
    return points


def open_jaw(rig) -> None:
    rig.pose.bones["jaw"].rotation_quaternion = Euler((radians(25), 0, 0)).to_quaternion()


def moved_by(points: np.ndarray, matrix: Matrix) -> np.ndarray:
    return points @ np.array(matrix)[:3, :3].T + np.array(matrix)[:3, 3]


PLACES = {
    "moved": Matrix.Translation((1.0, 2.0, 3.0)),
    "turned": Euler((0.4, 0.3, 1.0)).to_matrix().to_4x4(),
    "scaled": Matrix.Scale(2.5, 4),
    "all": Matrix.Translation((1, 0, -2)) @ Euler((1.0, 0.2, 0.5)).to_matrix().to_4x4() @ Matrix.Scale(0.5, 4),
}


@pytest.mark.parametrize("which", ["head", "rig"])
@pytest.mark.parametrize("place", PLACES)
def test_a_head_that_is_moved_opens_its_jaw_as_one_that_is_not(built, which, place):
    open_jaw(built.rig)
    still = world(built.head)
    getattr(built, which).matrix_world = PLACES[place]
    np.testing.assert_allclose(world(built.head), moved_by(still, PLACES[place]), atol=1e-5)
    np.testing.assert_allclose(np.array(built.rig.matrix_world), np.array(PLACES[place]), atol=1e-6)


def test_dragging_the_head_step_by_step_takes_the_rig_along(built, monkeypatch):
    """A tool that sets the mesh's channels from where it began, several times, as G does; nothing rests meanwhile."""
    rest = together.rest
    monkeypatch.setattr(together, "rest", lambda _: None)
    open_jaw(built.rig)
    still = world(built.head)
    for step in range(1, 5):
        built.head.location = (0.1 * step, 0, 0)
        bpy.context.view_layer.update()
        assert built.head.matrix_world.translation.x == pytest.approx(0.1 * step, abs=1e-6)
    np.testing.assert_allclose(world(built.head), moved_by(still, Matrix.Translation((0.4, 0, 0))), atol=1e-5)
    rest(built.head)
    np.testing.assert_allclose(world(built.head), moved_by(still, Matrix.Translation((0.4, 0, 0))), atol=1e-5)
    assert tuple(built.head.location) == (0, 0, 0)


def test_the_move_tool_on_the_head_moves_the_photo_camera_too(built):
    camera = world_place(built.camera)
    bpy.context.view_layer.objects.active = built.head
    built.head.select_set(True)
    bpy.ops.transform.translate(value=(0.5, 0, 0))
    bpy.context.view_layer.update()
    assert (world_place(built.camera) - camera - Vector((0.5, 0, 0))).length < 1e-6


def world_place(item) -> Vector:
    bpy.context.view_layer.update()
    return item.matrix_world.translation.copy()


@pytest.mark.parametrize("which", ["head", "rig"])
def test_parented_to_a_body_the_whole_head_goes_with_it(built, which):
    bpy.ops.object.empty_add(location=(1, 1, 1))
    body = bpy.context.object
    open_jaw(built.rig)
    still = world(built.head)
    bpy.ops.object.select_all(action="DESELECT")
    getattr(built, which).select_set(True)
    bpy.context.view_layer.objects.active = body
    body.select_set(True)
    bpy.ops.object.parent_set(type="OBJECT", keep_transform=True)
    np.testing.assert_allclose(world(built.head), still, atol=1e-5)
    body.location.z += 2
    body.rotation_euler.z = 1.0
    turn = Matrix.Translation((1, 1, 3)) @ Euler((0, 0, 1.0)).to_matrix().to_4x4() @ Matrix.Translation((-1, -1, -1))
    np.testing.assert_allclose(world(built.head), moved_by(still, turn), atol=1e-5)
    assert built.head.parent == built.rig


def test_applying_the_transforms_of_a_moved_head_keeps_the_bones_inside(built):
    built.head.location = (1, 0, 0)
    bpy.context.view_layer.update()
    open_jaw(built.rig)
    before = world(built.head)
    bpy.ops.object.select_all(action="DESELECT")
    built.head.select_set(True)
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.transform_apply()
    np.testing.assert_allclose(world(built.head), before, atol=1e-5)


@pytest.mark.parametrize("scale_length", [0.01, 0.001, 1.0, 0.3048])
def test_a_head_has_its_real_size_in_every_unit(avatar, scale_length):
    bpy.context.scene.unit_settings.scale_length = scale_length
    head = build_avatar(avatar, "Ada").head
    bpy.context.view_layer.update()
    height = avatar.vertices[:, 1].max() - avatar.vertices[:, 1].min()
    assert head.dimensions.z * scale_length == pytest.approx(height, rel=1e-5)
    second = build_avatar(avatar, "Bob")
    assert (second.rig.location - head.parent.location).length * scale_length > 0.2


def duplicate(*items, linked=False):
    bpy.ops.object.select_all(action="DESELECT")
    for item in items:
        item.hide_set(False)
        item.select_set(True)
    bpy.context.view_layer.objects.active = items[0]
    bpy.ops.object.duplicate(linked=linked)
    return bpy.context.view_layer.objects.active


def test_a_duplicate_of_everything_is_a_head_of_its_own(built):
    copy = find_avatar(duplicate(built.head, built.rig, built.camera, built.eye_target))
    assert copy.head != built.head
    assert copy.rig != built.rig
    assert copy.camera not in (None, built.camera)
    assert copy.eye_target not in (None, built.eye_target)
    assert limits(copy) == ()
    assert find_avatar(built.head).head == built.head


def test_a_duplicate_of_the_mesh_alone_says_that_it_shares_its_bones(built):
    copy = find_avatar(duplicate(built.head))
    assert copy.head != built.head
    assert "shares its bones with Ada" in limits(copy)[0]
    assert find_avatar(built.rig).head == built.head


def test_a_linked_duplicate_says_that_it_shares_its_mesh(built):
    copy = find_avatar(duplicate(built.head, built.rig, linked=True))
    assert copy.head.data == built.head.data
    assert "shares its mesh with Ada" in " ".join(limits(copy))


def test_a_duplicated_rig_alone_is_no_head(built):
    assert find_avatar(duplicate(built.rig)) is None


def test_the_panel_acts_on_what_is_selected_and_not_on_another(avatar, built):
    other = build_avatar(avatar, "Bob")
    bpy.ops.object.empty_add(location=(3, 0, 0))
    hat = bpy.context.object
    assert active_avatar(bpy.context) is None
    hat.parent = other.rig
    assert active_avatar(bpy.context).head == other.head
    bpy.context.view_layer.objects.active = built.camera
    assert active_avatar(bpy.context).head == built.head


def test_deleting_the_rig_or_the_head_leaves_no_half_avatar(avatar, built):
    other = build_avatar(avatar, "Bob")
    bpy.data.objects.remove(built.head)
    assert find_avatar(built.rig) is None
    bpy.data.objects.remove(other.rig)
    assert find_avatar(other.head) is None
    bpy.context.view_layer.update()


def test_the_head_stands_in_front_of_the_default_cube(avatar):
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.view_layer.update()
    head = build_avatar(avatar, "Ada").head
    bpy.context.view_layer.update()
    assert max((head.matrix_world @ Vector(corner)).y for corner in head.bound_box) < -1
    assert abs(head.matrix_world.translation.x) < 0.01


def test_what_a_script_just_removed_is_no_longer_among_the_objects_in_view():
    gone = [bpy.data.objects.new("Gone", bpy.data.meshes.new("Gone")) for _ in range(6)]
    for item in gone:
        bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.update()
    for item in gone[::2]:
        bpy.data.objects.remove(item)
    assert set(objects_in_view()) == set(gone[1::2])


def test_a_shared_head_is_made_one_of_its_own(built):
    copy = make_own(find_avatar(duplicate(built.head, linked=True)))
    assert limits(copy) == ()
    assert limits(find_avatar(built.head)) == ()
    assert {copy.rig, copy.camera, copy.eye_target}.isdisjoint({built.rig, built.camera, built.eye_target})
    assert copy.rig.pose.bones["left_eye"].constraints["Eye Aim"].target == copy.eye_target
    still = world(built.head)
    copy.head.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    open_jaw(copy.rig)
    copy.rig.location.x += 1
    np.testing.assert_allclose(world(built.head), still, atol=1e-6)
    assert np.abs(world(copy.head) - still - [1, 0, 0]).max() > 0.01


def test_a_copy_without_its_camera_and_eye_target_gets_its_own(built):
    copy = find_avatar(duplicate(built.head, built.rig))
    assert (copy.camera, copy.eye_target) == (None, None)
    complete(copy.rig)
    copy = find_avatar(copy.head)
    assert copy.camera.parent == copy.eye_target.parent == copy.rig
    assert copy.camera.data != built.camera.data
    assert copy.rig.pose.bones["left_eye"].constraints["Eye Aim"].target == copy.eye_target
    assert built.rig.pose.bones["left_eye"].constraints["Eye Aim"].target == built.eye_target
    assert copy.eye_target.hide_get() == built.eye_target.hide_get()


def test_a_head_that_is_deleted_takes_everything_of_it_along(avatar, built):
    other = build_avatar(avatar, "Bob")
    bpy.ops.mesh.primitive_cube_add(size=0.02)
    hat = bpy.context.object
    hat.parent = built.rig
    delete(built)
    delete(other)
    assert [item.name for item in bpy.data.objects] == [hat.name]
    for kind in ("armatures", "cameras", "materials", "images", "actions", "shape_keys"):
        assert list(getattr(bpy.data, kind)) == [], kind


def test_what_is_left_of_a_mesh_deleted_by_hand_is_removed(avatar, built):
    other = build_avatar(avatar, "Bob")
    bpy.data.objects.remove(built.head)
    assert remove_leftovers() == 3
    assert {item.name for item in bpy.data.objects} == {"Bob", "Bob Rig", "Bob Photo", "Bob Eye Target"}
    assert find_avatar(other.head) is not None
    assert {action.name for action in bpy.data.actions} == {"Bob Photo Pose", "Bob Photo Expression"}


def test_an_appended_head_is_a_head_of_its_own(built, tmp_path):
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library), check_existing=False, copy=True)
    with bpy.data.libraries.load(str(library), link=False) as (source, target):
        target.collections = source.collections
    (copy_collection,) = target.collections
    bpy.context.scene.collection.children.link(copy_collection)
    copy = find_avatar(next(item for item in copy_collection.objects if item.type == "MESH"))
    assert limits(copy) == ()
    assert {copy.rig, copy.camera, copy.eye_target} <= set(copy_collection.objects)
    assert {action.name for action in bpy.data.actions} >= {"Ada Photo Pose", "Ada Photo Pose.001"}


def test_an_instance_or_a_library_override_says_what_it_is(built, tmp_path):
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library), check_existing=False)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (source, target):
        target.collections = source.collections
    bpy.ops.object.collection_instance_add(collection="Ada")
    instance = active_avatar(bpy.context)
    assert "linked from another file" in limits(instance)[0]
    (collection,) = target.collections
    override = collection.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    assert override is not None
    head = next(item for item in override.all_objects if item.type == "MESH")
    found = find_avatar(head)
    assert found.rig in set(override.all_objects)
    limits(found)
    plain = collection.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    copy = find_avatar(next(item for item in plain.all_objects if item.type == "MESH"))
    assert not editable(copy)  # nobody asked for it, so Blender lets nobody pose it
    assert "linked from another file" in limits(copy)[0]


def test_a_library_override_of_a_renewed_head_does_not_go_back(registered, built, avatar, tmp_path):
    renew(built, avatar, avatar)
    assert can_go_back(built)
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library), check_existing=False)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (source, target):
        target.collections = source.collections
    (collection,) = target.collections
    override = collection.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    head = next(item for item in override.all_objects if item.type == "MESH")
    bpy.context.view_layer.objects.active = head
    assert not can_go_back(find_avatar(head))
    assert not bpy.ops.meshlam.go_back.poll()


def test_a_copy_that_lost_its_modifier_gets_one_with_its_own_bones(built):
    built.head.select_set(True)
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    copy.modifiers.clear()
    own = make_own(find_avatar(copy))
    assert own.rig != built.rig
    assert own.head.modifiers[0].object == own.rig


def test_pieces_separated_by_material_act_as_the_one_head_they_were(registered, built):
    built.head.select_set(True)
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.mesh.separate(type="MATERIAL")
    found = find_avatar(built.rig)
    meshes = (found.head, *found.pieces)
    assert len(meshes) > 2
    for mesh in meshes:
        bpy.context.view_layer.objects.active = mesh
        assert active_avatar(bpy.context).head == found.head
        assert (find_avatar(mesh).camera, find_avatar(mesh).eye_target) == (built.camera, built.eye_target)
    bpy.ops.meshlam.toggle_photo_pose()
    shown = [[key.value for key in mesh.data.shape_keys.key_blocks] for mesh in meshes]
    assert max(shown[0]) > 0.1
    assert all(values == shown[0] for values in shown)
    bpy.ops.meshlam.toggle_photo_camera()
    assert bpy.context.scene.camera == built.camera
    bpy.ops.meshlam.toggle_eye_aim()
    before = [world(mesh) for mesh in meshes]
    built.eye_target.location.x += 0.5
    moved = [np.abs(world(mesh) - there).max() for mesh, there in zip(meshes, before, strict=True)]
    assert max(moved) > 0.002


def test_a_head_joined_with_something_stays_the_head_of_its_panel(registered, built):
    bpy.ops.mesh.primitive_cube_add(size=0.02)
    built.head.select_set(True)
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.join()
    found = active_avatar(bpy.context)
    assert (found.head, found.camera, found.eye_target) == (built.head, built.camera, built.eye_target)
    assert limits(found) == ()
    for button in ("toggle_photo_pose", "toggle_photo_camera", "toggle_eye_aim"):
        assert getattr(bpy.ops.meshlam, button)() == {"FINISHED"}
