"""python -m blender_addon AVATAR -o OUT.blend|.glb|.fbx|.usdc|.stl: the add-on's scene builder without a window.

Needs the bpy module. Exit codes: 0 done, 2 wrong usage, 3 the avatar cannot be used, 1 anything else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .avatar_reader import AvatarFileError, read_avatar
from .exporting.options import LEVELS, PRESETS
from .exporting.options import SUFFIXES as EXPORTED

SUFFIXES = (".blend", *EXPORTED)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m blender_addon", description="Turn an avatar file into a scene.")
    parser.add_argument("avatar", type=Path, metavar="AVATAR", help="a .meshlam file")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help=f"a {', '.join(SUFFIXES)} file")
    parser.add_argument("--name", default="", help="name of the head (default: the file's name)")
    parser.add_argument("--morphs-only", action="store_true", help="leave the skeleton out of exported files")
    parser.add_argument("--pascal-case", action="store_true", help="export JawOpen instead of jawOpen")
    presets = [name.lower() for name in PRESETS]
    parser.add_argument("--for", dest="preset", choices=presets, help="what the exported file is for")
    parser.add_argument(
        "--hair", choices=("hull", "bald", "switch"), default="hull", help="keep the hair, or leave it off"
    )
    parser.add_argument("--levels", type=int, choices=range(1, len(LEVELS) + 1), default=1, help="levels of detail")
    parser.add_argument("--consent", default="", help="what the person shown has agreed to; written into the file")
    parser.add_argument(
        "--non-commercial", action="store_true", help="write into the file that it is for such use only"
    )
    parser.add_argument("--photo-pose", action="store_true", help="save the .blend with the head in its photo's pose")
    parser.add_argument("--verify", action="store_true", help="re-import what was exported and compare")
    options = parser.parse_args(arguments)
    if options.out.suffix.lower() not in SUFFIXES:
        parser.error(f"expected an output name ending in {', '.join(SUFFIXES)}, got {options.out.name!r}")
    try:
        avatar = read_avatar(options.avatar)
    except AvatarFileError as error:
        print(error, file=sys.stderr)
        return 3
    out = options.out.resolve()
    if not out.parent.is_dir():
        print(f"The folder {out.parent} does not exist.", file=sys.stderr)
        return 2
    try:
        from . import headless
    except ModuleNotFoundError as error:
        if error.name != "bpy":
            raise
        print("Expected the bpy module (pip install bpy), or Blender itself.", file=sys.stderr)
        return 1
    try:
        problems = headless.convert(avatar, out, options)
    except (headless.ExportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, ValueError) else 1
    except Exception:
        traceback.print_exc()
        return 1
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _leave(code: int) -> NoReturn:
    """End without tearing Blender down: bpy 4.2 crashes in its own clean-up after a glTF export."""
    bpy = sys.modules.get("bpy")
    if bpy is None:
        sys.exit(code)
    shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
