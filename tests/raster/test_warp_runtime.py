"""Loading warp: late, quietly, and once for all processes."""

from __future__ import annotations

import os
import subprocess
import sys


def run(code: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)


def test_importing_the_package_does_not_import_warp():
    done = run(
        "import sys\n"
        "import meshlam_core.raster.unwrap, meshlam_core.raster.warp_backend\n"
        "from meshlam_core.raster.backends import get_rasteriser\n"
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


def test_without_a_place_for_its_cache_it_compiles_into_a_private_folder_and_removes_it(tmp_path):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "WARP_CACHE_PATH": str(blocked), "TMPDIR": str(temporary)}
    done = run("from meshlam_core.raster.warp_backend import warm_up\nwarm_up()\nprint('drawn')", environment)
    assert done.stdout == "drawn\n", done.stderr
    assert not list(temporary.iterdir())
