"""How far the landmark network follows a face: expressions as it sees them.

The network smooths what it sees. On drawn heads, whose keys are known, its brows, lids, irises and lips go only a third
to four fifths of the way that the mesh goes, and a key moves landmarks elsewhere along. A fit that takes its landmarks
for the face's own therefore finds weak expressions. In clips, where the person is known, the landmarks are instead
expected to move as they were seen to move (training/expressions).

Frames: avatar frame (frames.py), metres. Dims: L landmarks, N identity modes, K blendshapes, E the 52 expression names.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_INDEX
from meshlam_core.files.npz import checked_array, read_arrays, readable
from meshlam_core.points import COUNT
from meshlam_core.tracker.rig import LandmarkRig

F32 = NDArray[np.float32]

SEEN_MOTION = Path(__file__).resolve().parent.parent / "data" / "seen_motion.npz"
SHARE = 0.3  # of what is lost on drawn heads that is made up for: real skin folds and shades, and is seen better
GAZE_SHARE = 0.5  # the same of the keys eyeLook: on real clips 0.3 leaves a gaze of the rendering at 0.6 to 0.8


@cache
def load_seen_motion(path: Path = SEEN_MOTION) -> F32:  # [E, L, 2] m at coefficient 1, to the left and up
    """The packaged measurement."""
    label = f"The file {path.name} of landmark motion"
    with readable(label, "Install MeshLAM again."):
        arrays = read_arrays(path)
    sizes = {"E": len(ARKIT_INDEX), "L": COUNT}
    return np.asarray(checked_array(arrays, "motion", "E L 2", np.float32, sizes, label))


def as_seen(rig: LandmarkRig) -> LandmarkRig:
    """The rig with the expressions that ARKit names moving its landmarks as the network shows them."""
    motion, basis = load_seen_motion(), rig.basis.copy()
    for number, name in enumerate(rig.names, start=rig.modes):
        if name in ARKIT_INDEX:
            seen, own = motion[ARKIT_INDEX[name]].T, basis[:2, number]  # [2, L] each
            followed = float((seen * own).sum() / max(float((own**2).sum()), 1e-12))
            share = GAZE_SHARE if name.startswith("eyeLook") else SHARE
            basis[:2, number] += share * (seen - own)
            basis[2, number] *= 1 + share * (min(max(followed, 0.0), 1.0) - 1)  # depth is not seen
    return replace(rig, basis=basis)
