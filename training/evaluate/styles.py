"""Avatars of heads whose hair is known, in millimetres and outlines, style by style: geometry.py for many.

Means over the heads of a style; HELD_OUT is the mean over the styles that the basis has never seen. A head of which no
avatar can be made is counted in `failed`: it has no distance.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import write_png
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from training.evaluate.geometry import GeometryScores, compare_geometry
from training.evaluate.known_heads import BARE, SKINS, KnownHead, known_heads
from training.evaluate.summary import mean

DISTANCES = ("face", "ears", "hair", "hair_front", "hair_back", "scalp", "grown")
STYLE_TITLES = (
    "n", "failed", "face mm, median / 90 %", "ears", "hair", "hair, front", "hair, back", "bare scalp",
    "scalp off the skull", "silhouette front", "side", "back",
)  # fmt: skip
HELD_OUT = "held out"

Styles = dict[str, list[GeometryScores | None]]  # None: no avatar could be made


def measure_styles(
    data: Path, ways: Mapping[str, ReconstructOptions], sessions: Mapping[str, Session], each: int
) -> dict[str, Styles]:
    """Draw so many heads of each style, make avatars of them, compare; by the ways' names."""
    first, session = next(iter(ways.values())), next(iter(sessions.values()))
    skins = [reconstruct(data / "portraits" / f"{name}.jpg", first, session).avatar.albedo for name in SKINS]
    found: dict[str, Styles] = {name: defaultdict(list) for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        for truth in known_heads(data, session.head, skins, each):
            photo = Path(scratch) / f"{truth.style}.png"
            write_png(photo, truth.picture)
            for name, options in ways.items():
                found[name][truth.style].append(_compared(photo, truth, options, sessions[name]))
    for styles in found.values():
        styles[HELD_OUT] = [one for style, scores in styles.items() if style not in BARE for one in scores]
    return found


def _compared(photo: Path, truth: KnownHead, options: ReconstructOptions, session: Session) -> GeometryScores | None:
    try:
        avatar = reconstruct(photo, options, session).avatar
    except MeshlamError:
        return None
    return compare_geometry(avatar, truth, session.head)


def style_cells(scores: Sequence[GeometryScores | None]) -> list[str]:
    """Means as texts, in the order of STYLE_TITLES."""
    known = [one for one in scores if one]
    row = [str(len(scores)), str(len(scores) - len(known))]
    for name in DISTANCES:
        median = mean(getattr(one, name).median for one in known)
        worst = mean(getattr(one, name).worst for one in known)
        row.append(f"{median:.1f} / {worst:.1f}" if median == median else "")
    return row + [f"{mean(one.silhouettes[side] for one in known):.3f}" for side in ("front", "side", "back")]
