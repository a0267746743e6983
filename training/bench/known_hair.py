"""The table of heads with known hair: millimetres and outlines. Part of training.bench.head (`--set styles`).

Means over the heads of a style; "held out" is the mean over the styles that the basis has never seen. A head of which
no avatar can be made is counted in `failed`: it has no distance.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import write_png
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from training.bench.markdown import print_head, print_row
from training.evaluate.geometry import GeometryScores, compare_geometry
from training.evaluate.known_heads import BARE, SKINS, KnownHead, known_heads
from training.evaluate.summary import mean

DISTANCES = ("face", "ears", "hair", "hair_front", "hair_back", "scalp", "grown")
TITLES = ("style", "heads", "n", "failed", "face mm, median / 90 %", "ears", "hair", "hair, front", "hair, back",
          "bare scalp", "scalp off the skull", "silhouette front", "side", "back")  # fmt: skip
WANTED = ("wanted of the hull", "", "", "", "", "", "7 / 18", "", "", "", "bald: 4", "", "0.88", "")


def style_table(data: Path, ways: Mapping[str, ReconstructOptions], sessions: Mapping[str, Session], each: int) -> None:
    """Draw the heads, make avatars of them, compare."""
    first, session = next(iter(ways.values())), next(iter(sessions.values()))
    skins = [reconstruct(data / "portraits" / f"{name}.jpg", first, session).avatar.albedo for name in SKINS]
    found: dict[str, dict[str, list[GeometryScores | None]]] = {name: defaultdict(list) for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        for truth in known_heads(data, session.head, skins, each):
            photo = Path(scratch) / f"{truth.style}.png"
            write_png(photo, truth.picture)
            for name, options in ways.items():
                found[name][truth.style].append(_compared(photo, truth, options, sessions[name]))
    print_head(*TITLES)
    for name, styles in found.items():
        for style, scores in styles.items():
            print_row(style, name, *_cells(scores))
        held_out = [one for style, scores in styles.items() if style not in BARE for one in scores]
        print_row("held out", name, *_cells(held_out))
    print_row(*WANTED)
    print()


def _compared(photo: Path, truth: KnownHead, options: ReconstructOptions, session: Session) -> GeometryScores | None:
    try:
        avatar = reconstruct(photo, options, session).avatar
    except MeshlamError:
        return None
    return compare_geometry(avatar, truth, session.head)


def _cells(scores: Sequence[GeometryScores | None]) -> list[str]:
    known = [one for one in scores if one]
    row = [str(len(scores)), str(len(scores) - len(known))]
    for name in DISTANCES:
        median = mean(getattr(one, name).median for one in known)
        worst = mean(getattr(one, name).worst for one in known)
        row.append(f"{median:.1f} / {worst:.1f}" if median == median else "")
    return row + [f"{mean(one.silhouettes[side] for one in known):.3f}" for side in ("front", "side", "back")]
