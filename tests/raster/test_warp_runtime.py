"""Loading warp: late, quietly, and once for all processes."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_importing_the_package_does_not_import_warp():
    done = run(
        "import sys\n"
        "import meshlam_core.raster.unwrap, meshlam_core.raster.warp_backend\n"
        "from meshlam_core.raster.interface import get_rasteriser\n"
        "get_rasteriser('auto')\n"
        "assert 'warp' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr


def test_drawing_prints_nothing_so_that_json_on_stdout_stays_json():
    done = run(
        "from meshlam_core.raster.warp_backend import warm_up\nwarm_up()\nimport sys\nprint('heard', file=sys.stderr)"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == "heard\n"  # and stderr works again afterwards
