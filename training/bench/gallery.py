"""A page of the held-out portraits from all sides, to be judged by eye.

Run: python -m training.bench.gallery --out heads.jpg [--data DATA] [--variant tracker|hull|network] [--limit N]

Each person has a strip of the photo, front, three-quarter, side and back, with the neutral face. Photos that fail stay
empty. The portraits are works of the US government: the page may be published.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.errors import MeshlamError
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.viewing.viewer import VIEW_YAW, AvatarRenderer, neutral_pose, render_yaw
from training.evaluate.sheets import GROUND, on_ground
from training.evaluate.variants import variants
from training.splits import held_out

CELL = 96  # px
ACROSS = 4  # people in a row
VIEWS = ("front", "three-quarter", "left", "back")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

U8 = NDArray[np.uint8]


def main() -> None:
    """Draw the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--variant", default="network")
    parser.add_argument("--limit", type=int, default=80)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    options = variants()[chosen.variant]
    session = Session.open(options)
    photos = [path for path in sorted((chosen.data / "portraits").glob("*.jpg")) if held_out(path.name)]
    strips = [strip(path, options, session) for path in photos[: chosen.limit]]
    strips += [np.full_like(strips[0], GROUND)] * (-len(strips) % ACROSS)
    rows = [np.hstack(strips[first : first + ACROSS]) for first in range(0, len(strips), ACROSS)]
    Image.fromarray(np.vstack(rows)).save(chosen.out, quality=80)


def strip(path: Path, options: ReconstructOptions, session: Session) -> U8:  # [CELL, (1 + views) * CELL, 3]
    """One person from all sides."""
    cells = np.full((1 + len(VIEWS), CELL, CELL, 3), GROUND, np.uint8)
    try:
        avatar = reconstruct(path, options, session).avatar
    except MeshlamError:
        return np.hstack(list(cells))
    renderer, rest = AvatarRenderer(avatar), neutral_pose(avatar)
    cells[0] = np.array(Image.fromarray(avatar.photo_image).resize((CELL, CELL), Image.Resampling.LANCZOS))
    for cell, view in zip(cells[1:], VIEWS, strict=True):
        drawn = render_yaw(renderer, rest, VIEW_YAW[view], 2 * CELL)
        cell[:] = on_ground(np.array(Image.fromarray(drawn).resize((CELL, CELL), Image.Resampling.LANCZOS)))
    return np.hstack(list(cells))


if __name__ == "__main__":
    main()
