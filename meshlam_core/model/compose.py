"""From the loop's texture to the one the artist gets: full size, with the photo's own detail where it was seen.

[ours] The loop works at a lower resolution. What it changed is carried up smoothly and added to the tracker's texture,
which brings detail where the photo saw nothing (mirrored skin); where it was seen, the photo is unwrapped once more
at full size onto the final geometry and blended in by the trust that the texture GRU gave each texel.
Dims: B batch, S the loop's texture, D full texture, H photo.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from meshlam_core.model.error_features import reproject
from meshlam_core.model.render import View, animate, look
from meshlam_core.model.state import Photo, Rig, State, resize

DEPTH_SIZE = 512  # px: finer depth maps do not change which texels are seen


def compose_texture(
    state: State,  # after the last step
    photo: Photo,  # at full resolution
    rig: Rig,  # of the state
    size: int,  # D, texels
    reprojected: bool = True,  # False for the ablation "no unwrapping"
) -> tuple[Tensor, Tensor]:  # [B, 3, D, D] 0..1, [B, 1, D, D] 0..1 share of the photo in each texel
    """The final texture and where it was seen."""
    low = state.texture.shape[-1]
    start = resize(photo.texture, size)
    base = start + resize(state.texture - resize(photo.texture, low), size)
    if not reprojected:
        return base.clamp(0, 1), torch.zeros_like(base[:, :1])
    near = photo if photo.image.shape[-1] <= DEPTH_SIZE else photo.resized(DEPTH_SIZE)
    posed = animate(state.vertices, rig, photo)
    view = look(posed, rig, near.cameras)
    full = view if near is photo else _at_cameras(view, photo)
    unwrapped, seen = reproject(photo.image, photo, full, rig, size)
    share = seen * resize(state.trust, size) * rig.paintable(size)
    return (base + share * (unwrapped - base)).clamp(0, 1), share


def _at_cameras(view: View, photo: Photo) -> View:
    """The same fragments, addressed in the photo's own pixels: view_texels takes coarser depth maps."""
    return replace(view, cameras=photo.cameras)
