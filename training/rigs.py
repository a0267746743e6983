"""The rig that is trained on: the same as the one that the pipeline refines, hair included."""

from __future__ import annotations

from meshlam_core.head.hair_transfer import hair_of
from meshlam_core.head.model import HeadModel
from meshlam_core.model.state import Rig, make_rig


def training_rig(head: HeadModel) -> Rig:
    """A rig without a limit for edges: in training a batch shares the template's topology."""
    return make_rig(head, hair=hair_of(head))
