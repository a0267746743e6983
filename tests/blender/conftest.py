"""Fixtures of the tests that run in a real Blender (the bpy module). Nothing here imports the reconstructor."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

# Blender reads this once, at import: no test touches the user's own Blender settings and extensions
_USER_FOLDER = tempfile.mkdtemp(prefix="meshlam-blender-")
os.environ["BLENDER_USER_RESOURCES"] = _USER_FOLDER

import bpy  # noqa: E402
import pytest  # noqa: E402
from sample import Sample, make_sample, write_sample  # noqa: E402
from stand_in import StandInLayout  # noqa: E402

import blender_addon  # noqa: E402
from blender_addon.avatar_reader import AvatarFile, read_avatar  # noqa: E402
from blender_addon.building import extension  # noqa: E402

ROOT = Path(__file__).parents[2]
MODULE = "bl_ext.user_default.meshlam"

_status = 0


def pytest_sessionfinish(exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


def pytest_unconfigure() -> None:
    """Leave without Blender's shutdown: after any glTF export, even of a plain cube, bpy 4.2 crashes in it."""
    shutil.rmtree(_USER_FOLDER, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    """Every test starts in Blender's factory scene without its cube, camera and light."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture(scope="session")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="session")
def avatar_path(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("avatar") / "sample.meshlam", sample)


@pytest.fixture(scope="session")
def avatar(avatar_path: Path) -> AvatarFile:
    return read_avatar(avatar_path)


@pytest.fixture(scope="session")
def real_avatar_path() -> Path:
    """An avatar reconstructed from a real photo, named by MESHLAM_TEST_AVATAR."""
    name = os.environ.get("MESHLAM_TEST_AVATAR", "")
    if not name or not Path(name).exists():
        message = "MESHLAM_TEST_AVATAR names no reconstructed avatar"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return Path(name).resolve()


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory) -> Path:
    """The zip, built and checked by this Blender's own tool; the wheels in it are those of `make extension`."""
    out = tmp_path_factory.mktemp("dist")
    made = ROOT / "dist" / f"meshlam-{extension.version()}.zip"
    wheels = []
    if made.is_file():
        with zipfile.ZipFile(made) as archive:
            archive.extractall(out, [name for name in archive.namelist() if name.startswith("backend/wheels/")])
        wheels = ["--wheels", str(out / "backend" / "wheels")]
    assert extension.main(["--out", str(out), *wheels]) == 0
    return out / f"meshlam-{extension.version()}.zip"


@pytest.fixture
def installed(extension_zip):
    """The extension as users have it: installed from the zip and enabled."""
    bpy.ops.extensions.package_install_files(
        filepath=str(extension_zip), repo="user_default", enable_on_install=True, overwrite=True
    )
    yield sys.modules[MODULE]
    if MODULE in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_disable(module=MODULE)
    bpy.ops.extensions.package_uninstall(repo_index=_user_repository(), pkg_id="meshlam")


def _user_repository() -> int:
    return [repo.module for repo in bpy.context.preferences.extensions.repos].index("user_default")


@pytest.fixture
def photo(tmp_path, sample) -> Path:
    path = tmp_path / "Ada Lovelace é.png"
    path.write_bytes(sample.images["photo"])
    return path


@pytest.fixture
def registered(empty_scene, monkeypatch):
    monkeypatch.setenv("MESHLAM_BACKEND", sys.executable)  # there is a backend
    blender_addon.register()
    yield
    blender_addon.unregister()


@pytest.fixture
def drawn(registered):
    def draw(cls) -> str:
        seen: list[str] = []
        context = SimpleNamespace(
            scene=bpy.context.scene,
            view_layer=bpy.context.view_layer,
            preferences=bpy.context.preferences,
            region=SimpleNamespace(width=280),
        )
        if hasattr(cls, "poll") and not cls.poll(context):
            return "hidden"
        stand_in = SimpleNamespace(layout=StandInLayout(seen))
        if hasattr(cls, "draw_head"):
            stand_in.draw_head = partial(cls.draw_head, stand_in)
        cls.draw(stand_in, context)
        return "\n".join(seen)

    return draw
