"""What can be chosen for an export, and the presets of the programs that heads go to. Knows no Blender."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

SUFFIXES = (".glb", ".fbx", ".usdc", ".usda", ".usdz", ".obj", ".stl", ".ply")
PRINT_SUFFIXES = (".obj", ".stl")  # closed solids without rig, keys and textures
GAUSSIANS = ".ply"  # without rig and keys; the backend makes it
STILL_SUFFIXES = (*PRINT_SUFFIXES, GAUSSIANS)
LEVELS = (1.0, 0.5, 0.25)  # of the triangles, level of detail 0, 1, 2
RIG_NAME = "Armature"  # Unreal takes a node of this name for no bone of its own, so every head has the same root
_NOT_SIDES = frozenset({"jawLeft", "jawRight", "mouthLeft", "mouthRight"})  # directions, not halves of a pair
# MetaHuman's controls where they mean the same under another name; others keep theirs behind the prefix
_METAHUMAN = {
    "browInnerUp": "browRaiseIn",
    "browOuterUp": "browRaiseOuter",
    "cheekPuff": "mouthCheekBlow",
    "cheekSquint": "eyeCheekRaise",
    "eyeSquint": "eyeSquintInner",
    "eyeWide": "eyeWiden",
    "jawForward": "jawFwd",
    "mouthFrown": "mouthCornerDepress",
    "mouthLowerDown": "mouthLowerLipDepress",
    "mouthSmile": "mouthCornerPull",
    "mouthUpperUp": "mouthUpperLipRaise",
    "noseSneer": "noseWrinkle",
}
_ILLEGAL = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
_ENDINGS = (*SUFFIXES, ".gltf", ".usd", ".blend")


@dataclass(frozen=True)
class ExportOptions:
    """What goes into the file."""

    bones: bool = True  # False: morphs only
    pascal_case: bool = False  # JawOpen instead of jawOpen; the same as names="pascal"
    names: str = "arkit"  # arkit, pascal, meta, metahuman: how the keys are spelt
    hair: str = "hull"  # hull; bald; switch: a morph "bald" takes it away
    expressions: str = ""  # "vrm": VRM's expressions beside the 52
    accessories: bool = True  # what is parented to the rig goes with it
    modifiers: bool = False  # the head's own are applied, expression by expression; what it wears has them applied
    levels: int = 1  # files, each with fewer triangles
    texture_size: int = 0  # px, at most; 0: as it is
    single_sided: bool = False
    animation: bool = False  # the scene's frame range; formats for printing have none
    gaussians: int = 40_000  # in a .ply
    consent: str = ""  # what the person shown has agreed to
    non_commercial: bool = False  # whoever exports knows that parts forbid commercial use; written into the file

    @property
    def spelling(self) -> str:
        return "pascal" if self.pascal_case else self.names


@dataclass(frozen=True)
class Preset:
    """Choices for one program."""

    title: str
    hint: str
    suffix: str
    options: ExportOptions


_GAME = ExportOptions(single_sided=True)
PRESETS: dict[str, Preset] = {
    "WEB": Preset("glTF, three.js", "Skeleton and the 52 morphs by Apple's names", ".glb", ExportOptions()),
    "GODOT": Preset("Godot", "glTF, single-sided", ".glb", _GAME),
    "UNITY": Preset("Unity", "FBX, Live Link's spelling", ".fbx", replace(_GAME, names="pascal")),
    "UNREAL": Preset("Unreal", "FBX, one skeleton for all heads", ".fbx", replace(_GAME, names="pascal")),
    "METAHUMAN": Preset("MetaHuman", "FBX, MetaHuman's control names", ".fbx", replace(_GAME, names="metahuman")),
    "META": Preset("Meta", "Morphs only, names with _L and _R", ".glb", replace(_GAME, bones=False, names="meta")),
    "VRM": Preset("VRM 1.0", "glTF with VRM's expressions beside the 52", ".glb", ExportOptions(expressions="vrm")),
    "USD": Preset("Houdini, Omniverse", "USD with the texture in a folder beside it", ".usdc", ExportOptions()),
    "APPLE": Preset("Apple", "USDZ, everything in one file", ".usdz", ExportOptions()),
    "SPLATS": Preset(
        "Gaussian Splatting", "PLY of Gaussians bound to the triangles", GAUSSIANS, ExportOptions(bones=False)
    ),
    "PRINT": Preset("3D Print", "A closed solid in millimetres", ".stl", ExportOptions(bones=False, accessories=False)),
}


def spelt(name: str, spelling: str) -> str:
    """A key's name as another program writes it: jawOpen, JawOpen, eyeBlink_L, CTRL_expressions_eyeBlinkL."""
    if spelling == "pascal":
        return name[:1].upper() + name[1:]
    if spelling not in ("meta", "metahuman"):
        return name
    stem, letter = name, ""
    for side in ("Left", "Right"):
        if name.endswith(side) and name not in _NOT_SIDES:
            stem, letter = name.removesuffix(side), side[0]
    if spelling == "metahuman":
        return f"CTRL_expressions_{_METAHUMAN.get(stem, stem)}{letter}"
    return f"{stem}_{letter}" if letter else stem


def with_strands(options: ExportOptions, suffix: str) -> bool:
    """Whether strands of hair go into such a file: not with the hair off, nor where one solid is printed."""
    return options.hair != "bald" and suffix not in PRINT_SUFFIXES


def target_path(typed: str | Path, suffix: str) -> Path:
    """The file to write for what was typed: `head.v2` and `head.v2.fbx` become `head.v2.glb` for .glb."""
    path = Path(typed)
    name = path.name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return path.with_name((name or "head") + suffix)


def file_stem(name: str) -> str:
    """A head's name as a file name: only what file systems forbid is replaced, spaces and dots stay."""
    return _ILLEGAL.sub("_", name).strip(" .") or "head"


def level_path(path: Path, level: int) -> Path:
    """Where a level of detail goes: Ada.glb, Ada_LOD1.glb, Ada_LOD2.glb."""
    return path if level == 0 else path.with_name(f"{path.stem}_LOD{level}{path.suffix}")
