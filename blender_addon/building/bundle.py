"""Builds an offline bundle: everything that Install Backend would download, in one archive.

    python -m blender_addon.building.bundle --out dist [--target linux-x86_64-cp311-cpu] [--wheels FOLDER]

The target is that of this Python on this computer, unless named: bundles for other systems are built just as well.
The wheels are the ones that backend/requirements.json names, by their hashes; the models lie in the data folder
(`make assets`). FOLDER may hold wheels from before; what is missing there is downloaded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from blender_addon.backend.bundle import FORMAT
from blender_addon.backend.layout import BackendError, key
from blender_addon.backend.requirements import TABLE, Wheel, sha256_of
from blender_addon.building.extension import ROOT, version


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m blender_addon.building.bundle", description="Build a bundle.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER", help="where the archive goes")
    parser.add_argument("--target", metavar="TARGET", help="default: this computer, without a graphics card")
    parser.add_argument("--wheels", type=Path, default=ROOT / "build" / "wheels", metavar="FOLDER")
    parser.add_argument("--meshlam", default=sys.executable, metavar="PYTHON", help="a Python with meshlam and pip")
    options = parser.parse_args(arguments)
    content = json.loads(TABLE.read_text(encoding="utf-8"))
    system, python = key().split("-", 1)[1], key().split("-", 1)[0]
    target = options.target or f"{system}-{python}-{'apple' if system.startswith('macos') else 'cpu'}"
    if target not in content["targets"]:
        print(f"Expected one of {', '.join(content['targets'])}, got {target}.", file=sys.stderr)
        return 2
    wheels = [Wheel(file=name, **content["files"][name]) for name in content["targets"][target]]
    options.wheels.mkdir(parents=True, exist_ok=True)
    try:
        for wheel in wheels:
            _bring(wheel, options.wheels, target, options.meshlam)
    except BackendError as error:
        print(error, file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"meshlam-backend-{version()}-{target}.zip"
    part = path.with_suffix(".part")
    # the wheels are compressed already
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        head = {"format": FORMAT, "target": target, "version": version(), "wheels": [wheel.file for wheel in wheels]}
        archive.writestr("bundle.json", json.dumps(head, indent=1))
        for wheel in wheels:
            archive.write(options.wheels / wheel.file, f"wheels/{wheel.file}")
        for name, file in _assets(options.meshlam):
            archive.write(file, f"assets/{name}")
    part.replace(path)
    print(f"{path} ({path.stat().st_size / 1e6:.0f} MB)")
    return 0


def _bring(wheel: Wheel, folder: Path, target: str, python: str) -> None:
    """Have a wheel in `folder`: it is there, or pip brings it, or its maker's address does."""
    path = folder / wheel.file
    if path.is_file() and sha256_of(path) == wheel.sha256:
        return
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        listing = Path(scratch) / "requirements.txt"
        command = [python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"]
        command += [*_of_kind(wheel, target), "--dest", scratch, "-r", str(listing)]
        log = ""
        for line in (wheel.line, wheel.line_with_url):
            listing.write_text(line + "\n", encoding="utf-8")
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                shutil.move(next(Path(scratch).glob("*.whl")), path)
                return
            log = done.stderr.strip()[-300:]
            if not wheel.url:
                break
    raise BackendError(f"{wheel.file} could not be had: {log}")


def _of_kind(wheel: Wheel, target: str) -> list[str]:
    """Options that let pip take a wheel for another computer than this one: its own tags."""
    abi, platforms = wheel.file.removesuffix(".whl").rsplit("-", 2)[1:]
    if platforms == "any":
        return []
    python = target.split("-")[2].removeprefix("cp3")
    options = ["--python-version", f"3.{python}", "--implementation", "cp", "--abi", abi]
    return options + [word for platform in platforms.split(".") for word in ("--platform", platform)]


def _assets(python: str) -> Iterator[tuple[str, Path]]:
    """The models that are needed to reconstruct, by their path in the data folder's assets."""
    command = [python, "-m", "meshlam_core", "assets", "fetch", "runtime", "--json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    root = Path(listed["home"]) / "assets"
    for asset in listed["assets"]:
        path = Path(asset["path"])
        yield path.relative_to(root).as_posix(), path


if __name__ == "__main__":
    sys.exit(main())
