"""Builds a static extension repository: put the folder onto any web server, and Blender updates the add-on from it.

    python -m blender_addon.building.repository --out dist/repository ZIP...

Blender's own tool writes the index with sizes and hashes, and a page for people. In Blender: Preferences > Get
Extensions > Repositories > Add Remote Repository, with the address of index.json.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from blender_addon.building.extension import ROOT, tools


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m blender_addon.building.repository", description="Build a repository."
    )
    parser.add_argument("zips", type=Path, nargs="+", metavar="ZIP", help="versions of the add-on")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "repository", metavar="FOLDER")
    parser.add_argument("--blender-ext", type=Path, metavar="FILE", help="Blender's blender_ext.py")
    options = parser.parse_args(arguments)
    tool = options.blender_ext or next(tools(), None)
    if tool is None or not tool.is_file():
        print("Expected Blender's blender_ext.py in a bpy package, or by --blender-ext.", file=sys.stderr)
        return 4
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.zips:
        shutil.copy2(path, options.out / path.name)
    command = [sys.executable, str(tool), "server-generate", "--repo-dir", str(options.out.resolve()), "--html"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode:
        print(run.stdout + run.stderr, file=sys.stderr)
        return 1
    print(f"{options.out}: {', '.join(sorted(path.name for path in options.out.iterdir()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
