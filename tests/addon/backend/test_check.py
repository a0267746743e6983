"""What Check Backend says of programs that are no backend, and of backends that lack something."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from blender_addon.backend.check import check_backend
from blender_addon.backend.locate import Backend, BackendError
from blender_addon.worker_client import PROTOCOL

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts as programs")


def program(folder: Path, text: str, mode: int = 0o755) -> Backend:
    path = folder / "python 头"
    path.write_text(text)
    path.chmod(mode)
    return Backend(path)


def python_with(folder: Path, **modules: str) -> Backend:
    """This Python, with a package meshlam_core of these modules alone."""
    package = folder / "packages" / "meshlam_core"
    package.mkdir(parents=True)
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    return program(folder, f'#!/bin/sh\nPYTHONPATH="{folder / "packages"}" exec "{sys.executable}" -S "$@"\n')


def whole(folder: Path, checks: list[dict[str, str]], protocol: int = PROTOCOL) -> Backend:
    (folder / "packages" / "meshlam_core" / "worker").mkdir(parents=True)
    worker = folder / "packages" / "meshlam_core" / "worker"
    (worker / "__init__.py").write_text("")
    (worker / "protocol.py").write_text(f"PROTOCOL = {protocol}")
    (worker.parent / "__init__.py").write_text('__version__ = "0.1.0"')
    (worker.parent / "__main__.py").write_text(f"print({json.dumps(json.dumps({'checks': checks}))})")
    return program(folder, f'#!/bin/sh\nPYTHONPATH="{folder / "packages"}" exec "{sys.executable}" -S "$@"\n')


def test_a_file_that_is_no_program_is_one_sentence(tmp_path):
    for mode in (0o644, 0o755):
        with pytest.raises(BackendError, match=r"^/.*python 头 is not a program that can be run; choose a Python"):
            check_backend(program(tmp_path, "just text", mode))
    with pytest.raises(BackendError, match=r"^There is no program at .*nothing"):
        check_backend(Backend(tmp_path / "nothing"))


def test_another_program_is_told_from_a_python(tmp_path):
    with pytest.raises(BackendError, match=r"is no Python program: choose one as Backend Python"):
        check_backend(program(tmp_path, "#!/bin/sh\necho hello\n"))


def test_a_python_without_meshlam_is_one_sentence(tmp_path):
    with pytest.raises(BackendError, match=r"has no meshlam package: choose the Python that it was installed into"):
        check_backend(program(tmp_path, f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n'))


@pytest.mark.parametrize(
    ("protocol", "words"), [(PROTOCOL - 1, "older than this add-on: update it"), (PROTOCOL + 1, "update the add-on")]
)
def test_a_backend_of_another_time_is_one_sentence(tmp_path, protocol, words):
    with pytest.raises(BackendError, match=words):
        check_backend(whole(tmp_path, [], protocol))


def test_a_backend_from_before_the_worker_is_one_sentence(tmp_path):
    with pytest.raises(BackendError, match="older than this add-on: update it"):
        check_backend(python_with(tmp_path, __init__='__version__ = "0.0.1"'))


def test_a_meshlam_that_does_not_load_says_why(tmp_path):
    with pytest.raises(BackendError, match=r"could not load meshlam \(ImportError: no libtorch.so\): click Repair"):
        check_backend(python_with(tmp_path, __init__='raise ImportError("no libtorch.so")'))


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        ({"name": "asset face_landmarker", "found": "altered"}, "A model is altered (face_landmarker): click Repair."),
        ({"name": "package torch", "found": "missing"}, "A package of the backend is missing (torch): click Repair."),
        (
            {"name": "self-test", "found": "OSError: no"},
            "The backend does not work (self-test: OSError: no): click Repair.",
        ),
    ],
)
def test_what_reconstruct_needs_and_is_not_there_is_one_sentence(tmp_path, check, sentence):
    backend = whole(tmp_path, [{"name": "device", "state": "ok", "found": "cpu"}, check | {"state": "error"}])
    with pytest.raises(BackendError) as raised:
        check_backend(backend)
    assert str(raised.value) == sentence


def test_a_whole_backend_is_named(tmp_path):
    backend = whole(tmp_path, [{"name": "device", "state": "ok", "found": "cpu, 2 threads"}])
    version = ".".join(str(number) for number in sys.version_info[:3])
    assert check_backend(backend) == f"meshlam 0.1.0 on Python {version}, cpu, 2 threads"


def test_a_backend_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    from blender_addon.backend import check

    monkeypatch.setattr(check, "_START_SECONDS", 0.3)
    with pytest.raises(BackendError, match="did not answer within"):
        check_backend(program(tmp_path, "#!/bin/sh\nsleep 30\n"))
