"""The first use, in a real Blender program: install the zip, press the buttons, make a head, export it, open the file.

    BLENDER --background --factory-startup --python-exit-code 1 --python tests/app/first_use.py -- \
        ZIP FOLDER [BUNDLE PHOTO]

The backend is made of tiny wheels in FOLDER, by this Blender's own Python and the real pip; its worker hands out a
sample avatar. With BUNDLE, an offline bundle for this Blender's Python, it is the real one, and PHOTO is reconstructed;
where the bundle is for NVIDIA cards, the computer is said to have one, as its torch works on the processor, too.
FOLDER must be empty; BLENDER_USER_RESOURCES should name another empty one: nobody's settings change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

MODULE = "bl_ext.user_default.meshlam"
TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "addon" / "backend"), str(TESTS / "blender")]

import fake_wheels  # noqa: E402
import sample  # noqa: E402


def main() -> None:
    words = [Path(word).resolve() for word in sys.argv[sys.argv.index("--") + 1 :]]
    zip_path, folder, bundle = words[0], words[1], words[2] if len(words) > 2 else None
    bpy.ops.extensions.package_install_files(
        filepath=str(zip_path), repo="user_default", enable_on_install=True, overwrite=True
    )
    print(f"{zip_path.name}: {zip_path.stat().st_size / 1e6:.1f} MB")
    if bundle is None:
        home = prepare(folder)
        bundle = folder / "wheels é"
    else:
        home = preferences(folder, bundle)
    meshlam = bpy.ops.meshlam
    with timed("Install Backend"), stages_timed():
        assert meshlam.install_backend() == {"FINISHED"}
    photo = folder / "Ada Lovelace é.png"
    if len(words) > 3:
        shutil.copy(words[3], photo)
    else:
        avatar = sample.make_sample()
        photo.write_bytes(avatar.images["photo"])
        sample.write_sample(home / "sample.meshlam", avatar)
    bpy.context.scene.meshlam.photo = str(photo)
    with timed("Reconstruct Head, the first"):
        assert meshlam.reconstruct() == {"FINISHED"}
    head = bpy.context.view_layer.objects.active
    assert head.name == photo.stem
    worker = sys.modules[f"{MODULE}.state"].session._client._process
    worker.kill()
    worker.wait()
    with timed("Reconstruct Head, after the worker was killed"):
        assert meshlam.reconstruct() == {"FINISHED"}  # neither is Blender gone with the worker
    with timed("Check Backend"):
        assert meshlam.check_backend() == {"FINISHED"}
    out = folder / "head.glb"
    assert meshlam.export(filepath=str(out), file_format=".glb") == {"FINISHED"}
    keys = [key.name for key in head.data.shape_keys.key_blocks]
    painted = texture(head)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(out))
    (mesh,) = (found for found in bpy.data.objects if found.type == "MESH" and found.data.shape_keys)
    read = [key.name for key in mesh.data.shape_keys.key_blocks]
    assert read == [key for key in keys if key != "Bald"], (read, keys)  # the hair is exported as it is shown
    assert len(read) == 1 + 52
    found = texture(mesh)
    assert found.shape == painted.shape
    assert np.abs(found - painted).max() < 1.5 / 255
    assert painted[..., :3].std() > 0.02 or len(words) <= 3  # a face, and not one colour
    bpy.ops.preferences.addon_enable(module=MODULE)
    shutil.rmtree(home / "assets")
    preferences(folder, bundle)
    with timed("Repair, the models gone"):
        assert meshlam.repair_backend() == {"FINISHED"}
    with timed("Remove"):
        assert meshlam.remove_backend() == {"FINISHED"}
    assert not list((home / "backend").glob("cp*"))
    assert not (home / "assets").exists()
    print(f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}: 1 passed")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long it took, by the clock and of the processor, ended programs included."""
    clock, before = time.monotonic(), os.times()
    yield
    spent = sum(now - then for now, then in zip(os.times()[:4], before[:4], strict=True))
    print(f"{what}: {time.monotonic() - clock:.1f} s, {spent:.1f} s of the processor")


@contextmanager
def stages_timed() -> Iterator[None]:
    """Say how long each stage of an installation took, as its bar names them."""
    setup = sys.modules[f"{MODULE}.backend_state"].setup
    over, spent = threading.Event(), dict[str, float]()

    def look() -> None:
        last = time.monotonic()
        while not over.wait(0.05):
            now = time.monotonic()
            spent[setup.report.stage] = spent.get(setup.report.stage, 0.0) + now - last
            last = now

    thread = threading.Thread(target=look)
    thread.start()
    yield
    over.set()
    thread.join()
    print("  " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in spent.items() if stage))


def texture(head: Any) -> np.ndarray:
    """The pixels of the skin's base colour, (height, width, 4), 0..1."""
    nodes = head.data.materials[0].node_tree.nodes
    images = [node.image for node in nodes if node.type == "TEX_IMAGE"]
    coloured = [image for image in images if image.colorspace_settings.name == "sRGB"]
    image = max(coloured, key=lambda image: image.size[0])
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], 4)


def say_that_there_is_a_card(bundle: Path) -> None:
    """Where the bundle is for NVIDIA cards."""
    with zipfile.ZipFile(bundle) as archive:
        target = json.loads(archive.read("bundle.json"))["target"]
    if target.endswith("-cuda"):
        state = sys.modules[f"{MODULE}.backend_state"]
        gpu = sys.modules[f"{MODULE}.backend.machine"].Gpu("Card", "580.1", 8 << 30)
        state._memory.machine = replace(state.machine_now(), gpu=gpu)
        bpy.context.preferences.addons[MODULE].preferences.backend_device = "cuda"


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
    return preferences(folder, folder / "wheels é")


def preferences(folder: Path, bundle: Path) -> Path:
    """Set them; returns the data folder."""
    chosen = bpy.context.preferences.addons[MODULE].preferences
    chosen.bundle, chosen.data_folder = str(bundle), str(folder / "data 头")
    if bundle.is_file():
        say_that_there_is_a_card(bundle)
    return folder / "data 头"


if __name__ == "__main__":
    main()
