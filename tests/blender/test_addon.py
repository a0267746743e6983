"""The installed extension: zip, enable, register, operators, worker, unregister."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import tomllib
import zipfile
from pathlib import Path

import bpy
import pytest
from sample import write_sample

from blender_addon.building import extension, repository
from blender_addon.scene.found import RESULT, active_avatar

ROOT = Path(__file__).parents[2]
MODULE = "bl_ext.user_default.meshlam"


@pytest.fixture
def worker(installed, tmp_path):
    """The preferences set to a Python whose meshlam_core.worker is a toy that copies a prepared avatar."""

    def use(behaviour: str, avatar: Path) -> None:
        package = tmp_path / "backend" / "meshlam_core"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "worker.py").write_text(_TOY.format(behaviour=behaviour, avatar=str(avatar)))
        starter = tmp_path / "python.sh"
        starter.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path / "backend"}" exec "{sys.executable}" "$@"\n')
        starter.chmod(0o755)
        preferences = bpy.context.preferences.addons[MODULE].preferences
        preferences.backend_python = str(starter)
        preferences.data_folder = str(tmp_path / "data folder é")

    return use


_TOY = """
import json, shutil, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        print(json.dumps(dict(type="ready", version="0", device="cpu", presets=[], assets={{}})), flush=True)
    if message["type"] == "reconstruct":
        if "{behaviour}" == "crash":
            sys.exit("out of luck")
        if "{behaviour}" == "fail":
            print(json.dumps(dict(type="failed", id=message["id"], kind="no_face", message="No face was found.",
                                  hint="Try another photo.", trace="")), flush=True)
            continue
        shutil.copy(r"{avatar}", message["out"])
        result = dict(avatar=message["out"], landmark_error=0.007, warnings=["This may not be a human face."],
                      timings=dict(total=0.9), options=message["options"])
        print(json.dumps(dict(type="done", id=message["id"], result=result)), flush=True)
