"""Random clicks: the registered operators and what artists do beside them, with undo, and never a traceback.

The seed and the number of steps come from MESHLAM_FUZZ_SEED and MESHLAM_FUZZ_STEPS; a failure names seed and steps.
`make fuzz HOURS=6` runs one seed after the other, each in a Blender of its own (long_fuzz.py).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from bodies import make_body
from doubles import one_corrective
from sample import ARKIT_NAMES, encode_png, make_sample, write_sample
from takes import track_file

import blender_addon
from blender_addon import doctor_operators, state
from blender_addon.animation.groups import GROUPS
from blender_addon.animation.named import EXPRESSIONS, VISEMES
from blender_addon.job import JobError, State
from blender_addon.scene.found import HEAD
from blender_addon.scene.guard import here

SEED = int(os.environ.get("MESHLAM_FUZZ_SEED", "11"))
STEPS = int(os.environ.get("MESHLAM_FUZZ_STEPS", "150"))
FIELDS = ("meshlam", "meshlam_face", "meshlam_clip", "meshlam_look")
PATHS = {"clip", "folder", "photo", "faces"}  # fields that are set to what is there
# what an operator says when it may not run or refuses in a sentence
_REFUSALS = (".poll() ", "context is incorrect", "Error: ")


@pytest.fixture
def files(tmp_path) -> list[Path]:
    return [
        write_sample(tmp_path / "plain.meshlam", make_sample()),
        write_sample(tmp_path / "hair.meshlam", make_sample(hair=True)),
        write_sample(tmp_path / "flame.meshlam", make_sample(correctives=True, kind="flame")),
    ]


class Backend:
    """A session that ends every job at once: with one of the files, with a movement, with faces, or badly."""

    active, worker, stage, fraction, stage_seconds, silent_seconds, message = False, None, "", 0.0, 0.0, 0.0, ""

    def __init__(self, chance: random.Random, files: list[Path]) -> None:
        self.chance, self.files = chance, files
        self.forget()

    def start(self, _backend, request) -> None:
        self.request, self.error, self.result = request, None, {}
        self.state = self.chance.choice([State.DONE] * 4 + [State.FAILED, State.CANCELLED])
        if self.state is State.FAILED:
            self.error = JobError(self.chance.choice(["no_face", "backend"]), "No face was found.", "", "")
        elif self.state is State.DONE:
            self.result = getattr(self, request.kind)(request.out)

    def reconstruct(self, out: Path) -> dict:
        shutil.copy(self.chance.choice(self.files), out)
        return {"avatar": str(out)}

    def track(self, out: Path) -> dict:
        return {"out": str(track_file(out, self.chance.choice([1, 2, 30]))), "frames": 30, "found": 29}

    def record(self, out: Path) -> dict:
        out.write_bytes(b"x")
        return {"out": str(out), "duration": 3.0, "warnings": self.chance.choice([[], ["The camera stopped."]])}

    def faces(self, out: Path) -> dict:
        out.write_bytes(encode_png(make_pixels(64, 192)))
        return {"out": str(out), "boxes": [[0, 0, 9, 9]] * 3}

    def wait(self) -> State:
        return self.state

    def prepare(self, _backend) -> None:
        pass

    def pump(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    def forget(self) -> None:
        self.state, self.request, self.result, self.error = State.IDLE, None, {}, None

    def close(self) -> None:
        self.forget()

    def end_if_idle(self, _seconds: float) -> bool:
        return False


def make_pixels(height: int, width: int) -> np.ndarray:  # [H, W, 3]
    return np.full((height, width, 3), 128, np.uint8)


class Artist:
    """One who clicks anything."""

    def __init__(self, seed: int, files: list[Path], folder: Path) -> None:
        self.chance = random.Random(seed)
        self.files, self.folder = files, folder
        self.done: list[str] = []

    def step(self) -> None:
        actions = [
            self.click, self.click, self.click, self.click, self.click, self.add, self.select, self.select,
            self.move, self.duplicate, self.mode, self.undo, self.redo, self.delete, self.damage, self.export,
            self.expression, self.turn, self.save, self.set_field, self.set_field, self.body, self.animate,
            self.turntable, self.reopen, self.borrow, self.drive, self.join, self.clear,
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
        """One of our buttons, its options drawn by lot, mostly on a head."""
        if self.chance.random() < 0.6:
            self.select_head()
        skip = {"export", "import_avatar", "choose_photo", "render_turntable"}  # they have steps of their own
        names = [name for name in dir(bpy.ops.meshlam) if name not in skip and "backend" not in name]
        operator = getattr(bpy.ops.meshlam, self.chance.choice(sorted(names)))
        options = {}
        for item in operator.get_rna_type().properties:
            if item.identifier not in ("rna_type", "filter_glob") and self.chance.random() < 0.8:
                options[item.identifier] = self.value(item)
        self.call(operator, **options)

    def value(self, item):
        """Something that a property may be set to."""
        if item.type == "STRING":
            words = [*ARKIT_NAMES, *EXPRESSIONS, *VISEMES, *(group.key for group in GROUPS), "", "ä"]
            paths = [*map(str, self.files), str(self.folder), str(self.folder / "none.csv"), str(self.folder / "p.npz")]
            images = [image.name for image in bpy.data.images]
            return self.chance.choice(self.chance.choice([words, paths, images or words]))
        if item.type == "ENUM":
            return self.chance.choice([choice.identifier for choice in item.enum_items])
        if item.type == "BOOLEAN":
            return self.chance.random() < 0.5
        low, high = max(item.soft_min, -100), min(item.soft_max, 100)
        draw = self.chance.randint if item.type == "INT" else self.chance.uniform
        if getattr(item, "is_array", False):
            return [draw(low, high) for _ in range(item.array_length)]
        return draw(int(low), int(high)) if item.type == "INT" else draw(low, high)

    def set_field(self) -> None:
        fields = getattr(bpy.context.scene, self.chance.choice(FIELDS))
        items = [item for item in fields.bl_rna.properties if not item.is_readonly and item.identifier != "name"]
        item = self.chance.choice(items)
        paths = {"clip": "take.mp4", "photo": "photo.png"}
        value = str(self.folder / paths.get(item.identifier, "")) if item.identifier in PATHS else self.value(item)
        if item.identifier != "faces":
            self.done[-1] += f" {item.identifier} {value}"
            setattr(fields, item.identifier, value)

    def body(self) -> None:
        if bpy.context.mode == "OBJECT" and len(bpy.data.objects) < 30:
            make_body(head_on=self.chance.random() < 0.5)

    def animate(self) -> None:
        scene = bpy.context.scene
        scene.frame_set(self.chance.randint(1, 40))
        item = bpy.context.view_layer.objects.active
        if item is not None:
            item.keyframe_insert("location")

    def turntable(self) -> None:
        scene = bpy.context.scene
        scene.render.engine, scene.cycles.samples, scene.render.resolution_percentage = "CYCLES", 1, 2
        self.call(bpy.ops.meshlam.render_turntable, directory=str(self.folder), frames=2)

    def reopen(self) -> None:
        """Save the file and open it again."""
        if self.chance.random() < 0.3:
            path = str(self.folder / "reopened.blend")
            self.call(bpy.ops.wm.save_as_mainfile, filepath=path, check_existing=False)
            self.call(bpy.ops.wm.open_mainfile, filepath=path)

    def borrow(self) -> None:
        """Append or link what an earlier file has, and perhaps override it."""
        path = self.folder / f"{self.chance.choice('xyz')}.blend"
        if not path.is_file() or bpy.context.mode != "OBJECT" or len(bpy.data.objects) > 30:
            return
        link = self.chance.random() < 0.5
        with bpy.data.libraries.load(str(path), link=link) as (there, wanted):
            wanted.collections = [self.chance.choice(there.collections)] if there.collections else []
        for collection in wanted.collections:
            if collection is None:
                continue
            if link and self.chance.random() < 0.5:
                whole = self.chance.random() < 0.7
                collection.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=whole)
            elif collection.name not in bpy.context.scene.collection.children:
                bpy.context.scene.collection.children.link(collection)

    def add(self) -> None:
        if len(self.heads()) < 5:
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

    def heads(self) -> list:
        """The rigs of the heads in view."""
        return [item for item in bpy.context.view_layer.objects if item.type == "ARMATURE" and HEAD in item]

    def select_head(self) -> None:
        heads = self.heads()
        if bpy.context.mode == "OBJECT" and heads:
            bpy.ops.object.select_all(action="DESELECT")
            rig = self.chance.choice(heads)
            item = rig[HEAD] if rig[HEAD] is not None and self.chance.random() < 0.7 else rig
            if here(item):
                item.select_set(True)
                bpy.context.view_layer.objects.active = item

    def drive(self) -> None:
        self.select_head()
        bpy.context.scene.meshlam_clip.clip = str(self.folder / "take.mp4")
        self.call(bpy.ops.meshlam.drive_from_clip)

    def join(self) -> None:
        self.body()
        bodies = [
            item for item in bpy.context.view_layer.objects if item.name.startswith("Body") and item.type == "MESH"
        ]
        self.select_head()
        if bodies:
            self.chance.choice(bodies).select_set(True)
        self.call(bpy.ops.meshlam.join_body, scale_to_fit=self.chance.random() < 0.5)

    def clear(self) -> None:
        """A scene that has grown too full is cleared, so that there is room for more."""
        if bpy.context.mode == "OBJECT" and len(bpy.data.objects) > 25:
            bpy.ops.object.select_all(action="SELECT")
            self.call(bpy.ops.object.delete)

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

    def turn(self) -> None:
        """A bone gets another rotation mode, and is turned in it."""
        for rig in self.heads()[:1]:
            bone = self.chance.choice(rig.pose.bones)
            bone.rotation_mode = self.chance.choice(["QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE"])
            bone.rotation_euler.y, bone.rotation_axis_angle[0] = self.chance.uniform(-9, 9), self.chance.random()

    def save(self) -> None:
        if self.chance.random() < 0.3:
            path = str(self.folder / f"{self.chance.choice('xyz')}.blend")
            self.call(bpy.ops.wm.save_as_mainfile, filepath=path, check_existing=False, copy=True)


@pytest.fixture
def registered(empty_scene, monkeypatch, tmp_path):
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))  # where expressions of one's own are kept
    monkeypatch.setenv("MESHLAM_BACKEND", sys.executable)
    blender_addon.register()
    yield
    blender_addon.unregister()


def test_random_clicks_with_undo_never_end_in_a_traceback(registered, files, tmp_path, capfd, monkeypatch):
    for name in ("photo.png", "take.mp4"):
        (tmp_path / name).write_bytes(make_sample().images["photo"])
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="start")
    artist = Artist(SEED, files, tmp_path)
    monkeypatch.setattr(state, "session", Backend(artist.chance, files))
    monkeypatch.setattr(doctor_operators, "cure", one_corrective)
    for _ in range(STEPS):
        artist.step()
    written = capfd.readouterr()
    assert "Traceback" not in written.err + written.out, f"seed {SEED}: {artist.done[-30:]}\n{written.err[-3000:]}"
    assert any("import_avatar" in step for step in artist.done)
    for rig in [item for item in bpy.data.objects if item.type == "ARMATURE" and HEAD in item]:
        assert rig.pose is not None
