"""Run every benchmark and write their tables, with the command that makes each, into one Markdown file.

Each benchmark is a module of this package that prints Markdown on stdout: `python -m training.bench.NAME`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from training.bench.machine import describe_machine

BENCHMARKS = (
    "raster", "tracker", "expressions", "reenact", "masks", "parts", "texture", "skin", "neutral", "head",
    "reconstruct", "clips", "topology", "network", "head_models", "opencv", "gaussians",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHMARKS), help=f"of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    arguments = parser.parse_args()
    folder = arguments.out.parent / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        print(f"{name} ...", file=sys.stderr)
        command = [sys.executable, "-m", f"training.bench.{name}"]
        table = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        page = f"Command: `python -m training.bench.{name}`. Machine: {describe_machine()}.\n\n{table.strip()}\n"
        (folder / f"{name}.md").write_text(page, encoding="utf-8")
    sections = [f"## {path.stem}\n\n{path.read_text(encoding='utf-8')}" for path in sorted(folder.glob("*.md"))]
    text = "# Benchmarks\n\nMade by `make bench`; medians, because machines are noisy.\n\n" + "\n".join(sections)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
