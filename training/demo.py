"""`make demo`: one real portrait through the whole path, with pictures to look at.

Writes OUT/NAME.meshlam, OUT/NAME.blend, OUT/NAME.glb and the contact sheet OUT/NAME.png.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from meshlam_core import cli


def nasa_portrait(folder: Path) -> Path:
    """Save the public-domain NASA portrait of Eileen Collins that scikit-image carries; return its path."""
    from PIL import Image
    from skimage import data

    path = folder / "photo" / "demo.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = data.astronaut()  # type: ignore[no-untyped-call]  # scikit-image has no types here
    Image.fromarray(picture).save(path)
    return path


def run(arguments: list[str]) -> None:
    """Run a `meshlam` command in this process; leave with its exit code when it fails."""
    code = cli.main(arguments)
    if code:
        sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, help="a portrait; by default the NASA portrait of scikit-image")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--blender-python", type=Path, help="a Python with bpy; without it no .blend and no .glb")
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    photo = arguments.photo or nasa_portrait(arguments.out)
    avatar = arguments.out / f"{photo.stem}.meshlam"
    run(["reconstruct", str(photo), "-o", str(avatar)])
    sheet = avatar.with_suffix(".png")
    if sheet.resolve() == photo.resolve():
        sheet = sheet.with_stem(f"{photo.stem}-sheet")
    run(["sheet", str(avatar), "-o", str(sheet)])
    if arguments.blender_python:
        for suffix in (".blend", ".glb"):
            target = avatar.with_suffix(suffix)
            command = [str(arguments.blender_python), "-m", "blender_addon", str(avatar), "-o", str(target)]
            subprocess.run(command, check=True)
            print(f"{suffix[1:]}: {target}")


if __name__ == "__main__":
    main()
