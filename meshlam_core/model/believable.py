"""Which pixels of a photo may colour a head: skin and hair, away from whatever is not.

Image frame (see frames.py) of the crop. Masks are float32 in 0..1.
Dims: H, W crop rows and columns; h, w the same at the work size; D texture.

[ours] The network looks at the photo through a mesh that never lies on it exactly. A pixel of collar, background or
teeth beside skin would be painted onto skin, so what lies next to such pixels is not believed either: there the
texture stage's result stays, which knows about them. In front of ears and neck hang hair, collars and chains, and only
what the texture stage has accepted as theirs is believed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE, LIPS_INNER, RIGHT_EYE
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.project import project
from meshlam_core.texture.trust import box_blur, eroded
from meshlam_core.tracker.parsing import Regions, head_window, polygon_mask
from meshlam_core.tracker.pose import landmarks_on_crop, posed_vertices
from meshlam_core.tracker.sampling import resized
from meshlam_core.tracker.types import TrackedFace

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

WORK_SIDE = 534  # px, the head's window where the mask is made: regions and landmarks know edges no better
BARE = ("ears", "neck")
ACCEPTED = 64  # of 255, the texture stage's trust from which a pixel of a bare part is believed
SURE = 0.7  # of skin and hair together, from which a pixel is theirs
RIM = 0.02  # of the face height, kept away from everything else
OPENING_RIM = 0.012  # of the face height, kept away from eyes and from the gap between the lips


def believable(
    regions: Regions,  # of the crop
    tracked: TrackedFace,
    camera: Camera,  # of the crop
    head: HeadModel,
    seen: U8,  # [D, D] the texture stage's trust in each texel
) -> F32:  # [H, W] 0..1
    """Skin and hair without their edges, the eyes and the gap between the lips; of ears and neck what was accepted."""
    height, width = regions.skin.shape
    points = landmarks_on_crop(tracked, camera).astype(np.float64)
    scale = min(1.0, WORK_SIDE / head_window(points).side)
    points *= scale
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    span = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    ours = resized(regions.skin + regions.hair, size) > SURE
    ours &= ~_refused(tracked, camera.scaled(scale), head, seen, size)
    eyes_and_mouth = [polygon_mask(points[ring], size) for ring in (RIGHT_EYE, LEFT_EYE, LIPS_INNER)]
    kept = eroded(ours, RIM * span) & eroded(np.max(eyes_and_mouth, axis=0) == 0, OPENING_RIM * span)
    soft = box_blur(kept, max(1, round(RIM * span / 2)))
    return resized(np.minimum(soft, ours), (height, width))


def _refused(
    tracked: TrackedFace, camera: Camera, head: HeadModel, seen: U8, size: tuple[int, int]
) -> NDArray[np.bool_]:  # [h, w]
    """Pixels where the tracked mesh shows ears or neck and the texture stage found something else."""
    bare = np.isin(head.part, [head.parts.index(name) for name in BARE if name in head.parts])[head.faces[:, 0]]
    points = project(posed_vertices(tracked, head)[None], camera)
    found = get_rasteriser().rasterise(points, torch.from_numpy(np.array(head.faces)), size)
    face, bary = found.face[0].numpy(), found.bary[0].numpy()
    rows, columns = np.nonzero((face >= 0) & bare[face])
    corners = head.uvs[head.uv_faces[face[rows, columns]]]  # [P, 3, 2]
    u, v = np.einsum("pcx,pc->xp", corners, bary[rows, columns])
    side = len(seen)
    texel = seen[((1 - v) * side).clip(0, side - 1).astype(np.intp), (u * side).clip(0, side - 1).astype(np.intp)]
    refused = np.zeros(size, bool)
    refused[rows, columns] = texel < ACCEPTED
    return refused
