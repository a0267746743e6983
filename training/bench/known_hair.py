"""The table of heads with known hair: millimetres and outlines. Part of training.bench.head (`--set styles`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from meshlam_core.pipeline import ReconstructOptions, Session
from training.bench.markdown import print_head, print_row
from training.evaluate.styles import STYLE_TITLES, measure_styles, style_cells

WANTED = ("wanted of the hull", "", "", "", "", "", "7 / 18", "", "", "", "bald: 4", "", "0.88", "")


def style_table(data: Path, ways: Mapping[str, ReconstructOptions], sessions: Mapping[str, Session], each: int) -> None:
    """Draw the heads, make avatars of them, compare."""
    found = measure_styles(data, ways, sessions, each)
    print_head("style", "heads", *STYLE_TITLES)
    for name, styles in found.items():
        for style, scores in styles.items():
            print_row(style, name, *style_cells(scores))
    print_row(*WANTED)
    print()
