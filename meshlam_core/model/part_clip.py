"""Part-aware clip: how far each vertex may move in one deformation step (MeshLAM, "part-aware deformation").

Frame: avatar frame (see frames.py). Units: metres.
Dims:  B batch, V vertices, F triangles.

The paper gives hair 80 mm, neck 20 mm, face 3 mm, eyeballs and eyelids 0. Where it is silent we choose:
- ears, lips, nose and the inside of the mouth are skin of a known shape, so they move like the face (3 mm);
- teeth and tongue stay: a photo hardly shows them and a moved tooth cuts through the lips;
- lashes are rooted in the eyelids and eye sockets line them from behind, so both stay with them.
FLAME's own mask names (forehead, eye_region, boundary) are known too; its eye region holds the eyelids.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.errors import UsageError

FIXED = 0.0
SKIN = 0.003
NECK = 0.02
HAIR = 0.08
GROWS = 0.03  # between the neck and the hair: what may move further carries hair

STEP_LIMITS: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("hair", "scalp"), HAIR),
        **dict.fromkeys(("neck", "boundary"), NECK),
        **dict.fromkeys(("face", "skin", "forehead", "nose", "nostrils", "lips", "ears", "mouth interior"), SKIN),
        **dict.fromkeys(
            ("eyeballs", "eyelids", "eye region", "eye sockets", "teeth", "gums", "tongue", "lashes"), FIXED
        ),
    }
)

_PLURAL = {
    "ear": "ears",
    "lip": "lips",
    "nostril": "nostrils",
    "eyeball": "eyeballs",
    "eye": "eyeballs",
    "eyes": "eyeballs",
} | {
    "eyelid": "eyelids",
    "lash": "lashes",
    "eyelash": "lashes",
    "eyelashes": "lashes",
    "mouth": "mouth interior",
    "inner mouth": "mouth interior",
}


def limit_of(name: str, limits: Mapping[str, float] = STEP_LIMITS) -> float:
    """The step limit of a part in metres. Left, right, upper and lower parts share the limit of their kind."""
    words = name.lower().replace("_", " ").replace("-", " ").split()
    kind = " ".join(word for word in words if word not in {"left", "right", "upper", "lower"})
    kind = _PLURAL.get(kind, kind)
    if kind not in limits:
        raise UsageError(
            f"part {name!r} has no displacement limit: expected one of {', '.join(sorted(limits))}.",
            "Rename the part of the head model or pass a limit for it.",
        )
    return limits[kind]


def part_limits(
    part: NDArray[np.integer],  # [V] index into parts
    parts: tuple[str, ...],
    faces: NDArray[np.integer],  # [F, 3]
    limits: Mapping[str, float] = STEP_LIMITS,
    rings: int = 1,
) -> Tensor:  # [V] float32, m
    """Per-vertex step limits, blended across part borders; once per head model.

    A vertex that touches another part takes the mean over itself and its neighbours, `rings` times over.
    Vertices of a fixed part stay at exactly 0, so the blend happens on the movable side alone.
    Parts that no vertex uses need no limit.
    """
    labels = np.asarray(part).astype(np.int64)
    if labels.size and (labels.min() < 0 or labels.max() >= len(parts)):
        raise UsageError(f"part: expected indices below {len(parts)} (the named parts), got up to {labels.max()}.")
    table = np.array([limit_of(name, limits) if (labels == i).any() else 0.0 for i, name in enumerate(parts)])
    own = table[labels] if labels.size else np.zeros(0)

    corners = np.asarray(faces).astype(np.int64)
    pairs = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    pairs = np.unique(pairs, axis=0)
    start, end = np.concatenate([pairs, pairs[:, ::-1]]).T
    degree = np.bincount(start, minlength=labels.size)
    blended = own
    for _ in range(rings):
        mean = (blended + np.bincount(start, weights=blended[end], minlength=labels.size)) / (1 + degree)
        touches = np.zeros(labels.size, dtype=bool)
        touches[start[blended[start] != blended[end]]] = True
        blended = np.where(touches & (own > 0), mean, blended)
    return torch.from_numpy(blended.astype(np.float32))


def with_hair(
    limits: Tensor,  # [V] m, of the parts
    hair: Tensor,  # [V] 0..1, how far hair can move each vertex
) -> Tensor:  # [V] m
    """Vertices under hair go where the hair goes, whatever part they belong to."""
    return torch.maximum(limits, HAIR * hair.to(limits) * (limits > 0))


def clip_displacement(
    displacement: Tensor,  # [..., V, 3] m
    limits: Tensor,  # [V] m; 0 fixes a vertex, inf leaves it free
) -> Tensor:  # [..., V, 3] m, shorter than the limits
    """Shorten displacements smoothly below their limits, direction kept.

    |d'| = |d| / (1 + (|d| / limit)^4)^(1/4): the identity to fourth order for small steps, the limit for long ones,
    and a gradient that never stops, unlike that of a hard clip, which would freeze a vertex at its limit.
    """
    _check(displacement, limits)
    bound = limits.to(displacement.device, torch.float32 if displacement.dtype.itemsize < 4 else displacement.dtype)
    free = (bound > 0).unsqueeze(-1)
    # where() before the arithmetic: 0 * nan would otherwise leak into the gradient of fixed vertices
    step = torch.where(free, displacement.to(bound.dtype), torch.zeros((), dtype=bound.dtype, device=bound.device))
    scaled = step / torch.where(free, bound.unsqueeze(-1), torch.ones_like(bound).unsqueeze(-1))
    square = scaled.square().sum(-1, keepdim=True)  # (|d| / limit)^2, without a root whose gradient is nan at 0
    shrink = torch.hypot(torch.ones_like(square), square).rsqrt()
    return (step * shrink).to(displacement.dtype)


def move(
    vertices: Tensor,  # [..., V, 3] m
    displacement: Tensor,  # [..., V, 3] m, not yet clipped
    limits: Tensor,  # [V] m
) -> Tensor:  # [..., V, 3] m
    """One clipped deformation step. Fixed vertices come back bit-equal, whatever the network said about them."""
    clipped = clip_displacement(displacement, limits)
    # adding 0 is not enough for bit-equality: -0.0 + 0.0 is +0.0
    free = (limits > 0).to(vertices.device).unsqueeze(-1)
    return torch.where(free, vertices + clipped.to(vertices.dtype), vertices)


def _check(displacement: Tensor, limits: Tensor) -> None:
    if displacement.ndim < 2 or displacement.shape[-1] != 3:
        raise UsageError(f"displacement: expected [..., V, 3], got {tuple(displacement.shape)}.")
    if tuple(limits.shape) != (displacement.shape[-2],):
        raise UsageError(f"limits: expected [V] with V={displacement.shape[-2]}, got {tuple(limits.shape)}.")
