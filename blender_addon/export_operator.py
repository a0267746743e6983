"""The export button: presets, the checks before, the file, and the check after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .avatar_operators import OnAvatar, draw_text
from .export import ExportError, ExportOptions, export_avatar, verify
from .exporting.options import (
    GAUSSIANS,
    PRESETS,
    PRINT_SUFFIXES,
    STILL_SUFFIXES,
    file_stem,
    level_path,
    target_path,
)
from .exporting.preflight import findings, fix
from .exporting.take import is_animated
from .exporting.writers import available
from .scene.shape_keys import bald_key

_FORMATS = (
    (".glb", "glTF Binary (.glb)", "Web, Godot, three.js, and most other programs"),
    (".fbx", "FBX (.fbx)", "Unreal, Unity, Maya"),
    (".usdc", "USD (.usdc)", "Houdini, Omniverse; the texture goes into a folder beside it"),
    (".usdz", "USD Package (.usdz)", "One file with the texture inside, for Apple's programs"),
    (".stl", "STL (.stl)", "3D printers: a closed solid in millimetres"),
    (".obj", "OBJ (.obj)", "3D printers and sculpting: a closed solid in millimetres"),
    (".ply", "Gaussians (.ply)", "Viewers of Gaussian splats: the neutral head; the backend makes it"),
)
_CUSTOM = ("CUSTOM", "Custom", "Your own choices below")
# Blender needs the texts of a computed enumeration to stay alive, and numbers so that a choice outlives another's going
_FORMAT_ITEMS = [(*item, "NONE", number) for number, item in enumerate(_FORMATS)]
_PRESET_ITEMS = [
    (*item, "NONE", number)
    for number, item in enumerate([_CUSTOM, *((key, preset.title, preset.hint) for key, preset in PRESETS.items())])
]


def _formats(_operator: Any, _context: Any) -> list[tuple[str, str, str, str, int]]:
    """The formats that this Blender can write."""
    return [item for item in _FORMAT_ITEMS if available(item[0])]


def _presets(_operator: Any, _context: Any) -> list[tuple[str, str, str, str, int]]:
    """The programs whose format this Blender can write."""
    return [item for item in _PRESET_ITEMS if item[0] not in PRESETS or available(PRESETS[item[0]].suffix)]


def _use_preset(chosen: Any, _context: Any) -> None:
    preset = PRESETS.get(chosen.preset)
    if preset is None:
        return
    options = preset.options
    chosen.file_format = preset.suffix
    chosen.content = "BONES" if options.bones else "MORPHS"
    chosen.names = options.spelling.upper()
    chosen.expressions = options.expressions == "vrm"
    chosen.accessories = options.accessories
    chosen.single_sided = options.single_sided


class ExportAvatar(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Write the head for a game engine, another program or a 3D printer"""

    bl_idname = "meshlam.export"
    bl_label = "Export Head"
    bl_options = {"PRESET"}
    changes_head = False

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    overwrite: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    filter_glob: bpy.props.StringProperty(  # type: ignore[valid-type]
        default="*.glb;*.fbx;*.usdc;*.usda;*.usdz;*.stl;*.obj;*.ply", options={"HIDDEN"}
    )
    preset: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="For", description="What the file is for", items=_presets, update=_use_preset
    )
    file_format: bpy.props.EnumProperty(name="Format", items=_formats)  # type: ignore[valid-type]
    content: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Content",
        items=[
            (
                "BONES",
                "Bones and Morphs",
                "Skeleton, skinning and morphs; open the mouth by jawOpen or the jaw bone, not both",
            ),
            ("MORPHS", "Morphs Only", "No skeleton; everything, the mouth included, is a morph"),
        ],
    )
    names: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Names",
        items=[
            ("ARKIT", "jawOpen", "Apple's spelling"),
            ("PASCAL", "JawOpen", "As Unreal's and Unity's Live Link write it"),
            ("META", "eyeBlink_L", "Sides as _L and _R"),
            ("METAHUMAN", "CTRL_expressions_eyeBlinkL", "MetaHuman's controls"),
        ],
    )
    hair: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Hair",
        items=[
            ("HULL", "With Hair", "The hair's hull as it is"),
            ("BALD", "Without Hair", "The bald head, for a groom of your own"),
            ("SWITCH", "As a Morph", "With hair, and a morph `bald` that takes it away"),
        ],
    )
    expressions: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="VRM Expressions",
        description="VRM 1.0's expressions (happy, aa, blink, ...) as further morphs",
        default=False,
    )
    accessories: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="What It Wears", description="Hat, glasses, clothes: meshes parented to the rig go with it", default=True
    )
    levels: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Levels of Detail",
        description="Files with half and a quarter of the triangles beside it",
        default=1,
        min=1,
        max=3,
    )
    texture_size: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Texture",
        description="Largest width and height of the textures in pixels",
        items=[("0", "As It Is", ""), ("512", "512", ""), ("1024", "1024", ""), ("2048", "2048", "")],
    )
    single_sided: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Single-Sided", description="Faces are drawn from outside only, which is faster", default=False
    )
    gaussians: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Gaussians", description="How many of them", default=40_000, min=1000, max=200_000, soft_max=100_000
    )
    modifiers: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Apply to Every Expression",
        description="Work the head's modifiers out for each expression, so that they go into the file; "
        "this takes some seconds",
        default=False,
    )
    non_commercial: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="For Non-Commercial Use Only",
        description="You know it and keep to it; the file says so, too",
        options={"SKIP_SAVE"},
    )
    animation: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Animation", description="The movement in the scene's frame range", options={"SKIP_SAVE"}
    )
    consent: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Consent", description="What the person shown has agreed to; written into the file"
    )
    reimport: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Check the File",
        description="Open the written file in a second Blender and compare names, places, pictures, counts and weights "
        "(of Gaussians: count, place and binding)",
        default=False,
    )

    browsed = False  # the path comes from the file browser, which does not ask before files are overwritten

    def invoke(self, context: Any, event: Any) -> set[str]:
        if self.overwrite:
            asked: set[str] = context.window_manager.invoke_confirm(
                self, event, title="Overwrite?", message=self._there(), confirm_text="Overwrite", icon="WARNING"
            )
            return asked
        self.browsed = True
        folder = Path(self.filepath).parent if self.filepath else Path(bpy.data.filepath).parent
        self.animation = is_animated(self.avatar(context))
        self.filepath = str(target_path(folder / file_stem(self.avatar(context).head.name), self.file_format))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, _context: Any) -> bool:
        """The name in the file browser follows the chosen format."""
        wanted = str(target_path(self.filepath, self.file_format))
        changed = bool(wanted != self.filepath)
        self.filepath = wanted
        return changed

    def draw(self, context: Any) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "preset")
        column.prop(self, "file_format")
        if self.file_format == GAUSSIANS:
            column.prop(self, "gaussians")
            column.prop(self, "texture_size")
        elif self.file_format not in PRINT_SUFFIXES:
            for name in ("content", "names", "expressions", "animation", "levels", "texture_size", "single_sided"):
                column.prop(self, name)
        column.prop(self, "accessories")
        if bald_key(self.avatar(context).head) is not None:
            column.prop(self, "hair")
        column.prop(self, "consent")
        column.prop(self, "reimport")
        for finding in findings(self.avatar(context)):
            box = self.layout.box()
            draw_text(box, context, finding.sentence, "INFO")
            if finding.fix:
                box.operator("meshlam.fix_before_export", text=finding.fix_label).what = finding.fix
            if finding.choice:
                box.prop(self, finding.choice)

    def execute(self, context: Any) -> set[str]:
        if self.browsed and self._there():
            return self._ask()
        path = self._path()
        try:
            wanted = export_avatar(self.avatar(context), path, self._options())
        except ExportError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        problems = verify(path, wanted) if self.reimport else []
        for sentence in (*problems, *self._unanswered(context)):
            self.report({"WARNING"}, sentence)
        if not problems:
            levels = "".join(f", LOD{index + 1} within {loss:.1f} mm" for index, loss in enumerate(wanted.losses))
            self.report({"INFO"}, f"Wrote {path.name}{levels}{', checked' if self.reimport else ''}")
        return {"FINISHED"}

    def _unanswered(self, context: Any) -> list[str]:
        """What was found before, neither put right by a button nor by a choice."""
        found = findings(self.avatar(context))
        return [item.sentence for item in found if not item.fix and not (item.choice and getattr(self, item.choice))]

    def _path(self) -> Path:
        return target_path(bpy.path.abspath(self.filepath), self.file_format)

    def _there(self) -> str:
        """What would be overwritten, in a sentence; nothing where nothing would."""
        levels = 1 if self.file_format in STILL_SUFFIXES else self.levels
        names = [part.name for level in range(levels) if (part := level_path(self._path(), level)).exists()]
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} there already." if names else ""

    def _ask(self) -> set[str]:
        """The same export, once the artist has agreed."""
        chosen = {name: value for name, value in self.as_keywords().items() if name != "overwrite"}
        bpy.ops.meshlam.export("INVOKE_DEFAULT", **chosen, overwrite=True)
        return {"CANCELLED"}

    def _options(self) -> ExportOptions:
        return ExportOptions(
            bones=self.content == "BONES",
            names=self.names.lower(),
            hair=self.hair.lower(),
            expressions="vrm" if self.expressions else "",
            accessories=self.accessories,
            levels=self.levels,
            texture_size=int(self.texture_size),
            single_sided=self.single_sided,
            gaussians=self.gaussians,
            animation=self.animation,
            modifiers=self.modifiers,
            consent=self.consent,
            non_commercial=self.non_commercial,
        )


class FixBeforeExport(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Put this right"""

    bl_idname = "meshlam.fix_before_export"
    bl_label = "Fix"
    bl_options = {"INTERNAL", "UNDO"}

    what: bpy.props.StringProperty()  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        fix(self.avatar(context), self.what)
        return {"FINISHED"}


CLASSES = (ExportAvatar, FixBeforeExport)
