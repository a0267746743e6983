"""The first use, in a real Blender program: install the zip, press the buttons, make a head, export it, open the file.

    BLENDER --background --factory-startup --python-exit-code 1 --python tests/app/first_use.py -- ZIP FOLDER

The backend is made of tiny wheels in FOLDER, by this Blender's own Python and the real pip; its worker hands out a
sample avatar. FOLDER must be empty; BLENDER_USER_RESOURCES should name another empty one: nobody's settings change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import bpy

MODULE = "bl_ext.user_default.meshlam"
TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "addon" / "backend"), str(TESTS / "blender")]

import fake_wheels  # noqa: E402
import sample  # noqa: E402


def main() -> None:
    zip_path, folder = (Path(word).resolve() for word in sys.argv[sys.argv.index("--") + 1 :][:2])
    bpy.ops.extensions.package_install_files(
        filepath=str(zip_path), repo="user_default", enable_on_install=True, overwrite=True
    )
    home = prepare(folder)
    meshlam = bpy.ops.meshlam
    assert meshlam.install_backend() == {"FINISHED"}
    avatar = sample.make_sample()
    photo = folder / "Ada Lovelace é.png"
    photo.write_bytes(avatar.images["photo"])
    sample.write_sample(home / "sample.meshlam", avatar)
    bpy.context.scene.meshlam.photo = str(photo)
    assert meshlam.reconstruct() == {"FINISHED"}
    head = bpy.context.view_layer.objects.active
    assert head.name == photo.stem
    worker = sys.modules[f"{MODULE}.state"].session._client._process
    worker.kill()
    worker.wait()
    assert meshlam.reconstruct() == {"FINISHED"}  # neither is Blender gone with the worker
    assert meshlam.check_backend() == {"FINISHED"}
    out = folder / "head.glb"
    assert meshlam.export(filepath=str(out), file_format=".glb") == {"FINISHED"}
    keys = len(head.data.shape_keys.key_blocks)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(out))
    (mesh,) = (found for found in bpy.data.objects if found.type == "MESH" and found.data.shape_keys)
    assert len(mesh.data.shape_keys.key_blocks) == keys
    bpy.ops.preferences.addon_enable(module=MODULE)
    shutil.rmtree(home / "assets")
    preferences(folder)
    assert meshlam.repair_backend() == {"FINISHED"}
    assert meshlam.remove_backend() == {"FINISHED"}
    assert not list((home / "backend").glob("cp*"))
    print(f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}: 1 passed")


def prepare(folder: Path) -> Path:
    """Tiny wheels as what a backend is made of here, and the preferences; returns the data folder."""
    wheel = fake_wheels.make_wheel(folder / "wheels é", "parts", "1.0", {"parts.py": "VALUE = 1\n"})
    (folder / "wheels é" / "assets").mkdir()
    (folder / "wheels é" / "assets" / "model.bin").write_text("model")
    backend = Path(sys.modules[MODULE].__file__).parent / "backend"
    layout = sys.modules[f"{MODULE}.backend.layout"]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    facts = {"name": "parts", "version": "1.0", "sha256": digest, "size": wheel.stat().st_size}
    targets = {f"{layout.system_tag()}-{layout.python_tag()}-{device}": [wheel.name] for device in ("cpu", "apple")}
    (backend / "requirements.json").write_text(json.dumps({"files": {wheel.name: facts}, "targets": targets}))
    for found in (backend / "wheels").glob("meshlam-*.whl"):
        found.unlink()
    fake_wheels.make_meshlam(backend / "wheels")
    return preferences(folder)


def preferences(folder: Path) -> Path:
    """Set them; returns the data folder."""
    chosen = bpy.context.preferences.addons[MODULE].preferences
    chosen.bundle, chosen.data_folder = str(folder / "wheels é"), str(folder / "data 头")
    return folder / "data 头"


if __name__ == "__main__":
    main()
