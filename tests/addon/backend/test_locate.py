"""Finding the backend's Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from blender_addon import backend_setup
from blender_addon.backend_setup import Backend, BackendError, check_backend, find_backend, free_avatar_path
from meshlam_core import assets


@pytest.fixture(autouse=True)
def no_named_backend(monkeypatch):
    monkeypatch.delenv("MESHLAM_BACKEND", raising=False)


def environment_in(folder: Path) -> Path:
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    python.parent.mkdir(parents=True)
    python.write_text("")
    return python


def test_the_preference_may_be_a_program_an_environment_or_a_project_folder(tmp_path):
    python = environment_in(tmp_path / ".venv")
    for place in (python, tmp_path / ".venv", tmp_path):
        assert find_backend(str(place), "").python == python


def test_without_a_preference_the_data_folders_backend_is_taken(tmp_path):
    python = environment_in(tmp_path / "backend")
    assert find_backend("", str(tmp_path)) == Backend(python, tmp_path)


def test_no_backend_says_what_to_do(tmp_path):
    with pytest.raises(BackendError, match="choose Backend Python"):
        find_backend("", str(tmp_path))
    with pytest.raises(BackendError, match="Expected a Python program or an environment"):
        find_backend(str(tmp_path / "nowhere"), "")


def test_blenders_own_python_settings_do_not_reach_the_backend(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONHOME", "/blender/python")
    monkeypatch.setenv("PYTHONPATH", "/blender/scripts")
    environment = Backend(Path(sys.executable), tmp_path).environment()
    assert "PYTHONHOME" not in environment
    assert "PYTHONPATH" not in environment
    assert environment["MESHLAM_HOME"] == str(tmp_path)


def test_the_default_data_folder_is_the_backends_own(monkeypatch, tmp_path):
    monkeypatch.delenv("MESHLAM_HOME", raising=False)
    assert backend_setup.default_data_folder() == assets.home()
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    assert backend_setup.default_data_folder() == assets.home() == tmp_path


def test_checking_this_python_names_version_and_a_bad_one_is_told_apart(tmp_path):
    assert check_backend(Backend(Path(sys.executable))).startswith("meshlam ")
    with pytest.raises(BackendError, match="could not be run"):
        check_backend(Backend(tmp_path / "nothing"))


def test_avatar_names_never_overwrite(tmp_path):
    first = free_avatar_path(tmp_path, Path("/x/Ada Lovelace.jpg"))
    assert first == tmp_path / "avatars" / "Ada Lovelace.meshlam"
    first.write_text("")
    assert free_avatar_path(tmp_path, Path("Ada Lovelace.png")).name == "Ada Lovelace-2.meshlam"
