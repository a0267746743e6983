"""Builds and validates the extension's zip with Blender's own tool.

    python -m blender_addon.building.extension --out dist

The zip is all that an artist needs: it carries the wheels of meshlam and pip, from which Install Backend goes on.
Blender's tool is part of every Blender and of the bpy package. It is looked for in --blender-ext, in this Python's bpy,
and in the .venv-bpy-* environments beside this project.
Exit codes: 0 done, 2 wrong usage, 4 the tool was not found, 1 it refused the package.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from blender_addon.building import own_wheels

ROOT = Path(__file__).resolve().parents[2]
_TOOL = "*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
_PACKAGES = ("lib/python*/site-packages", "Lib/site-packages")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m blender_addon.building.extension", description="Build the add-on.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER", help="where the zip goes")
    parser.add_argument("--blender-ext", type=Path, metavar="FILE", help="Blender's blender_ext.py")
    parser.add_argument(
        "--python", default=sys.executable, metavar="FILE", help="a Python with pip (default: this one)"
    )
    parser.add_argument(
        "--website", type=_address, metavar="URL", help="the page that Blender's list of add-ons links to"
    )
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="wheels of meshlam and pip made before")
    options = parser.parse_args(arguments)
    tool = options.blender_ext or next(tools(), None)
    if tool is None or not tool.is_file():
        print(
            "Expected Blender's blender_ext.py in a bpy package; install bpy or name it by --blender-ext.",
            file=sys.stderr,
        )
        return 4
    zip_path = options.out.resolve() / f"meshlam-{version()}.zip"
    with tempfile.TemporaryDirectory() as room:  # one of its own: several builds may run at a time
        staging = stage(Path(room) / "extension")
        if options.website:
            _name_website(staging / "blender_manifest.toml", options.website)
        wheels = staging / "backend" / "wheels"
        if options.wheels is not None:
            shutil.copytree(options.wheels, wheels)
        else:
            own_wheels.gather(wheels, options.python)
        zip_path.parent.mkdir(parents=True, exist_ok=True)
        zip_path.unlink(missing_ok=True)
        build = ["build", "--source-dir", str(staging), "--output-filepath", str(zip_path)]
        for command in (build, ["validate", str(zip_path)]):
            run = subprocess.run([sys.executable, str(tool), *command], check=False, capture_output=True, text=True)
            if run.returncode:
                print(run.stdout + run.stderr, file=sys.stderr)
                return 1
    print(f"{zip_path} ({zip_path.stat().st_size / 1024:.0f} KiB), validated by {tool.parents[4].name}")
    return 0


def version() -> str:
    """The extension's version, as the manifest states it."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    return str(manifest["version"])


def stage(folder: Path) -> Path:
    """Lay the package out as Blender wants it: the manifest and the add-on's files at the top."""
    if folder.exists():
        shutil.rmtree(folder)
    addon = ROOT / "blender_addon"
    for source in sorted([*addon.rglob("*.py"), *addon.rglob("*.json")]):
        if addon / "building" not in source.parents:
            target = folder / source.relative_to(addon)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for name in ("blender_manifest.toml", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)
    return folder


def _address(text: str) -> str:
    """A website's address: Blender's own check lets any text pass, and its link then leads nowhere."""
    if not re.fullmatch(r"https?://[^\s\"\\/]+\.[^\s\"\\]+", text):
        raise argparse.ArgumentTypeError(f"Expected an address like https://example.org/meshlam, got {text}")
    return text


def _name_website(manifest: Path, website: str) -> None:
    """This project has no page of its own: who publishes the add-on names theirs."""
    text = manifest.read_text(encoding="utf-8")
    before, marker, after = text.partition("maintainer = ")
    manifest.write_text(f'{before}website = "{website}"\n{marker}{after}', encoding="utf-8")


def tools() -> Iterator[Path]:
    """Every blender_ext.py that can be found, the newest Blender of a place first."""
    spec = importlib.util.find_spec("bpy")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob(_TOOL), reverse=True)
    for packages in _PACKAGES:
        yield from sorted(ROOT.glob(f".venv-bpy-*/{packages}/bpy/{_TOOL}"), reverse=True)


if __name__ == "__main__":
    sys.exit(main())
