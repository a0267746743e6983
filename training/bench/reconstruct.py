"""Speed and memory of a reconstruction: warm, by stage, and the first result of a cold command.

    python -m training.bench.reconstruct [--photo PATH] [--runs N]

The default photo is the NASA portrait that scikit-image carries, enlarged to 1024 pixels.
Peak memory is that of a process of its own that reconstructs the photo several times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from training.demo import nasa_portrait

WARM = """
import json, resource, sys
from pathlib import Path
from meshlam_core.avatar_io import write_avatar
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
import time
options = ReconstructOptions()
session = Session.open(options)
rows = []
for _ in range(int(sys.argv[3]) + 2):
    start = time.perf_counter()
    made = reconstruct(Path(sys.argv[1]), options, session)
    saving = time.perf_counter()
    write_avatar(made.avatar, Path(sys.argv[2]))
    end = time.perf_counter()
    rows.append(made.report["timings"] | {"saving": end - saving, "total": end - start})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": rows[2:], "peak": peak}))
"""


def portrait(folder: Path) -> Path:
    """The NASA portrait, 1024 x 1024."""
    path = folder / "portrait.png"
    Image.open(nasa_portrait(folder)).resize((1024, 1024), Image.Resampling.LANCZOS).save(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photo = arguments.photo or portrait(folder)
        out = folder / "head.meshlam"
        cold = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "meshlam_core", "reconstruct", str(photo), "-o", str(out), "--json"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            cold.append(time.perf_counter() - start)
        command = [sys.executable, "-c", WARM, str(photo), str(out), str(arguments.runs)]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        warm = json.loads(printed.splitlines()[-1])

    print("| what | measured | wanted |\n|---|---|---|")
    for stage in warm["rows"][0]:
        seconds = statistics.median(row[stage] for row in warm["rows"])
        print(f"| warm, {stage} | {seconds * 1000:.0f} ms | {'at most 1000 ms' if stage == 'total' else ''} |")
    print(f"| peak memory | {warm['peak']:.0f} MB | at most 1500 MB |")
    print(f"| cold command, first result | {statistics.median(cold):.1f} s | at most 12 s |")


if __name__ == "__main__":
    main()
