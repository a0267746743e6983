"""How far a driven head's landmarks lie from a clip's own; run by the backend's Python, which has the detector.

    python clip_distance.py CLIP AVATAR POINTS.npz [RENDERINGS]

POINTS.npz holds `frames` [N] of the clip and `pixels` [N, V, 2], where Blender's camera saw the head's vertices;
the folder RENDERINGS has what it showed, FRAME.png each. Printed is the median over frames and the 68 points of the
distance over the face's height: of the vertices, and of the same detector's points in the renderings, which
RENDERINGS/beside.png then shows below the clip's frames.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.sessions import Sessions
from meshlam_core.files.images import read_clip
from meshlam_core.head.io import load_head
from meshlam_core.points import CHIN, CLASSIC_68, FOREHEAD
from meshlam_core.tracker.retarget import avatar_rig


def main() -> None:
    clip, avatar, points, *renderings = (Path(argument) for argument in sys.argv[1:])
    rig = avatar_rig(read_avatar(avatar), load_head(None))
    stored = np.load(points)
    wanted = {int(frame): pixels for frame, pixels in zip(stored["frames"], stored["pixels"], strict=True)}
    detector = Sessions().get_tracker("cpu").detector
    distances: dict[str, list[np.ndarray]] = {"vertices": [], "renderings": []}
    columns = []
    for index, frame in enumerate(islice(read_clip(clip), max(wanted) + 1)):
        if index not in wanted:
            continue
        seen = detector.detect(frame.pixels, every=False)[0].landmarks[:, :2]
        height = np.linalg.norm(seen[FOREHEAD] - seen[CHIN])
        ours = {"vertices": np.einsum("lk,lkd->ld", rig.bary, wanted[index][rig.corners])}
        for folder in renderings:
            picture = np.array(Image.open(folder / f"{index}.png").convert("RGB"))
            ours["renderings"] = detector.detect(picture, every=False)[0].landmarks[:, :2]
            columns.append(np.vstack([frame.pixels, picture]))
        for what, found in ours.items():
            distances[what].append(np.linalg.norm(found - seen, axis=1)[CLASSIC_68] / height)
    for folder in renderings:
        Image.fromarray(np.hstack(columns)).save(folder / "beside.png")
    for what, each in distances.items():
        if each:
            frames = ", ".join(f"{np.median(distance):.4f}" for distance in each)
            print(f"{what}: {np.median(each):.4f} (frames: {frames})")


if __name__ == "__main__":
    main()
