"""Sheets of synthetic photographs to look at: `python -m training.synthetic.sheet --out docs/images/synthetic.jpg`.

Every sample is shown with its labels in colour below it, and the start's and the truth's vertices on the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.frames import project, rotation_from_axis_angle
from training.synthetic import open_engine
from training.synthetic.sample import SyntheticPhoto
from training.synthetic.world import LABELS

U8 = NDArray[np.uint8]

COLUMNS = 8
TILE = 144  # px
QUALITY = 80
PALETTE = np.array(
    [
        [0, 0, 0],
        [230, 180, 140],
        [120, 60, 160],
        [240, 120, 60],
        [200, 150, 120],
        [60, 120, 200],
        [250, 250, 80],
        [80, 220, 120],
        [120, 220, 240],
        [240, 90, 160],
    ],
    np.uint8,
)
assert len(PALETTE) == len(LABELS)


def tile(sample: SyntheticPhoto) -> U8:  # [1.5 TILE, TILE, 3]
    """Picture above; labels, start and truth as points below."""
    label = cv2.resize(PALETTE[sample.label], (TILE // 2, TILE // 2), interpolation=cv2.INTER_AREA)
    both = np.full((TILE // 2, TILE // 2, 3), 255, np.uint8)
    for vertices, colour in ((sample.truth, (30, 140, 30)), (sample.tracked.surface, (200, 30, 30))):
        for x, y in _pixels(vertices, sample) * (TILE / 2 / len(sample.picture)):
            if 0 <= x < TILE // 2 and 0 <= y < TILE // 2:
                both[int(y), int(x)] = colour
    picture = cv2.resize(sample.picture, (TILE, TILE), interpolation=cv2.INTER_AREA)
    return np.concatenate([picture, np.concatenate([label, both], axis=1)])


def _pixels(vertices: NDArray[np.float32], sample: SyntheticPhoto) -> NDArray[np.floating]:
    tracked = sample.tracked
    view = vertices @ rotation_from_axis_angle(tracked.rotations[0]).T + tracked.translation
    return project(view, tracked.camera)[:, :2]


def main() -> None:
    """Draw and store."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--cache", type=Path, default=None, help="folder that keeps prepared skins")
    options.add_argument("--head", type=Path, default=None, help="a head model's file; the open head if none")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--count", type=int, default=48)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    engine = open_engine(chosen.data, chosen.cache, model=chosen.head)
    tiles = [tile(engine.sample((chosen.seed, i))) for i in range(chosen.count)]
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(chosen.out, quality=QUALITY)


if __name__ == "__main__":
    main()
