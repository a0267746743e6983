"""A layout for panels to draw on that is as strict as this Blender's own."""

from __future__ import annotations

from types import SimpleNamespace

import bpy

FUNCTIONS = bpy.types.UILayout.bl_rna.functions
ICONS = set(FUNCTIONS["prop"].parameters["icon"].enum_items.keys())
NESTING = {"row", "column", "box", "split", "column_flow", "grid_flow"}


class StandInLayout:
    """Accepts what UILayout accepts in this Blender, and writes down the texts."""

    def __init__(self, seen: list[str]) -> None:
        object.__setattr__(self, "seen", seen)

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def __getattr__(self, name):
        parameters = FUNCTIONS[name].parameters.keys()

        def call(*arguments, **options):
            assert set(options) <= set(parameters), (name, options)
            assert options.get("icon", "NONE") in ICONS
            if name == "operator":
                module, operator = arguments[0].split(".")
                assert operator in dir(getattr(bpy.ops, module)), arguments[0]
            if name == "prop":
                owner = arguments[0]
                assert arguments[1] in (owner.known if hasattr(owner, "known") else owner.bl_rna.properties)
            if name == "panel":
                return StandInLayout(self.seen), StandInLayout(self.seen)
            self.seen.append(" ".join(str(item) for item in (name, *arguments[:1], options.get("text", ""))))
            return StandInLayout(self.seen) if name in NESTING else SimpleNamespace()

        return call
