"""The rig that is trained on: the same as the one that the pipeline refines, hair included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from meshlam_core.head.hair_transfer import hair_of
from meshlam_core.head.model import HeadModel
from meshlam_core.model.state import Rig, make_rig


def training_rig(head: HeadModel) -> Rig:
    """A rig without a limit for edges: in training a batch shares the template's topology."""
    return make_rig(head, hair=hair_of(head))


def without_lashes(rig: Rig, head: HeadModel) -> Rig:
    """Without the triangles of the lashes' strips, which a picture of 256 px does not resolve."""
    lashes = np.isin(head.part, [i for i, name in enumerate(head.parts) if name == "lashes"])
    drawn = torch.from_numpy(~lashes[head.faces].any(axis=1))
    return replace(rig, faces=rig.faces[drawn], uv_faces=rig.uv_faces[drawn], maps={})