"""


def registered() -> set[str]:
    found = {name for name in dir(bpy.types) if "MESHLAM" in name.upper()}
    return found | ({"Scene.meshlam"} if hasattr(bpy.types.Scene, "meshlam") else set())


def test_the_zip_has_the_manifest_at_its_top_and_only_what_is_needed(extension_zip):
    names = set(zipfile.ZipFile(extension_zip).namelist())
    assert {"blender_manifest.toml", "__init__.py", "scene/mesh.py", "scene/__init__.py"} <= names
    assert all(name.endswith((".py", ".toml", "LICENSE", "/", ".whl", "requirements.json")) for name in names)
    wheels = sorted(name.split("/")[-1].split("-")[0] for name in names if name.endswith(".whl"))
    assert wheels == ["meshlam", "pip"]
    assert not any(name.startswith("building") for name in names)
    assert extension_zip.stat().st_size < 20_000_000
    for name in names:
        if name.endswith(".py"):
            text = zipfile.ZipFile(extension_zip).read(name).decode()
            assert "bl_info" not in text
            assert "import torch" not in text
            assert "import meshlam_core" not in text.replace("import json, sys, meshlam_core", "")
            assert "sys.path" not in text


def test_installing_enabling_and_disabling_leaves_nothing_behind(installed):
    assert MODULE in bpy.context.preferences.addons
    assert "Scene.meshlam" in registered()
    assert hasattr(bpy.ops.meshlam, "reconstruct")
    assert len([h for h in bpy.app.handlers.load_pre if "meshlam" in h.__module__]) == 1
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert registered() == set()
    assert not [h for h in bpy.app.handlers.load_pre if "meshlam" in h.__module__]
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert "Scene.meshlam" in registered()


def test_a_photo_becomes_a_head_through_the_worker(installed, worker, photo, avatar_path, tmp_path):
    worker("good", avatar_path)
    bpy.context.scene.meshlam.photo = str(photo)
    assert bpy.ops.meshlam.reconstruct() == {"FINISHED"}
    built = active_avatar(bpy.context)
    assert built.head.name == "Ada Lovelace é"
    assert bpy.context.view_layer.objects.active == built.head
    result = json.loads(built.rig[RESULT])
    assert result["warnings"] == ["This may not be a human face."]
    assert result["options"]["face"] == "largest"
    assert (tmp_path / "data folder é" / "avatars" / "Ada Lovelace é.meshlam").is_file()
    assert bpy.ops.meshlam.reconstruct() == {"FINISHED"}
    assert (tmp_path / "data folder é" / "avatars" / "Ada Lovelace é-2.meshlam").is_file()
    session = sys.modules[f"{MODULE}.state"].session
    process = session._client._process
    assert process.poll() is None  # the worker stays warm
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert process.poll() is not None


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [("fail", "No face was found. Try another photo."), ("crash", "The backend ended unexpectedly")],
)
def test_a_failure_reports_one_sentence_and_leaves_the_scene_untouched(
    installed, worker, photo, avatar_path, behaviour, sentence
):
    worker(behaviour, avatar_path)
    bpy.context.scene.meshlam.photo = str(photo)
    before = len(bpy.data.objects), len(bpy.data.images)
    with pytest.raises(RuntimeError, match=sentence):
        bpy.ops.meshlam.reconstruct()
    assert (len(bpy.data.objects), len(bpy.data.images)) == before


def test_a_damaged_avatar_file_is_refused_with_a_sentence(installed, worker, photo, tmp_path):
    broken = tmp_path / "broken.meshlam"
    broken.write_bytes(b"PK not really")
    worker("good", broken)
    bpy.context.scene.meshlam.photo = str(photo)
    with pytest.raises(RuntimeError, match="not an avatar file or is damaged"):
        bpy.ops.meshlam.reconstruct()
    with pytest.raises(RuntimeError, match="not an avatar file or is damaged"):
        bpy.ops.meshlam.import_avatar(filepath=str(broken))
    assert not bpy.data.objects


def test_without_photo_or_backend_the_button_says_what_to_do(installed, photo, tmp_path, monkeypatch):
    monkeypatch.delenv("MESHLAM_BACKEND", raising=False)
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.meshlam.reconstruct()
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.data_folder = str(tmp_path)
    bpy.context.scene.meshlam.photo = str(tmp_path / "gone.jpg")
    with pytest.raises(RuntimeError, match="There is no photo at"):
        bpy.ops.meshlam.reconstruct()
    bpy.context.scene.meshlam.photo = str(photo)
    with pytest.raises(RuntimeError, match="click Install Backend"):
        bpy.ops.meshlam.reconstruct()
    with pytest.raises(RuntimeError, match="click Install Backend"):
        bpy.ops.meshlam.check_backend()


def test_the_buttons_of_a_head_work(installed, avatar_path, tmp_path):
    scene = bpy.context.scene
    bpy.ops.meshlam.import_avatar(filepath=str(avatar_path))
    built = active_avatar(bpy.context)
    key = built.head.data.shape_keys.key_blocks["jawOpen"]
    key.value = 0.5
    size = scene.render.resolution_x
    bpy.ops.meshlam.toggle_photo_pose()
    assert key.value != pytest.approx(0.5)
    bpy.ops.meshlam.toggle_photo_pose()
    assert key.value == pytest.approx(0.5)
    bpy.ops.meshlam.toggle_photo_camera()
    assert scene.camera == built.camera
    assert scene.render.resolution_x == 320
    bpy.ops.meshlam.toggle_photo_camera()
    assert scene.camera is None
    assert scene.render.resolution_x == size
    bpy.ops.meshlam.toggle_eye_aim()
    assert built.rig.pose.bones["left_eye"].constraints["Eye Aim"].influence == 1.0
    bpy.ops.meshlam.rest_pose()
    assert key.value == 0.0
    bpy.ops.meshlam.export(filepath=str(tmp_path / "x.glb"), file_format=".glb")
    assert (tmp_path / "x.glb").stat().st_size > 10_000


def test_loading_another_file_ends_a_running_job(installed, worker, photo, avatar_path, tmp_path):
    worker("good", avatar_path)
    state = sys.modules[f"{MODULE}.state"]
    job = sys.modules[f"{MODULE}.job"]
    backend = sys.modules[f"{MODULE}.preferences"].settings().backend()
    state.session.start(backend, job.Request(photo, tmp_path / "x.meshlam"))
    assert state.session.active
    process = state.session._client._process
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not state.session.active
    assert process.poll() is not None
    gc.collect()


@pytest.mark.slow
def test_the_real_backend_reconstructs_shared_photos(installed, tmp_path):
    backend, pictures = os.environ.get("MESHLAM_BACKEND", ""), ROOT.parent / "shared" / "data" / "hires"
    if not backend or not pictures.is_dir():
        message = "needs MESHLAM_BACKEND (a Python with meshlam) and ../shared"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(message)
        pytest.skip(message)
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.backend_python = str((ROOT / backend).absolute())
    for photo in sorted(pictures.glob("*.[jp][pn]g"))[:1]:
        bpy.context.scene.meshlam.photo = str(photo)
        assert bpy.ops.meshlam.reconstruct() == {"FINISHED"}
        built = active_avatar(bpy.context)
        assert built.head.name == photo.stem
        names = set(built.head.data.shape_keys.key_blocks.keys())
        assert len(names - {"Bald"}) == 53
        assert json.loads(built.rig[RESULT])["landmark_error"] < 0.03


def test_the_sample_helper_writes_where_it_is_told(tmp_path, sample):
    assert write_sample(tmp_path / "a.meshlam", sample).is_file()


def test_the_extension_repository_names_the_zip_with_its_size_and_hash(extension_zip, tmp_path):
    assert repository.main([str(extension_zip), "--out", str(tmp_path / "repository")]) == 0
    entry = json.loads((tmp_path / "repository" / "index.json").read_text())["data"][0]
    assert (entry["id"], entry["archive_url"]) == ("meshlam", f"./{extension_zip.name}")
    data = (tmp_path / "repository" / extension_zip.name).read_bytes()
    assert entry["archive_size"] == len(data)
    assert entry["archive_hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize(
    "text", ["example.org", "https://localhost", "javascript:alert(1)", 'https://e.org/"', "https:// e.org"]
)
def test_a_website_that_is_no_address_is_refused_and_nothing_is_built(tmp_path, capsys, text):
    with pytest.raises(SystemExit) as raised:
        extension.main(["--out", str(tmp_path / "dist"), "--website", text])
    assert raised.value.code == 2
    assert f"Expected an address like https://example.org/meshlam, got {text}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_publishers_website_stands_in_the_manifest(extension_zip, tmp_path):
    with zipfile.ZipFile(extension_zip) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("backend/wheels/")])
    words = ["--out", str(tmp_path / "dist"), "--wheels", str(tmp_path / "backend" / "wheels")]
    assert extension.main([*words, "--website", "https://example.org/meshlam"]) == 0
    with zipfile.ZipFile(tmp_path / "dist" / extension_zip.name) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["website"] == "https://example.org/meshlam"
    assert set(manifest["permissions"]) == {"files", "network", "camera", "clipboard"}
