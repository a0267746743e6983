"""A tracked head as it stands before the camera, and its landmarks on the crop.

Frames: view frame, image frame of the crop (see frames.py). Dims: V vertices, L landmarks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import Camera, rotation_from_axis_angle
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]


def posed_vertices(tracked: TrackedFace, model: HeadModel) -> Tensor:  # [V, 3] view frame, m
    """The tracked head as it stands before the camera."""
    correctives = None if model.pose_correctives is None else torch.from_numpy(np.array(model.pose_correctives))
    posed = pose_vertices(
        torch.from_numpy(np.array(tracked.surface)),
        torch.from_numpy(np.array(tracked.blendshapes_on(model))),
        torch.from_numpy(np.array(tracked.expression))[None],
        torch.from_numpy(np.array(tracked.rotations))[None],
        torch.from_numpy(model.joints(tracked.vertices)),
        torch.from_numpy(np.array(tracked.weights_on(model))),
        model.joint_parents,
        correctives,
    )
    return (posed[0] + torch.from_numpy(np.array(tracked.translation))).float()


def landmarks_on_crop(tracked: TrackedFace, camera: Camera) -> F32:  # [L, 2] px of the crop
    """The detected landmarks, moved from the photo into the crop."""
    scale = camera.focal / tracked.camera.focal
    offset = np.array(camera.centre) - np.array(tracked.camera.centre) * scale
    return (tracked.detection.landmarks[:, :2] * scale + offset).astype(np.float32)


def with_neutral(
    tracked: TrackedFace,
    vertices: F32,  # [V, 3] m
    model: HeadModel,
) -> TrackedFace:
    """Another neutral head in the same place of the photo; its root joint stays the origin of the avatar frame."""
    moved = model.joints(vertices)[0] - model.joints(tracked.vertices)[0]
    turn = rotation_from_axis_angle(tracked.rotations[0])
    return replace(
        tracked,
        vertices=np.asarray(vertices - moved, np.float32),
        translation=np.asarray(tracked.translation + turn @ moved, np.float32),
    )
