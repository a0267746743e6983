"""Finding the backend's Python."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from blender_addon.backend import locate
from blender_addon.backend.locate import (
    Backend,
    BackendError,
    base_python,
    clean_environment,
    find_backend,
    free_avatar_path,
)
from blender_addon.backend.process import run
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


def test_no_backend_says_what_to_do(tmp_path):
    with pytest.raises(BackendError, match="click Install Backend"):
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
    assert locate.default_data_folder() == assets.home()
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    assert locate.default_data_folder() == assets.home() == tmp_path


def test_what_lies_in_the_present_folder_is_not_imported_by_the_backend(monkeypatch, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    code = "import json; print(json.dumps(1))"
    done = run([sys.executable, "-c", code], clean_environment(), threading.Event())
    assert done.output == "1"


def test_this_pythons_own_program_is_found():
    done = run(
        [base_python(), "-c", "import sys; print(*sys.version_info[:2])"], clean_environment(), threading.Event()
    )
    assert done.output.split() == [str(number) for number in sys.version_info[:2]]


def test_a_blender_without_a_python_program_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/usr/bin/blender")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(BackendError, match="no Python program beside it"):
        base_python()


def test_avatar_names_never_overwrite(tmp_path):
    first = free_avatar_path(tmp_path, Path("/x/Ada Lovelace.jpg"))
    assert first == tmp_path / "avatars" / "Ada Lovelace.meshlam"
    first.write_text("")
    assert free_avatar_path(tmp_path, Path("Ada Lovelace.png")).name == "Ada Lovelace-2.meshlam"
