"""The layers of the core, drawn from its imports: an arrow may only run downwards, and no file stands in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "meshlam_core"

LAYERS: tuple[tuple[str, ...], ...] = (  # from the bottom up; a name is a folder, or a file beside them
    # words of the whole
    ("errors", "frames", "arkit", "points", "progress", "stages", "quiet", "opencv", "assets", "__init__"),
    ("files",),
    ("avatar", "nets", "raster"),
    ("head",),
    ("skin", "tracker"),
    ("texture",),
    ("model", "viewing"),
    ("provenance",),
    ("pipeline",),
    ("cli_arguments", "commands"),
    ("cli", "worker"),
    ("__main__",),
)
WITHIN = {  # who may know whom among the words
    "assets": {"errors", "progress"},
    "stages": {"progress"},
}

Arrows = dict[str, set[str]]


def name_of(path: Path, root: Path) -> str:
    """tracker/fit.py -> tracker.fit; a package has the name of its folder, and the root is __init__."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def draw(root: Path) -> Arrows:
    """Every file of the core and the files that it imports, at its top or inside a function."""
    files = {name_of(path, root): path for path in root.rglob("*.py")}
    return {name: imported(path, set(files)) - {name} for name, path in files.items()}


def imported(path: Path, known: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: imports are absolute, so that they can be read here"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            if module.partition(".")[0] == "meshlam_core":
                inner = module.partition(".")[2]
                while inner and inner not in known:
                    inner = inner.rpartition(".")[0]
                found.add(inner or "__init__")
    return found


def layer_of(name: str) -> int:
    room = name.partition(".")[0]
    (layer,) = [index for index, rooms in enumerate(LAYERS) if room in rooms]
    return layer


def upward(arrows: Arrows) -> list[str]:
    """The arrows that run upwards, or sideways between rooms of one layer."""
    wrong = []
    for source, targets in arrows.items():
        for target in targets:
            room, other = source.partition(".")[0], target.partition(".")[0]
            if room == other or layer_of(target) < layer_of(source) or other in WITHIN.get(room, ()):
                continue
            wrong.append(f"{source} -> {target}")
    return sorted(wrong)


def test_every_room_of_the_core_has_its_layer() -> None:
    rooms = {name.partition(".")[0] for name in draw(CORE)}
    assert rooms == {room for layer in LAYERS for room in layer}


def test_nothing_lower_imports_from_above() -> None:
    assert upward(draw(CORE)) == []


def test_no_file_stands_in_a_circle_of_imports() -> None:
    TopologicalSorter(draw(CORE)).prepare()


def test_an_arrow_upwards_and_a_circle_are_found_wherever_they_hide(tmp_path: Path) -> None:
    for name, text in {
        "head/io.py": "def load() -> None:\n    from meshlam_core.tracker import fit\n",
        "tracker/fit.py": "if True:\n    import meshlam_core.head.io\n",
        "tracker/__init__.py": "",
        "errors.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    arrows = draw(tmp_path)
    assert arrows["head.io"] == {"tracker.fit"}
    assert upward(arrows) == ["head.io -> tracker.fit"]
    with pytest.raises(CycleError):
        TopologicalSorter(arrows).prepare()
