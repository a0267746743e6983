"""How far a driven head's landmarks lie from a clip's own; run by the backend's Python, which has the detector.

    python clip_distance.py CLIP AVATAR POINTS.npz

POINTS.npz holds `frames` [N] of the clip and `pixels` [N, V, 2], where Blender's camera saw the head's vertices.
Printed is the median over frames and the 68 points of the distance over the face's height.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np

from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.sessions import Sessions
from meshlam_core.files.images import read_clip
from meshlam_core.head.io import load_head
from meshlam_core.points import CHIN, CLASSIC_68, FOREHEAD
from meshlam_core.tracker.retarget import avatar_rig


def main() -> None:
    clip, avatar, points = (Path(argument) for argument in sys.argv[1:4])
    rig = avatar_rig(read_avatar(avatar), load_head(None))
    stored = np.load(points)
    wanted = {int(frame): pixels for frame, pixels in zip(stored["frames"], stored["pixels"], strict=True)}
    detector = Sessions().get_tracker("cpu").detector
    distances = []
    for index, frame in enumerate(islice(read_clip(clip), max(wanted) + 1)):
        if index not in wanted:
            continue
        seen = detector.detect(frame.pixels, every=False)[0].landmarks[:, :2]
        ours = np.einsum("lk,lkd->ld", rig.bary, wanted[index][rig.corners])
        height = np.linalg.norm(seen[FOREHEAD] - seen[CHIN])
        distances.append(np.linalg.norm(ours - seen, axis=1)[CLASSIC_68] / height)
    print(float(np.median(distances)))


if __name__ == "__main__":
    main()
