"""The backend's buttons in Blender: what the panel offers, and a whole life of a backend made of tiny wheels."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from conftest import MODULE
from stand_in import StandInLayout

import blender_addon
from blender_addon import backend_state, panel, preferences
from blender_addon.backend.layout import key
from blender_addon.backend.machine import Gpu
from blender_addon.backend.meter import Report
from blender_addon.backend.setup import SetupState
from blender_addon.scene.found import active_avatar
from tests.addon.backend.fake_wheels import make_meshlam, make_wheel


@pytest.fixture
def without_backend(empty_scene, monkeypatch, tmp_path):
    monkeypatch.delenv("MESHLAM_BACKEND", raising=False)
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))
    backend_state.look_again()
    blender_addon.register()
    backend_state.machine_now()
    yield
    blender_addon.unregister()
    backend_state.look_again()


def drawn() -> str:
    seen: list[str] = []
    context = SimpleNamespace(
        scene=bpy.context.scene, preferences=bpy.context.preferences, region=SimpleNamespace(width=600)
    )
    panel.MainPanel.draw(SimpleNamespace(layout=StandInLayout(seen)), context)
    return "\n".join(seen)


def test_the_panel_offers_the_backend_with_size_time_and_place(without_backend, tmp_path):
    text = drawn()
    assert "MeshLAM needs its backend" in text
    assert "meshlam.install_backend Install Backend" in text
    assert "meshlam.choose_bundle" in text
    assert "meshlam.reconstruct" not in text
    assert "MB to download, about" in text
    labels = "".join(line.removeprefix("label ") for line in text.splitlines() if line.startswith("label "))
    assert str(tmp_path / "data").replace(" ", "") in labels.replace(" ", "")


def test_the_panel_says_when_blender_may_not_go_online(without_backend, monkeypatch):
    monkeypatch.setattr(backend_state, "bpy", SimpleNamespace(app=SimpleNamespace(online_access=False)))
    backend_state.look_again()
    text = drawn()
    assert "Blender may not go online" in text
    assert "extensions.userpref_allow_online Allow Online Access" in text


def test_a_running_installation_shows_stage_bytes_and_time_and_a_way_to_stop(without_backend, monkeypatch):
    monkeypatch.setattr(backend_state.setup, "state", SetupState.RUNNING)
    monkeypatch.setattr(backend_state.setup, "report", Report("Getting the packages", 0.3, 5_000_000, 9_000_000, 42.0))
    text = drawn()
    assert "Getting the packages, 5 of 9 MB, 45 s left" in text
    assert "meshlam.cancel_setup" in text
    assert "meshlam.install_backend" not in text
    monkeypatch.setattr(backend_state.setup, "state", SetupState.IDLE)


def test_a_failed_installation_says_why_and_offers_to_go_on(without_backend, monkeypatch):
    monkeypatch.setattr(backend_state.setup, "state", SetupState.FAILED)
    monkeypatch.setattr(backend_state.setup, "message", "The network did not answer: check the connection.")
    text = drawn()
    for part in ("The network did not answer", "meshlam.copy_setup_report", "meshlam.install_backend"):
        assert part in text
    monkeypatch.setattr(backend_state.setup, "state", SetupState.IDLE)
    monkeypatch.setattr(backend_state.setup, "message", "")


def test_the_preferences_offer_every_button(without_backend):
    seen: list[str] = []
    known = set(preferences.MeshlamPreferences.__annotations__)
    layout = StandInLayout(seen)
    context = SimpleNamespace(preferences=bpy.context.preferences, region=SimpleNamespace(width=600))
    preferences.MeshlamPreferences.draw(SimpleNamespace(layout=layout, known=known), context)
    for operator in ("install_backend", "check_backend", "repair_backend", "remove_backend"):
        assert f"meshlam.{operator}" in "\n".join(seen)


@pytest.fixture
def tiny_backend(installed, tmp_path, monkeypatch):
    """The installed extension, with a list of two packages of a few bytes as what its backend is made of."""
    monkeypatch.delenv("MESHLAM_BACKEND", raising=False)
    source = tmp_path / "wheels é"
    parts = make_wheel(source, "parts", "1.0", {"parts.py": "VALUE = 1\n"})
    (source / "assets").mkdir()
    (source / "assets" / "model.bin").write_text("model")
    folder = Path(sys.modules[MODULE].__file__).parent / "backend"
    requirements = sys.modules[f"{MODULE}.backend.requirements"]
    wheel = {"name": "parts", "version": "1.0", "sha256": requirements.sha256_of(parts), "size": parts.stat().st_size}
    targets = {
        f"{key().split('-', 1)[1]}-{key().split('-', 1)[0]}-{device}": [parts.name] for device in ("cpu", "cuda")
    }
    (folder / "requirements.json").write_text(json.dumps({"files": {parts.name: wheel}, "targets": targets}))
    for found in (folder / "wheels").glob("meshlam-*.whl"):
        found.unlink()
    make_meshlam(folder / "wheels")
    chosen = bpy.context.preferences.addons[MODULE].preferences
    chosen.data_folder = str(tmp_path / "data 头")
    chosen.bundle = str(source)
    yield chosen
    chosen.bundle = chosen.data_folder = ""


@pytest.mark.slow
def test_a_backend_is_installed_used_checked_repaired_and_removed_by_buttons(tiny_backend, photo, avatar_path):
    home = Path(tiny_backend.data_folder)
    assert bpy.ops.meshlam.install_backend() == {"FINISHED"}
    shutil.copy(avatar_path, home / "sample.meshlam")
    bpy.context.scene.meshlam.photo = str(photo)
    assert bpy.ops.meshlam.reconstruct() == {"FINISHED"}
    assert active_avatar(bpy.context).head.name == photo.stem
    assert bpy.ops.meshlam.check_backend() == {"FINISHED"}
    (home / "assets" / "model.bin").unlink()
    with pytest.raises(RuntimeError, match=r"A model is missing \(model\): click Repair"):
        bpy.ops.meshlam.check_backend()
    assert bpy.ops.meshlam.repair_backend() == {"FINISHED"}
    assert bpy.ops.meshlam.check_backend() == {"FINISHED"}
    assert bpy.ops.meshlam.remove_backend() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="The backend is not installed: click Install Backend"):
        bpy.ops.meshlam.check_backend()
    assert (home / "avatars" / f"{photo.stem}.meshlam").is_file()


def test_an_installation_that_cannot_work_is_refused_with_a_sentence_before_anything_is_touched(tiny_backend, tmp_path):
    tiny_backend.bundle = str(tmp_path / "gone.zip")
    with pytest.raises(RuntimeError, match="There is no offline bundle at"):
        bpy.ops.meshlam.install_backend()
    assert not Path(tiny_backend.data_folder).exists()


@pytest.mark.slow
def test_a_backend_of_another_version_of_the_addon_is_offered_an_update(tiny_backend):
    bpy.ops.meshlam.install_backend()
    found = sys.modules[f"{MODULE}.backend_state"]
    assert found.status() is found.Status.READY
    make_meshlam(Path(found.__file__).parent / "backend" / "wheels", "0.1.0", files={"meshlam_core/new.py": ""})
    found._memory.own_meshlam = ""
    found.look_again()
    assert found.status() is found.Status.OUTDATED
    assert bpy.ops.meshlam.install_backend() == {"FINISHED"}
    assert found.status() is found.Status.READY


def test_a_card_is_offered_and_the_processor_is_the_usual_choice(tiny_backend, monkeypatch):
    found = sys.modules[f"{MODULE}.backend_state"]
    card = Gpu("NVIDIA GeForce RTX 4090", "580.95", 24 << 30)
    machine = SimpleNamespace(**vars(found.machine_now()) | {"gpu": card, "devices": ("cpu", "cuda")})
    chosen = sys.modules[f"{MODULE}.preferences"].settings
    assert chosen().device_for(machine) == "cpu"
    tiny_backend.backend_device = "cuda"
    assert chosen().device_for(machine) == "cuda"
    tiny_backend.backend_device = "auto"
