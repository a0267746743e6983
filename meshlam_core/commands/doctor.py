"""`meshlam doctor`: check that everything the program needs is there, and say what to do where it is not."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from meshlam_core import __version__, assets
from meshlam_core.errors import AssetError
from meshlam_core.head.model import OPEN_HEAD
from meshlam_core.model import files
from meshlam_core.progress import Progress

PACKAGES = (
    "numpy",
    "pillow",
    "torch",
    "warp-lang",
    "ai-edge-litert",
    "av",
    "safetensors",
    "platformdirs",
    "opencv-python-headless",
    "scipy",
)
ROOM = 500  # MB that should be free in the data folder


@dataclass(frozen=True)
class Check:
    """One finding. `state` is ok, warning (works with limits) or error (reconstruction cannot work)."""

    name: str
    state: str
    found: str
    advice: str = ""


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Run every check; exit code 0 if the program is usable."""
    steps: list[tuple[str, Callable[[], list[Check]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("device", _device),
        ("rasteriser", _rasteriser),
        ("data folder", _home),
        ("assets", _assets),
        ("network", _network),
    ]
    if arguments.self_test:
        steps.append(("self-test", _self_test))
    checks: list[Check] = []
    for index, (name, step) in enumerate(steps):
        progress("checking", index / len(steps), name)
        try:
            checks += step()
        except Exception as error:  # a broken package may raise anything; finding that is what this is for
            advice = "Reinstall the package: `pip install --force-reinstall meshlam`."
            checks.append(Check(name, "error", f"{type(error).__name__}: {error}", advice))
    broken = [check for check in checks if check.state == "error"]
    only_assets = bool(broken) and all(check.name.startswith("asset ") for check in broken)
    return {
        "version": __version__,
        "usable": not broken,
        "checks": [asdict(check) for check in checks],
        "exit_code": AssetError.exit_code if only_assets else int(bool(broken)),
    }


def _python() -> list[Check]:
    good = sys.version_info >= (3, 11)
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [Check("python", "ok" if good else "error", found, "" if good else "Python 3.11 or later is needed.")]


def _packages() -> list[Check]:
    checks = []
    for name in PACKAGES:
        try:
            checks.append(Check(f"package {name}", "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(f"package {name}", "error", "missing", f"Run `pip install {name}`."))
    return checks


def _device() -> list[Check]:
    import torch

    if not torch.cuda.is_available():
        return [Check("device", "ok", f"cpu, {torch.get_num_threads()} threads")]
    free, total = torch.cuda.mem_get_info()
    return [Check("device", "ok", f"{torch.cuda.get_device_name()}, {free >> 20} of {total >> 20} MB free")]


def _rasteriser() -> list[Check]:
    """Draw one triangle: this loads warp and, the first time, compiles its kernels."""
    import torch

    from meshlam_core.raster.backends import get_rasteriser

    start = time.perf_counter()
    corners = torch.tensor([[[0.0, 0, 1], [8, 0, 1], [0, 8, 1]]])
    rasteriser = get_rasteriser()
    hit = rasteriser.rasterise(corners, torch.tensor([[0, 1, 2]]), (8, 8)).mask
    if not bool(hit[0, 1, 1]) or bool(hit[0, 7, 7]):
        return [
            Check("rasteriser", "error", "draws a triangle wrongly", "Please report this with `meshlam doctor --json`.")
        ]
    found = f"{type(rasteriser).__name__}, ready in {time.perf_counter() - start:.1f} s"
    return [Check("rasteriser", "ok", found)]


def _home() -> list[Check]:
    folder = assets.home()
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        advice = "Set MESHLAM_HOME to a folder that can be written."
        return [Check("data folder", "error", f"{folder} cannot be written: {error.strerror}", advice)]
    free = shutil.disk_usage(existing).free >> 20
    state, advice = ("ok", "") if free >= ROOM else ("warning", f"Free at least {ROOM} MB there.")
    return [Check("data folder", state, f"{folder}, {free} MB free", advice)]


def _assets() -> list[Check]:
    checks = []
    for found in assets.verify(assets.asset_names()):
        good = found.state == "ok"
        advice = "" if good else "Run `meshlam assets fetch`."
        checks.append(Check(f"asset {found.asset.name}", "ok" if good else "error", found.state, advice))
    there = OPEN_HEAD.is_file()
    advice = "" if there else "Reinstall meshlam, or build it: python -m meshlam_core.head.build_open_head"
    return [*checks, Check("head model", "ok" if there else "error", "open_head.npz" if there else "missing", advice)]


def _network() -> list[Check]:
    """Weights are optional: without them heads are the tracker's."""
    found = []
    for name in ("small", "paper", files.RENDERER):
        path = files.bundled_weights(name)
        found.append(Check(f"weights {name}", "ok", str(path) if path else f"none (looked in {files.data_folder()})"))
    return found


def _self_test() -> list[Check]:
    """Open what a reconstruction opens: models, network, kernels; then draw the head model's neutral head."""
    import torch

    from meshlam_core.commands.sessions import Sessions
    from meshlam_core.frames import Camera
    from meshlam_core.head.io import load_head
    from meshlam_core.pipeline import ReconstructOptions
    from meshlam_core.raster.backends import get_rasteriser
    from meshlam_core.raster.project import project

    Sessions().get(ReconstructOptions()).warm_up(ReconstructOptions())
    start = time.perf_counter()
    head = load_head(None)
    vertices = torch.tensor(head.template)[None] - torch.tensor([0.0, 0.1, 1.0])
    points = project(vertices, Camera(500.0, (128.0, 128.0), (256, 256)))
    cover = get_rasteriser().rasterise(points, torch.tensor(head.faces), (256, 256)).mask.float().mean().item()
    seconds = time.perf_counter() - start
    if not 0.05 < cover < 0.9:
        return [Check("self-test", "error", f"the head covers {cover:.0%} of the picture", "Please report this.")]
    return [Check("self-test", "ok", f"head of {len(head.template)} vertices drawn in {seconds:.2f} s")]


def show(result: dict[str, Any]) -> str:
    """A table."""
    signs = {"ok": "ok   ", "warning": "note ", "error": "ERROR"}
    lines = [f"meshlam {result['version']}"]
    for check in result["checks"]:
        lines.append(f"  {signs[check['state']]} {check['name']:<28} {check['found']}")
        if check["advice"]:
            lines.append(f"        {check['advice']}")
    lines.append("Everything needed is there." if result["usable"] else "Not usable yet: see the errors above.")
    return "\n".join(lines)
