"""One person on several head models: `python -m training.bench.same_person HEAD.npz ... --out heads.jpg`.

A row for each model, the open head first: in the photo's pose, from the front, the left, the back, and with an open
mouth, half a smile and one closed eye. `--style clay` shows the shape alone. The portrait is NASA's, public domain.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.avatar.record import Avatar
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.raster.render import Style
from meshlam_core.viewing.viewer import AvatarRenderer, render_avatar
from training.demo import nasa_portrait
from training.evaluate.sheets import on_ground

CELL = 220  # px
FACE = {"jawOpen": 0.5, "mouthSmileLeft": 0.5, "eyeBlinkRight": 1.0}

U8 = NDArray[np.uint8]


def row(avatar: Avatar, style: Style, cell: int) -> U8:  # [cell, 5 * cell, 3]
    """The views of one head."""
    renderer = AvatarRenderer(avatar)
    views = [("front", None), ("left", None), ("back", None), ("front", FACE)]
    pictures = [render_avatar(avatar, view, cell, face, None, style, renderer) for view, face in views]
    return np.hstack([on_ground(picture) for picture in (photo_view(avatar, style, cell, renderer), *pictures)])


def photo_view(avatar: Avatar, style: Style, cell: int, renderer: AvatarRenderer) -> U8:  # [cell, cell, 4]
    """The head as the photo has it, cut out by a square around it."""
    size = int(avatar.photo.size.max())
    picture = render_avatar(avatar, "photo", size, style=style, renderer=renderer)
    rows, columns = np.nonzero(picture[..., 3])
    side = round(1.1 * max(np.ptp(rows), np.ptp(columns)))
    left, top = int(np.ptp(columns) / 2 + columns.min() - side / 2), int(np.ptp(rows) / 2 + rows.min() - side / 2)
    cut = Image.fromarray(picture).crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((cell, cell), Image.Resampling.LANCZOS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("heads", nargs="+", help="converted head models")
    parser.add_argument("--photo", type=Path, default=None)
    parser.add_argument("--style", choices=get_args(Style), default="texture")
    parser.add_argument("--cell", type=int, default=CELL, help="px")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photo = chosen.photo or nasa_portrait(Path(folder))
        for name in ("open", *chosen.heads):
            options = ReconstructOptions(head=name)
            rows.append(row(reconstruct(photo, options, Session.open(options)).avatar, chosen.style, chosen.cell))
    Image.fromarray(np.vstack(rows)).save(chosen.out, quality=90)


if __name__ == "__main__":
    main()
