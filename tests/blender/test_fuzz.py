"""Random clicks: the registered operators and what artists do beside them, with undo, and never a traceback.

The seed and the number of steps come from MESHLAM_FUZZ_SEED and MESHLAM_FUZZ_STEPS; a failure names seed and steps.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import bpy
import pytest
from sample import make_sample, write_sample

import blender_addon
from blender_addon import state
from blender_addon.scene.found import HEAD

SEED = int(os.environ.get("MESHLAM_FUZZ_SEED", "11"))
STEPS = int(os.environ.get("MESHLAM_FUZZ_STEPS", "150"))
# what an operator says when it may not run or refuses in a sentence
_REFUSALS = (".poll() ", "context is incorrect", "Error: ")


@pytest.fixture
def files(tmp_path) -> list[Path]:
    return [
        write_sample(tmp_path / "plain.meshlam", make_sample()),
        write_sample(tmp_path / "hair.meshlam", make_sample(hair=True)),
        write_sample(tmp_path / "flame.meshlam", make_sample(correctives=True, kind="flame")),
    ]


class Artist:
    """One who clicks anything."""

    def __init__(self, seed: int, files: list[Path], folder: Path) -> None:
        self.chance = random.Random(seed)
        self.files, self.folder = files, folder
        self.done: list[str] = []

    def step(self) -> None:
        actions = [
            self.click, self.click, self.click, self.click, self.add, self.select, self.select, self.move,
            self.duplicate, self.mode, self.undo, self.redo, self.delete, self.damage, self.export,
            self.expression, self.save,
        ]  # fmt: skip
        action = self.chance.choice(actions)
        self.done.append(action.__name__)
        action()
        bpy.context.view_layer.update()
        bpy.ops.ed.undo_push(message=action.__name__)

    def call(self, operator, *arguments, **options) -> None:
        self.done[-1] += f" {operator.idname_py()} {options}"
        try:
            operator(*arguments, **options)
        except RuntimeError as error:
            text = str(error)
            assert "Traceback" not in text, f"seed {SEED}: {self.done[-30:]}\n{text}"
            assert any(refusal in text for refusal in _REFUSALS), text

    def click(self) -> None:
        skip = {
            "export",
            "import_avatar",
            "choose_photo",
            "reconstruct",
            "reconstruct_folder",
            "find_faces",
            "render_turntable",
            "drive_from_clip",
        }  # they have steps of their own, or need a backend
        names = [name for name in dir(bpy.ops.meshlam) if name not in skip and "backend" not in name]
        self.call(getattr(bpy.ops.meshlam, self.chance.choice(sorted(names))))

    def add(self) -> None:
        if len([item for item in bpy.data.objects if item.type == "ARMATURE"]) < 5:
            onto = self.chance.random() < 0.5
            path = str(self.chance.choice(self.files))
            self.call(bpy.ops.meshlam.import_avatar, filepath=path, onto_selected=onto)

    def select(self) -> None:
        items = list(bpy.context.view_layer.objects)
        if bpy.context.mode == "OBJECT" and items:
            bpy.ops.object.select_all(action="DESELECT")
            for item in self.chance.sample(items, min(len(items), self.chance.randint(1, 3))):
                item.select_set(True)
                bpy.context.view_layer.objects.active = item

    def move(self) -> None:
        item = bpy.context.view_layer.objects.active
        if item is not None and item.mode == "OBJECT":
            item.location.x += self.chance.uniform(-1, 1)
            item.rotation_euler.z += self.chance.uniform(-1, 1)
            item.scale *= self.chance.uniform(0.5, 2)

    def duplicate(self) -> None:
        if bpy.context.mode == "OBJECT" and len(bpy.data.objects) < 30:
            self.call(bpy.ops.object.duplicate, linked=self.chance.random() < 0.4)

    def mode(self) -> None:
        item = bpy.context.view_layer.objects.active
        modes = {"MESH": ["EDIT", "SCULPT", "OBJECT"], "ARMATURE": ["EDIT", "POSE", "OBJECT"]}
        if item is not None and item.type in modes:
            self.call(bpy.ops.object.mode_set, mode=self.chance.choice(modes[item.type]))

    def undo(self) -> None:
        self.call(bpy.ops.ed.undo)

    def redo(self) -> None:
        self.call(bpy.ops.ed.redo)

    def delete(self) -> None:
        if bpy.context.mode == "OBJECT" and self.chance.random() < 0.5:
            self.call(bpy.ops.object.delete)

    def damage(self) -> None:
        """What an artist may do to a head without thinking of the add-on."""
        item = bpy.context.view_layer.objects.active
        if item is None or item.type != "MESH" or item.mode != "OBJECT":
            return
        how = self.chance.choice(
            ["keys", "modifiers", "materials", "apply", "unparent", "groups", "separate", "rename", "join"]
        )
        self.done[-1] += f" {how}"
        if how == "keys" and item.data.shape_keys is not None:
            item.shape_key_clear()
        elif how == "modifiers":
            item.modifiers.clear()
        elif how == "materials":
            item.data.materials.clear()
        elif how == "apply":
            self.call(bpy.ops.object.transform_apply)
        elif how == "unparent":
            self.call(bpy.ops.object.parent_clear, type="CLEAR_KEEP_TRANSFORM")
        elif how == "groups":
            item.vertex_groups.clear()
        elif how == "separate":
            item.select_set(True)
            self.call(bpy.ops.mesh.separate, type="MATERIAL")
        elif how == "rename":
            item.name = self.chance.choice(["Ada", "x/y", "ä" * 80])
        else:
            self.call(bpy.ops.object.join)

    def export(self) -> None:
        suffix = self.chance.choice([".glb", ".fbx", ".usdc", ".usdz"])
        content = self.chance.choice(["BONES", "MORPHS"])
        path = str(self.folder / "out")
        self.call(bpy.ops.meshlam.export, filepath=path, file_format=suffix, content=content)
        assert not [item.name for item in bpy.data.objects if item.name.endswith("(scene)")], self.done[-30:]

    def expression(self) -> None:
        for item in bpy.data.objects:
            keys = item.data.shape_keys if item.type == "MESH" else None
            if keys is not None and len(keys.key_blocks) > 1:
                self.chance.choice(keys.key_blocks[1:]).value = self.chance.random()

    def save(self) -> None:
        if self.chance.random() < 0.3:
            self.call(
                bpy.ops.wm.save_as_mainfile, filepath=str(self.folder / "x.blend"), check_existing=False, copy=True
            )


@pytest.fixture
def registered(empty_scene, monkeypatch, tmp_path):
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))  # where expressions of one's own are kept
    blender_addon.register()
    yield
    blender_addon.unregister()


def test_random_clicks_with_undo_never_end_in_a_traceback(registered, files, tmp_path, capfd):
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="start")
    artist = Artist(SEED, files, tmp_path)
    for _ in range(STEPS):
        artist.step()
    written = capfd.readouterr()
    assert "Traceback" not in written.err + written.out, f"seed {SEED}: {artist.done[-30:]}\n{written.err[-3000:]}"
    assert any("import_avatar" in step for step in artist.done)
    assert state.session.error is None
    for rig in [item for item in bpy.data.objects if item.type == "ARMATURE" and HEAD in item]:
        assert rig.pose is not None
