"""A head made from the portrait, and its landmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshlam_core.avatar.record import Avatar
from meshlam_core.head.model import HeadModel
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.tracker.retarget import avatar_rig
from meshlam_core.tracker.rig import LandmarkRig


@pytest.fixture(scope="session")
def avatar(portrait_file: Path, assets: dict[str, Path]) -> Avatar:
    options = ReconstructOptions(weights="none", texture_size=512)
    return reconstruct(portrait_file, options, Session.open(options)).avatar


@pytest.fixture(scope="session")
def rig(avatar: Avatar, head: HeadModel) -> LandmarkRig:
    return avatar_rig(avatar, head)
