"""A face tracked with another head model, as the open head would have it: what the network was trained on.

Frame: avatar frame, metres. Dims: O vertices of the open head, V of the model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.model import HeadModel
from meshlam_core.tracker.types import TrackedFace


def on_open_head(
    tracked: TrackedFace,
    head: HeadModel,  # that it was tracked with
    place: Correspondence,
) -> TrackedFace:
    """The same person on the open head's mesh, with its blendshapes of the same names."""
    # what the open head has more of than the model, as it lies on the model's mean head
    finer = place.laid - place.to_open(head.template)
    hair = tracked.hair
    if hair is not None:
        hair = replace(hair, displacement=place.to_open(hair.displacement))
    vertices = np.asarray(place.to_open(tracked.vertices) + finer, np.float32)
    return replace(tracked, vertices=vertices, blendshapes=None, hair=hair)
