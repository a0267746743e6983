"""The paper's ablation under one equal, small budget: what each component is worth to the geometry.

Run: python -m training ablate --steps 600 --seeds 2 --backbone mobilenet_v2.safetensors --data SHARDS
                               --held-out SHARDS --out RUNS

Every row is preset `small` trained from the same start for as many steps on the same samples, which no busy machine
can change; the spread is that of the seeds. Measured are the errors on held-out samples, along the rays
(training/geometry/curve.py). Rows that need pictures in the loop (without GRU, unwrapping or clip) are in
training/overfit.py. Finished rows are kept in RUNS, an ended one goes on where it was. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from training.train import learn

ROWS: Mapping[str, Mapping[str, object]] = {
    "full": {},
    "no rays (the paper's clip)": {"deformation": "part_aware"},
    "one iteration": {"iterations": 1},
    "no borders of the masks": {"borders": "none"},
}
FOREVER = 10_000  # minutes: the steps end a row
SHOWN = ("face", "ears", "neck", "hair seen", "hair hidden", "all")  # mm


def main(arguments: list[str]) -> None:
    """Train every row with every seed, or read what was found before, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m training ablate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, required=True, help="of each row and seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--backbone", type=Path, required=True, help="ImageNet weights: see training/backbones.py")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args(arguments)
    print(f"| {' | '.join(['row', 'samples', *SHOWN])} |\n|{'---|' * (len(SHOWN) + 2)}")
    for row in options.rows:
        found = [_errors(row, seed, options) for seed in range(options.seeds)]
        samples = statistics.mean(errors["samples"] for errors in found)
        cells = [_with_spread([errors[name] for errors in found]) for name in SHOWN]
        print(f"| {' | '.join([row, f'{samples:.0f}', *cells])} |", flush=True)


def _errors(row: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """One training's held-out errors, mm, and how many samples it saw."""
    out = options.out / f"{row.replace(' ', '_').strip('()')}-{seed}"
    kept = out / "errors.json"
    if not kept.is_file():
        named = {"--steps": options.steps, "--minutes": FOREVER, "--seed": seed, "--batch": options.batch}
        named |= {"--backbone": options.backbone, "--data": options.data, "--held-out": options.held_out, "--out": out}
        given = [str(part) for pair in named.items() for part in pair]
        # looking at the held-out samples in between would take different shares of the budget
        errors = learn([*given, "--measure-every", "1e9"], **ROWS[row])
        kept.write_text(json.dumps(errors), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def _with_spread(values: list[float]) -> str:
    """Mean, and half the distance between the extremes where there are several."""
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.2f}"
