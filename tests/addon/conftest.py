"""Fixtures for the parts of the add-on that know no Blender; they run in the project's main environment."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from blender_addon.backend.locate import Backend
from blender_addon.job import Session

TESTS = Path(__file__).parents[1]


def load_samples() -> ModuleType:
    """tests/blender/sample.py, which writes avatar files from the format's description alone."""
    spec = importlib.util.spec_from_file_location("avatar_sample", TESTS / "blender" / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    return load_samples()


@pytest.fixture
def fake_backend() -> Callable[[str], Backend]:
    """A backend whose worker behaves as named; see fake_worker.py."""
    script = str(Path(__file__).with_name("fake_worker.py"))
    return lambda behaviour: Backend(Path(sys.executable), None, (script, behaviour))


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session()
    yield made
    made.close()
