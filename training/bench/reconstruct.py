"""Speed and memory of a reconstruction: warm, by stage, and the first result of a cold command.

Twice: the tracker alone, and with the network of preset `small`, whose cost does not depend on its weights.

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
from meshlam_core.avatar.io import write_avatar
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
import time
options = ReconstructOptions(weights=sys.argv[4])
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


def untrained(folder: Path) -> Path:
    """Weights of preset `small` before training."""
    from meshlam_core.head.io import load_head
    from meshlam_core.model.config import preset
    from meshlam_core.model.network import MeshLAM
    from meshlam_core.model.weights import save_weights

    path = folder / "untrained.safetensors"
    save_weights(MeshLAM(preset("small")), preset("small"), load_head(), path, "CC0-1.0")
    return path


def measure(photo: Path, out: Path, weights: str, runs: int) -> list[str]:
    """The rows of a table."""
    cold = []
    for _ in range(3):
        start = time.perf_counter()
        command = [sys.executable, "-m", "meshlam_core", "reconstruct", str(photo), "-o", str(out), "--json"]
        quiet = subprocess.DEVNULL
        subprocess.run([*command, "--weights", weights], check=True, stdout=quiet, stderr=quiet)
        cold.append(time.perf_counter() - start)
    command = [sys.executable, "-c", WARM, str(photo), str(out), str(runs), weights]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    warm = json.loads(printed.splitlines()[-1])
    network = weights != "none"
    wanted = {"total": "at most 2000 ms" if network else "at most 1000 ms", "refine": "at most 1000 ms"}
    rows = ["| what | median | smallest | wanted |", "|---|---|---|---|"]
    for stage in warm["rows"][0]:
        times = [1000 * row[stage] for row in warm["rows"]]
        rows.append(
            f"| warm, {stage} | {statistics.median(times):.0f} ms | {min(times):.0f} ms | {wanted.get(stage, '')} |"
        )
    rows.append(f"| peak memory | {warm['peak']:.0f} MB | | at most {'2000' if network else '1500'} MB |")
    cold_text = f"{statistics.median(cold):.1f} s | {min(cold):.1f} s | {'' if network else 'at most 12 s'}"
    return [*rows, f"| cold command, first result | {cold_text} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photo = arguments.photo or portrait(folder)
        out = folder / "head.meshlam"
        for title, weights in (("The tracker alone:", "none"), ("With the network:", str(untrained(folder)))):
            print(f"{title}\n")
            print("\n".join(measure(photo, out, weights, arguments.runs)) + "\n")


if __name__ == "__main__":
    main()
