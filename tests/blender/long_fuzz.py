"""Random clicks for hours: one seed after the other, each in a Blender of its own; prints what each came to.

python long_fuzz.py --hours 6 [--seed 1] [--steps 400]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

TEST = Path(__file__).with_name("test_fuzz.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--steps", type=int, default=400, help="random calls a seed")
    given = parser.parse_args()
    end, seed, failed = time.monotonic() + 3600 * given.hours, given.seed, 0
    while time.monotonic() < end:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--show-capture=no", str(TEST)]
        chosen = {"MESHLAM_FUZZ_SEED": str(seed), "MESHLAM_FUZZ_STEPS": str(given.steps)}
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | chosen)
        print(f"seed {seed}, {given.steps} steps: {'passed' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode != 0:
            failed += 1
            print(f"{done.stdout}\n{done.stderr}\ncode {done.returncode}", flush=True)
        seed += 1
    print(f"{seed - given.seed} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
